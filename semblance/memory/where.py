"""Where: a small language of conditions over attributes, read from text into a tree of checked values.

    year >= 2020 and city = 'Oslo'          label in ('cat', 'dog') or label is null
    taken between '2024-01-01' and '2024-06-30'          name like 'IMG%' and not blurred

Comparison, between, in, is null, like (ASCII letters match in either case), and/or/not, parentheses; text and dates in
single quotes; names that are no plain words in double quotes. The text is parsed by sqlglot; the tree of
`memory.conditions` is put together anew from the nodes known here, with checked columns and converted values. Anything
else is refused, and no SQL is ever made of the text itself. A question mark stands for a value that `bind` brings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as at
import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import ParseError, TokenError

from semblance.errors import SemblanceError, unknown
from semblance.memory.columns import counts_nanoseconds
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
    Parameter,
    Sign,
    Value,
    parameters_of,
    to_sql,
    with_values,
)
from semblance.memory.values import Complain, holds, stored

COMPARISONS: dict[type[exp.Expr], Sign] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
FLIPPED: dict[Sign, Sign] = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
DEEPEST = 200
"""Conditions within or chained after one another; SQLite stops at 1,000, Python's stack before that."""
MOST_VALUES = 30_000
"""SQLite binds at most 32,766 values."""
MOST_LETTERS = 1_000_000
LONGEST_PATTERN = 50_000
"""SQLite matches no longer pattern, in bytes."""


def parse_where(text: str, columns: Mapping[str, pa.DataType]) -> Condition:
    """A condition over these columns, with a `Parameter` for every question mark.

    >>> parse_where("year >= 2020", {"year": pa.int64()})
    Compare(column='year', sign='>=', value=2020)
    """
    try:
        return _Reader(text, columns).condition(_parsed(text), 0)
    except RecursionError:
        raise SemblanceError(f"where {_short(text)}: is nested too deeply") from None


def bind(tree: Condition, values: Sequence[Any]) -> Condition:
    """The condition with these values for its question marks, checked and converted as if they were written there."""

    def error(message: str) -> SemblanceError:
        return SemblanceError(f"where {_short(str(tree))}: {message}")

    used = 0

    def change(value: Value) -> Value:
        nonlocal used
        if not isinstance(value, Parameter):
            return value
        used = max(used, value.number + 1)
        if used > len(values):
            return value  # counted to the end, so that the error can say how many are needed
        try:
            return stored(values[value.number], value.column, value.kind, error)
        except SemblanceError as wrong:
            raise SemblanceError(f"{wrong} (value {value.number + 1})") from None

    bound = with_values(tree, change)
    if used != len(values):
        raise error(f"has {used} question marks, and {len(values)} values came")
    _check(bound, error)
    return bound


def compile_where(
    text: str, columns: Mapping[str, pa.DataType], places: Mapping[str, str] | None = None
) -> tuple[str, list[Any]]:
    """A condition over these columns -> SQL with `?`, and the values to bind.

    `places` gives the name a column has in SQLite, where it is not the column's own.

    >>> compile_where("year >= 2020", {"year": pa.int64()})
    ('"year" >= ?', [2020])
    """
    tree = parse_where(text, columns)
    if parameters_of(tree):
        raise SemblanceError(f"where {_short(text)}: a question mark has no value here: write the value in its place")
    return to_sql(tree, places)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 100 else line[:97] + "...")


def _parsed(text: str) -> exp.Expr:
    """The tree of the text, or one line that says where it cannot be read."""
    if not isinstance(text, str) or not text.strip():
        raise SemblanceError("where is empty: give a condition such as \"year >= 2020 and city = 'Oslo'\", or leave it")
    if "\0" in text:
        raise SemblanceError(f"where {_short(text)}: holds a zero character, at which SQLite would stop reading")
    if len(text) > MOST_LETTERS:
        raise SemblanceError(f"where {_short(text)}: has {len(text)} letters, and {MOST_LETTERS} is the most")
    try:
        text.encode()
        tokens = sqlglot.tokenize(text, read="sqlite")
        for token in tokens:
            if token.comments or token.token_type == TokenType.SEMICOLON:
                what = "a comment" if token.comments else "';'"
                raise SemblanceError(f"where {_short(text)}: {what} is not part of a condition")
        tree: exp.Expr = sqlglot.parse_one(text, read="sqlite", into=exp.Condition)
    except UnicodeEncodeError:
        raise SemblanceError(f"where {ascii(text)[:100]}: holds half a character (a lone surrogate)") from None
    except TokenError:
        raise SemblanceError(f"where {_short(text)}: a quote or bracket is opened and not closed") from None
    except ParseError as error:
        found = error.errors[0] if error.errors else {}
        near, line, column = found.get("highlight"), found.get("line") or 1, found.get("col")
        spot = f"near {near!r} (" + (f"line {line}, " if line > 1 else "") + f"character {column})" if near else "there"
        raise SemblanceError(f"where {_short(text)}: cannot be read {spot}: something is missing or too much") from None
    return tree


