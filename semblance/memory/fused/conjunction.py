"""Conjunction: a condition over columns in their orders, as what compiled code reads (`kernels.combined`).

    leaf        a stretch of a column's order, or all of it but a stretch: what a comparison with a value means
    program     what joins leaves by and, by or; `not` has gone into the leaves
    conjuncts   what must all be true: a stretch, a union of stretches of one column (`c = 1 or c in (3, 5)`), or a program

Three values of truth: `not` turns and into or and a comparison into its opposite, which null fails as well; only `is`
is never unknown, so that its opposite holds for null. The stretches are found at each search, from the values that come
for the question marks; nothing else is read anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semblance.errors import SemblanceError
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
    with_values,
)
from semblance.memory.fused import kernels as k
from semblance.memory.fused.orders import Order
from semblance.memory.masks import Column, span
from semblance.memory.values import stored
from semblance.memory.words import Words

MOST_LEAVES = 64
"""Longer conditions are read row by row."""
SIDES: dict[Sign, tuple[int, int, bool]] = {
    "=": (k.LEAST, k.MOST_TO, False),
    "<>": (k.LEAST, k.MOST_TO, True),
    "<": (k.OPEN, k.BELOW, False),
    "<=": (k.OPEN, k.MOST_TO, False),
    ">": (k.ABOVE, k.OPEN, False),
    ">=": (k.LEAST, k.OPEN, False),
}
OPPOSITE: dict[Sign, Sign] = {"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
Given = Sequence[Any]
Whole = NDArray[np.int64]
Ends: TypeAlias = Callable[[Given], tuple[float, float]]


class Leaf(NamedTuple):
    """`ends` gives the values between which the stretch lies."""

    column: str
    low: int
    high: int
    negated: bool
    nulls_fail: bool
    ends: Ends | None


@dataclass(frozen=True)
class Joined:
    """Parts joined by and, or else by or."""

    all: bool
    parts: tuple[Tree, ...]


Tree: TypeAlias = Leaf | Joined


class Unread(Exception):
    """The condition is not made of stretches."""


@dataclass
class Conjunction:
    """What `kernels.combined` is handed; `names` are the columns it reads, the natural order's first."""

    names: list[str]
    columns: Mapping[str, Column]
    orders: Mapping[str, Order]
    leaves: list[Leaf] = field(default_factory=list)
    program: list[tuple[int, int]] = field(default_factory=list)
    conjuncts: list[tuple[int, int, int, int]] = field(default_factory=list)
    depth: int = 1

    @classmethod
    def of(
        cls, tree: Condition, columns: Mapping[str, Column], orders: Mapping[str, Order], natural: str
    ) -> Conjunction | None:
        """The condition over the columns of a part, or None where it is more than stretches of orders."""
        try:
            flat = _flat(tree, True, columns)
        except Unread:
            return None
        made = cls([natural], columns, orders)
        for part in flat.parts if isinstance(flat, Joined) and flat.all else (flat,):
            begun = len(made.program)
            made.depth = max(made.depth, made._write(part, k.PUT))
            made.conjuncts.append((begun, len(made.program), *made._kind(part)))
        return made if len(made.leaves) <= MOST_LEAVES else None

    def _write(self, part: Tree, what: int) -> int:
        """Appends the lines of a part; how many words they need on top of one another."""
        if isinstance(part, Leaf):
            if part.column not in self.names:
                self.names.append(part.column)
            self.program.append((what, len(self.leaves)))
            self.leaves.append(part)
            return 1
        # The larger parts first: a leaf is joined with what is there and needs no words of its own.
        first, *rest = sorted(part.parts, key=lambda inner: isinstance(inner, Leaf))
        depth = self._write(first, what)
        for inner in rest:
            if isinstance(inner, Leaf):
                self._write(inner, k.MEET if part.all else k.JOIN)
            else:
                depth = max(depth, 1 + self._write(inner, k.PUT))
                self.program.append((k.MEET_TOP if part.all else k.JOIN_TOP, 0))
        return depth

    def _kind(self, part: Tree) -> tuple[int, int]:
        leaves = [part] if isinstance(part, Leaf) else [one for one in part.parts if isinstance(one, Leaf)]
        alone = isinstance(part, Leaf) or (not part.all and len(leaves) == len(part.parts))
        if not alone or len({leaf.column for leaf in leaves}) > 1 or any(leaf.negated for leaf in leaves):
            return k.OTHER, 0
        column = self.names.index(leaves[0].column)
        if (
            leaves[0].column not in self.orders
            or any(leaf.low == k.NULLS for leaf in leaves)
            or (len(leaves) > 1 and column == 0)
        ):
            return k.OTHER, 0
        return (k.SINGLE if len(leaves) == 1 else k.UNION), column

    def arrays(self) -> tuple[Whole, Whole, Whole]:
        """leaves [leaves, 5], conjuncts [conjuncts, 4], program [lines, 2]."""
        lines = [
            (self.names.index(leaf.column), leaf.low, leaf.high, leaf.negated, leaf.nulls_fail) for leaf in self.leaves
        ]
        made = (np.array(lines, np.int64), np.array(self.conjuncts, np.int64), np.array(self.program, np.int64))
        return made

    def ends(self) -> Callable[[Given], Whole]:
        """What gives the leaves' ends [leaves, 2] for the values that come, as int64 or the bits of float64."""
        whole: list[tuple[int, Ends]] = []
        real: list[tuple[int, Ends]] = []
        for number, leaf in enumerate(self.leaves):
            if leaf.ends is not None:
                held = real if self.columns[leaf.column].values.dtype.kind == "f" else whole
                held.append((number, leaf.ends))
        count = len(self.leaves)

        def found(given: Given) -> Whole:
            ends = np.zeros((count, 2), np.int64)
            for number, between in whole:
                ends[number, 0], ends[number, 1] = between(given)
            if real:
                reals = ends.view(np.float64)
                for number, between in real:
                    reals[number, 0], reals[number, 1] = between(given)
            return ends

        return found


