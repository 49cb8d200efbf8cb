"""The server of `semblance serve` under load: a process of its own, and clients that wait for every answer.

    search  100,000 items of 64 numbers in clusters; 8 clients ask for the 10 nearest of an item inside a condition that
            half of the items satisfy, one after the other: p50 and p99 of what a client waits
    reads   8 clients ask for health, items and thumbnails in turn: answers a second, and how many failed
    soak    2 clients do everything there is (reads, searches, masks, labels and their undoing, uploads) for some minutes:
            the server's resident memory after a sixth of the time and at the end

    python bench/app/serve.py [search reads soak] [--items 100000] [--seconds 20] [--minutes 60] [--clients 8]

Clients speak HTTP over plain sockets in this process, so that a client costs little of what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import RESULTS, ROOT, machine

TARGETS = {"search p50": 0.015, "search p99": 0.060, "reads a second": 1000.0, "growth": 1.1}
Ask = Callable[[int], tuple[str, str, bytes | None]]


def make(path: Path, items: int, dim: int = 64, clusters: int = 50) -> None:
    """A space of random clusters with a few columns, through the public store."""
    from semblance.memory.store import Store

    draw = np.random.default_rng(0)
    label = draw.integers(0, clusters, items)
    vectors = draw.normal(size=(clusters, dim))[label] + 0.6 * draw.normal(size=(items, dim))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    columns = {
        "label": pa.array([str(n) for n in label]),
        "split": pa.array(np.where(draw.random(items) < 0.5, "train", "test")),
        "year": pa.array(draw.integers(1990, 2026, items)),
        "score": pa.array(draw.normal(size=items).astype(np.float32)),
    }
    with Store.create(path, dim=dim, geometry="cosine", domain="vectors", manifest={}) as store:
        store.commit_space(
            ids=[str(n) for n in range(items)],
            vectors=vectors,
            attributes=pa.table(columns),
            manifest={"labels": "class", "classes": [str(n) for n in range(clusters)], "name": "clusters"},
        )


class Served:
    """A running `semblance serve`."""

    def __init__(self, space: Path):
        command = [sys.executable, "-m", "semblance.app.cli", "serve", str(space), "--port", "0", "--json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=space.parent)
        assert self.process.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("the server did not start")
            text += line
        self.port = int(json.loads(text)["address"].rstrip("/").rpartition(":")[2])

    def memory(self) -> float:
        """Resident megabytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu(self) -> float:
        """Processor seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


class Client:
    """One connection that is kept, and made anew where the server has closed it because nothing came."""

    def __init__(self, port: int):
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def ask(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        kept = self.writer is not None
        try:
            return await self._asked(method, path, body, kind)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            if not kept or getattr(error, "partial", b""):
                raise
            await self.close()
            self.writer = None
            return await self._asked(method, path, body, kind)

    async def _asked(self, method: str, path: str, body: bytes | None, kind: str) -> tuple[int, bytes]:
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        assert self.reader is not None
        more = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n" if body is not None else ""
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode() + (body or b""))
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
        return int(lines[0].split()[1]), await self.reader.readexactly(length) if length else b""

    async def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


async def load(served: Served, clients: int, seconds: float, ask: Ask) -> dict[str, Any]:
    """Closed loops for so long: how long each answer took, how many were no 200, and processor seconds of the server's."""
    took: list[float] = []
    failed = 0
    end = time.perf_counter() + seconds

    async def loop(number: int) -> None:
        nonlocal failed
        client, turn = Client(served.port), number
        while time.perf_counter() < end:
            begun = time.perf_counter()
            status, _ = await client.ask(*ask(turn))
            took.append(time.perf_counter() - begun)
            failed += status != 200
            turn += clients
        await client.close()

    begun, cpu = time.perf_counter(), served.cpu()
    await asyncio.gather(*(loop(number) for number in range(clients)))
    wall = time.perf_counter() - begun
    ms = np.array(took)
    said = {name: float(np.quantile(ms, share)) for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))}
    said |= {"most": float(ms.max()), "cpu an answer": (served.cpu() - cpu) / len(took)}
    return {"answers": len(took), "a second": len(took) / wall, **said, "failed": failed}


def searching(items: int) -> Ask:
    draw = np.random.default_rng(1).integers(0, items, 100_000)

    def ask(turn: int) -> tuple[str, str, bytes]:
        asked = {"id": str(draw[turn % len(draw)]), "k": 10, "where": "split = 'train'"}
        return "POST", "/api/spaces/clusters/search", json.dumps(asked).encode()

    return ask


def reading(items: int) -> Ask:
    draw = np.random.default_rng(2).integers(0, items, 100_000)

    def ask(turn: int) -> tuple[str, str, None]:
        id = draw[turn % len(draw)]
        return "GET", "/healthz" if turn % 3 == 0 else f"/api/spaces/clusters/items/{id}", None

    return ask


