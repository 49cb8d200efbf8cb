"""Combined: boolean combinations in filtered search, beside what faiss and numpy offer for them.

    python bench/memory/combined.py        # goal: at least 1.3x of the best peer in every shape, recall@10 >= 0.95

The 100,000 items of planner.py: `score` follows nothing, `year` the clusters, `city` has 300 values of Zipf's frequencies,
`kind` 8. Each shape is asked by 300 queries, each with values and a window of its own, on one thread:

    gather     a mask over the window's rows by numpy, what it lets in copied, faiss.knn
    ivf P      faiss' IVFFlat looking into P lists, an IDSelectorAnd of a bitmap and the window's sorted IDSelectorRange
    ours R     a prepared search that asks for recall R

Peers hold the rows in the order of the window's number, and a bitmap for every value of a category, as an index would
keep them. All answer in turn, three rounds; times are medians over rounds of the thread's seconds, and the quickest
setting of each that reaches the recall counts. `asked` is what ours found where no more than that recall was asked for.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import faiss
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import RESULTS, machine
from planner import COUNT, DIM, items

from semblance.memory.filtered import Filtered

SEED, QUERIES, ROUNDS, K, RECALLS, GOAL = 20261122, 300, 3, 10, (0.95, 0.99), 1.3
ASKED, PROBES = (0.95, 0.97, 0.98, 0.99, 0.995, 1.0), (8, 12, 16, 24, 32, 48, 64, 128, 256)
LISTS = 1264  # 4 sqrt(n)
Columns = dict[str, np.ndarray]
Search = Callable[[np.ndarray, "Asked"], np.ndarray]


class Asked(NamedTuple):
    """One query's condition: values for the question marks, the window's ends, and the rest as a mask over columns and
    as bits made of kept bitmaps or else of whole columns."""

    values: tuple[Any, ...]
    ends: tuple[float, float] | None
    mask: Callable[[Columns], np.ndarray]
    bits: Callable[[Peers], np.ndarray]


class Shape(NamedTuple):
    window: str  # the number, or none
    octave: int  # the window holds 2^-octave of the rows
    rest: str
    draw: Callable[[np.random.Generator, Columns], tuple[tuple[Any, ...], Any, Any]]

    @property
    def text(self) -> str:
        return f"{self.window} between ? and ? and {self.rest}" if self.window else self.rest

    def asked(self, rng: np.random.Generator, ranked: Columns) -> Asked:
        values, mask, bits = self.draw(rng, ranked)
        ends = stretch(rng, ranked[self.window], self.octave) if self.window else None
        return Asked((*(ends or ()), *values), ends, mask, bits)


def stretch(rng: np.random.Generator, ascending: np.ndarray, octave: int) -> tuple[float, float]:
    width = len(ascending) >> octave
    start = rng.integers(0, len(ascending) - width + 1)
    return float(ascending[start]), float(ascending[start + width - 1])


def cities(window: str, octave: int, count: int, ranks: range, listed: bool = False) -> Shape:
    """Some cities of these ranks of frequency."""
    rest = f"city in ({', '.join('?' * count)})" if listed else f"({' or '.join(['city = ?'] * count)})"

    def draw(rng: np.random.Generator, ranked: Columns) -> tuple[Any, ...]:
        found = rng.choice(ranks, count, replace=False)

        def mask(columns: Columns) -> np.ndarray:
            met = columns["city"] == found[0]
            for city in found[1:]:
                met |= columns["city"] == city
            return met

        return (
            tuple(f"c{city}" for city in found), mask,
            lambda peers: np.bitwise_or.reduce([peers.bitmap("city", city) for city in found]),
        )  # fmt: skip

    return Shape(window, octave, rest, draw)


def no_city(window: str, octave: int, ranks: range) -> Shape:
    def draw(rng: np.random.Generator, ranked: Columns) -> tuple[Any, ...]:
        city = rng.choice(ranks)
        return (f"c{city}",), lambda columns: columns["city"] != city, lambda peers: ~peers.bitmap("city", city)

    return Shape(window, octave, "not city = ?", draw)


def number(window: str, octave: int, other: str, narrower: int) -> Shape:
    def draw(rng: np.random.Generator, ranked: Columns) -> tuple[Any, ...]:
        low, high = stretch(rng, ranked[other], narrower)

        def mask(columns: Columns) -> np.ndarray:
            return (columns[other] >= low) & (columns[other] <= high)

        return (low, high), mask, lambda peers: np.packbits(mask(peers.columns), bitorder="little")

    return Shape(window, octave, f"{other} between ? and ?", draw)


def either(window: str, octave: int, share: float) -> Shape:
    def draw(rng: np.random.Generator, ranked: Columns) -> tuple[Any, ...]:
        kind, most = int(rng.integers(0, 8)), float(ranked["year"][int(share * COUNT)])

        def mask(columns: Columns) -> np.ndarray:
            return (columns["kind"] == kind) | (columns["year"] < most)

        def bits(peers: Peers) -> np.ndarray:
            return peers.bitmap("kind", kind) | np.packbits(peers.columns["year"] < most, bitorder="little")

        return (kind, most), mask, bits

    return Shape(window, octave, "(kind = ? or year < ?)", draw)


SHAPES = [
    *(cities("score", octave, 2, ranks) for octave, ranks in ((1, range(5)), (3, range(20)), (6, range(5)))),
    cities("year", 2, 2, range(10)), cities("score", 1, 3, range(5), True), cities("score", 2, 3, range(5, 40), True),
    cities("", 0, 2, range(5)), cities("", 0, 2, range(10, 60)),
    no_city("", 0, range(3)), no_city("score", 1, range(3)), no_city("score", 3, range(3)), no_city("year", 1, range(3)),
    number("score", 1, "year", 1), number("score", 1, "year", 3), number("year", 2, "score", 2), either("score", 1, 0.3),
]  # fmt: skip


class Peers:
    """faiss over the rows in the order of one number."""

    def __init__(self, vectors: np.ndarray, columns: Columns, window: str):
        self.place = np.argsort(columns[window], kind="stable")
        self.columns = {name: column[self.place] for name, column in columns.items()}
        self.labels, self.vectors = self.columns[window], np.ascontiguousarray(vectors[self.place])
        self.coarse = faiss.IndexFlatIP(DIM)
        self.ivf = faiss.IndexIVFFlat(self.coarse, DIM, LISTS, faiss.METRIC_INNER_PRODUCT)
        self.ivf.cp.niter = 10
        self.ivf.train(self.vectors[np.random.default_rng(0).permutation(COUNT)[: 60 * LISTS]])
        self.ivf.add(self.vectors)
        self.kept: dict[tuple[str, int], np.ndarray] = {}

    def bitmap(self, name: str, value: int) -> np.ndarray:
        if (name, value) not in self.kept:
            self.kept[name, value] = np.packbits(self.columns[name] == value, bitorder="little")
        return self.kept[name, value]

    def span(self, asked: Asked) -> tuple[int, int]:
        if asked.ends is None:
            return 0, COUNT
        low, high = asked.ends
        return int(self.labels.searchsorted(low, "left")), int(self.labels.searchsorted(high, "right"))

    def inside(self, asked: Asked) -> np.ndarray:
        start, end = self.span(asked)
        return start + np.flatnonzero(asked.mask({name: column[start:end] for name, column in self.columns.items()}))

    def gather(self, query: np.ndarray, asked: Asked) -> np.ndarray:
        at = self.inside(asked)
        near = faiss.knn(query[None], self.vectors[at], min(K, len(at)), metric=faiss.METRIC_INNER_PRODUCT)[1]
        return self.place[at[near[0]]]

    def lists(self, probes: int) -> Search:
        def search(query: np.ndarray, asked: Asked) -> np.ndarray:
            only = faiss.IDSelectorBitmap(asked.bits(self))
            if asked.ends is not None:
                bitmap, span = only, faiss.IDSelectorRange(*self.span(asked), True)
                only = faiss.IDSelectorAnd(bitmap, span)
            found = self.ivf.search(query[None], K, params=faiss.SearchParametersIVF(nprobe=probes, sel=only))[1][0]
            return self.place[found[found >= 0]]

        return search


def measured(shape: Shape, index: Filtered, peers: Peers, ranked: Columns, queries: np.ndarray) -> dict[str, Any]:
    """Recall and seconds of every setting in a shape."""
    rng = np.random.default_rng([SEED, SHAPES.index(shape)])
    work = [(query, shape.asked(rng, ranked)) for query in queries]
    near = {f"ours {asked}": index.prepare(shape.text, asked) for asked in ASKED}
    arms: dict[str, Search] = {
        name: lambda query, asked, prepared=prepared: prepared(query, K, *asked.values)[0]
        for name, prepared in near.items()
    }
    arms |= {"gather": peers.gather} | {f"ivf {probes}": peers.lists(probes) for probes in PROBES}
    hits = dict.fromkeys(arms, 0.0)
    unsorted = np.argsort(peers.place)
    for query, asked in work:
        at = peers.inside(asked)
        scores = peers.vectors[at] @ query
        least = np.partition(scores, -min(K, len(at)))[-min(K, len(at))] - 2e-6
        for name, search in arms.items():
            hits[name] += float((peers.vectors[unsorted[search(query, asked)]] @ query >= least).sum()) / min(
                K, len(at)
            )
    seconds = {name: [] for name in arms}
    for _ in range(ROUNDS):
        for name, search in arms.items():
            begun = time.thread_time()
            for query, asked in work:
                search(query, asked)
            seconds[name].append((time.thread_time() - begun) / len(work))
    rows = median(len(peers.inside(asked)) for _, asked in work)
    found = {
        name: {"recall": round(hits[name] / len(work), 4), "us": round(1e6 * median(seconds[name]), 1)} for name in arms
    }
    return {"condition": shape.text, "2^-": shape.octave, "rows in the median": rows, "settings": found}


def ratios(line: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each recall the quickest of ours and of the peers that reach it."""
    for recall in RECALLS:
        enough = {name: got["us"] for name, got in line["settings"].items() if got["recall"] >= recall}
        best = {
            ours: min((us, name) for name, us in enough.items() if name.startswith("ours") == ours)
            for ours in (True, False)
        }
        (mine, own), (theirs, peer) = best[True], best[False]
        yield str(recall), {
            "ours / best peer": round(theirs / mine, 2), "ours": own, "best peer": peer,
            "asked": line["settings"][f"ours {recall}"]["recall"],
        }  # fmt: skip