class _Reader:
    """Walks one tree of sqlglot's; `parameters` and `values` count what it has met."""

    def __init__(self, text: str, columns: Mapping[str, pa.DataType]):
        self.text, self.columns = text, columns
        self.parameters = self.values = 0

    def error(self, message: str) -> SemblanceError:
        return SemblanceError(f"where {_short(self.text)}: {message}")

    def condition(self, node: exp.Expr, depth: int) -> Condition:
        """A node that is true, false or unknown."""
        if depth > DEEPEST:
            raise self.error(f"has more than {DEEPEST} conditions in a row: write `column in (...)` instead")
        if isinstance(node, (exp.And, exp.Or)):
            self.only(node, "this", "expression")
            kind = And if isinstance(node, exp.And) else Or
            pair = self.condition(node.this, depth + 1), self.condition(node.expression, depth + 1)
            return kind(tuple(part for side in pair for part in (side.parts if isinstance(side, kind) else (side,))))
        if isinstance(node, exp.Paren):
            self.only(node, "this")
            return self.condition(node.this, depth + 1)
        if isinstance(node, exp.Not):
            self.only(node, "this")
            return Not(self.condition(node.this, depth + 1))
        if type(node) in COMPARISONS:
            return self.comparison(node)
        if isinstance(node, exp.Between):
            return self.between(node)
        if isinstance(node, exp.In):
            return self.among(node)
        if isinstance(node, exp.Is):
            return self.missing(node)
        if isinstance(node, (exp.Like, exp.Escape)):
            return self.like(node)
        if isinstance(node, exp.Column):
            name = self.name(node)
            if not at.is_boolean(self.columns[name]):
                raise self.error(f"{name!r} alone is no condition, since it holds {holds(self.columns[name])}")
            return Compare(name, "=", 1)
        raise self.refused(node)

    def refused(self, node: exp.Expr) -> SemblanceError:
        return self.error(
            f"{type(node).__name__.lower()} is not part of a condition: there are comparisons, between, in, is null, "
            "like, and, or, not"
        )

    def only(self, node: exp.Expr, *known: str) -> None:
        """Refuses a node that carries more than is read here."""
        for key, value in node.args.items():
            if value not in (None, False, []) and key not in known:
                raise self.refused(value if isinstance(value, exp.Expression) else node)

    def name(self, node: exp.Column) -> str:
        """The attribute that a column node means: spelled alike, or alike but for case if only one is."""
        if any(not isinstance(part, exp.Identifier) for part in node.parts):
            raise self.refused(node)
        spelled = ".".join(part.name for part in node.parts)
        if spelled in self.columns:
            return spelled
        alike = [name for name in self.columns if name.lower() == spelled.lower()]
        if len(alike) == 1:
            return alike[0]
        names = ", ".join(sorted(self.columns)[:50])
        quoted = "; text is written in single quotes" if node.this.quoted else ""
        raise self.error(f"{unknown('column', spelled, self.columns)} (the columns: {names}{quoted})")

    def column(self, node: exp.Expr) -> tuple[str, pa.DataType]:
        """A column that can be compared, and its type."""
        if not isinstance(node, exp.Column):
            raise self.refused(node) if not _is_value(node) else self.error("compares a value with a value, no column")
        name = self.name(node)
        if at.is_list(self.columns[name]):
            raise self.error(f"column {name!r} holds lists, which cannot be compared")
        return name, self.columns[name]

    def comparison(self, node: exp.Expr) -> Condition:
        self.only(node, "this", "expression")
        sign = COMPARISONS[type(node)]
        left, right = node.this, node.expression
        if not isinstance(left, exp.Column):
            name, kind = self.column(right)
            return Compare(name, FLIPPED[sign], self.value(left, name, kind))
        name, kind = self.column(left)
        if not isinstance(right, exp.Column):
            return Compare(name, sign, self.value(right, name, kind))
        other, other_kind = self.column(right)
        if _family(kind) != _family(other_kind):
            raise self.error(f"{name!r} holds {holds(kind)} and {other!r} {holds(other_kind)}: they do not compare")
        return CompareColumns(name, sign, other)

    def between(self, node: exp.Expr) -> Condition:
        self.only(node, "this", "low", "high")
        name, kind = self.column(node.this)
        low = self.value(node.args["low"], name, kind)
        found = Between(name, low, self.value(node.args["high"], name, kind))
        _check(found, self.error)
        return found

    def among(self, node: exp.Expr) -> Condition:
        self.only(node, "this", "expressions")
        name, kind = self.column(node.this)
        if not node.expressions:
            raise self.error(f"`in` on {name!r} has an empty list: name at least one value")
        return Among(name, tuple(self.value(item, name, kind) for item in node.expressions))

    def missing(self, node: exp.Expr) -> Condition:
        self.only(node, "this", "expression")
        if isinstance(node.this, exp.Column) and isinstance(node.expression, exp.Null):
            return IsNull(self.name(node.this))
        if isinstance(node.expression, exp.Boolean):
            name, kind = self.column(node.this)
            return Is(name, self.value(node.expression, name, kind) == 1)
        raise self.refused(node)

    def like(self, node: exp.Expr) -> Condition:
        escape = None
        if isinstance(node, exp.Escape):
            self.only(node, "this", "expression")
            escape, node = node.expression, node.this
            if not (isinstance(node, exp.Like) and isinstance(escape, exp.Literal) and len(str(escape.this)) == 1):
                raise self.error(
                    "`escape` stands after `like '...'` and names one letter, as in like '50!%' escape '!'"
                )
        self.only(node, "this", "expression", "negate")
        name, kind = self.column(node.this)
        if not at.is_string(kind):
            raise self.error(f"`like` is for text, and {name!r} holds {holds(kind)}")
        pattern = self.value(node.expression, name, kind)
        letter = None if escape is None else str(self.value(escape, name, kind))
        found = Like(name, pattern, bool(node.args.get("negate")), letter)
        _check(found, self.error)
        return found

    def value(self, node: exp.Expr, name: str, kind: pa.DataType) -> Value:
        """What is written in the text, as the column stores it, or the parameter that stands there."""
        self.values += 1
        if self.values > MOST_VALUES:
            raise self.error(f"has more than {MOST_VALUES} values")
        if isinstance(node, exp.Placeholder) and node.args.get("this") is None:
            self.only(node)
            self.parameters += 1
            return Parameter(self.parameters - 1, name, kind)
        if isinstance(node, exp.Null):
            return stored(None, name, kind, self.error)
        if isinstance(node, exp.Boolean):
            return stored(bool(node.this), name, kind, self.error)
        minus = isinstance(node, exp.Neg)
        literal = node.this if minus else node
        if not isinstance(literal, exp.Literal) or (minus and literal.is_string):
            raise self.refused(node)
        written = str(literal.this)
        return stored(written if literal.is_string else self.number(minus, written), name, kind, self.error)

    def number(self, minus: bool, written: str) -> int | float:
        signed = "-" + written if minus else written
        try:
            return int(signed)
        except ValueError:
            try:
                return float(signed)
            except ValueError:
                raise self.error(f"{signed!r} is no number") from None


def _check(tree: Condition, error: Complain) -> None:
    """Refuses a `between` whose ends are known and stand in the wrong order, and a pattern that is too long."""
    if isinstance(tree, (And, Or)):
        for part in tree.parts:
            _check(part, error)
    elif isinstance(tree, Not):
        _check(tree.part, error)
    elif isinstance(tree, Between):
        low, high = tree.low, tree.high
        if not isinstance(low, Parameter) and not isinstance(high, Parameter) and low > high:  # type: ignore[operator]
            raise error(f"between on {tree.column!r} has its larger end first, so nothing can match: swap the two")
    elif isinstance(tree, Like) and isinstance(tree.pattern, str) and len(tree.pattern.encode()) > LONGEST_PATTERN:
        raise error(f"the pattern for {tree.column!r} has more than {LONGEST_PATTERN} bytes: `=` compares long text")


def _is_value(node: exp.Expr) -> bool:
    return isinstance(node, (exp.Literal, exp.Boolean, exp.Null, exp.Neg, exp.Placeholder))


def _family(kind: pa.DataType) -> tuple[str, bool]:
    """Types of one family are stored so that SQLite compares them rightly."""
    return holds(kind), counts_nanoseconds(kind)
