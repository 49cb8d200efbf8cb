"""Skip-gram with negative sampling: which columns are met near which rows, learned by telling them from drawn noise.

    for every pair (u, c) within the window:   maximise  log s(u . c) + sum_{k <= K} log s(-u . c_k),   c_k ~ noise

One compiled pass over the walks. A pair is one piece of straight code: K + 1 products, then every context row and the
sum for u in one reading of that row. The reach of each place is drawn from 1 .. window, which weighs near pairs more; the
step falls linearly over all walks.

What varies: walks, or pairs given one by one (edges, node and feature), each with a strength where wished; the noise; K,
window, the step; whether frequent places are thinned out; whether contexts are frozen, so that new rows join a space. Walk
i draws from a stream counted from (seed, i). On one thread the result is the same bits each time; with more, threads write
into the same rows without a lock (Recht et al. 2011, HOGWILD!, arXiv:1106.5730), and bits differ from run to run.

Mikolov et al. 2013, Distributed representations of words and phrases, arXiv:1310.4546.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from semblance.errors import SemblanceError
from semblance.geometry.rows import add, compiled, dot, get, new, put, wide_of, width_of
from semblance.geometry.walks import alias_of, below, draw, fraction, pick, share_out, stream

Array = NDArray[Any]
REACH, CELLS = 16.0, 4096
BLOCK = 16
LINE = 16  # floats


@dataclass(frozen=True, eq=False)
class Tables:
    """vectors [rows, width] and contexts [columns, width], float32, of which `dim` columns are in use."""

    vectors: Array
    contexts: Array
    dim: int

    def found(self) -> tuple[Array, Array]:
        """[rows, dim] and [columns, dim], without the padding."""
        return np.ascontiguousarray(self.vectors[:, : self.dim]), np.ascontiguousarray(self.contexts[:, : self.dim])


def fresh(rows: int, columns: int, dim: int, rng: np.random.Generator) -> Tables:
    """Vectors uniform within 0.5 / dim of 0, contexts zero."""
    if dim < 1:
        raise SemblanceError(f"vectors are to have {dim} numbers: give a dim of 1 or more")
    width = width_of(dim)
    tables = Tables(_aligned(rows, width), _aligned(columns, width), dim)
    tables.vectors[:, :dim] = (rng.random((rows, dim), np.float32) - 0.5) / dim
    return tables


@dataclass(frozen=True)
class Pace:
    """The step falls linearly from `lr` to `end` over the units of all epochs: `done` of them lie behind, of `total`."""

    lr: float = 0.025
    end: float = 1e-4
    done: int = 0
    total: int = 0

    def at(self, units: int) -> tuple[float, float]:
        """The step of the first of the next `units`, and by how much each further one is smaller."""
        fall = (self.lr - self.end) / max(self.total or units, 1)
        return self.lr - fall * self.done, fall


def learn_walks(
    tables: Tables,
    walks: Array,
    noise: Array,
    *,
    window: int,
    negatives: int,
    pace: Pace,
    seed: int,
    first: int = 0,
    keep: Array | None = None,
) -> None:
    """One pass over walks int32 [W, L] (-1: ended), in place. noise: [columns], the weight of a column as a negative.
    keep: [columns], with which probability a place stays in a walk (`kept_share`), None: all stay. `first` is the number of
    the first walk; a unit of `pace` is a walk."""
    if window < 1 or negatives < 1:
        raise SemblanceError(f"window is {window} and negatives {negatives}: both are 1 or more")
    share, other = alias_of(noise)
    wide, held, logistic = wide_of(tables.vectors.shape[1]), (tables.vectors, tables.contexts), _logistic()
    lr, fall = pace.at(len(walks))
    chance = np.array([seed % 2**63, first, negatives, window], np.int64)
    stays = np.empty(0, np.float32) if keep is None else np.ascontiguousarray(keep, np.float32)

    def work(low: int, high: int) -> None:
        _over_walks(wide, *held, walks, stays, share, other, chance, lr, fall, logistic, low, high)

    share_out(work, len(walks), BLOCK)


def kept_share(counts: Array, rate: float) -> Array:
    """[columns], how likely a place is kept so that what makes up more than `rate` of all places is met less often:
    min(1, sqrt(r / f) + r / f) for its share f."""
    f = np.maximum(counts / max(counts.sum(), 1), 1e-30)
    return np.minimum(1, np.sqrt(rate / f) + rate / f)


def learn_pairs(
    tables: Tables,
    left: Array,
    right: Array,
    noise: Array,
    *,
    negatives: int,
    pace: Pace,
    seed: int,
    first: int = 0,
    strength: Array | None = None,
    frozen: bool = False,
) -> None:
    """The same for pairs of a row and a column, int32 [n] each, in their order; a unit of `pace` is a pair. strength: [n],
    by which a pair's step is multiplied. frozen: contexts stay as they are."""
    share, other = alias_of(noise)
    wide, held, logistic = wide_of(tables.vectors.shape[1]), (tables.vectors, tables.contexts), _logistic()
    lr, fall = pace.at(len(left))
    chance = np.array([seed % 2**63, first, negatives, frozen], np.int64)
    times = np.empty(0, np.float32) if strength is None else np.ascontiguousarray(strength, np.float32)

    def work(low: int, high: int) -> None:
        _over_pairs(wide, *held, left, right, times, share, other, chance, lr, fall, logistic, low, high)

    share_out(work, len(left), BLOCK * 1024)


