"""Cost curves: time, most memory of a process and bytes on disk against the number of items, and where they lead.

    python bench/scale/curves.py [--folder DIR] [name ...]      # 60 GB of room for 10^7 vectors; some 30 minutes

fit pictures   one epoch of simsiam (the small net, width 8) on pictures of 32 px, batches of 256; `sent`: the bytes that
               each of two workers would put on the wire in a step
embed          vectors of 128 numbers on disk -> a space on disk, by a perceptron (128, 256, 128), in parts
index          the fused index of that space, built and written
search         100 queries at once of that space at recall 0.95, opened and its index read first
exact          the same with recall=1
shards         the same at recall 0.95 of the space as ten shards
fastrp         128 dimensions of a random graph with ten undirected edges a node: n is the number of edges
sgc            two steps of propagation of 64 features in that graph

A process for each size, one core. `own` is the most memory of the process in GB, looked at twenty times a second, `peak`
the same with pages of mapped files, which the system takes back when others need them; `disk` is what it left there, in
GB. Exponents are the slope of log cost over log n between the two largest sizes, of memory what is above that of the
smallest; 10^9 is reached by that slope from the largest. Results: bench/results/curves.json, docs/scale-curves.png.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import RESULTS, ROOT, machine

DIM, QUERIES, K, BLOCK = 128, 100, 10, 100_000
NET = {"backbone": "small", "width": 8}
FAR = 10**9
Numbers = dict[str, float]


@contextmanager
def clocked(found: Numbers) -> Iterator[None]:
    """Notes the block's seconds by the clock and of the processor, and the process's most memory."""
    over, own = threading.Event(), [0.0]

    def look() -> None:
        while not over.wait(0.05):
            own.append(resident("RssAnon"))

    watching = threading.Thread(target=look)
    watching.start()
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    found["seconds"], found["cpu"] = time.perf_counter() - wall, time.process_time() - cpu
    over.set()
    watching.join()
    found["own"], found["peak"] = max(*own, resident("RssAnon")), resident("VmHWM")


def resident(kind: str) -> float:
    """GB, as Linux counts them for this process."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[kind].split()[0]) * 1024 / 1e9


def size_of(path: Path) -> float:
    """GB of a file, or of all in a folder."""
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()) / 1e9


def vectors(n: int, folder: Path) -> Path:
    """A file of n vectors of 64 heaps; another process writes it, whose memory is its own."""
    path = folder / f"{n}.npy"
    if not path.exists():
        writer = get_context("spawn").Process(target=write, args=(n, path))
        writer.start()
        writer.join()
    return path


def write(n: int, path: Path) -> None:
    """A block at a time."""
    rng = np.random.default_rng(0)
    heaps = rng.standard_normal((64, DIM), np.float32)
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n, DIM))
    for start in range(0, n, BLOCK):
        block = out[start : start + BLOCK]
        block[:] = heaps[rng.integers(0, 64, len(block))] + rng.standard_normal(block.shape, np.float32)
    out.flush()


def fit_pictures(n: int, folder: Path) -> Numbers:
    """One epoch."""
    from semblance.data.load import load
    from semblance.recipes.registry import build
    from semblance.space.training import train

    data, found = load(np.random.default_rng(0).integers(0, 256, (n, 3, 32, 32), np.uint8)), Numbers()
    with clocked(found):
        train(data, build("simsiam", **NET, batch=256), name="simsiam", settings={}, epochs=1)
    return {**found, "sent": sent(256)}


def embed(n: int, folder: Path) -> Numbers:
    """In parts, by this process."""
    import torch
    from torch import nn

    import semblance as sb

    torch.manual_seed(0)
    model = sb.wrap(nn.Sequential(nn.Linear(DIM, 256), nn.ReLU(), nn.Linear(256, DIM)), domain="vectors", item=(DIM,))
    source, out, found = vectors(n, folder), folder / f"{n}.space", Numbers()
    with clocked(found):
        sb.embed(model, source, out, overwrite=True).close()
    return {**found, "disk": size_of(out)}


