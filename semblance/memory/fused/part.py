"""Part: so many rows, indexed once and for all: their vectors in the order of an attribute, codes, lists, a plan.

A condition becomes a stretch of an order (the shortest that one of its conjuncts, or a value and a window together,
confines it to) and a rest that is asked of the rows of the stretch. The planner picks the arm. Nothing here changes:
rows that died since are masked by whoever asks. Memory: vectors once, and for each order 4 bytes for the row, 8 for the
value and the codes (d = 128: 48 bytes); the natural order has no row numbers, and its lists hold codes of their own. A
column that a prepared combination has asked for keeps 4 bytes a row more, and 12 if it has no order.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from semblance.memory.conditions import And, Condition, columns_of, conjuncts
from semblance.memory.fused import kernels
from semblance.memory.fused.codes import Bytes, Quantiser, packed, sizes
from semblance.memory.fused.lists import list_blocks, make_lists
from semblance.memory.fused.orders import Order, Places, Rows, frames, sorted_rows, words
from semblance.memory.fused.planner import Plan, Step, calibrate, cautious
from semblance.memory.fused.shuffle import ROWS
from semblance.memory.masks import Column, Interval, span, true_rows
from semblance.memory.segments import Floats, Ints

SHARE = 0.5
"""Orders beside the natural one take at most this share of the vectors' bytes."""
NATURAL = ""


class Window(NamedTuple):
    """Positions [start, end) of an order, and which of them may come in: all, or those with a bit in `words`."""

    order: str
    start: int
    end: int
    matches: int
    words: NDArray[np.uint64]
    first: int
    blocks: float | None
    columns: tuple[str, ...] = ()  # what the condition reads; none where other rows are left out too


