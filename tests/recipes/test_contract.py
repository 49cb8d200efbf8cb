"""What every recipe that makes a model owes: it builds from its defaults, learns on a small data set of each of its
domains, embeds, answers, and comes back from disk with the same answers."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.errors import SemblanceError
from semblance.recipes.registry import Recipe, build, decorated, table
from semblance.space.model import Model
from semblance.space.training import train

# Every epoch shows these few items once, and what else would take long is cut short: a recipe has two seconds.
SHORT = {"least": 1, "episodes": 2, "steps": 2, "pairs": 32, "triples": 32}
MODELS = [(name, domain) for name, row in table().items() if row.makes == "model" for domain in row.domains]


def short(name: str) -> Recipe:
    return build(name, **{key: value for key, value in SHORT.items() if key in table()[name].settings})


def small(domain: str) -> ArrayDataset:
    """120 scans of 5 digits, as pictures or as vectors."""
    digits = load("digits")
    rows = np.flatnonzero(digits.targets["labels"] < 5)[:120]
    pictures = digits.subset(rows)
    if domain == "images":
        return pictures
    return load(
        pictures.x.reshape(len(rows), -1).astype(np.float32), domain="vectors", labels=pictures.targets["labels"]
    )


@pytest.mark.parametrize(("name", "domain"), MODELS, ids=[f"{n}-{d}" for n, d in MODELS])
def test_a_recipe_learns_embeds_answers_and_comes_back_the_same(name: str, domain: str, tmp_path: Path) -> None:
    dataset = small(domain)
    model = train(dataset, short(name), epochs=1, name=name)
    z = model.embed(dataset)
    assert z.shape == (len(dataset), model.dim)
    assert np.isfinite(z).all()
    assert np.unique(z.round(5), axis=0).shape[0] > 1, "every item has the same embedding"
    alone = model.embed(dataset, np.array([7]))
    np.testing.assert_allclose(alone[0], z[7], atol=1e-4)
    model.save(tmp_path / "model.safetensors")
    again = Model.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.embed(dataset), z)
    if model.network.head is None:
        with pytest.raises(SemblanceError, match="classify"):
            model.predict(dataset)
    else:
        assert again.predict(dataset) == model.predict(dataset)
        assert len(model.predict(dataset)) == len(dataset)


@pytest.mark.parametrize("name", [n for n, row in table().items() if row.makes == "model"])
def test_the_same_seed_gives_the_same_model(name: str) -> None:
    dataset = small(table()[name].domains[0])
    one, two = (train(dataset, short(name), epochs=1, seed=3) for _ in range(2))
    for key, value in one.network.state_dict().items():
        assert torch.equal(value, two.network.state_dict()[key]), key


@pytest.mark.parametrize("name", [n for n, row in table().items() if row.domains[:1] == ("images",) and not row.needs])
@pytest.mark.parametrize("kind", ["several", "number"])
def test_what_needs_no_labels_is_indifferent_to_their_kind(name: str, kind: str) -> None:
    plain = small("images")
    labels = plain.targets["labels"]
    other = labels[:, None] == np.arange(5) if kind == "several" else labels.astype(float)
    model, same = (
        train(replace(plain, targets={"labels": column}), short(name), epochs=1) for column in (labels, other)
    )
    assert torch.equal(*(torch.from_numpy(m.embed(plain)) for m in (model, same)))


def test_the_shipped_table_is_what_the_decorators_say() -> None:
    shipped = {name: vars(row) for name, row in table().items()}
    generated = {name: vars(row) for name, row in decorated().items()}
    assert shipped == generated, "run `python -m semblance.recipes.registry`"


@pytest.mark.parametrize("row", table().values(), ids=table())
def test_settings_are_plain_values_with_defaults_and_the_docstring_gives_a_command(row) -> None:  # type: ignore[no-untyped-def]
    assert all(isinstance(v, int | float | str | bool | None) for v in row.settings.values()), row.settings
    assert row.summary.startswith("semblance reproduce " if row.makes == "report" else "semblance fit "), row.summary
    assert row.paper


def test_a_wrong_setting_is_answered_with_the_nearest_right_one() -> None:
    with pytest.raises(SemblanceError, match="temperature"):
        build("simclr", temprature=0.1)


@pytest.mark.parametrize(("value", "words"), [("many", "takes a"), ("", "takes a")])
def test_a_value_of_the_wrong_kind_is_refused_with_an_example(value: str, words: str) -> None:
    with pytest.raises(SemblanceError, match=words):
        build("simclr", epochs=value)


def test_flags_are_read_as_people_write_them() -> None:
    signature = inspect.signature(build)
    assert "settings" in signature.parameters
    build("simsiam", stop_gradient="no")
    with pytest.raises(SemblanceError, match="true or false"):
        build("simsiam", stop_gradient="perhaps")


def test_an_unknown_recipe_is_answered_with_the_nearest_known() -> None:
    with pytest.raises(SemblanceError, match="simsiam"):
        build("simsam")