async def soak(served: Served, items: int, minutes: float) -> dict[str, Any]:
    """Everything in turn; memory is looked at sixty times."""
    space, client, memory, failed, answers = "/api/spaces/clusters", Client(served.port), [], 0, 0
    end, step = time.perf_counter() + 60 * minutes, minutes
    due, turn = time.perf_counter(), 0
    search, read = searching(items), reading(items)
    other = Client(served.port)

    async def upload() -> int:
        import io

        held = io.BytesIO()
        np.save(held, np.random.default_rng(turn).normal(size=64).astype(np.float32))
        mark = "----semblance"
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="a.npy"\r\n\r\n'.encode()
        body = head + held.getvalue() + f"\r\n--{mark}--\r\n".encode()
        return (await client.ask("POST", f"{space}/search/upload", body, f"multipart/form-data; boundary={mark}"))[0]

    async def relabel() -> int:
        asked = json.dumps({"id": str(turn % items), "label": "soaked"}).encode()
        status, said = await client.ask("POST", f"{space}/labels", asked)
        if status != 200:
            return status
        back = json.dumps({"undo": json.loads(said)["undo"]}).encode()
        return (await client.ask("POST", f"{space}/labels/undo", back))[0]

    async def mask() -> int:
        where = json.dumps({"where": f"year >= {1990 + turn % 35} and score > 0.{turn % 1000:03}"}).encode()
        return (await client.ask("POST", f"{space}/mask", where))[0]

    rare: list[tuple[int, Callable[[], Awaitable[int]]]] = [(50, mask), (200, relabel), (500, upload)]
    while time.perf_counter() < end:
        first, second = await asyncio.gather(client.ask(*search(turn)), other.ask(*read(turn)))
        states = [first[0], second[0], *[await work() for every, work in rare if turn % every == every - 1]]
        failed += sum(status != 200 for status in states)
        answers, turn = answers + len(states), turn + 1
        if time.perf_counter() >= due:
            memory.append(served.memory())
            due += step
    tenth = max(1, len(memory) // 10)
    sixth = memory[len(memory) // 6 : len(memory) // 6 + tenth]
    said = {"answers": answers, "failed": failed, "minutes": minutes, "memory": [round(m, 1) for m in memory]}
    return {
        **said,
        "early": median(sixth),
        "late": median(memory[-tenth:]),
        "growth": median(memory[-tenth:]) / median(sixth),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=[], help="search, reads, soak; none: the first two")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--write", action="store_true", help="keep what comes out in bench/results")
    given = parser.parse_args()
    parts = given.parts or ["search", "reads"]
    if set(parts) - {"search", "reads", "soak"}:
        parser.error(f"there are search, reads and soak, and not {' '.join(parts)}")
    out: dict[str, Any] = {"benchmark": "serve", "items": given.items, "clients": given.clients, "machine": machine(2)}
    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "clusters.space"
        make(space, given.items)
        served = Served(space)
        try:
            wait(served.port, given.items)
            for part in parts:
                if part == "soak":
                    out[part] = asyncio.run(soak(served, given.items, given.minutes))
                else:
                    ask = searching(given.items) if part == "search" else reading(given.items)
                    asyncio.run(load(served, given.clients, min(3.0, given.seconds), ask))  # compiled, warm
                    out[part] = asyncio.run(load(served, given.clients, given.seconds, ask))
                print(json.dumps({part: out[part]}, indent=1), flush=True)
        finally:
            out["stopped with"] = served.stop()
    reached = {}
    if "search" in out:
        reached |= {f"search {p}": out["search"][p] <= TARGETS[f"search {p}"] for p in ("p50", "p99")}
    if "reads" in out:
        reached["reads a second"] = out["reads"]["a second"] >= TARGETS["reads a second"] and not out["reads"]["failed"]
    if "soak" in out:
        reached["growth"] = out["soak"]["growth"] <= TARGETS["growth"] and not out["soak"]["failed"]
    out["targets"], out["reached"] = TARGETS, reached
    print(json.dumps(reached, indent=1))
    if given.write:
        kept = RESULTS / "serve.json"
        before = json.loads(kept.read_text()) if kept.exists() else {}
        merged = {**before, **out, "reached": {**before.get("reached", {}), **reached}}
        kept.write_text(json.dumps(merged, indent=1) + "\n")


def wait(port: int, items: int) -> None:
    """Until an index answers the searches, where there are enough items for one."""

    async def look() -> None:
        client = Client(port)
        for _ in range(600):
            _, said = await client.ask(*searching(items)(0))
            if items < 8_192 or not json.loads(said)["plan"].startswith("exact scan of"):
                break
            await asyncio.sleep(0.5)
        await client.close()

    asyncio.run(look())


if __name__ == "__main__":
    main()
