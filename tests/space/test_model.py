from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from semblance.data.dataset import ArrayDataset, Shape
from semblance.data.load import load
from semblance.errors import SemblanceError
from semblance.recipes.registry import build
from semblance.space.model import Model, conform
from semblance.space.training import train


@pytest.fixture(scope="module")
def data() -> ArrayDataset:
    return load("digits").subset(np.arange(80))


@pytest.fixture(scope="module")
def model(data: ArrayDataset) -> Model:
    return train(data, build("supervised", least=1), epochs=1, name="supervised", settings={"least": 1})


def rewritten(model: Model, path: Path, **changes: object) -> Path:
    save_file(model.tensors(), path, metadata={"semblance": json.dumps({**model.header(), **changes})})
    return path


def test_a_model_of_another_recipe_is_refused_in_one_line(model: Model, tmp_path: Path) -> None:
    with pytest.raises(SemblanceError, match="another recipe or version") as caught:
        Model.load(rewritten(model, tmp_path / "m.safetensors", recipe="simclr", settings={}))
    assert "\n" not in str(caught.value)


def test_a_model_of_a_newer_format_is_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(SemblanceError, match="update Semblance"):
        Model.load(rewritten(model, tmp_path / "m.safetensors", format=99))


def test_a_truncated_missing_or_foreign_file_is_named(model: Model, tmp_path: Path) -> None:
    whole = rewritten(model, tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "short.safetensors").write_bytes(whole[:-50])
    save_file({"a": torch.ones(2)}, tmp_path / "foreign.safetensors")
    for name, words in (("short", "short"), ("missing", "no model"), ("foreign", "no Semblance header")):
        with pytest.raises(SemblanceError, match=words):
            Model.load(tmp_path / f"{name}.safetensors")


def test_predictions_are_class_names_and_better_than_chance(data: ArrayDataset) -> None:
    trained = train(data, build("supervised", least=1), epochs=40)
    answers = trained.predict(data.subset(data.splits["train"]))
    truth = [data.classes[c] for c in data.targets["labels"][data.splits["train"]]]
    assert np.mean([a == t for a, t in zip(answers, truth, strict=True)]) > 0.6


def test_pictures_of_another_size_and_in_colour_are_brought_to_the_model_s(model: Model, data: ArrayDataset) -> None:
    large = np.asarray(data.x[:5]).repeat(3, axis=2).repeat(3, axis=3)
    coloured = np.moveaxis(large, 1, 3).repeat(3, axis=3)
    z = model.embed(data, np.arange(5))
    assert (model.embed(coloured) * z).sum(1).min() > 0.9


def test_grey_becomes_colour_and_back_without_loss() -> None:
    grey = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    colour = conform(grey, Shape("images", (3, 8, 8), 0, 1))
    assert colour.shape == (1, 3, 8, 8)
    assert torch.equal(conform(colour, Shape("images", (1, 8, 8), 0, 1)), grey)


def test_pictures_of_two_channels_are_refused() -> None:
    with pytest.raises(SemblanceError, match="2 channels"):
        conform(torch.zeros(1, 2, 8, 8, dtype=torch.uint8), Shape("images", (3, 8, 8), 0, 1))


def test_data_of_another_domain_is_refused(model: Model) -> None:
    with pytest.raises(SemblanceError, match="images"):
        model.embed(load(np.eye(4, dtype=np.float32) + 1))


def test_no_items_give_no_rows(model: Model, data: ArrayDataset) -> None:
    assert model.embed(data, np.array([], dtype=int)).shape == (0, model.dim)
