"""Two representations of the same items, from wherever they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

import semblance as sb
from semblance.errors import SemblanceError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 8)).astype(np.float32)
TURNED = X @ np.linalg.qr(RNG.normal(size=(8, 8)))[0].astype(np.float32)
FEW = ["cka", "neighbours"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two spaces of the same items, a table with ids in another order and some missing, and an array."""
    at = tmp_path_factory.mktemp("compared")
    for name, x in (("a", X), ("b", TURNED)):
        sb.fit(x, recipe="as-is", out=at / f"{name}.space").close()
    np.save(at / "turned.npy", TURNED)
    order = RNG.permutation(60)[:50]
    columns = {"key": [f"i{i}" for i in order], **{f"v{d}": TURNED[order, d] for d in range(8)}}
    pq.write_table(pa.table(columns), at / "some.parquet")
    named = {"key": [f"i{i}" for i in range(60)], **{f"v{d}": X[:, d] for d in range(8)}}
    pq.write_table(pa.table(named), at / "all.parquet")
    return at


def test_two_spaces_are_compared_item_by_item(folder: Path) -> None:
    with sb.load(folder / "a.space") as space:
        found = space.compare(folder / "b.space", measures=FEW)
    assert found.measures["cka"].value == pytest.approx(1, abs=1e-3)
    assert found.measures["neighbours"].value > 0.99
    assert found.names == ("a", "b")


def test_a_space_beside_numbers_from_elsewhere(folder: Path) -> None:
    found = sb.compare(folder / "a.space", TURNED, measures=FEW)
    assert found.measures["neighbours"].value > 0.99
    assert sb.compare(folder / "a.space", torch.from_numpy(X), measures=FEW).items == 60
    assert sb.compare(folder / "turned.npy", folder / "b.space", measures=FEW).measures["neighbours"].value > 0.99


def test_items_with_ids_are_matched_whatever_their_order(folder: Path) -> None:
    found = sb.compare(folder / "all.parquet", folder / "some.parquet", measures=FEW)
    assert found.items == 50
    assert found.measures["neighbours"].value > 0.99
    assert "50 items are on both sides, of 60 in all and 50 in some" in found.notes[0]


def test_layers_of_two_modules_are_compared_on_the_same_batches() -> None:
    nets = [nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)) for _ in range(2)]
    batches = [torch.from_numpy(X)]
    found = sb.compare((nets[0], batches), (nets[1], batches), layers=("1", "1"), measures=["cka"])
    assert 0.2 < found.measures["cka"].value < 1
    with pytest.raises(SemblanceError, match="a is a module: name one of its layers"):
        sb.compare((nets[0], batches), (nets[1], batches))


def test_what_cannot_be_matched_is_said(folder: Path) -> None:
    with pytest.raises(SemblanceError, match="a has 60 items and b 59, and those of b have no ids"):
        sb.compare(folder / "a.space", X[:-1], names=("a", "b"))
    with pytest.raises(SemblanceError, match="no item in common"):
        sb.compare(folder / "a.space", folder / "all.parquet")
