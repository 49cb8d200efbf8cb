"""Seconds until `import semblance` and `semblance --help` are done, in a fresh interpreter; Python's own start beside."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.harness import bench


def start(*arguments: str) -> dict[str, float]:
    """Medians of seven starts, after one that fills the caches of the file system."""
    wall, cpu = [], []
    for number in range(8):
        before, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if number:
            wall.append(time.perf_counter() - clock)
            cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"seconds": median(wall), "cpu": median(cpu)}


if __name__ == "__main__":
    bench(
        __file__,
        {
            "python": lambda: start("-c", "pass"),
            "import": lambda: start("-c", "import semblance"),
            "help": lambda: start("-m", "semblance.app.cli", "--help"),
        },
        baseline="python",
        targets={"import under 0.3 s": ("import", 0.3), "--help under 0.3 s": ("help", 0.3)},
        rounds=3,
        notes="fresh interpreters",
    )