def index(n: int, folder: Path) -> Numbers:
    """Of the space that `embed` left."""
    import semblance as sb

    found = Numbers()
    shutil.rmtree(folder / f"{n}.space" / "index", ignore_errors=True)
    with sb.load(folder / f"{n}.space") as space, clocked(found):
        space.index.build(space.store.view)
    return {**found, "disk": size_of(folder / f"{n}.space" / "index")}


def asked(opened: Any, recall: float) -> Numbers:
    """Seconds of 100 queries, after as many others: what a search keeps has been kept by then."""
    rng, found = np.random.default_rng(1), Numbers()
    first, then = (rng.standard_normal((QUERIES, DIM)).astype(np.float32) for _ in range(2))
    opened.search(first, k=K, recall=recall)
    with clocked(found):
        opened.search(then, k=K, recall=recall)
    return found


def search(n: int, folder: Path, recall: float = 0.95) -> Numbers:
    """Of the space that `index` indexed."""
    import semblance as sb

    with sb.load(folder / f"{n}.space") as space:
        return asked(space, recall)


def exact(n: int, folder: Path) -> Numbers:
    """Every item measured."""
    return search(n, folder, 1.0)


def shards(n: int, folder: Path) -> Numbers:
    """Of ten shards of the space, each with its index."""
    import semblance as sb
    from semblance.space.shard_file import split

    whole = folder / f"{n}.shards"
    if not whole.exists():
        split(folder / f"{n}.space", 10, whole)
    with sb.shards(whole) as opened:
        return {**asked(opened, 0.95), "disk": size_of(whole)}


def random_graph(edges: int) -> Any:
    """Ten undirected edges a node."""
    import torch

    from semblance.geometry.graph import Graph

    nodes = edges // 10
    ends = torch.from_numpy(np.random.default_rng(0).integers(0, nodes, (2, edges)))
    return Graph(torch.cat([ends, ends.flip(0)], 1), nodes)


def fastrp(n: int, folder: Path) -> Numbers:
    """In memory."""
    from semblance.encoders.graphs.projection import RandomProjection

    encoder, found = RandomProjection(DIM), Numbers()
    for graph in (random_graph(100), random_graph(n)):  # the first compiles
        with clocked(found):
            encoder.solve({"graph": graph}, seed=0)
            encoder({"graph": graph})
    return found


