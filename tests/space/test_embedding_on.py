"""On Ray, with a cluster of this machine: the same space, whoever dies, and errors in one line."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import semblance as sb
from semblance.errors import SemblanceError
from semblance.space import embedding
from semblance.space.embedding import embed
from semblance.space.model import Model

pytestmark = pytest.mark.usefixtures("two_cores")
ITEMS = 3000


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """6 parts of 512 pictures at most."""
    monkeypatch.setattr("semblance.space.embedding.LEAST", 1)
    pixels = np.random.default_rng(0).integers(0, 256, (ITEMS, 8, 8, 3), np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    return tmp_path / "x.npy"


class Deadly(torch.nn.Module):
    """Means of pictures; the first process that asks for them dies of it."""

    def __init__(self, died: Path):
        super().__init__()
        self.died = died

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.died.exists():
            self.died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x.mean((2, 3))


@pytest.fixture
def model(tmp_path: Path) -> Model:
    died = tmp_path / "died"
    died.touch()  # to be wrapped it is asked for its width
    found = sb.wrap(Deadly(died), lambda x: x.float() / 255, item=(3, 8, 8))
    died.unlink()
    return found


def test_two_workers_of_whom_one_dies_make_the_space_that_one_process_makes(
    images: Path, model: Model, tmp_path: Path
) -> None:
    with embed(model, images, tmp_path / "ray.space", on="ray", workers=2) as two:
        assert (tmp_path / "died").exists()
        with embed(model, images, tmp_path / "local.space") as one:
            assert two.attributes().equals(one.attributes()) and two.check() == []
            assert two.ids == one.ids and two.info["units"] == ITEMS and two.info["parts"] == 6
            # The same batches on one thread; a process of more threads adds in another order.
            np.testing.assert_allclose(np.array(two.vectors), np.array(one.vectors), rtol=0, atol=1e-5)
        assert two.store.recipe["trained"]["on"] == "ray"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["died", "local.space", "ray.space", "x.npy"]


def test_an_error_of_a_worker_is_one_line_and_what_is_done_stays(
    images: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = embedding._begun

    def changed(*given: Any) -> Any:
        found = begun(*given)
        os.utime(images, ns=(1, 1))
        return found

    monkeypatch.setattr(embedding, "_begun", changed)
    with pytest.raises(SemblanceError, match=r"^part \d of 6 \(rows .*x\.npy\): .*x\.npy has changed since") as told:
        embed(model, images, tmp_path / "a.space", on="ray", workers=2)
    assert "\n" not in str(told.value) and not (tmp_path / "a.space").exists()
    monkeypatch.undo()
    with pytest.raises(SemblanceError, match="workers is 999 and the cluster has 2 cores"):
        embed(model, images, tmp_path / "b.space", on="ray", workers=999)
