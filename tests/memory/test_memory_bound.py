"""Growth beyond memory: opening and searching a space takes memory for a block of vectors, however many there are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from memory.filled import names

from semblance.memory.store import Store

ROOT = Path(__file__).parents[2]
ITEMS, DIM = 100_000, 1024
ALLOWED = 256 << 20
"""Bytes beyond the libraries' own: seven blocks of 8,192 x 1,024 numbers at work, and the rows and ids of 100,000 items."""
SCRIPT = """
import re, resource, sys
import numpy as np
import pyarrow as pa
from semblance.memory.exact import scan
from semblance.memory.store import Store

scan(np.ones((9000, 8), np.float32), None, np.ones((1, 8)), 3, "cosine")  # thread pools are there
held = int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (held + int(sys.argv[2]),) * 2)
with Store.open(sys.argv[1], write=True) as store:
    query = np.array(store.vectors([77_777]))
    if sys.argv[3:] == ["greedy"]:
        np.array(store.vectors())
    for where in (None, "id <> 'item-77777'"):
        found, distances = scan(store.view.source, store.rows_where(where), query, 3, "cosine")
        print(found[0].tolist())
    store.update(["item-5"], pa.table({"year": [1]}))
    store.remove(["item-6"])
    store.compact()
    print(store.count, store.damage())
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """410 MB of vectors."""
    path = tmp_path_factory.mktemp("large") / "s"

    def blocks() -> Iterator[np.ndarray]:
        for seed in range(10):
            yield np.random.default_rng(seed).standard_normal((ITEMS // 10, DIM), dtype=np.float32)

    with Store.create(path, dim=DIM, geometry="cosine", domain="vectors", manifest={}) as store:
        store.commit_space(ids=names(ITEMS), vectors=blocks())
    yield path
    for file in (path / "segments").iterdir():
        file.unlink()


def run(path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, str(path), str(ALLOWED), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_limit_would_stop_a_process_that_holds_the_vectors_in_memory(large: Path) -> None:
    done = run(large, "greedy")
    assert done.returncode != 0 and "MemoryError" in done.stderr


def test_a_space_larger_than_the_memory_allowed_is_opened_searched_changed_and_compacted(large: Path) -> None:
    done = run(large)
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    nearest = json.loads(first)
    assert nearest[0] == 77777 and json.loads(second)[:2] == nearest[1:]
    assert third == "99999 []"
