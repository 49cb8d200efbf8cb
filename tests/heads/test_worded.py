"""Worded heads: rows by words, other tasks started from them, items in order of what they show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from semblance.data.concepts import Vocabulary
from semblance.errors import SemblanceError
from semblance.heads.classify import Linear
from semblance.heads.worded import copied, direction, precision, ranked

WORDS = Vocabulary(("blue", "red", "three", "two"), {"3": "three", "trio": "three"})


def head() -> Linear:
    torch.manual_seed(0)
    return Linear(3, 4)


def test_a_class_starts_from_the_rows_of_its_words_and_others_at_random():
    old = head()
    new, lost = copied(old, WORDS, ["a red trio", "two", "zebra"])
    weight, bias = old.map.weight, old.map.bias
    assert torch.allclose(new.map.weight[0], (weight[1] + weight[2]) / 2)
    assert torch.equal(new.map.weight[1], weight[3]) and torch.equal(new.map.bias[1], bias[3])
    assert torch.allclose(new.map.bias[0], (bias[1] + bias[2]) / 2)
    assert lost == ["zebra"] and float(new.map.weight[2].detach().abs().max()) > 0
    assert new.decode(torch.eye(3)) == ["a red trio", "two", "zebra"]
    assert torch.equal(old.map.weight, head().map.weight), "the old head is left as it was"


def test_words_point_where_their_rows_do():
    old = head()
    flags = torch.from_numpy(WORDS.flags(["red 3", "nothing"]))
    found = direction(old, flags)
    assert torch.allclose(found[0], old.map.weight[[1, 2]].mean(0)) and float(found[1].detach().abs().max()) == 0


def test_items_are_ranked_by_all_words_of_a_query():
    logits = torch.tensor([[5.0, -5, 0, 0], [3.0, 3, 0, 0], [-5.0, 5, 0, 0]])
    flags = torch.tensor([[True, True, False, False], [True, False, False, False]])
    assert ranked(logits, flags).tolist() == [[1, 0, 2], [0, 1, 2]]
    with pytest.raises(SemblanceError, match="names no concept"):
        ranked(logits, torch.zeros(1, 4, dtype=torch.bool))


def test_mean_average_precision_is_that_of_scikit_learn():
    chance = np.random.default_rng(0)
    scores, wanted = chance.normal(size=(40, 5)), chance.random((40, 5)) < 0.3
    wanted[:, 4] = False  # a word that is nowhere counts for nothing
    expected = np.mean([average_precision_score(wanted[:, k], scores[:, k]) for k in range(4)])
    assert precision(scores, wanted) == pytest.approx(expected, abs=1e-12)
