from __future__ import annotations

import numpy as np
import pytest

from semblance.analysis.explanation import Explanation, Parts
from semblance.analysis.words import in_words, words_of

TEXT = "A guitar, on-stage."
SPANS = [(0, 1), (2, 4), (4, 6), (6, 8), (8, 9), (10, 12), (12, 13), (13, 16), (16, 18), (18, 19)]


def test_pieces_that_touch_are_a_word_and_marks_stand_alone():
    found = words_of(TEXT, SPANS)
    assert [TEXT[a:b] for (a, b), _ in found] == ["A", "guitar", ",", "on", "-", "stage", "."]
    assert [pieces for _, pieces in found] == [[0], [1, 2, 3], [4], [5], [6], [7, 8], [9]]


def test_every_piece_is_of_one_word_even_those_that_show_nothing():
    for spans in ([(0, 1), (1, 1), (2, 8)], [(1, 1), (1, 2)], [(0, 0)], [(0, 1), (1, 1)]):
        pieces = sorted(p for _, own in words_of(TEXT, spans) for p in own)
        assert pieces == list(range(len(spans)))


def test_words_keep_the_sums_of_their_pieces():
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(10, 2))
    parts = (
        Parts("a", "tokens", tuple("abcdefghij"), pairs.sum(1), 0.1),
        Parts("b", "tokens", ("to", "day"), pairs.sum(0), 0.1),
    )
    found = in_words(
        Explanation(("a", "b"), 0.5, parts, "pairs", pairs=pairs), [(TEXT, SPANS), ("today", [(0, 2), (2, 5)])]
    )
    assert found.parts[1].names == ("today",) and found.parts[0].names[1] == "guitar"
    assert found.pairs.shape == (7, 1) and found.pairs[1, 0] == pytest.approx(pairs[1:4].sum())
    for side, axis in zip(found.parts, (1, 0), strict=True):
        np.testing.assert_allclose(side.share, found.pairs.sum(axis))
        assert side.reference == 0.1
