"""An embedding takes memory for a block of its data, however much there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = 150 << 20
"""Bytes beyond the libraries' own, for some 400 MB of data."""
SCRIPT = """
import re, resource, sys
import numpy as np
import torch
import semblance as sb
from semblance.space import embedding

kind, data, out, allowed, *more = sys.argv[1:]
if kind == "npy":
    pool, item, domain, few = torch.nn.AdaptiveAvgPool2d(2), (3, 224, 224), "images", np.zeros((40, 224, 224, 3), np.uint8)
else:
    pool, item, domain, few = torch.nn.AdaptiveAvgPool1d(4), (1024,), "vectors", np.ones((40, 1024), np.float32)
model = sb.wrap(pool, lambda x: x.float(), item=item, domain=domain)
embedding.embed(model, few, out + ".few").close()  # compiled code and thread pools are there
held = int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (held + int(allowed),) * 2)
if more:
    sb.data.load(data).x.copy()
with embedding.embed(model, data, out) as space:
    print(len(space), space.info["parts"], float(np.abs(space.store.vectors([0, len(space) - 1])).max()) > 0)
"""


def source(kind: str, folder: Path) -> Path:
    """400 MB: pictures in an .npy file that is sparse on disk, or vectors in a Parquet file of one row group."""
    if kind == "npy":
        x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.uint8, (2700, 224, 224, 3))
        x[[0, -1]] = 200  # the file is sparse
        x.flush()
        return folder / "x.npy"
    x = np.zeros((100_000, 1024), np.float32)
    x[[0, -1]] = 1
    column = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 1024)
    pq.write_table(pa.table({"vector": column}), folder / "x.parquet", row_group_size=1 << 20)
    return folder / "x.parquet"


def run(kind: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    data = next(folder.glob("x.*"), None) or source(kind, folder)
    command = [sys.executable, "-c", SCRIPT, kind, str(data), str(folder / "a.space"), str(ALLOWED), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("kind", "answer"), [("npy", "2700 43 True"), ("parquet", "100000 4 True")])
def test_data_larger_than_the_memory_allowed_is_embedded(tmp_path: Path, kind: str, answer: str) -> None:
    done = run(kind, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == answer


def test_the_limit_would_stop_a_process_that_holds_the_data_in_memory(tmp_path: Path) -> None:
    done = run("parquet", tmp_path, "greedy")
    assert done.returncode != 0
    assert "MemoryError" in done.stderr or "malloc" in done.stderr or "realloc" in done.stderr
