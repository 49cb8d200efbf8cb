"""A filter that learns from clean pairs, and a network that learns from what it keeps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from semblance.data.captions import with_captions
from semblance.errors import SemblanceError
from semblance.learning.filtered import Filtered
from semblance.recipes.registry import build
from semblance.space.training import train
from semblance.testing import small

QUICK = {"backbone": "half", "batch": 32, "least": 96, "filter_epochs": 12, "epochs": 2, "augment": False, "lr": 3e-3}


def pool():
    """Captioned pictures, a third of them with another's caption, forty right ones marked as checked."""
    data = small("images")
    captions, rows = data.captions.copy(), np.arange(0, len(data), 3)
    captions[rows] = captions[np.roll(rows, 7)]
    right = captions == data.captions
    checked = right & (np.cumsum(right) <= 60)
    columns = {"checked": pa.array(checked), "right": pa.array(right)}
    data = replace(data, attributes=pa.table(columns), splits={"train": np.arange(len(data))})
    return with_captions(data, list(captions)), right


def test_what_is_kept_is_cleaner_than_the_pool_and_the_filter_is_dropped():
    data, right = pool()
    recipe = build("data-filtering-network", clean="checked", top=0.5, **QUICK)
    model = train(data, recipe, seed=0)
    lessons = [epoch["lesson"] for epoch in model.history]
    assert lessons == [0.0] * 12 + [1.0] * 2
    assert model.history[-1]["kept"] == 0.5
    assert model.embed(data).shape == (len(data), 64) and not [k for k in model.tensors() if "judge" in k]
    rule = recipe.stages[0].rule
    assert isinstance(rule, Filtered) and rule.epochs == 2
    seen = {}

    class Watched(type(rule.rule)):
        def run(self, parts, feed, budget):
            seen["rows"] = feed.rows
            yield from super().run(parts, feed, budget)

    watched = replace(rule, rule=Watched(**vars(rule.rule)))
    train(data, replace(recipe, stages=(replace(recipe.stages[0], rule=watched),)), seed=0)
    assert len(seen["rows"]) == 60 and right[seen["rows"]].mean() > right.mean() + 0.1


def test_several_filters_are_averaged_and_a_lost_column_is_named():
    data, _ = pool()
    model = train(data, build("data-filtering-network", filters=2, **{**QUICK, "filter_epochs": 1}), seed=0)
    assert [epoch["lesson"] for epoch in model.history] == [0.0, 0.0, 1.0, 1.0]
    with pytest.raises(SemblanceError, match="has no column 'good' that marks clean units"):
        train(data, build("data-filtering-network", clean="good", **QUICK), seed=0)
    none = replace(data, attributes=pa.table({"checked": np.zeros(len(data), bool)}))
    with pytest.raises(SemblanceError, match="0 training units are marked by 'checked'"):
        train(none, build("data-filtering-network", clean="checked", **QUICK), seed=0)
    with pytest.raises(SemblanceError, match="filters is 0"):
        build("data-filtering-network", filters=0)
