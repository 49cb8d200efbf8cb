"""Where: a small language of conditions over attributes, compiled to SQL with bound parameters.

    year >= 2020 and city = 'Oslo'          label in ('cat', 'dog') or label is null
    taken between '2024-01-01' and '2024-06-30'          name like 'IMG%' and not blurred

Comparison, between, in, is null, like (ASCII letters match in either case), and/or/not, parentheses; text and dates in
single quotes; names that are no plain words in double quotes. The text is parsed by sqlglot; the SQL is put together
anew from the nodes known here, with checked columns and a `?` for every value. Anything else is refused.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as at
import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import ParseError, TokenError

from semblance.errors import SemblanceError, unknown
from semblance.memory.columns import counts_nanoseconds, is_number, is_time

COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
DEEPEST = 200
"""Conditions within or chained after one another; SQLite stops at 1,000, Python's stack before that."""
MOST_VALUES = 30_000
"""SQLite binds at most 32,766 values."""
MOST_LETTERS = 1_000_000


def compile_where(
    text: str, columns: Mapping[str, pa.DataType], places: Mapping[str, str] | None = None
) -> tuple[str, list[Any]]:
    """A condition over these columns -> SQL with `?`, and the values to bind.

    `places` gives the name a column has in SQLite, where it is not the column's own.

    >>> compile_where("year >= 2020", {"year": pa.int64()})
    ('"year" >= ?', [2020])
    """
    compiler = _Compiler(text, columns, places or {})
    try:
        return compiler.condition(_parsed(text), 0), compiler.values
    except RecursionError:
        raise SemblanceError(f"where {_short(text)}: is nested too deeply") from None


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


