"""Prepared searches: a condition is read once, its question marks get values at each search.

    near = index.prepare("year between ? and ? and category = ?")
    numbers, distances = near(query, 10, 1990, 1999, "cat")

Where all items are indexed in one part, a search is one compiled call that finds the rows too: of a condition that is
nothing but a window of an attribute with an order (or one value and a window together), and of any that joins
comparisons of attributes with values by and, or and not.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semblance.errors import SemblanceError
from semblance.memory.conditions import Between, Compare, Condition, Parameter, columns_of, conjuncts, parameters_of
from semblance.memory.fused import kernels
from semblance.memory.fused.conjunction import Conjunction
from semblance.memory.fused.part import Part
from semblance.memory.fused.planner import COUNTS
from semblance.memory.fused.shuffle import ROWS
from semblance.memory.segments import Floats, Ints

Answer = tuple[Ints, Floats]
Quick = Callable[..., Answer]
WHOLE, REAL = np.dtype(np.int64), np.dtype(np.float32)


def quick(part: Part, tree: Condition | None, share: int, flat: bool) -> Quick | None:
    """`search(query, count, *values) -> numbers, distances` in one compiled call, if the condition is of such a kind."""
    found = _window(part, tree, share, flat)
    return found if found or tree is None else _combined(part, tree, share, flat)


def _combined(part: Part, tree: Condition, share: int, flat: bool) -> Quick | None:
    """A search for what joins comparisons."""
    read = Conjunction.of(tree, part.columns, part.orders, part.natural)
    if read is None or part.width != part.rows.vectors.shape[1]:
        return None
    names, ends, many = tuple(read.names), read.ends(), len(parameters_of(tree))
    leaves, conjuncts, program = read.arrays()
    columns, kept = part.addresses(names)
    # Columns without an order of their own are tested and never walked through.
    walked = [name if name in part.orders else part.natural for name in names]
    whole = [part.planned(name, columns_of(tree)).steps(share) for name in walked]
    steps = np.zeros((len(COUNTS), len(whole), *np.max([one.shape[1:3] for one in whole], axis=0), 4), np.int64)
    for number, one in enumerate(whole):
        # The octaves of a shorter order end sooner, and compiled code stops at the last of the longest.
        octaves = [np.minimum(np.arange(most), one.shape[1] - 1) for most in steps.shape[2:4]]
        steps[:, number] = one[:, octaves[0]][:, :, octaves[1]]
    few, more = steps
    keys, blocks, local = part.keys, -(-len(part) // ROWS), threading.local()

    def nearest(query: Floats, count: int, ends: NDArray[np.int64]) -> Answer:
        room = local.__dict__.get("room")
        if room is None:
            framed = np.stack([part.frames(name) for name in walked])
            places = np.zeros((2, len(leaves) + 1, 2), np.int64)
            room = local.room = framed, places, np.zeros((read.depth + 2, blocks), np.uint64), kept
        near, distances = np.empty(count, WHOLE), np.empty(count, REAL)
        held = kernels.combined(
            query, room[0], columns, leaves, ends, conjuncts, program, more if count > COUNTS[0] else few, room[1],
            room[2], keys, flat, near, distances,
        )  # fmt: skip
        if held == count:
            return near, distances
        return _checked(held, near, distances)

    def answer(query: Floats, count: int, *given: Any) -> Answer:
        if len(given) != many:
            raise IndexError
        return nearest(query, count, ends(given))

    # Compiled code is loaded, or compiled, now and not at the first question.
    nearest(np.zeros(part.width, REAL), 1, np.zeros((len(leaves), 2), np.int64))
    return answer


def _checked(held: int, near: Ints, distances: Floats) -> Answer:
    if held < 0:
        raise SemblanceError("the query holds NaN or infinity, which is near nothing: mend it")
    return near[:held], distances[:held]


def _window(part: Part, tree: Condition | None, share: int, flat: bool) -> Quick | None:
    """A search for a window, a value, both together, or all."""
    asked = conjuncts(tree) if tree is not None else []
    windows = [c for c in asked if isinstance(c, Between) and _asks(c.low) and _asks(c.high)]
    equals = [c for c in asked if isinstance(c, Compare) and c.sign == "=" and _asks(c.value)]
    natural = part.orders[part.natural]
    if len(asked) != len(windows) + len(equals) or len(windows) > 1 or len(equals) > 1:
        return None
    names = [c.column for c in windows] + [c.column for c in equals]
    # Text is looked up among the column's words, which is no matter of numbers alone.
    if (
        any(n not in part.orders or part.columns[n].kind != "number" for n in names)
        or part.width != part.rows.vectors.shape[1]
    ):
        return None
    if windows and equals and (windows[0].column != part.natural or equals[0].column == part.natural):
        return None
    chosen = names[-1] if names else part.natural
    order, keys = part.orders[chosen], part.keys
    ends = [end.number for c in windows for end in (c.low, c.high) if isinstance(end, Parameter)]
    place = [c.value.number for c in equals if isinstance(c.value, Parameter)]
    tables = [np.array([step[:3] for step in part.tables[chosen][c][share]], np.int64) for c in range(len(COUNTS))]
    values, outer, frames, many = order.values, natural.values, part.frames, len(ends) + len(place)
    number, outer_number = (_number(part, name) for name in (chosen, part.natural))
    windowed = kernels.windowed if values.dtype.kind == "f" else kernels.windowed_whole
    nested = kernels.nested if outer.dtype.kind == "f" else kernels.nested_whole
    if windows and equals and values.dtype.kind == "f":
        return None

    def answer(query: Floats, count: int, *given: Any) -> Answer:
        if len(given) != many:
            raise IndexError
        near, distances = np.empty(count, WHOLE), np.empty(count, REAL)
        steps = tables[count > COUNTS[0]]
        if windows:
            low, high = given[ends[0]], given[ends[1]]
            if not low <= high:
                raise SemblanceError(f"between has ends {low!r} and {high!r}, of which the first is not the lesser")
            if equals:
                held = nested(
                    query, frames(chosen), values, number(given[place[0]]), outer, outer_number(low),
                    outer_number(high), steps, keys, flat, near, distances,
                )  # fmt: skip
            else:
                held = windowed(
                    query, frames(chosen), values, number(low), number(high), steps, keys, flat, near, distances
                )
        elif equals:
            value = number(given[place[0]])
            held = windowed(query, frames(chosen), values, value, value, steps, keys, flat, near, distances)
        else:
            held = kernels.whole(query, frames(chosen), steps, keys, flat, near, distances)
        if held == count:
            return near, distances
        return _checked(held, near, distances)

    if len(values) and len(outer):
        # Compiled code is loaded, or compiled, now and not at the first question.
        example = dict.fromkeys(ends, outer[0].item() if equals else values[0].item())
        example |= dict.fromkeys(place, values[0].item())
        answer(np.zeros(part.width, REAL), 1, *(example[n] for n in range(many)))
    return answer


def _number(part: Part, name: str) -> Callable[[Any], Any]:
    """What brings a value to the kind of a column's values; a TypeError where that would change it."""
    held = part.columns[name].values.dtype if name in part.columns else WHOLE
    if held == REAL:
        return _narrowed
    return float if held.kind == "f" else operator.index


def _narrowed(value: float) -> float:
    """A column's own 0.1 for 0.1."""
    if not abs(value) < 3.4e38:
        raise TypeError
    return float(REAL.type(value))


def _asks(value: object) -> bool:
    return isinstance(value, Parameter)
