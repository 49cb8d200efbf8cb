"""1,000,000 x 128 vectors out of a space as Arrow, to a file and in again: what is copied on reading.

`to arrow` makes the table of a space (ids, vectors, attributes), `file` maps the exported .arrow file. `private` is the
growth of the process's own memory in bytes (RssAnon): pages of a mapped file are not its own. The vectors are 512 MB.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench

UNITS, DIM = 1_000_000, 128


def private() -> float:
    """Bytes of this process that are in no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("RssAnon"))) * 1024


def round_trip(part: str) -> dict[str, float]:
    import numpy as np
    import pyarrow as pa

    from semblance.memory.store import Store
    from semblance.space.space import load
    from semblance.space.tables import vectors_as_arrow

    def blocks():
        for start in range(0, UNITS, 50_000):
            yield np.random.default_rng(start).standard_normal((50_000, DIM), dtype=np.float32)

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "a.space"
        with Store.create(folder, dim=DIM, geometry="euclidean", domain="vectors", manifest={}) as store:
            store.commit_space(ids=[str(i) for i in range(UNITS)], vectors=blocks())
        with load(folder) as space:
            if part == "file":
                space.export(Path(place) / "z.arrow")
            source = space.store.view.source
            before, wall, cpu = private(), time.perf_counter(), time.process_time()
            if part == "file":
                with pa.memory_map(str(Path(place) / "z.arrow")) as file:
                    column = pa.ipc.open_file(file).read_all().column("vector")
            elif part == "vectors":
                column = vectors_as_arrow(source)
            else:
                column = space.to_arrow().column("vector")
            wall, cpu, grown = time.perf_counter() - wall, time.process_time() - cpu, private() - before
            total = 0.0
            copied = 0
            for number, chunk in enumerate(column.chunks):
                x = chunk.flatten().to_numpy()
                total += float(x[:: DIM * 1000].sum())
                if part != "file":
                    copied += x.nbytes * (x.ctypes.data != source.parts[number].ctypes.data)
            assert np.isfinite(total) and len(column) == UNITS
    return {"seconds": wall, "cpu": cpu, "private": grown, "vectors copied": copied}


ARMS = {name: lambda name=name: round_trip(name) for name in ("vectors", "to arrow", "file")}

if __name__ == "__main__":
    bench(
        __file__,
        ARMS,
        baseline="to arrow",
        targets={"the vectors of a million items are a table's in 0.2 s": ("vectors", 0.2)},
        rounds=3,
        notes="1,000,000 x 128 float32 in two segments; `to arrow` also reads a million ids from SQLite",
    )
