"""Small spaces with known content, for the tests of the memory and of its faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.memory.store import Store


def names(n: int, start: int = 0) -> list[str]:
    return [f"item-{number}" for number in range(start, start + n)]


def numbers(n: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def table(n: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table({"year": rng.integers(2000, 2020, n), "city": rng.choice(["Oslo", "Rome", "Lima"], n).tolist()})


def content(n: int, dim: int = 8, seed: int = 0) -> dict[str, Any]:
    """What `commit_space` takes; everything differs with the seed."""
    return {
        "ids": names(n, start=1000 * seed),
        "vectors": iter([numbers(n, dim, seed)[: n // 3], numbers(n, dim, seed)[n // 3 :]]),
        "attributes": table(n, seed),
        "thumbnails": [f"png {seed} {number}".encode() for number in range(n)],
        "model_tensors": {"weight": np.full((4, 4), seed, np.float32)},
        "model_meta": {"seed": str(seed)},
        "recipe": {"recipe": "as-is", "seed": seed},
        "manifest": {"classes": [f"class {seed}"]},
    }


def make(path: Path, n: int = 30, dim: int = 8, seed: int = 0) -> Store:
    store = Store.create(path, dim=dim, geometry="cosine", domain="vectors", manifest={})
    store.commit_space(**content(n, dim, seed))
    return store


def check_is(store: Store, n: int, dim: int = 8, seed: int = 0) -> None:
    """Raises unless the space holds exactly what `content` of these arguments put there."""
    wanted = content(n, dim, seed)
    view = store.refresh()
    assert view.ids() == wanted["ids"]
    np.testing.assert_array_equal(view.vectors(), numbers(n, dim, seed))
    assert view.attributes().equals(wanted["attributes"])
    assert [view.thumbnail(id) for id in view.ids()[:5]] == wanted["thumbnails"][:5]
    tensors, meta = store.read_model()
    assert float(tensors["weight"][0, 0]) == seed and meta == {"seed": str(seed)}
    assert store.recipe == wanted["recipe"] and store.manifest["classes"] == wanted["manifest"]["classes"]


def folder_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