class _Compiler:
    """Walks one tree; `values` grows in the order of the question marks."""

    def __init__(self, text: str, columns: Mapping[str, pa.DataType], places: Mapping[str, str]):
        self.text, self.columns, self.places = text, columns, places
        self.values: list[Any] = []

    def error(self, message: str) -> SemblanceError:
        return SemblanceError(f"where {_short(self.text)}: {message}")

    def condition(self, node: exp.Expr, depth: int) -> str:
        """A node that is true, false or unknown."""
        if depth > DEEPEST:
            raise self.error(f"has more than {DEEPEST} conditions in a row: write `column in (...)` instead")
        if isinstance(node, (exp.And, exp.Or)):
            self.only(node, "this", "expression")
            word = "AND" if isinstance(node, exp.And) else "OR"
            left = self.condition(node.this, depth + 1)
            return f"({left} {word} {self.condition(node.expression, depth + 1)})"
        if isinstance(node, exp.Paren):
            self.only(node, "this")
            return self.condition(node.this, depth + 1)
        if isinstance(node, exp.Not):
            self.only(node, "this")
            return f"(NOT {self.condition(node.this, depth + 1)})"
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
                raise self.error(f"{name!r} alone is no condition, since it holds {_holds(self.columns[name])}")
            return self.place(name)
        raise self.refused(node)

    def refused(self, node: exp.Expr) -> SemblanceError:
        return self.error(
            f"{type(node).__name__.lower()} is not part of a condition: there are comparisons, between, in, is null, "
            "like, and, or, not"
        )

    def only(self, node: exp.Expr, *known: str) -> None:
        """Refuses a node that carries more than this compiler reads."""
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

    def place(self, name: str) -> str:
        return '"' + self.places.get(name, name).replace('"', '""') + '"'

    def column(self, node: exp.Expr) -> tuple[str, pa.DataType]:
        """A column that can be compared, and its type."""
        if not isinstance(node, exp.Column):
            raise self.refused(node) if not _is_value(node) else self.error("compares a value with a value, no column")
        name = self.name(node)
        if at.is_list(self.columns[name]):
            raise self.error(f"column {name!r} holds lists, which cannot be compared")
        return name, self.columns[name]

    def comparison(self, node: exp.Expr) -> str:
        self.only(node, "this", "expression")
        sign = COMPARISONS[type(node)]
        left, right = node.this, node.expression
        if not isinstance(left, exp.Column):
            name, kind = self.column(right)
            return f"{self.bound(left, name, kind)} {sign} {self.place(name)}"
        name, kind = self.column(left)
        if not isinstance(right, exp.Column):
            return f"{self.place(name)} {sign} {self.bound(right, name, kind)}"
        other, other_kind = self.column(right)
        if _family(kind) != _family(other_kind):
            raise self.error(f"{name!r} holds {_holds(kind)} and {other!r} {_holds(other_kind)}: they do not compare")
        return f"{self.place(name)} {sign} {self.place(other)}"

    def between(self, node: exp.Expr) -> str:
        self.only(node, "this", "low", "high")
        name, kind = self.column(node.this)
        low = self.bound(node.args["low"], name, kind)
        high = self.bound(node.args["high"], name, kind)
        if self.values[-2] > self.values[-1]:
            raise self.error(f"between on {name!r} has its larger end first, so nothing can match: swap the two")
        return f"{self.place(name)} BETWEEN {low} AND {high}"

    def among(self, node: exp.Expr) -> str:
        self.only(node, "this", "expressions")
        name, kind = self.column(node.this)
        if not node.expressions:
            raise self.error(f"`in` on {name!r} has an empty list: name at least one value")
        marks = ", ".join(self.bound(item, name, kind) for item in node.expressions)
        return f"{self.place(name)} IN ({marks})"

    def missing(self, node: exp.Expr) -> str:
        self.only(node, "this", "expression")
        if isinstance(node.this, exp.Column) and isinstance(node.expression, exp.Null):
            return f"{self.place(self.name(node.this))} IS NULL"
        if isinstance(node.expression, exp.Boolean):
            name, kind = self.column(node.this)
            return f"{self.place(name)} IS {self.bound(node.expression, name, kind)}"
        raise self.refused(node)

    def like(self, node: exp.Expr) -> str:
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
            raise self.error(f"`like` is for text, and {name!r} holds {_holds(kind)}")
        word = "NOT LIKE" if node.args.get("negate") else "LIKE"
        sql = f"{self.place(name)} {word} {self.bound(node.expression, name, kind)}"
        return sql if escape is None else f"{sql} ESCAPE {self.bound(escape, name, kind)}"

    def bound(self, node: exp.Expr, name: str, kind: pa.DataType) -> str:
        """A value written in the text, converted to what the column holds: one more `?`."""
        self.values.append(self.value(node, name, kind))
        if len(self.values) > MOST_VALUES:
            raise self.error(f"has more than {MOST_VALUES} values")
        return "?"

    def value(self, node: exp.Expr, name: str, kind: pa.DataType) -> Any:
        if isinstance(node, exp.Null):
            raise self.error(f"nothing equals null: write `{name} is null`")
        if isinstance(node, exp.Boolean):
            if at.is_boolean(kind):
                return int(bool(node.this))
            raise self.error(f"column {name!r} holds {_holds(kind)}, and true and false are neither")
        minus = isinstance(node, exp.Neg)
        literal = node.this if minus else node
        if not isinstance(literal, exp.Literal) or (minus and literal.is_string):
            raise self.refused(node)
        written = str(literal.this)
        if literal.is_string:
            return self.text_value(written, name, kind)
        return self.number(("-" if minus else "") + written, name, kind)

    def text_value(self, written: str, name: str, kind: pa.DataType) -> Any:
        if at.is_string(kind):
            return written
        if is_time(kind):
            return self.moment(written, name, kind)
        raise self.error(f"column {name!r} holds {_holds(kind)}, and {written!r} is text")

    def number(self, written: str, name: str, kind: pa.DataType) -> int | float:
        try:
            value: int | float = int(written)
        except ValueError:
            try:
                value = float(written)
            except ValueError:
                raise self.error(f"{written!r} is no number") from None
        if at.is_boolean(kind) and value in (0, 1):
            return int(value)
        if not is_number(kind):
            raise self.error(f"column {name!r} holds {_holds(kind)}, and {written} is a number")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise self.error(f"{written} does not fit into 64 bits")
        # 0.1 is meant as the column's own 0.1, which in 32 bits is another number.
        return float(np.float32(value)) if at.is_float32(kind) else value

    def moment(self, written: str, name: str, kind: pa.DataType) -> int:
        """A date or time in ISO 8601 as whole micro- or nanoseconds since 1970 in UTC."""
        try:
            moment = datetime.datetime.fromisoformat(written)
        except ValueError:
            raise self.error(f"{written!r} is no date: write '2024-05-31' or '2024-05-31 18:30' for {name!r}") from None
        zoned = at.is_timestamp(kind) and kind.tz is not None
        if moment.tzinfo is not None and not zoned:
            raise self.error(f"{written!r} names a time zone and column {name!r} has none: leave the zone out")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        micro = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        micro = micro * 1000 if counts_nanoseconds(kind) else micro
        if not -(2**63) <= micro < 2**63:
            raise self.error(f"{written!r} is outside the years that {name!r} can hold")
        return micro


def _is_value(node: exp.Expr) -> bool:
    return isinstance(node, (exp.Literal, exp.Boolean, exp.Null, exp.Neg))


def _family(kind: pa.DataType) -> tuple[str, bool]:
    """Types of one family are stored so that SQLite compares them rightly."""
    return _holds(kind), counts_nanoseconds(kind)


def _holds(kind: pa.DataType) -> str:
    if is_number(kind):
        return "numbers"
    if at.is_boolean(kind):
        return "true or false"
    if is_time(kind):
        return "dates and times"
    return "text" if at.is_string(kind) else "lists"