def _flat(tree: Condition, wanted: bool, columns: Mapping[str, Column]) -> Tree:
    """The rows for which the condition is true, or (not wanted) false, as leaves joined by and, by or."""
    if isinstance(tree, Not):
        return _flat(tree.part, not wanted, columns)
    if isinstance(tree, (And, Or)):
        return _joined(isinstance(tree, And) == wanted, [_flat(part, wanted, columns) for part in tree.parts])
    if isinstance(tree, CompareColumns):
        raise Unread
    column = columns[tree.column]
    if column.kind == "list":
        raise Unread
    if isinstance(tree, IsNull):
        if wanted:
            return Leaf(tree.column, k.NULLS, k.NULLS, False, False, None)
        return Leaf(tree.column, k.OPEN, k.OPEN, False, False, None)
    if isinstance(tree, Among):
        if len(tree.values) > MOST_LEAVES:
            raise Unread
        sign: Sign = "=" if wanted else "<>"
        return _joined(not wanted, [_compared(Compare(tree.column, sign, one), column) for one in tree.values])
    if isinstance(tree, Is):
        truth = (int(tree.truth),) * 2
        return Leaf(tree.column, k.LEAST, k.MOST_TO, not wanted, False, lambda given: truth)
    if isinstance(tree, Compare):
        return _compared(tree if wanted else Compare(tree.column, OPPOSITE[tree.sign], tree.value), column)
    return Leaf(tree.column, k.LEAST, k.MOST_TO, not wanted, not wanted, _between(tree, column))


def _joined(all_: bool, parts: Sequence[Tree]) -> Tree:
    inner = [
        one for part in parts for one in (part.parts if isinstance(part, Joined) and part.all == all_ else (part,))
    ]
    return inner[0] if len(inner) == 1 else Joined(all_, tuple(inner))


def _compared(tree: Compare, column: Column) -> Leaf:
    low, high, negated = SIDES[tree.sign]
    value = tree.value
    if isinstance(value, Parameter) and column.kind == "number":
        number, exact = value.number, exactly(column)

        def ends(given: Given) -> tuple[float, float]:
            found = exact(given[number])
            return found, found

        return Leaf(tree.column, low, high, negated, negated, ends)
    if isinstance(value, Parameter) and column.words is not None and tree.sign in ("=", "<>"):
        return Leaf(tree.column, low, high, negated, negated, _word(value.number, column.words))
    if tree.sign == "<>":
        return Leaf(tree.column, low, high, True, True, _between(Compare(tree.column, "=", value), column))
    return Leaf(tree.column, k.LEAST, k.MOST_TO, False, False, _between(tree, column))


def _between(tree: Compare | Between | Like, column: Column) -> Ends:
    """The closed interval that a condition on one column is."""
    if isinstance(tree, Between) and column.kind == "number":
        low, high = tree.low, tree.high
        if isinstance(low, Parameter) and isinstance(high, Parameter):
            first, second, exact = low.number, high.number, exactly(column)

            def ends(given: Given) -> tuple[float, float]:
                least, most = exact(given[first]), exact(given[second])
                if least > most:
                    raise TypeError  # the condition is read with its values, which says what is wrong
                return least, most

            return ends

    def interval(given: Given) -> tuple[float, float]:
        def change(value: Value) -> Value:
            return (
                stored(given[value.number], value.column, value.kind, SemblanceError)
                if isinstance(value, Parameter)
                else value
            )

        try:
            bound = with_values(tree, change)
        except SemblanceError:
            raise TypeError from None
        if isinstance(bound, Between) and bound.low > bound.high:  # type: ignore[operator]
            raise TypeError
        found = span(bound, column)
        if found is None:
            raise TypeError
        return found

    if not _asks(tree):
        found = span(tree, column)
        if found is None:
            raise Unread
        return lambda given: found
    return interval


def _word(number: int, words: Words) -> Ends:
    """The place of the word that comes, twice, or an interval that holds nothing."""

    def ends(given: Given) -> tuple[int, int]:
        word = given[number]
        if not isinstance(word, str) or "\0" in word:
            raise TypeError
        try:
            word.encode()
        except UnicodeEncodeError:
            raise TypeError from None
        return words.before(word), words.until(word) - 1

    return ends


def _asks(tree: Compare | Between | Like) -> bool:
    values = (
        (tree.low, tree.high)
        if isinstance(tree, Between)
        else (tree.value if isinstance(tree, Compare) else tree.pattern,)
    )
    return any(isinstance(value, Parameter) for value in values)


def exactly(column: Column) -> Callable[[Any], Any]:
    """What brings a value to the kind of a column's numbers; a TypeError where it is of another kind, or would change."""
    held = column.values.dtype

    def real(value: Any) -> float:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, int) and not isinstance(value, bool) and -(2**53) <= value <= 2**53:
            value = float(value)
        if not isinstance(value, float) or value != value:
            raise TypeError
        return value

    def narrowed(value: Any) -> float:
        """A column's own 0.1 for 0.1."""
        found = real(value)
        if not abs(found) < 3.4e38:
            raise TypeError
        return float(np.float32(found))

    def whole(value: Any) -> int:
        if type(value) is int:
            return value
        if isinstance(value, np.integer):
            return int(value)
        raise TypeError

    return narrowed if held == np.float32 else real if held.kind == "f" else whole
