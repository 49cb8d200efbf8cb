"""Filters: which sorts there are, what passes them, and what a method of filtered search says of itself.

    EM     equal           conditions.Compare(column, "=", value)
    R      range           conditions.Between(column, low, high)
    EMIS   a member of a set-valued attribute    Member(column, value)
    mixed  whatever And and Or make of these

The methods stand in `filter_methods.py`; one that is asked a sort it does not answer raises `Unanswerable`.
After the survey and protocol of Iff, Bruegge, Chrapek, Besta, Hoefler 2025, Benchmarking Filtered Approximate Nearest
Neighbor Search Algorithms on Transformer-based Embedding Vectors (arXiv:2507.21989).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semblance.errors import SemblanceError, unknown
from semblance.memory.base_indexes import Floats, Ints
from semblance.memory.conditions import And, Between, Compare, Or

SORTS = ("EM", "R", "EMIS", "mixed")


class Unanswerable(SemblanceError):
    """A method was asked a sort of filter that it does not answer."""


@dataclass(frozen=True, slots=True)
class Member:
    """value is in the set that the column holds"""

    column: str
    value: Any

    def __str__(self) -> str:
        return f"{self.value!r} in {self.column}"


Filter: TypeAlias = Compare | Between | Member | And | Or


@dataclass(frozen=True)
class Sets:
    """A set-valued attribute: item i holds values[offsets[i] : offsets[i + 1]]."""

    offsets: Ints
    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def holds(self, value: Any) -> NDArray[np.bool_]:
        """[n]"""
        found = np.zeros(len(self), np.bool_)
        found[np.searchsorted(self.offsets, np.flatnonzero(self.values == value), "right") - 1] = True
        return found


@dataclass(frozen=True)
class Attribute:
    """A column [n] (or Sets) of one kind: ordered (numbers, dates), label (categories, flags) or set."""

    kind: str
    values: Any


Attributes = Mapping[str, Attribute]


def sort_of(asked: Filter) -> str:
    """EM, R, EMIS or mixed."""
    if isinstance(asked, Compare):
        if asked.sign != "=":
            raise SemblanceError(f"filter {str(asked)!r} is none of EM, R and EMIS: write a range, low and high")
        return "EM"
    return "R" if isinstance(asked, Between) else "EMIS" if isinstance(asked, Member) else "mixed"


def passing(asked: Any, attributes: Attributes) -> NDArray[np.bool_]:
    """Which items pass, [n]."""
    if isinstance(asked, (And, Or)):
        join = np.logical_and if isinstance(asked, And) else np.logical_or
        return reduce(join, [passing(part, attributes) for part in asked.parts])
    values = column(asked, attributes).values
    if isinstance(asked, Member):
        found: NDArray[np.bool_] = values.holds(asked.value)
        return found
    if isinstance(asked, Between):
        return np.asarray((values >= asked.low) & (values <= asked.high))
    return np.asarray(values == asked.value)


def column(asked: Compare | Between | Member, attributes: Attributes) -> Attribute:
    """The attribute of a filter of one column; its kind must suit the filter."""
    if asked.column not in attributes:
        raise unknown("column", asked.column, attributes)
    found = attributes[asked.column]
    if (found.kind == "set") != isinstance(asked, Member) or (isinstance(asked, Between) and found.kind != "ordered"):
        raise SemblanceError(f"filter {str(asked)!r} does not suit {asked.column!r}, which is of kind {found.kind}")
    return found


class Method(Protocol):
    """Finds the k nearest passing items. `answers` are the sorts it takes; `stored` counts points held in indexes."""

    name: str
    answers: frozenset[str]
    exact: bool
    evaluations: int
    stored: int

    def search(self, query: Floats, k: int, asked: Filter, beam: int) -> Ints: ...
