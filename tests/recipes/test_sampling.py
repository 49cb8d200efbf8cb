"""Samplers are data: any recipe that shuffles may be given another."""

from __future__ import annotations

import numpy as np
import pytest

import semblance as sb
from semblance.data.samplers import Balanced, Repeated, Shuffled
from semblance.data.streaming import Streaming
from semblance.errors import SemblanceError
from semblance.recipes.registry import build
from semblance.recipes.sampling import sampler_named
from semblance.testing import small


def test_a_recipe_that_shuffles_takes_another_sampler_and_keeps_its_batch() -> None:
    assert build("simclr", sampler="streaming", batch=32).stages[0].batches == Repeated(Streaming(32), 4096)
    assert build("supcon", sampler="balanced(labels=4, items=8)").stages[0].batches.sampler == Balanced(4, 8)
    assert build("simsiam@1", sampler="shuffled(batch=16)").stages[0].batches.sampler == Shuffled(16)


def test_balanced_batches_hold_so_many_of_each_label() -> None:
    data = small("images")
    labels = data.targets["labels"]
    batches = build("supcon", sampler="balanced(labels=3, items=4)").stages[0].batches
    for rows in batches.epoch(len(data), labels, np.random.default_rng(0))[:5]:
        assert np.unique(labels[rows], return_counts=True)[1].tolist() == [4, 4, 4]


def test_a_space_says_how_its_batches_were_put_together_and_is_fitted_again_so(tmp_path) -> None:
    settings = {"sampler": "balanced(labels=5, items=4)", "least": 40}
    with sb.fit(small("images"), "supcon", epochs=1, out=tmp_path / "a.space", **settings) as space:
        assert space.store.recipe["settings"]["sampler"] == settings["sampler"]


@pytest.mark.parametrize(
    ("name", "words", "told"),
    [
        ("simclr", "balance", "did you mean balanced"),
        ("simclr", "balanced(label=3)", "did you mean labels"),
        ("simclr", "balanced(items=many)", "whole number"),
        ("simclr", "balanced(", "is no sampler"),
        ("simclr", "streaming(open=0)", "give 1 or more"),
        ("triplet-network", "balanced", "leave sampler out"),
        ("as-is", "balanced", "leave sampler out"),
    ],
)
def test_a_sampler_that_is_none_is_answered(name: str, words: str, told: str) -> None:
    with pytest.raises(SemblanceError, match=told):
        build(name, sampler=words)


def test_what_is_not_said_has_its_default() -> None:
    assert sampler_named("balanced") == Balanced() and sampler_named("streaming( stretch = 64 )", 8) == Streaming(8, 64)
