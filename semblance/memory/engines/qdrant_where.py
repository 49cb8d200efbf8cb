"""Qdrant where: a condition as a filter of Qdrant, as far as its filters go.

A filter of Qdrant is true or not, and a condition may be unknown, too. So a condition is written as the filter of what
makes it true, and a `not` as the filter of what makes its part false: neither takes an item whose value is missing.
Ranges are compared as floats, whole numbers exactly below 2^53. What Qdrant cannot ask (the order of texts, `like`, two
columns beside one another, larger numbers) raises `Beyond`; the index then answers that part itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.types as at
from qdrant_client import models

from semblance.memory.conditions import Among, And, Between, Compare, Condition, Is, IsNull, Not, Or, Sign, Value

OPPOSITE: dict[Sign, Sign] = {"=": "<>", "<>": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
EXACT = 2**53
"""Whole numbers below this are floats, too."""


class Beyond(Exception):
    """Qdrant has no filter for this condition."""


def filter_of(
    tree: Condition, places: Mapping[str, str], kinds: Mapping[str, pa.DataType], truth: bool = True
) -> models.Filter:
    """The filter of the items for which the condition is true; for which it is false, if not `truth`."""
    match tree:
        case Not(part):
            return filter_of(part, places, kinds, not truth)
        case And(parts) | Or(parts):
            inner: list[Any] = [filter_of(part, places, kinds, truth) for part in parts]
            return models.Filter(must=inner) if isinstance(tree, And) == truth else models.Filter(should=inner)
        case IsNull(column):
            return _missing(places[column], truth)
        case Is(column, wanted):
            equal = _equal(places[column], kinds[column], int(wanted))
            return models.Filter(must=[equal]) if truth else models.Filter(must_not=[equal])
        case Compare(column, sign, value):
            return _compare(places[column], kinds[column], sign if truth else OPPOSITE[sign], value)
        case Between(column, low, high):
            ends = (Compare(column, ">=", low), Compare(column, "<=", high))
            return filter_of(And(ends), places, kinds, truth)
        case Among(column, values):
            same = tuple(Compare(column, "=", value) for value in values)
            return filter_of(Or(same), places, kinds, truth)
    raise Beyond


def _missing(place: str, truth: bool) -> models.Filter:
    empty = models.IsEmptyCondition(is_empty=models.PayloadField(key=place))
    return models.Filter(must=[empty]) if truth else models.Filter(must_not=[empty])


def _compare(place: str, kind: pa.DataType, sign: Sign, value: Value) -> models.Filter:
    if sign == "<>":
        equal = _equal(place, kind, value)
        return models.Filter(must=[_missing(place, False)], must_not=[equal])
    if sign == "=":
        return models.Filter(must=[_equal(place, kind, value)])
    bound = _float(kind, value)
    names: dict[Sign, str] = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
    return models.Filter(must=[models.FieldCondition(key=place, range=models.Range(**{names[sign]: bound}))])


def _equal(place: str, kind: pa.DataType, value: Value) -> models.FieldCondition:
    if at.is_string(kind):
        return models.FieldCondition(key=place, match=models.MatchValue(value=str(value)))
    if isinstance(value, int) and not at.is_floating(kind) and -(2**63) <= value < 2**63:
        return models.FieldCondition(key=place, match=models.MatchValue(value=int(value)))
    bound = _float(kind, value)
    return models.FieldCondition(key=place, range=models.Range(gte=bound, lte=bound))


def _float(kind: pa.DataType, value: Value) -> float:
    if not isinstance(value, int | float) or at.is_string(kind) or at.is_list(kind):
        raise Beyond
    if not -EXACT < value < EXACT and not at.is_floating(kind):
        raise Beyond
    return float(value)
