"""Side-by-side measurements: arms in turn, a process for each arm and round, medians, and the machine in words.

An arm is a function that measures something and returns numbers; all arms of a benchmark live in one script:

    if __name__ == "__main__":
        bench(__file__, {"plain": plain, "ours": ours}, baseline="plain", targets={"ours": 2.5})

    python bench/learning/simsiam.py [--rounds 5] [--cores 1] [arm ...]

A process of its own per arm and round, because the allocator's settings and compiled code outlive a step; in turn,
because a machine is never equally quiet for long. Every arm returns `seconds` (by the clock) and `cpu` (processor time:
what counts on a machine shared with others); ratios are given of both, with the spread over rounds. The result goes to
`bench/results/NAME.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
Numbers = Mapping[str, float]


def bench(
    script: str,
    arms: Mapping[str, Callable[[], Numbers]],
    *,
    baseline: str,
    targets: Mapping[str, tuple[str, float]],
    rounds: int = 5,
    cores: int = 1,
    notes: str = "",
) -> None:
    """Run the arms asked for on the command line (default: all) and write what came out.

    targets: a sentence -> (arm / arm, least ratio of the first's speed to the second's) or (arm, most seconds).
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("arms", nargs="*", help=f"of {', '.join(arms)}; none: all, and the result is written")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--cores", type=int, default=cores)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    wrong = [arm for arm in given.arms if arm not in arms]
    if wrong:
        parser.error(f"there is no arm {wrong[0]!r}: there are {', '.join(arms)}")
    if given.child:
        print(json.dumps(dict(arms[given.arms[0]]())))
        return
    chosen = given.arms or list(arms)
    runs = measure(script, chosen, given.rounds, given.cores)
    result: dict[str, Any] = {
        "benchmark": Path(script).stem,
        "notes": notes,
        "machine": machine(given.cores),
        "rounds": given.rounds,
        "arms": {arm: summary(runs[arm]) for arm in chosen},
        "ratios": {},
        "targets": {},
    }
    for arm in chosen:
        if baseline in chosen and arm != baseline:
            result["ratios"][f"{arm} / {baseline}"] = ratio(runs[arm], runs[baseline])
    for name, (pair, bound) in targets.items():
        sides = pair.split(" / ")
        if not set(sides) <= set(runs):
            continue
        if len(sides) == 2:
            got = ratio(runs[sides[0]], runs[sides[1]])
            result["targets"][name] = {"pair": pair, "least": bound, **got, "reached": got["cpu"] >= bound}
        else:
            seconds = median(r["cpu"] for r in runs[pair])
            result["targets"][name] = {"arm": pair, "most": bound, "cpu": seconds, "reached": seconds <= bound}
    print(json.dumps({k: result[k] for k in ("arms", "ratios", "targets")}, indent=1))
    if not given.arms:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{Path(script).stem}.json").write_text(json.dumps(result, indent=1) + "\n")


def measure(script: str, arms: list[str], rounds: int, cores: int) -> dict[str, list[dict[str, float]]]:
    """{arm: what it returned, round by round}; the order turns from round to round."""
    allowed = sorted(os.sched_getaffinity(0))[:cores] if hasattr(os, "sched_getaffinity") else []
    threads = {name: str(cores) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    environment = {**os.environ, **threads, "PYTHONPATH": str(ROOT)}
    got: dict[str, list[dict[str, float]]] = {arm: [] for arm in arms}
    for number in range(rounds):
        shift = number % len(arms)
        for arm in arms[shift:] + arms[:shift]:
            pin = (lambda: os.sched_setaffinity(0, allowed)) if allowed else None
            ran = subprocess.run(
                [sys.executable, script, "--child", arm],
                capture_output=True,
                text=True,
                env=environment,
                preexec_fn=pin,
            )
            if ran.returncode:
                sys.exit(f"arm {arm} failed:\n{ran.stderr}")
            got[arm].append(json.loads(ran.stdout.splitlines()[-1]))
            figures = " ".join(f"{k} {v:.4g}" for k, v in got[arm][-1].items())
            print(f"round {number + 1} of {rounds}, {arm}: {figures}", file=sys.stderr, flush=True)
    return got


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Median of every number over the rounds, and all of them."""
    return {"median": {k: median(r[k] for r in runs) for k in runs[0]}, "runs": runs}


def ratio(arm: list[dict[str, float]], base: list[dict[str, float]]) -> dict[str, float]:
    """How much faster the arm is than the base: ratios of medians, and their spread over rounds."""
    pairs = [b["cpu"] / a["cpu"] for a, b in zip(arm, base, strict=True)]
    cpu = median(r["cpu"] for r in base) / median(r["cpu"] for r in arm)
    clock = median(r["seconds"] for r in base) / median(r["seconds"] for r in arm)
    return {"cpu": round(cpu, 3), "clock": round(clock, 3), "low": round(min(pairs), 3), "high": round(max(pairs), 3)}


def times(step: Callable[[], object], repeats: int, warmup: int = 1) -> dict[str, float]:
    """Median seconds and processor seconds of a step."""
    wall, cpu = [], []
    for number in range(warmup + repeats):
        w, c = time.perf_counter(), time.process_time()
        step()
        if number >= warmup:
            wall.append(time.perf_counter() - w)
            cpu.append(time.process_time() - c)
    return {"seconds": median(wall), "cpu": median(cpu)}


def machine(cores: int) -> dict[str, Any]:
    """CPU, cores used, versions: what a reader needs to place the numbers; no names of hosts or people."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    models = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    flags = set(text.split())
    return {
        "cpu": models[0] if models else platform.processor(),
        "features": [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in flags],
        "cores": os.cpu_count(),
        "cores used": cores,
        "load": [round(x, 2) for x in os.getloadavg()],
        "python": platform.python_version(),
        "versions": {
            p: v for p in ("torch", "numpy", "numba", "kornia", "scikit-learn", "faiss-cpu") if (v := _version(p))
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
