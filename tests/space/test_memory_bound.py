"""Peak memory is bounded by the batch: a set larger than what the process may allocate is learned and embedded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
SCRIPT = """
import re, resource, sys
import torch
import semblance.space.fit as fitting
import semblance as sb
from semblance.data.load import load
from semblance.recipes.registry import build
from semblance.space.training import train

train(load("digits").subset(range(200)), build("simclr"), seconds=0.5)  # compiled code and thread pools are there
held = int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
limit = held + int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
if sys.argv[4:] == ["greedy"]:
    import numpy as np
    np.array(np.load(sys.argv[1], mmap_mode="r"))
pool = sb.wrap(torch.nn.AdaptiveAvgPool2d(4), lambda x: x.float(), item=(3, 300, 300))
with fitting.fit(sys.argv[1], pool, out=sys.argv[2]) as space:
    print(space.vectors.shape)
data = load(sys.argv[1])
print(len(train(data, build("simclr", batch=8), seconds=2.0).history))
"""
ALLOWED = 700 << 20


def run(tmp_path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "large.npy"
    if not file.exists():
        # 1.1 GB on paper; the file is sparse.
        np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=(4000, 300, 300, 3)).flush()
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(file), str(tmp_path / "a.space"), str(ALLOWED), *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_set_larger_than_the_memory_allowed_is_learned_and_embedded(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["(4000, 3)", "1"]


def test_the_limit_would_stop_a_process_that_holds_the_set_in_memory(tmp_path: Path) -> None:
    done = run(tmp_path, "greedy")
    assert done.returncode != 0
    assert "MemoryError" in done.stderr