def sgc(n: int, folder: Path) -> Numbers:
    """In memory; 100 steps of a linear map on the labelled nodes follow."""
    from bench.graphs.large import made
    from semblance.recipes.registry import build
    from semblance.space.training import train

    found = Numbers()
    for edges in (1000, n):
        data = made(edges, edges // 10)
        with clocked(found):
            train(data, build("sgc"), name="sgc", settings={}, epochs=100)
    return found


def sent(batch: int) -> float:
    """Bytes that each of two workers puts on the wire in a step of simsiam."""
    import torch.multiprocessing as mp

    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(counting, (folder, batch), nprocs=2, start_method="spawn")
        return float(Path(folder, "sent").read_text())


def counting(rank: int, folder: str, batch: int, steps: int = 2) -> None:
    """One of the two."""
    import torch.distributed as dist

    from semblance.data.load import load
    from semblance.recipes.registry import build
    from semblance.space.training import train

    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    count, whole = 0, dist.all_reduce

    def counted(tensor: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += tensor.nbytes
        return whole(tensor, *args, **kwargs)

    dist.all_reduce = counted
    pictures = np.random.default_rng(0).integers(0, 256, (steps * batch, 3, 32, 32), np.uint8)
    train(load(pictures), build("simsiam", **NET, batch=batch), name="simsiam", settings={}, epochs=1)
    if rank == 0:
        Path(folder, "sent").write_text(str(count / steps))
    dist.destroy_process_group()


CURVES: dict[str, tuple[Callable[[int, Path], Numbers], list[int]]] = {
    "fit pictures": (fit_pictures, [10**4, 10**5, 10**6]),
    "embed": (embed, [10**4, 10**5, 10**6, 10**7]),
    "index": (index, [10**4, 10**5, 10**6, 10**7]),
    "search": (search, [10**4, 10**5, 10**6, 10**7]),
    "exact": (exact, [10**4, 10**5, 10**6, 10**7]),
    "shards": (shards, [10**5, 10**6]),
    "fastrp": (fastrp, [10**4, 10**5, 10**6, 10**7]),
    "sgc": (sgc, [10**4, 10**5, 10**6, 10**7]),
}
WHAT = {"seconds": "s", "own": "GB of memory", "disk": "GB of disk"}


def measured(name: str, n: int, folder: Path) -> Numbers:
    """One size in a process of its own."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    command = [sys.executable, "-W", "ignore", __file__, "--child", name, str(n), "--folder", str(folder)]
    ran = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **threads, "PYTHONPATH": str(ROOT)}
    )
    if ran.returncode:
        sys.exit(f"{name} of {n:,} failed:\n{ran.stderr}")
    found: Numbers = json.loads(ran.stdout.splitlines()[-1])
    print(f"{name}, {n:,}: " + " ".join(f"{k} {v:.4g}" for k, v in found.items()), file=sys.stderr, flush=True)
    return found


def led(kind: str, points: dict[int, float]) -> dict[str, float]:
    """The slope between the two largest, and where it leads."""
    floor = min(points.values()) if kind in ("own", "peak") else 0.0
    some = [(n, cost) for n, cost in sorted(points.items()) if cost > floor][-2:]
    if len(some) < 2:
        return {}
    (n, before), (m, last) = some
    slope = math.log((last - floor) / (before - floor)) / math.log(m / n)
    return {"exponent": round(slope, 3), "far": floor + (last - floor) * (FAR / m) ** slope}


def drawn(curves: dict[str, dict[str, dict[int, float]]], path: Path) -> None:
    """A panel each for time, memory and disk."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2), layout="constrained")
    for axes, (what, unit) in zip(figure.subplots(1, 3), WHAT.items(), strict=True):
        for number, (name, kinds) in enumerate(curves.items()):
            if what in kinds:
                points = sorted(kinds[what].items())
                power = led(what, kinds[what]).get("exponent")
                style = {"marker": "osv^Dx*P<"[number % 9], "markersize": 4, "color": f"C{number}"}
                axes.plot(
                    *zip(*points, strict=True), label=name if power is None else f"{name}: n^{power:.2f}", **style
                )
        axes.set(xscale="log", yscale="log", xlabel="items (edges of fastrp and sgc)", ylabel=unit)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measures what was asked for; what else the file of results holds stays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(CURVES), help=f"of {', '.join(CURVES)}")
    parser.add_argument("--folder", type=Path, help="where data and spaces go; they stay there")
    parser.add_argument("--most", type=int, default=10**7, help="the largest size")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        name, n = given.names
        print(json.dumps(CURVES[name][0](int(n), given.folder)))
        return
    with tempfile.TemporaryDirectory() as own:
        folder = given.folder or Path(own)
        folder.mkdir(parents=True, exist_ok=True)
        found = {
            name: {n: measured(name, n, folder) for n in CURVES[name][1] if n <= given.most} for name in given.names
        }
    path = RESULTS / "curves.json"
    before = json.loads(path.read_text()) if path.exists() else {"machine": machine(1), "curves": {}}
    for name, sizes in found.items():
        kinds = {kind: {n: row[kind] for n, row in sizes.items()} for kind in next(iter(sizes.values()))}
        before["curves"][name] = {kind: {"points": points, **led(kind, points)} for kind, points in kinds.items()}
    path.write_text(json.dumps(before, indent=1) + "\n")
    held = json.loads(path.read_text())["curves"]
    curves = {
        name: {kind: {int(n): v for n, v in row["points"].items()} for kind, row in kinds.items()}
        for name, kinds in held.items()
    }
    drawn(curves, ROOT / "docs" / "scale-curves.png")


if __name__ == "__main__":
    main()
