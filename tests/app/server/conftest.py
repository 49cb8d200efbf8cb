"""Spaces to serve, and clients of servers in this process."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from starlette.testclient import TestClient

from semblance.app.server.application import application
from semblance.memory.store import Store

KINDS = ("cat", "dog", "owl")
ADDRESS = "http://localhost:8765"


def picture(shade: int, size: tuple[int, int] = (12, 8)) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", size, (shade % 256, 40, 200)).save(held, "PNG")
    return held.getvalue()


def make(
    path: Path, count: int = 60, dim: int = 6, geometry: str = "cosine", images: bool = False, seed: int = 0
) -> Path:
    """Three clusters with columns of every kind; every tenth item has no label, every seventh no year."""
    draw = np.random.default_rng(seed)
    of = np.arange(count) % 3
    vectors = (np.eye(3, dim)[of] + 0.1 * draw.normal(size=(count, dim))).astype(np.float32)
    if geometry == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    columns = {
        "label": pa.array([None if n % 10 == 0 else KINDS[c] for n, c in enumerate(of)], pa.string()),
        "year": pa.array([None if n % 7 == 0 else 1990 + n % 35 for n in range(count)], pa.int64()),
        "weight": pa.array(draw.normal(size=count).astype(np.float32)),
        "blurred": pa.array([n % 4 == 0 for n in range(count)]),
        "taken": pa.array(1_600_000_000_000_000 + 86_400_000_000 * np.arange(count), pa.timestamp("us")),
        "city": pa.array(np.array(["Oslo", "Bergen", "Tromsø"])[draw.integers(0, 3, count)]),
        "boxes": pa.array([[n, n + 1] for n in range(count)], pa.list_(pa.int64())),
    }
    domain = "images" if images else "vectors"
    with Store.create(path, dim=dim, geometry=geometry, domain=domain, manifest={}) as store:
        store.commit_space(
            ids=[f"a/{n}.png" if images else str(n) for n in range(count)],
            vectors=vectors,
            attributes=pa.table(columns),
            thumbnails=[picture(4 * n) for n in range(count)] if images else None,
            manifest={"labels": "class", "classes": ["cat", "dog", "owl"], "name": path.stem},
        )
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "zoo.space")


@pytest.fixture
def open_client(tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """client(*paths, **settings of the application): of a server in this process, closed at the end of the test."""
    with ExitStack() as stack:

        def opened(*paths: Path, address: str = ADDRESS, errors: bool = True, **settings: Any) -> TestClient:
            settings.setdefault("root", tmp_path)
            app = application(list(paths), **settings)
            client = TestClient(app, base_url=address, raise_server_exceptions=errors)
            client.server = app.server  # type: ignore[attr-defined]
            return stack.enter_context(client)

        yield opened


@pytest.fixture
def client(folder: Path, open_client: Callable[..., TestClient]) -> TestClient:
    return open_client(folder)


def framed(content: bytes) -> tuple[dict[str, Any], np.ndarray]:
    """The head and the values of a column, read as the page reads them."""
    import json

    length = int.from_bytes(content[:4], "little")
    assert (4 + length) % 8 == 0, "the values would not be aligned"
    head = json.loads(content[4 : 4 + length])
    return head, np.frombuffer(content[4 + length :], np.dtype(head["dtype"]).newbyteorder("<"))
