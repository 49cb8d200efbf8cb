"""Changes: what durability costs. A thousand rows added beside SQLite's own, and search while another process adds.

    python bench/memory/changes.py        # goals: additions in 1.5x of SQLite at most, search p99 in 3x of that at rest

`sqlite` and `ours` hold 50,000 rows of 128 numbers with two attributes and add 1,000 at a time, each addition durable on
return: SQLite in WAL mode with synchronous=FULL and the vectors as blobs in one table with a unique id, ours by
`Store.add`. Medians over additions; `worst` is the slowest one, in which the log is folded in.
`at rest` and `while adding` search 20,000 rows (exact, k = 10, the newest version each time) and give the 99th percentile;
beside the second, another process adds 100 rows ten times a second.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import ROOT, bench

from semblance.memory.store import Store

DIM, BASE, ROWS, ADDITIONS = 128, 50_000, 1_000, 40
SEARCHED, SEARCHES = 20_000, 600
Block = tuple[list[str], np.ndarray, pa.Table]


def block(n: int, seed: int) -> Block:
    """Ids, vectors and attributes of new items."""
    rng = np.random.default_rng(seed)
    table = pa.table({"year": rng.integers(2000, 2020, n), "city": rng.choice(["Oslo", "Rome", "Lima"], n).tolist()})
    return [f"{seed}-{row}" for row in range(n)], rng.normal(size=(n, DIM)).astype(np.float32), table


@contextmanager
def space(n: int) -> Iterator[Store]:
    """A space of n items beside this file's own disk, not in memory."""
    kind = {"dim": DIM, "geometry": "cosine", "domain": "vectors"}
    with (
        tempfile.TemporaryDirectory(dir=ROOT) as folder,
        Store.create(Path(folder) / "s", **kind, manifest={}) as store,
    ):
        ids, vectors, table = block(n, 1)
        store.commit_space(ids=ids, vectors=vectors, attributes=table)
        yield store


def timed(add: Callable[[Block], None]) -> dict[str, float]:
    wall, cpu = [], []
    for number in range(ADDITIONS):
        new = block(ROWS, 2 + number)
        w, c = time.perf_counter(), time.process_time()
        add(new)
        wall.append(time.perf_counter() - w)
        cpu.append(time.process_time() - c)
    return {"seconds": median(wall), "cpu": median(cpu), "worst": max(wall)}


def plain() -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        connection = sqlite3.connect(Path(folder) / "plain.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE items (row INTEGER PRIMARY KEY, id TEXT UNIQUE, year, city, vector BLOB)")

        def add(new: Block) -> None:
            ids, vectors, table = new
            columns = [ids, *(table[name].to_pylist() for name in ("year", "city")), [v.tobytes() for v in vectors]]
            connection.execute("BEGIN")
            rows = zip(*columns, strict=True)
            connection.executemany("INSERT INTO items (id, year, city, vector) VALUES (?, ?, ?, ?)", rows)
            connection.execute("COMMIT")

        add(block(BASE, 1))
        found = timed(add)
        connection.close()
        return found


def ours() -> dict[str, float]:
    with space(BASE) as store:
        return timed(lambda new: store.add(*new))


def stream(path: str) -> None:
    """What the other process does: a hundred rows, ten times a second."""
    with Store.open(path, write=True) as store:
        print("open", flush=True)
        for number in range(10**6):
            began = time.perf_counter()
            store.add(*block(100, 10**6 + number))
            time.sleep(max(0.0, 0.1 - (time.perf_counter() - began)))


def searching(path: Path) -> dict[str, float]:
    from semblance.space.space import Space

    queries = np.random.default_rng(0).normal(size=(SEARCHES, DIM)).astype(np.float32)
    wall, cpu = [], []
    with Space(path) as asked:
        before = asked.version
        for query in queries:
            w, c = time.perf_counter(), time.process_time()
            asked.search(query, k=10)
            wall.append(time.perf_counter() - w)
            cpu.append(time.process_time() - c)
        versions = asked.version - before
    high = {"seconds": float(np.quantile(wall, 0.99)), "cpu": float(np.quantile(cpu, 0.99))}
    return {**high, "median": median(wall), "worst": max(wall), "versions": versions}


def at_rest() -> dict[str, float]:
    with space(SEARCHED) as store:
        return searching(store.path)


def while_adding() -> dict[str, float]:
    with space(SEARCHED) as store:
        path = store.path
        store.close()
        cores = [{core} for core in range(os.cpu_count() or 1) if core not in os.sched_getaffinity(0)] or [{0}]
        writer = subprocess.Popen(
            [sys.executable, __file__, "--stream", str(path)],
            stdout=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, cores[-1]),
        )
        try:
            assert writer.stdout is not None and writer.stdout.readline() == b"open\n"
            return searching(path)
        finally:
            writer.kill()
            writer.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stream"]:
        stream(sys.argv[2])
    bench(
        __file__,
        {"sqlite": plain, "ours": ours, "at rest": at_rest, "while adding": while_adding},
        baseline="sqlite",
        targets={
            "1,000 rows added durably: at most 1.5x SQLite WAL with blobs": ("ours / sqlite", 1 / 1.5),
            "search p99 while another process adds: at most 3x that at rest": ("while adding / at rest", 1 / 3),
        },
        notes="For the two searches `seconds` and `cpu` are 99th percentiles.",
    )
