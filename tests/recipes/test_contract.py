"""What every recipe owes: it describes itself, learns on a small data set of each of its domains, embeds, answers, repeats,
and comes back from disk with the same answers. The checks are those that other packages run on theirs."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from semblance.errors import SemblanceError
from semblance.recipes.registry import build, decorated, own
from semblance.space.training import train
from semblance.testing import check_recipe, short, small

QUICK = {
    "visual-memory": {"method": "instance-discrimination"},  # a recipe of recipes, whose settings reach no further
    "sheaf-network": {"sheaf": "constant"},  # the small graph has no signs
    "image-parts": {"plain": 2, "warm": 2, "joint": 2, "later": 2},
}


@pytest.mark.parametrize("name", own())
def test_a_recipe_keeps_its_promises(name: str) -> None:
    check_recipe(name, settings=QUICK.get(name))


@pytest.mark.parametrize("name", [n for n, row in own().items() if row.domains[:1] == ("images",) and not row.needs])
@pytest.mark.parametrize("kind", ["several", "number"])
def test_what_needs_no_labels_is_indifferent_to_their_kind(name: str, kind: str) -> None:
    plain = small("images")
    labels = plain.targets["labels"]
    other = labels[:, None] == np.arange(5) if kind == "several" else labels.astype(float)
    model, same = (
        train(replace(plain, targets={"labels": column}), build(name, **short(name)), epochs=1)
        for column in (labels, other)
    )
    assert torch.equal(*(torch.from_numpy(m.embed(plain)) for m in (model, same)))


def test_no_recipe_of_ours_is_left_unchecked() -> None:
    assert set(decorated()) == set(own()), "run `python -m semblance.recipes.registry`"


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