class Part:
    """n items under keys of the caller's; inside they have places, in the natural order."""

    def __init__(
        self, keys: Ints, rows: Rows, orders: Mapping[str, Order], plans: Mapping[str, Plan],
        columns: Mapping[str, Column], natural: str,
    ):  # fmt: skip
        self.keys = keys  # [n], by place
        self.rows, self.orders, self.plans, self.columns = rows, dict(orders), dict(plans), dict(columns)
        self.natural = natural  # the order in which the vectors lie
        self._planned: dict[tuple[str, frozenset[str]], Plan] = {}
        self.tables = {name: plan.table() for name, plan in self.plans.items()}
        self.width = rows.vectors.shape[1]
        for order in self.orders.values():
            self.width = max([self.width, *(codes.books.shape[0] * codes.books.shape[1] for codes in order.codes)])
        self._local = threading.local()
        self._nothing = np.empty(0, np.uint64)
        self._ranked: dict[str, tuple[NDArray[Any], Places]] = {}

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def build(
        cls, keys: Ints, vectors: Floats, columns: Mapping[str, Column], flat: bool = False, seed: int = 0
    ) -> Part:
        """From prepared vectors [n, d] and their attributes; flat: distances are Euclid's, not of directions."""
        dim = vectors.shape[1]
        natural, others = _ordered_by(columns, dim, len(vectors))
        place, values = sorted_rows(columns[natural]) if natural else (np.arange(len(vectors)), np.empty(0))
        if len(place) < len(vectors):  # nulls come last
            place = np.concatenate([place, np.setdiff1d(np.arange(len(vectors)), place)])
        kept = aligned(vectors, place)
        columns = {name: column.at(place) for name, column in columns.items()}
        bias = np.einsum("nd,nd->n", kept, kept) / 2 if flat else np.empty(0, np.float32)
        quantisers = [Quantiser.train(kept, size, flat) for size in sizes(dim)]
        coded = [quantiser.encode(kept) for quantiser in quantisers]
        lists = make_lists(kept, flat)
        listed = tuple(q.codes(list_blocks(lists, c)) for q, c in zip(quantisers, coded, strict=True))
        rows = Rows(kept, bias.astype(np.float32), lists, listed)
        orders = {natural: _order(natural, len(kept), np.empty(0, np.int32), values, quantisers, coded)}
        for name in others:
            found, values = sorted_rows(columns[name])
            orders[name] = _order(name, len(found), found.astype(np.int32), values, quantisers, coded)
        width = max(dim, *(q.width for q in quantisers))
        plans = {name: calibrate(order, rows, width, seed) for name, order in orders.items()}
        return cls(keys[place], rows, orders, plans, columns, natural)

    @property
    def nbytes(self) -> int:
        """Bytes of all that the part holds."""
        rows = self.rows
        arrays: list[NDArray[Any]] = [
            self.keys,
            rows.vectors,
            rows.bias,
            *rows.lists,
            *(codes.blocks for codes in rows.list_codes),
        ]
        for order in self.orders.values():
            arrays += [order.rows, order.values, *(codes.blocks for codes in order.codes)]
        for name, (values, ranks) in self._ranked.items():
            arrays += [ranks] if name in self.orders else [values, ranks]
        return sum(array.nbytes for array in arrays) + sum(column.nbytes for column in self.columns.values())

    def learn(self, schema: pa.Schema) -> None:
        """Attributes that came after the part was built are null in its rows."""
        for field in schema:
            if field.name not in self.columns:
                self.columns[field.name] = Column.of(pa.nulls(len(self), field.type), field.name)

    def window(self, condition: Condition | None, alive: NDArray[np.bool_] | None = None) -> Window:
        """Where the rows are for which the condition is true, of those that are alive [n], by place (None: all)."""
        name, start, end, rest = self.stretch(condition)
        order = self.orders[name]
        if rest is None and alive is None:
            return Window(name, start, end, end - start, self._nothing, 0, None)
        where = slice(start, end) if order.natural else order.rows[start:end]
        allowed = true_rows(rest, self.columns, where) if rest is not None else np.ones(end - start, np.bool_)
        if alive is not None:
            allowed &= alive[where]
        if allowed.all():
            return Window(name, start, end, end - start, self._nothing, 0, None)
        bits, first = words(allowed, start)
        read = () if alive is not None or condition is None else columns_of(condition)
        return Window(name, start, end, int(allowed.sum()), bits, first, float(np.count_nonzero(bits)), read)

    def stretch(self, condition: Condition | None) -> tuple[str, int, int, Condition | None]:
        """The shortest stretch that holds all matching rows, and what is left to ask of its rows."""
        natural = self.orders[self.natural]
        best: tuple[str, int, int, Condition | None] = self.natural, 0, len(self), condition
        if condition is None:
            return best
        asked = conjuncts(condition)
        spans: dict[str, Interval] = {}
        used: dict[str, list[Condition]] = {}
        for part in asked:
            names = columns_of(part)
            if len(names) != 1 or names[0] not in self.orders or names[0] == NATURAL:
                continue
            found = span(part, self.columns[names[0]])
            if found is not None:
                low, high = spans.get(names[0], found)
                spans[names[0]] = (max(low, found[0]), min(high, found[1]))
                used.setdefault(names[0], []).append(part)
        inner = natural.stretch(spans[self.natural]) if self.natural in spans else (0, len(self))
        for name, interval in spans.items():
            start, end = self.orders[name].stretch(interval)
            met = used[name]
            if name != self.natural and self.natural in spans and interval[0] == interval[1]:
                start, end = self.orders[name].within(start, end, *inner)
                met = met + used[self.natural]
            left = [part for part in asked if all(part is not one for one in met)]
            if (end - start, len(left)) < (best[2] - best[1], len(asked)):
                best = name, start, end, And(tuple(left)) if len(left) > 1 else left[0] if left else None
        return best

    def plan(self, window: Window) -> Plan:
        """The plan that a step in a window is taken from."""
        return self.plans[window.order] if window.blocks is None else self.planned(window.order, window.columns)

    def planned(self, name: str, columns: Sequence[str]) -> Plan:
        """An order's plan where rows here and there may come in, by a condition that reads these columns."""
        # Of a column without an order it is not known what its rows follow: it may be what any other's follow.
        read = frozenset(columns if columns and all(one in self.plans for one in columns) else self.plans)
        if (name, read) not in self._planned:
            needs = cautious([self.plans[one] for one in self.plans if one in read])
            self._planned[name, read] = self.plans[name]._replace(needs=needs)
        return self._planned[name, read]

    def step(self, window: Window, count: int, share: int) -> Step:
        """What the planner does in a window."""
        return self.plan(window).step(window.end - window.start, window.matches, count, share, window.blocks)

    def search(self, queries: Floats, count: int, window: Window, step: Step) -> tuple[Floats, NDArray[np.int32], Ints]:
        """Queries [Q, width] -> scores [Q, count], places [Q, count], both best first, and how many there are [Q]."""
        best = np.empty((len(queries), count), np.float32)
        rows = np.empty((len(queries), count), np.int32)
        found = np.empty(len(queries), np.int64)
        kernels.answer(
            queries, self.frames(window.order)[step.size], step.probes, step.depth, window.start, window.end,
            window.words, window.first, best, rows, found,
        )  # fmt: skip
        return best, rows, found

    def ranked(self, name: str) -> tuple[NDArray[Any], Places]:
        """A column's values, ascending, and each place's position among them in whole blocks, -1 where it holds null.
        Kept once they were asked for; a column needs no order of its own."""
        if name not in self._ranked:
            order = self.orders.get(name)
            rows, values = (order.rows, order.values) if order else sorted_rows(self.columns[name])
            ranks = np.full(-(-len(self) // ROWS) * ROWS, -1, np.int32)
            ranks[rows] = np.arange(len(rows), dtype=np.int32)
            self._ranked[name] = values, ranks
        return self._ranked[name]

    def addresses(self, names: Sequence[str]) -> tuple[NDArray[np.int64], list[Any]]:
        """Columns as `kernels.combined` reads them [columns, 6], and the arrays that have to live as long; the natural
        order's column comes first."""
        natural = self.orders[self.natural]
        lines, kept = np.zeros((len(names), 6), np.int64), [natural.values]
        lines[0] = (
            natural.values.ctypes.data,
            len(natural.values),
            natural.values.dtype.kind == "f",
            0,
            0,
            natural.length,
        )
        for line, name in zip(lines[1:], names[1:], strict=True):
            values, ranks = self.ranked(name)
            rows = self.orders[name].rows if name in self.orders else ranks[:0]
            kept += [values, ranks, rows]
            line[:] = (
                values.ctypes.data, len(values), values.dtype.kind == "f", rows.ctypes.data, ranks.ctypes.data, len(rows),
            )  # fmt: skip
        return lines, kept

    def frames(self, name: str) -> NDArray[np.int64]:
        """What kernels are handed for an order, with this thread's room to work in."""
        held: dict[str, tuple[NDArray[np.int64], list[Any]]] = self._local.__dict__
        if name not in held:
            held[name] = frames(self.orders[name], self.rows)
        return held[name][0]


def _ordered_by(columns: Mapping[str, Column], dim: int, count: int) -> tuple[str, list[str]]:
    """The attribute in whose order the vectors lie, and those that have an order of their own beside it."""
    distinct = {
        name: len(np.unique(column.values))
        for name, column in columns.items()
        if column.kind != "list" and (column.kind != "text" or len(column.words or ()) < max(2, count // 4))
    }
    if not distinct:
        return NATURAL, []
    natural = max(distinct, key=lambda name: (columns[name].kind != "text", distinct[name]))
    coarse, fine = sizes(dim)
    each = 12 + dim / (2 * coarse) + dim / (2 * fine)
    others = sorted((name for name in distinct if name != natural), key=lambda name: -distinct[name])
    return natural, others[: max(1, int(SHARE * 4 * dim / each))]


def _order(
    name: str, length: int, rows: NDArray[np.int32], values: np.ndarray, quantisers: list[Quantiser], coded: list[Bytes]
) -> Order:
    blocks = [packed(codes[rows] if len(rows) else codes) for codes in coded]
    return Order(name, length, rows, values, tuple(q.codes(b) for q, b in zip(quantisers, blocks, strict=True)))


def aligned(vectors: Floats, place: Ints) -> Floats:
    """The rows at these places, in memory that begins at a cache line."""
    raw = np.empty(len(place) * vectors.shape[1] * 4 + 64, np.uint8)
    skip = -raw.ctypes.data % 64
    out = raw[skip : skip + len(place) * vectors.shape[1] * 4].view(np.float32).reshape(len(place), -1)
    np.take(vectors, place, axis=0, out=out)
    return out