def main() -> None:
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(SEED)
    vectors, table = items(rng)
    index = Filtered(DIM)
    vectors = index.geometry.prepare(vectors)
    index.add([str(row) for row in range(COUNT)], vectors[:COUNT], table[:COUNT])
    index.build()
    columns = {name: table[name][:COUNT].to_numpy() for name in ("score", "year", "kind")}
    columns["city"] = np.array([int(city[1:]) for city in table["city"][:COUNT].to_pylist()])
    ranked = {name: np.sort(columns[name]) for name in ("score", "year")}
    peers = {name: Peers(vectors[:COUNT], columns, name) for name in ranked}
    queries = vectors[COUNT : COUNT + QUERIES]
    lines = []
    for shape in SHAPES:
        line = measured(shape, index, peers[shape.window or "score"], ranked, queries)
        line |= dict(ratios(line))
        lines.append(line)
        print(json.dumps({name: value for name, value in line.items() if name != "settings"}), flush=True)
    summary = {
        recall: {
            "least": min(line[recall]["ours / best peer"] for line in lines),
            "median": median(line[recall]["ours / best peer"] for line in lines),
        }
        for recall in map(str, RECALLS)
    }
    result = {
        "benchmark": "combined", "notes": f"{COUNT:,} items of {DIM} numbers, {len(queries)} queries a shape, one thread",
        "machine": machine(1), "goal": f"at recall 0.95 at least {GOAL}x of the best peer in every shape",
        "reached": summary["0.95"]["least"] >= GOAL, "ours / best peer": summary, "shapes": lines,
    }  # fmt: skip
    print(json.dumps({name: result[name] for name in ("reached", "ours / best peer")}))
    (RESULTS / "combined.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
