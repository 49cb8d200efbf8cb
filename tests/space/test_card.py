"""The card: what a stranger has to know of a space, and the figures once it was judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from torch import nn

import semblance as sb
from semblance.app import cli
from semblance.app.flags import run
from semblance.data.load import load as load_data
from semblance.errors import SemblanceError
from semblance.space.card import add_measured
from semblance.space.space import Space


def vectors(n: int = 60) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, 4)).astype(np.float32)


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return sb.fit(vectors(), out=tmp_path / "plain.space", labels=["a", "b"] * 30)


def card(folder: Path) -> tuple[dict, str]:
    """The YAML head and the text of a card."""
    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), text


def test_a_card_says_data_recipe_limits_and_licence(space: Space) -> None:
    head, text = card(space.path)
    assert head["library_name"] == "semblance" and head["tags"] == ["vectors", "as-is@1"]
    assert head["datasets"] == [] and head["model-index"] == []
    sections = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert sections == ["Data", "Recipe", "Measured", "Limits", "Licence"]
    for said in (
        "60 items (vectors), embedded by `as-is@1`",
        "an array in memory, fingerprint `",
        "an item 4 numbers",
        "splits: train 48, test 12; classes: 2; inputs left out: 0",
        "columns to filter by: row, class, split, label",
        "the recipe's defaults; seed 0",
        "semblance fit --from plain.space/recipe.json",
        "Nothing yet: `semblance evaluate plain.space`",
        "learned from 48 items",
        "12 items were held out: intervals are wide",
        "of the data: not known to Semblance; ask its source",
        "are yours",
    ):
        assert said in text, said
    assert "no labels" not in text


def test_a_known_set_brings_its_licence_and_pictures_their_size(tmp_path: Path) -> None:
    data = load_data("digits")
    part = replace(data.subset(np.arange(50)), skipped=(("x.png", "broken"),), targets={}, classes=())
    sb.fit(part, sb.wrap(nn.Flatten(), item=(1, 8, 8)), out=tmp_path / "d.space").close()
    head, text = card(tmp_path / "d.space")
    assert head["datasets"] == ["digits"] and head["tags"] == ["images", "wrapped"]
    assert "of the data: of scikit-learn" in text and "grey, 8 x 8 pixels" in text
    assert "seen at 8 x 8 pixels" in text and "there were no labels" in text and "1 inputs could not be read" in text


def test_what_was_measured_is_put_in_and_replaced_when_it_is_measured_again(space: Space) -> None:
    before = card(space.path)[1]
    found = space.evaluate()
    add_measured(space.path, found["metrics"])
    head, text = card(space.path)
    knn = found["metrics"]["knn5"]
    assert f"| knn5 | {knn['value']:.3f} | {knn['low']:.3f} to {knn['high']:.3f} | " in text
    assert {"type": "knn5", "value": round(knn["value"], 4)} in head["model-index"][0]["results"][0]["metrics"]
    assert "Nothing yet" not in text and "view_recall1" not in text  # no views of vectors
    assert text.split("## Limits")[1] == before.split("## Limits")[1]
    add_measured(space.path, {"knn5": {"value": 0.5, "low": None, "high": None, "baseline": None}})
    again = card(space.path)[1]
    assert "| knn5 | 0.500 | - to - | - |" in again and again.count("| knn5 |") == 1 and "linear" not in again


def test_fit_on_the_command_line_judges_and_says_so_in_the_card(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", vectors())
    assert run(cli.app, ["fit", str(tmp_path / "x.npy"), "--out", str(tmp_path / "a.space"), "-q"]) == 0
    text = card(tmp_path / "a.space")[1]
    assert "Nothing yet" not in text and "| uniformity |" in text


def test_a_folder_without_a_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(SemblanceError, match=r"has no README\.md"):
        add_measured(tmp_path, {})
