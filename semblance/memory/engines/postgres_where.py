"""Postgres where: a condition as PostgreSQL reads it, with the same answer as SQLite's.

Texts compare by their bytes (collation "C") and `like` matches ASCII letters in either case; a whole number and a float
compare as what they are, and not as what a float can hold; a null is unknown. Values are bound, never written.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.types as at

from semblance.memory.conditions import (
    Among,
    And,
    Between,
    Compare,
    CompareColumns,
    Condition,
    Is,
    IsNull,
    Like,
    Not,
    Or,
    Value,
)


def column_type(kind: pa.DataType) -> str:
    """What PostgreSQL calls a column that holds stored values of this attribute."""
    if at.is_floating(kind):
        return "double precision"
    if at.is_string(kind) or at.is_list(kind):
        return 'text COLLATE "C"'
    return "bigint"


def postgres(tree: Condition, places: Mapping[str, str], kinds: Mapping[str, pa.DataType]) -> tuple[str, list[Any]]:
    """SQL with `%s`, and the values to bind; `places` gives the columns' names, which are plain words."""
    values: list[Any] = []
    return _sql(tree, places, kinds, values), values


def _sql(tree: Condition, places: Mapping[str, str], kinds: Mapping[str, pa.DataType], values: list[Any]) -> str:
    def bound(column: str, value: Value) -> str:
        if at.is_floating(kinds[column]):
            values.append(float(value))  # type: ignore[arg-type]  # the reader gives numbers to columns of numbers
            return "%s::double precision"
        # A float beside a whole number: as a decimal, which holds both.
        values.append(Decimal(value) if isinstance(value, float) else int(value) if isinstance(value, int) else value)
        return "%s"

    match tree:
        case And(parts) | Or(parts):
            word = " AND " if isinstance(tree, And) else " OR "
            return "(" + word.join(_sql(part, places, kinds, values) for part in parts) + ")"
        case Not(part):
            return f"(NOT {_sql(part, places, kinds, values)})"
        case Compare(column, sign, value):
            return f"{places[column]} {sign} {bound(column, value)}"
        case CompareColumns(left, sign, right):
            return f"{places[left]} {sign} {places[right]}"
        case Between(column, low, high):
            return f"{places[column]} BETWEEN {bound(column, low)} AND {bound(column, high)}"
        case Among(column, among):
            return f"{places[column]} IN ({', '.join(bound(column, value) for value in among)})"
        case IsNull(column):
            return f"{places[column]} IS NULL"
        case Is(column, truth):
            return f"{places[column]} IS NOT DISTINCT FROM {bound(column, int(truth))}"
        case Like(column, pattern, negate, escape):
            # Without an escape of its own PostgreSQL takes the backslash, and SQLite none.
            sql = f"{places[column]} {'NOT ILIKE' if negate else 'ILIKE'} {bound(column, pattern)} ESCAPE "
            values.append(escape or "")
            return sql + "%s"
