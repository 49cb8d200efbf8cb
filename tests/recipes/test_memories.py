"""Recipes that make an index or a data set: what they make is what their parts make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import semblance as sb
from semblance.data.load import load
from semblance.errors import SemblanceError
from semblance.recipes.cascade import made
from semblance.recipes.registry import build, table
from semblance.space.model import Model
from semblance.space.training import train


def digits(n: int = 400):
    every = load("digits")
    return every.subset(np.arange(n))


def test_a_visual_memory_votes_as_its_settings_say(tmp_path: Path) -> None:
    assert table()["visual-memory"].makes == build("visual-memory").makes == "index"
    with sb.fit(digits(150), "visual-memory", out=tmp_path / "d.space", epochs=1, k=3, votes="plain") as space:
        answer = space.vote(space.ids[0])
        assert len(answer.neighbours) == 3
        assert {round(voter.share, 6) for voter in answer.neighbours} == {round(1 / 3, 6)}
        assert answer == space.vote(space.ids[0], k=3, votes="plain")


def test_a_visual_memory_trains_as_the_method_it_names() -> None:
    data = digits(120)
    one = train(data, build("visual-memory", method="simsiam"), epochs=1, seed=2)
    other = train(data, build("simsiam"), epochs=1, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(one.tensors().values(), other.tensors().values(), strict=True))


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("visual-memory", {"votes": "ranks"}, "did you mean rank"),
        ("visual-memory", {"k": 0}, "k is 0"),
        ("visual-memory", {"method": "visual-memory"}, "there is no method"),
        ("lsun-cascade", {"method": "supcon"}, "without labels"),
        ("lsun-cascade", {"error": 0.5}, "error is 0.5"),
    ],
)
def test_a_wrong_setting_is_one_line(name: str, settings: dict[str, object], says: str) -> None:
    with pytest.raises(SemblanceError, match=says):
        build(name, **settings)


def test_a_cascade_makes_a_data_set_and_comes_back_from_disk(tmp_path: Path) -> None:
    data = digits()
    settings = {"positive": "0", "sample": 60, "rest": 60, "missed": 0.2, "precision": 0.8, "error": 0.0}
    model = train(data, build("lsun-cascade", **settings), epochs=1, name="lsun-cascade", settings=settings)
    labelled = made(data, model.network.head)
    assert labelled.classes == ("no", "yes") and len(labelled) == len(data.splits["train"])
    truth = data.targets["labels"][data.splits["train"]] == 0
    yes = labelled.targets["labels"] == 1
    assert truth[yes].mean() > 0.8 and yes[truth].mean() > 0.7
    last = model.history[-1]
    assert last["precision_low"] <= truth[yes].mean() <= last["precision_high"]
    model.save(tmp_path / "m.safetensors")
    again = Model.load(tmp_path / "m.safetensors")
    assert again.predict(data) == model.predict(data)
    assert torch.equal(again.network.head.made, model.network.head.made)


def test_copies_are_asked_about_once_and_get_one_label() -> None:
    data = digits(60)
    rows = data.splits["train"]
    copied = replace(data, x=data.x.copy())
    copied.x[rows[20:30]] = copied.x[rows[:10]]
    labels = copied.targets["labels"].copy()
    labels[rows[20:30]] = labels[rows[:10]]
    copied = replace(copied, targets={"labels": labels})
    model = train(copied, build("lsun-cascade", positive="0", error=0.3, answers=1, alike=0.99999), epochs=1)
    found = model.network.head.made.numpy()
    assert model.history[-2]["shown"] == len(rows) - 10 and (found[20:30] == found[:10]).all()


def test_a_cascade_wants_a_class_that_is_there() -> None:
    with pytest.raises(SemblanceError, match="class '11'"):
        train(digits(60), build("lsun-cascade", positive="11"), epochs=0)