def _aligned(rows: int, width: int) -> Array:
    """Zeros, each row at a multiple of a cache line."""
    room = np.zeros(rows * width + LINE, np.float32)
    skip = -room.ctypes.data % (4 * LINE) // 4
    return room[skip : skip + rows * width].reshape(rows, width)


def _logistic() -> Array:
    """s(x) at CELLS + 1 places from -REACH to REACH, float32; read with interpolation it is off by less than 1e-6."""
    return (1 / (1 + np.exp(-np.linspace(-REACH, REACH, CELLS + 1)))).astype(np.float32)


@njit(inline="always")
def _pair(wide, change, met, vectors, u, contexts, target, step, lr, logistic, count, frozen):  # type: ignore[no-untyped-def]
    """One pair: target[0] is met, target[1 : count] are noise; row u and, unless frozen, the contexts' rows move by lr
    times the gradient. Positions count floats."""
    width = 4 * len(wide)
    for k in range(count):
        x = dot(wide, vectors, u, contexts, target[k])
        place = (min(max(x, -15.99), 15.99) + 16.0) * (CELLS / 32.0)
        cell = np.int64(place)
        s = logistic[cell] + np.float32(place - cell) * (logistic[cell + 1] - logistic[cell])
        step[k] = lr * ((np.float32(1) if k == 0 else np.float32(0)) - s)
    get(wide, change, vectors, u)
    for k in range(count):
        add(wide, change, step[k], contexts, target[k])
        if not frozen:
            get(wide, met, contexts, target[k])
            add(wide, met, step[k], vectors, u)
            put(wide, met, contexts, target[k], width)
    put(wide, change, vectors, u, width)


@compiled
def _over_walks(wide, vectors, contexts, walks, keep, share, other, chance, lr, fall, logistic, low, high):  # type: ignore[no-untyped-def]
    key, first, count, window = np.uint64(chance[0]), chance[1], chance[2] + 1, chance[3]
    target, step = np.empty(count, np.int64), np.empty(count, np.float32)
    change, met, width = new(wide), new(wide), 4 * len(wide)
    columns, length = len(share), walks.shape[1]
    walk = np.empty(length, np.int64)
    for w in range(low, high):
        state = stream(key, first + w)
        now = np.float32(lr - fall * w)
        end = 0
        for i in range(length):
            if walks[w, i] < 0:
                break
            walk[end] = np.int64(walks[w, i]) * width
            if len(keep):
                bits, state = draw(state)
                end += np.int64(fraction(bits) < keep[walks[w, i]])
            else:
                end += 1
        for i in range(end):
            bits, state = draw(state)
            reach = 1 + below(bits, window)
            for j in range(max(i - reach, 0), min(i + reach + 1, end)):
                if j == i:
                    continue
                target[0] = walk[j]
                for k in range(1, count):
                    bits, state = draw(state)
                    target[k] = width * pick(bits, share, other, 0, columns)
                _pair(wide, change, met, vectors, walk[i], contexts, target, step, now, logistic, count, False)


@compiled
def _over_pairs(wide, vectors, contexts, left, right, times, share, other, chance, lr, fall, logistic, low, high):  # type: ignore[no-untyped-def]
    key, first, count, frozen = np.uint64(chance[0]), chance[1], chance[2] + 1, chance[3] > 0
    target, step = np.empty(count, np.int64), np.empty(count, np.float32)
    change, met, width = new(wide), new(wide), 4 * len(wide)
    for n in range(low, high):
        state = stream(key, first + n)
        target[0] = width * np.int64(right[n])
        for k in range(1, count):
            bits, state = draw(state)
            target[k] = width * pick(bits, share, other, 0, len(share))
        now = np.float32(lr - fall * n)
        if len(times):
            now *= times[n]
        _pair(
            wide, change, met, vectors, width * np.int64(left[n]), contexts, target, step, now, logistic, count, frozen
        )
