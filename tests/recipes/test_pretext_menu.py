"""Recipes of the menu: every task keeps a recipe's promises, several go on one trunk, and what does not fit is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from semblance.data.dataset import ArrayDataset
from semblance.encoders.vision.units import Units
from semblance.errors import SemblanceError
from semblance.objectives.pretexts.table import TABLE
from semblance.recipes.pretext_menu import multi_task_ssl, pretext
from semblance.recipes.registry import build
from semblance.space.training import train
from semblance.testing import small


@pytest.fixture(scope="module")
def colours() -> ArrayDataset:
    """The small scans, in colours."""
    plain = small("images")
    tint = np.random.default_rng(0).uniform(0.2, 1, (len(plain), 3, 1, 1))
    x = (plain.x * tint).round().astype(np.uint8)
    return replace(plain, x=x, fingerprint="colours").subset(np.arange(60))


def quick(task: str, **axes):
    return pretext(task=task, width=4, batch=24, least=1, epochs=2, **axes)


@pytest.mark.parametrize("task", TABLE)
def test_every_task_learns_and_repeats_itself_to_the_last_bit(task, colours):
    first, again = (train(colours, quick(task), seed=3, epochs=1) for _ in range(2))
    assert np.isfinite(first.history[-1]["loss"])
    assert np.array_equal(first.embed(colours), again.embed(colours))
    fresh = train(colours, quick(task), seed=3, epochs=0)
    assert not np.allclose(first.embed(colours), fresh.embed(colours), atol=1e-4)


@pytest.mark.parametrize("task", [name for name, row in TABLE.items() if not row.colour])
def test_tasks_without_colours_take_grey_pictures(task):
    model = train(small("images"), quick(task), seed=0, epochs=1)
    assert np.isfinite(model.embed(small("images"))).all()


def test_colours_are_not_asked_of_grey_pictures():
    with pytest.raises(SemblanceError, match="1 channel"):
        train(small("images"), quick("colourisation"), epochs=1)
    with pytest.raises(SemblanceError, match="jigsaw"):
        pretext(task="jigsav")
    with pytest.raises(SemblanceError, match="1 channel"):
        train(small("images"), multi_task_ssl(tasks="colourisation,rotation"), epochs=1)


def test_a_transformer_can_be_asked_too(colours):
    for task in ("colourisation", "relative-position", "inpainting"):
        made = pretext(task=task, backbone="patches", width=16, batch=24, least=1)
        assert np.isfinite(train(colours, made, epochs=1).history[-1]["loss"])


def test_many_tasks_tell_of_each_under_its_name(colours):
    axes = {"width": 4, "batch": 24, "least": 1}
    told = train(colours, multi_task_ssl(balanced=False, **axes), epochs=1).history[-1]
    losses = [told[f"{name} loss"] for name in multi_task_names()]
    assert told["loss"] == pytest.approx(sum(losses), rel=1e-5)
    grey = train(small("images"), multi_task_ssl(**axes), epochs=1).history[-1]
    assert "colourisation loss" not in grey and "exemplar loss" in grey


def multi_task_names() -> list[str]:
    from semblance.recipes.pretext_menu import FOUR

    return FOUR.split(",")


def test_the_lasso_mixes_blocks_by_task_and_shrinks_their_weights(colours):
    axes = {"tasks": "rotation,inpainting", "width": 4, "batch": 12, "least": 1, "epochs": 8, "share_lr": 0.05}
    strong, weak = (train(colours, multi_task_ssl(lasso=lasso, **axes)) for lasso in (10.0, 1e-6))
    assert isinstance(strong.network.encoder, Units) and strong.network.encoder.share.shape == (2, 4)
    share = [model.network.encoder.share.detach().abs() for model in (strong, weak)]
    assert int((share[0] < 1e-3).sum()) > 4 > int((share[1] < 1e-3).sum())
    with pytest.raises(SemblanceError, match="no blocks"):
        train(colours, multi_task_ssl(lasso=0.1, backbone="patches", width=16, batch=24), epochs=1)


def test_a_mixed_net_comes_back_from_disk(colours, tmp_path):
    settings = {"width": 4, "batch": 24, "least": 1, "lasso": 0.01}
    made = build("multi-task-ssl", **settings)
    model = train(colours, made, epochs=1, name="multi-task-ssl", settings=settings)
    model.save(tmp_path / "m.safetensors")
    again = type(model).load(tmp_path / "m.safetensors")
    assert np.array_equal(model.embed(colours), again.embed(colours))


def test_alternating_tasks_take_as_many_steps_in_turn(colours):
    model = train(colours, multi_task_ssl(how="alternating", width=4, batch=24, least=1), epochs=1)
    assert int(model.objective.turn) == len(colours.splits["train"]) // 24
    with pytest.raises(SemblanceError, match="way of combining"):
        train(colours, multi_task_ssl(how="both"), epochs=1)


def test_harmonised_training_differs_from_plain_training(colours):
    axes = {"tasks": "rotation,relative-position", "width": 4, "batch": 24, "least": 1}
    found = [train(colours, multi_task_ssl(harmonised=how, **axes), epochs=1) for how in ("none", "grey", "dropped")]
    z = [torch.from_numpy(model.embed(colours)) for model in found]
    assert all(not torch.allclose(z[0], other, atol=1e-3) for other in z[1:])
