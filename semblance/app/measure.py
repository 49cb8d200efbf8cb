"""What `semblance doctor --measure` times, in some seconds, and the settings it proposes. It changes none.

Each figure is the best of a few rounds, taken in turns, since other work on the machine only ever makes one slower.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

ROUNDS = 5
MARGIN = 1.15
"""How much faster another setting has to be before it is proposed: less is within what rounds differ by."""


def measured(progress: Callable[[int, int, str], None], seed: int = 0) -> dict[str, Any]:
    """Products and a training step in both precisions, a scan, a copy; and what follows from them."""
    found: dict[str, Any] = {}
    jobs = {"products": lambda: products(seed), "training steps": lambda: steps(seed), "scan": lambda: scans(seed)}
    for done, (name, job) in enumerate(jobs.items()):
        progress(done, len(jobs), name)
        found |= job()
    progress(len(jobs), len(jobs), "measured")
    return found | {"proposals": proposals(found)}


def products(seed: int) -> dict[str, float]:
    """Matrix products, in 10^9 operations a second."""
    draws = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(512, 512, generator=draws) for _ in range(2))
    pairs = {"float32": (a, b), "bfloat16": (a.bfloat16(), b.bfloat16())}
    best = _best({name: lambda a=a, b=b: a @ b for name, (a, b) in pairs.items()}, repeat=4)
    return {f"product_{name}_gflops": round(2 * 512**3 / seconds / 1e9, 1) for name, seconds in best.items()}


def steps(seed: int) -> dict[str, float]:
    """One step of SimCLR's on 32 pictures, in milliseconds."""
    from semblance.data.dataset import Shape
    from semblance.learning.devices import autocast, choose_device, precision_for
    from semblance.recipes.registry import build
    from semblance.space.model import assemble

    shape, device = Shape("images", (3, 32, 32), 10, 32, (0.5,) * 3, (0.25,) * 3), choose_device("auto")
    x = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(seed)).to(device)

    def step(name: str) -> Callable[[], None]:
        precision = precision_for(device, name)
        layout: Any = {"memory_format": precision.memory_format}
        network = assemble(build("simclr"), shape, seed).to(device, **layout).train()
        optimiser = torch.optim.SGD(network.parameters(), lr=0.01)

        def run() -> None:
            optimiser.zero_grad(set_to_none=True)
            with autocast(device, precision):
                z = network.embed({"x": x.contiguous(**layout)})
            z.float().pow(2).mean().backward()
            optimiser.step()
            if device.type == "cuda":
                torch.cuda.synchronize()

        return run

    best = _best({name: step(name) for name in ("float32", "bfloat16")}, repeat=2)
    return {f"step_{name}_ms": round(1000 * seconds, 1) for name, seconds in best.items()}


def scans(seed: int) -> dict[str, float]:
    """An exact search of 50,000 vectors of 128 numbers by 16 queries, in vectors a second and query."""
    from semblance.memory.exact import scan

    rng = np.random.default_rng(seed)
    items = rng.normal(size=(50_000, 128)).astype(np.float32)
    seconds = _best({"scan": lambda: scan(items, None, items[:16], 10, "euclidean")})["scan"]
    return {"scan_million_vectors_a_second": round(16 * len(items) / seconds / 1e6, 1)}


def proposals(found: dict[str, Any]) -> list[str]:
    """Settings that were faster here than those that the table of devices.py gives; none of them is made."""
    said = []
    gain = found["step_float32_ms"] / max(found["step_bfloat16_ms"], 1e-9)
    from semblance.learning.devices import choose_device, precision_for

    chosen = precision_for(choose_device("auto")).name
    if chosen == "float32" and gain > MARGIN:
        said.append(
            f"--precision bfloat16: a training step takes {gain:.2f} times less; its losses differ, so compare a fit"
        )
    if chosen == "bfloat16" and gain < 1 / MARGIN:
        said.append(f"--precision float32: a training step takes {1 / gain:.2f} times less")
    if not said:
        said.append(
            f"none: {chosen}, which is chosen, was as fast as the other or faster (factor {gain:.2f} for bfloat16)"
        )
    return said


def _best(jobs: dict[str, Callable[[], Any]], repeat: int = 1) -> dict[str, float]:
    """Seconds of each job's fastest round, the jobs in turns; a first round warms up."""
    best = dict.fromkeys(jobs, float("inf"))
    for number in range(ROUNDS + 1):
        for name, job in jobs.items():
            begun = time.perf_counter()
            for _ in range(repeat):
                job()
            if number:
                best[name] = min(best[name], (time.perf_counter() - begun) / repeat)
    return best
