"""Planner: which arm answers a query and how deep it looks, from what was measured when the rows were indexed.

Each row of `SHARES` is a share of the neighbours that an answer must hold on average. For windows of n, n/2, n/4, ...
rows `calibrate` puts queries (rows of the data, each blind to itself) and notes how many rows have to be measured again
until the share is reached: the place of every true neighbour among the scores by codes says that for all depths at
once, and its place within the nearest lists for all numbers of lists. What an arm costs is timed at a few settings and
fitted by a sum of what it does: rows scanned, rows measured, lists chosen. The cheapest arm that reaches the share wins;
where none does, every row is measured.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from semblance.errors import SemblanceError
from semblance.memory.fused import kernels
from semblance.memory.fused.kernels import DEEPEST, NO_WORDS
from semblance.memory.fused.lists import owners
from semblance.memory.fused.orders import Order, Rows, frames
from semblance.memory.fused.shuffle import ROWS
from semblance.memory.segments import Floats, Ints

SHARES = (0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0)
"""What an answer may be asked to hold of the true neighbours; 1 measures every row."""
SPARE = 0.25
"""Calibration asks for so much of what is missing to 1 in addition, since it has seen few queries."""
COUNTS = (10, 100)
"""Neighbours asked for that are calibrated; more are looked for among all rows."""
PROBES = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
NARROW = 192
"""Windows of fewer rows are measured whole."""
QUERIES, TIMED = 128, 24
MEASURED = 8_192
"""Windows up to so many rows are timed whole."""
SHORTEST = 1e-8
"""Seconds that a query takes at least; a coarse clock may not have moved."""
LET_IN = 1e-9
"""Seconds to ask of a row in a list whether it may come in."""
NEVER = 0
SLACK = 69 / 64
"""What a window may be wider than the one whose depths it takes."""


class Step(NamedTuple):
    """What is done: `probes` 0 scans the window, more look into so many lists; `depth` 0 measures every row."""

    size: int
    probes: int
    depth: int
    cost: float

    def __str__(self) -> str:
        if not self.depth:
            return "exact scan"
        what = f"{self.probes} lists" if self.probes else "window"
        return f"{what} by {('coarse', 'fine')[self.size]} codes, {self.depth} measured again"


class Plan(NamedTuple):
    """What was measured of one order of n rows. `needs`: (size, probes) -> [octaves][COUNTS][SHARES] depths."""

    length: int
    needs: dict[tuple[int, int], list[list[list[int]]]]
    scanned: dict[int, list[float]]  # probes -> share of the window's rows that lie in the nearest lists, by octave
    exact: list[float]  # seconds: a call, a row
    coded: list[list[float]]  # by size: a call, a block, a row measured, and more for each time its window is doubled
    listed: list[list[float]]  # by size: a call, a block, a row measured, a list

    def step(self, width: int, matches: int, count: int, share: int, blocks: float | None = None) -> Step:
        """The cheapest way to `count` neighbours in a window of `width` rows of which `matches` may come in.

        blocks: how many blocks hold a row that may come in. What lists cost is infinite in all but the natural order.
        """
        a, b = self.exact
        if blocks is not None:  # rows here and there are read as those that codes have picked
            b = max(b, self.coded[0][2])
        best = Step(0, 0, 0, a + b * matches)
        size_of = next((i for i, most in enumerate(COUNTS) if count <= most), None)
        if size_of is None or SHARES[share] == 1 or matches < NARROW:
            return best
        octave = self.octave(matches)
        whole = width / ROWS + 1 if blocks is None else blocks
        for (size, probes), depths in self.needs.items():
            depth = depths[octave][size_of][share]
            if depth == NEVER:
                continue
            if probes:
                a, b, c, d = self.listed[size]
                inside = self.scanned[probes][octave]
                cost = a + b * (inside * width / ROWS + probes / 2) + c * depth + d * probes
                if matches < width:
                    if inside * matches < 2 * depth:  # lists that hold hardly enough rows are often looked into in vain
                        continue
                    cost += LET_IN * inside * width
            else:
                a, b, c, d = self.coded[size]
                cost = a + b * whole + (c + d * _taken(width)) * depth
            if cost < best.cost:
                best = Step(size, probes, depth, cost)
        return best

    def octave(self, matches: int) -> int:
        """The narrowest window measured that has no fewer rows than this one, or but 8% fewer."""
        return min(int(math.log2(max(1.0, SLACK * self.length / matches))), len(next(iter(self.needs.values()))) - 1)

    def table(self) -> list[list[list[Step]]]:
        """Steps for windows in which all rows may come in: [COUNTS][SHARES][octave]."""
        octaves = range(max(1, self.length).bit_length())
        return [
            [
                [self.step(self.length >> o, self.length >> o, count, share) for o in octaves]
                for share in range(len(SHARES))
            ]
            for count in COUNTS
        ]

    def steps(self, share: int) -> NDArray[np.int64]:
        """Steps for windows in which rows here and there may come in, size, probes, depth and nanoseconds: [COUNTS,
        octave of the width, octave of the matches, 4]."""
        octaves = max(1, self.length).bit_length()
        found = np.zeros((len(COUNTS), octaves, octaves, 4), np.int64)
        for size, count in enumerate(COUNTS):
            for octave in range(octaves):
                width = max(1, self.length >> octave)
                for rarer in range(octave, octaves):
                    matches = max(1, self.length >> rarer)
                    # So many blocks would hold a match if matches lay anywhere.
                    blocks = (width / ROWS + 1) * (1 - (1 - matches / width) ** ROWS)
                    *step, cost = self.step(width, matches, count, share, blocks)
                    found[size, octave, rarer] = *step, 1e9 * cost
        return found


def cautious(plans: Sequence[Plan]) -> dict[tuple[int, int], list[list[list[int]]]]:
    """What an arm needs in the hardest of several orders, by octave. Rows that a condition leaves of a stretch may follow
    what the vectors follow, as the windows of one order do and those of another do not: the orders are those of the
    columns that it reads."""
    measured = [plan.needs for plan in plans if plan.needs]
    needs: dict[tuple[int, int], list[list[list[int]]]] = {}
    for key in measured[0] if measured else ():
        if all(key in need for need in measured):
            octaves = min(len(need[key]) for need in measured)
            depths = np.array([need[key][:octaves] for need in measured])
            hardest = np.where((depths == NEVER).any(0), NEVER, depths.max(0))
            if key[1]:  # neighbours outside the lists cannot be measured at any depth: the next share is asked for
                hardest[..., :-2] = hardest[..., 1:-1]
            needs[key] = hardest.tolist()
    return needs


def share_at_least(recall: float) -> int:
    """The row of SHARES that answers hold who are asked for this recall."""
    return next(i for i, share in enumerate(SHARES) if share >= recall - 1e-9)


def checked_recall(recall: float) -> float:
    """A recall that can be asked for."""
    if not 0 < recall <= 1:
        raise SemblanceError(f"recall is {recall!r}, but it is a share of the true neighbours: above 0, at most 1")
    return recall


def calibrate(order: Order, rows: Rows, width: int, seed: int = 0) -> Plan:
    """Measures an order; `width` is what queries are padded to."""
    rng = np.random.default_rng(seed)
    n = order.length
    chosen = rng.integers(0, len(rows.vectors), QUERIES)
    queries = np.zeros((QUERIES, width), np.float32)
    queries[:, : rows.vectors.shape[1]] = rows.vectors[chosen]
    framed, _kept = frames(order, rows)
    probes = [p for p in PROBES if p < len(rows.lists.centres)]
    octaves = [o for o in range(n.bit_length()) if n >> o >= NARROW]
    needs: dict[tuple[int, int], list[list[list[int]]]] = {(s, p): [] for s in range(2) for p in (0, *probes)}
    scanned: dict[int, list[float]] = {p: [] for p in probes}
    places = _places(order, len(rows.vectors))
    owner = owners(rows.lists)[order.rows_of(0, n)] if probes else places
    for octave in octaves:
        window = n >> octave
        starts = rng.integers(0, n - window + 1, QUERIES)
        ranks, inside = _ranks(rows, framed, queries, chosen, starts, window, places, owner, probes)
        for p in probes:
            scanned[p].append(float(np.mean(inside[p])))
        for key, found in ranks.items():
            needs[key].append([_depths(found, count, window) for count in COUNTS])
    return Plan(
        n, needs if octaves else {}, scanned, *_costs(framed, queries, n, probes if order.natural else [], scanned)
    )


def _places(order: Order, count: int) -> Ints:
    """The position [n] of each row in the order, -1 where it has none."""
    places = np.full(count, -1, np.int64)
    places[order.rows_of(0, order.length)] = np.arange(order.length)
    return places


def _ranks(
    rows: Rows, framed: NDArray[np.int64], queries: Floats, chosen: Ints, starts: Ints, window: int, places: Ints,
    owner: Ints, probes: Sequence[int],
) -> tuple[dict[tuple[int, int], Floats], dict[int, list[float]]]:  # fmt: skip
    """How many rows score no less than each true neighbour: (size, probes) -> [queries, most], inf where it is in none
    of the lists or there is no such neighbour to find; and the share of the window that lies in so many lists."""
    most = min(COUNTS[-1], window // 4)
    ranks = {(s, p): np.full((len(queries), most), np.inf, np.float32) for s in range(2) for p in (0, *probes)}
    inside: dict[int, list[float]] = {p: [] for p in probes}
    scores = np.empty((window // ROWS + 2, ROWS), np.uint16)
    best, found_rows = np.empty((1, most + 1), np.float32), np.empty((1, most + 1), np.int32)
    found = np.empty(1, np.int64)
    for number, (query, itself, start) in enumerate(zip(queries, chosen, starts, strict=True)):
        end = int(start) + window
        kernels.answer(query[None], framed[0], 0, 0, int(start), end, NO_WORDS, 0, best, found_rows, found)
        near = found_rows[0][found_rows[0] != itself][:most]
        at = places[near] - start
        if probes:
            nearness = np.empty(len(rows.lists.centres), np.int64)
            closeness = rows.lists.centres @ query[: rows.vectors.shape[1]] - rows.lists.bias
            nearness[np.argsort(-closeness)] = np.arange(len(nearness))
            list_of = nearness[owner[start:end]]
            sizes = np.bincount(list_of, minlength=len(nearness)).cumsum()
            for p in probes:
                inside[p].append(sizes[p - 1] / window)
        for size in range(2):
            kernels.code_scores(query, framed[size], int(start), end, scores)
            score = scores.ravel()[start % ROWS : start % ROWS + window]
            true = score[at]
            rivals = np.flatnonzero(score >= true.min())
            above = score[rivals][:, None] >= true
            ranks[size, 0][number] = above.sum(0)
            for p in probes:
                held = list_of[rivals] < p
                ranks[size, p][number] = np.where(list_of[at] < p, above[held].sum(0), np.inf)
    return ranks, inside


def _depths(ranks: Floats, count: int, window: int) -> list[int]:
    """For each of SHARES the rows to measure until so many of the `count` nearest are among them."""
    places = np.sort(ranks[:, :count], axis=None)
    depths = []
    for share in SHARES:
        asked = math.ceil((share + SPARE * (1 - share)) * len(places)) - 1
        depth = places[asked] if share < 1 and ranks.shape[1] >= count else np.inf
        depths.append(max(int(depth), count) if depth <= min(DEEPEST, window // 2) else NEVER)
    return depths


def _costs(
    framed: NDArray[np.int64], queries: Floats, n: int, probes: Sequence[int], scanned: dict[int, list[float]]
) -> tuple[list[float], list[list[float]], list[list[float]]]:
    """Seconds of each arm, as weights of what it does."""
    queries = queries[:TIMED]
    best, rows, found = np.empty((1, 10), np.float32), np.empty((1, 10), np.int32), np.empty(1, np.int64)

    def timed(size: int, number: int, depth: int, window: int) -> float:
        """Seconds a query of this thread, since others run beside it: the best of three rounds, each of its own queries
        and windows, since caches remember."""
        rounds = []
        for turn in range(3):
            begun = time.thread_time()
            for i in range(turn, len(queries), 3):
                start = (n - window) * i // max(1, len(queries) - 1)
                kernels.answer(
                    queries[i : i + 1],
                    framed[size],
                    number,
                    depth,
                    start,
                    start + window,
                    NO_WORDS,
                    0,
                    best,
                    rows,
                    found,
                )
            rounds.append((time.thread_time() - begun) / (len(queries) // 3))
        return max(min(rounds), SHORTEST)

    windows = [n >> o for o in range(n.bit_length()) if n >> o >= 64] or [n]
    # Where more rows are measured an arm that measures fewer is quicker, however much it is misjudged.
    exact = _fitted([([1, window], timed(0, 0, 0, window)) for window in windows if window <= MEASURED])[:2]
    coded = [
        _fitted([
            ([1, window / ROWS + 1, depth, depth * _taken(window)], timed(size, 0, depth, window))
            for window in windows[::2] for depth in (16, 64, 256, 1024) if depth < window
        ]) for size in range(2)
    ]  # fmt: skip
    listed = [
        _fitted([
            ([1, scanned[p][o] * windows[o] / ROWS + p / 2, depth, p], timed(size, p, depth, windows[o]))
            for o in (0, 2, 4) for p in probes[::3] for depth in (16, 128)
            if o < len(scanned[p]) and depth < scanned[p][o] * windows[o]
        ]) for size in range(2)
    ]  # fmt: skip
    return exact, coded, listed


def _taken(window: int) -> float:
    """How much more often a scan of a long window finds a row that is better than those it keeps."""
    return max(0.0, math.log2(window / 1024))


def _fitted(timed: list[tuple[list[float], float]]) -> list[float]:
    """Weights, none below zero, of sums that come nearest to the seconds, by relative error."""
    if not timed:
        return [math.inf, 0.0, 0.0, 0.0]
    whole, seconds = np.array([features for features, _ in timed]), np.array([taken for _, taken in timed])
    return [float(w) for w in nnls(whole / seconds[:, None], np.ones(len(seconds)))[0]]
