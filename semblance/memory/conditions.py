"""Conditions: what `where` means, as a small tree of values that can be compared, hashed, printed and written as SQL.

    Compare(column, sign, value)      CompareColumns(left, sign, right)      Between(column, low, high)
    Among(column, values)             Like(column, pattern, negate, escape)  IsNull(column)      Is(column, truth)
    And(parts)                        Or(parts)                              Not(part)

A value is what its column stores (`memory.columns`): whole numbers and floats, the nearest float32 where the column
holds float32, text, 0 or 1, and times as whole micro- or nanoseconds since 1970 in UTC. A `Parameter` stands where the
value is still to come. A condition is true, false or, where it meets a null, unknown, as in SQL. `where.parse_where`
makes these trees; `str` gives back a text that it reads as the same tree.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import pyarrow as pa
from sqlglot.dialects.sqlite import SQLite

from semblance.errors import SemblanceError

Sign = Literal["=", "<>", "<", "<=", ">", ">="]
CHAIN = 16
"""Longer chains of `and` or `or` are written in halves, since SQLite and the parser bound how deep a condition is."""
TAKEN = {*SQLite.Tokenizer.KEYWORDS, *SQLite.Parser.NO_PAREN_FUNCTION_PARSERS, *SQLite.Parser.FUNCTION_PARSERS}
"""Words that mean something to the parser, and a column only in double quotes."""
EPOCH = datetime.datetime(1970, 1, 1)


class Microseconds(int):
    """Since 1970 in UTC; printed as a date, or as a date and a time."""

    def __str__(self) -> str:
        moment = EPOCH + datetime.timedelta(microseconds=int(self))
        return str(moment.date() if moment.time() == datetime.time() else moment)


class Nanoseconds(int):
    """Since 1970 in UTC; printed to the microsecond, which is as fine as a text can ask."""

    def __str__(self) -> str:
        return str(Microseconds(int(self) // 1000))


@dataclass(frozen=True, slots=True)
class Parameter:
    """A question mark: the value with this number, from 0, will be compared with this column of this type."""

    number: int
    column: str
    kind: pa.DataType

    def __str__(self) -> str:
        return "?"


Value: TypeAlias = int | float | str | Parameter


@dataclass(frozen=True, slots=True)
class Compare:
    """column sign value"""

    column: str
    sign: Sign
    value: Value

    def __str__(self) -> str:
        return f"{_name(self.column)} {self.sign} {_written(self.value)}"


@dataclass(frozen=True, slots=True)
class CompareColumns:
    """left sign right, of two columns that hold the same sort of values"""

    left: str
    sign: Sign
    right: str

    def __str__(self) -> str:
        return f"{_name(self.left)} {self.sign} {_name(self.right)}"


@dataclass(frozen=True, slots=True)
class Between:
    """low <= column <= high"""

    column: str
    low: Value
    high: Value

    def __str__(self) -> str:
        return f"{_name(self.column)} between {_written(self.low)} and {_written(self.high)}"


@dataclass(frozen=True, slots=True)
class Among:
    """column equals one of the values"""

    column: str
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{_name(self.column)} in ({', '.join(map(_written, self.values))})"


@dataclass(frozen=True, slots=True)
class IsNull:
    """column has no value; never unknown"""

    column: str

    def __str__(self) -> str:
        return f"{_name(self.column)} is null"


@dataclass(frozen=True, slots=True)
class Is:
    """column is true, or is false; never unknown, since null is neither"""

    column: str
    truth: bool

    def __str__(self) -> str:
        return f"{_name(self.column)} is {'true' if self.truth else 'false'}"


@dataclass(frozen=True, slots=True)
class Like:
    """column matches the pattern (% any letters, _ one letter, ASCII letters in either case), or does not"""

    column: str
    pattern: Value
    negate: bool = False
    escape: str | None = None

    def __str__(self) -> str:
        escape = "" if self.escape is None else f" escape {_written(self.escape)}"
        return f"{_name(self.column)} {'not ' if self.negate else ''}like {_written(self.pattern)}{escape}"


@dataclass(frozen=True, slots=True)
class And:
    """two parts or more; `parse_where` leaves no And directly within an And"""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return _chained([f"({part})" if isinstance(part, Or) else str(part) for part in self.parts], "and")


@dataclass(frozen=True, slots=True)
class Or:
    """two parts or more; `parse_where` leaves no Or directly within an Or"""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return _chained([str(part) for part in self.parts], "or")


@dataclass(frozen=True, slots=True)
class Not:
    """true where the part is false; unknown stays unknown"""

    part: Condition

    def __str__(self) -> str:
        part = self.part
        if isinstance(part, IsNull):
            return f"{_name(part.column)} is not null"
        return f"not ({part})" if isinstance(part, (And, Or)) else f"not {part}"


Condition: TypeAlias = Compare | CompareColumns | Between | Among | IsNull | Is | Like | And | Or | Not


def conjuncts(tree: Condition) -> list[Condition]:
    """The conditions that must all be true: the parts of the outermost And, or the tree alone.

    >>> [str(part) for part in conjuncts(And((Compare("year", ">", 2020), IsNull("city"))))]
    ['year > 2020', 'city is null']
    """
    return [inner for part in tree.parts for inner in conjuncts(part)] if isinstance(tree, And) else [tree]


def columns_of(tree: Condition) -> tuple[str, ...]:
    """The columns that the condition reads, each once, in the order in which it names them."""
    if isinstance(tree, (And, Or)):
        return tuple(dict.fromkeys(name for part in tree.parts for name in columns_of(part)))
    if isinstance(tree, Not):
        return columns_of(tree.part)
    if isinstance(tree, CompareColumns):
        return tuple(dict.fromkeys((tree.left, tree.right)))
    return (tree.column,)


def with_values(tree: Condition, change: Callable[[Value], Value]) -> Condition:
    """The tree with every value replaced by what `change` makes of it, called in the order of the text."""
    if isinstance(tree, (And, Or)):
        return type(tree)(tuple(with_values(part, change) for part in tree.parts))
    if isinstance(tree, Not):
        return Not(with_values(tree.part, change))
    if isinstance(tree, Compare):
        return Compare(tree.column, tree.sign, change(tree.value))
    if isinstance(tree, Between):
        return Between(tree.column, change(tree.low), change(tree.high))
    if isinstance(tree, Among):
        return Among(tree.column, tuple(map(change, tree.values)))
    if isinstance(tree, Like):
        return replace(tree, pattern=change(tree.pattern))
    return tree


def parameters_of(tree: Condition) -> list[Parameter]:
    """The question marks that have no value yet, in the order of the text."""
    found: list[Parameter] = []

    def note(value: Value) -> Value:
        if isinstance(value, Parameter):
            found.append(value)
        return value

    with_values(tree, note)
    return found


def to_sql(tree: Condition, places: Mapping[str, str] | None = None) -> tuple[str, list[Any]]:
    """SQL with `?`, and the values to bind. `places` gives the name of a column in SQLite where it is another.

    >>> to_sql(Between("year", 2019, 2021), {"year": "a0"})
    ('"a0" BETWEEN ? AND ?', [2019, 2021])
    """
    values: list[Any] = []
    return _sql(tree, places or {}, values), values


def _sql(tree: Condition, places: Mapping[str, str], values: list[Any]) -> str:
    def place(name: str) -> str:
        return '"' + places.get(name, name).replace('"', '""') + '"'

    def bound(value: Value) -> str:
        if isinstance(value, Parameter):
            raise unbound(value)
        # SQLite is given plain whole numbers, for which it looks up no converter.
        values.append(int(value) if isinstance(value, int) else value)
        return "?"

    match tree:
        case And(parts) | Or(parts):
            word = "AND" if isinstance(tree, And) else "OR"
            return f"({_chained([_sql(part, places, values) for part in parts], word)})"
        case Not(part):
            return f"(NOT {_sql(part, places, values)})"
        case Compare(column, sign, value):
            return f"{place(column)} {sign} {bound(value)}"
        case CompareColumns(left, sign, right):
            return f"{place(left)} {sign} {place(right)}"
        case Between(column, low, high):
            return f"{place(column)} BETWEEN {bound(low)} AND {bound(high)}"
        case Among(column, among):
            return f"{place(column)} IN ({', '.join(map(bound, among))})"
        case IsNull(column):
            return f"{place(column)} IS NULL"
        case Is(column, truth):
            return f"{place(column)} IS {bound(int(truth))}"
        case Like(column, pattern, negate, escape):
            sql = f"{place(column)} {'NOT LIKE' if negate else 'LIKE'} {bound(pattern)}"
            return sql if escape is None else f"{sql} ESCAPE {bound(escape)}"


def unbound(value: Parameter) -> SemblanceError:
    """The error for a question mark that has no value."""
    return SemblanceError(
        f"question mark {value.number + 1} of the condition, for column {value.column!r}, has no value: bind the values"
    )


def _chained(texts: Sequence[str], word: str) -> str:
    if len(texts) <= CHAIN:
        return f" {word} ".join(texts)
    middle = len(texts) // 2
    return f"({_chained(texts[:middle], word)}) {word} ({_chained(texts[middle:], word)})"


def _name(column: str) -> str:
    """The name of a column as it is written: in double quotes unless it is a plain word that means nothing else."""
    if re.fullmatch("[A-Za-z_][A-Za-z_0-9]*", column) and column.upper() not in TAKEN:
        return column
    return '"' + column.replace('"', '""') + '"'


def _written(value: Value) -> str:
    """A value as it is written in a condition."""
    if isinstance(value, (str, Microseconds, Nanoseconds)):
        return "'" + str(value).replace("'", "''") + "'"
    if isinstance(value, float) and math.isinf(value):
        return "9e999" if value > 0 else "-9e999"
    return str(value)
