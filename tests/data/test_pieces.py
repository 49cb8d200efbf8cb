from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semblance.data.judged import GivenPairs, Judged
from semblance.data.load import load
from semblance.data.moments import shape_of
from semblance.data.pieces import PADDING, PLAIN, Cutting, Pieces
from semblance.data.text_views import TextViews
from semblance.errors import SemblanceError

TEXTS = ["The ship sails over the sea", "ships at sea", "bread", "Bread and ships, over and over"]


@pytest.fixture(scope="module")
def pieces():
    return Cutting(vocabulary=300).learned(TEXTS)


def test_learning_again_gives_the_same_pieces(pieces):
    assert all(Cutting(vocabulary=300).learned(TEXTS).content == pieces.content for _ in range(3))


@given(st.text(min_size=1, max_size=30).filter(str.strip))
def test_every_text_of_any_language_has_pieces_and_none_is_padding(text):
    found = PIECES.cut(load([text], domain="text")).x[[0]]
    assert found.shape[1] >= 1 and found.min() >= PLAIN and found.max() < PIECES.size


PIECES = Cutting(vocabulary=280).learned(TEXTS)


def test_rows_are_padded_to_the_longest_asked_for_and_no_further(pieces):
    cut = pieces.cut(load(TEXTS, domain="text")).x
    every, one = cut[np.arange(4)], cut[[2]]
    assert every.shape == (4, cut.lengths.max()) and one.shape == (1, cut.lengths[2])
    for row, length in zip(every, cut.lengths, strict=True):
        assert (row[:length] != PADDING).all() and (row[length:] == PADDING).all()
    assert np.array_equal(cut.take(np.array([3, 1]))[[0, 1]], cut[[3, 1]])


def test_what_is_longer_than_is_read_is_cut_and_said():
    whole = Cutting(vocabulary=300).learned(TEXTS).cut(load(TEXTS, domain="text"))
    found = Cutting(vocabulary=300, length=4).learned(TEXTS).cut(load(TEXTS, domain="text"))
    assert found.x.lengths.tolist() == np.minimum(whole.x.lengths, 4).tolist() and (whole.x.lengths > 4).sum() == 2
    assert found.notes[-1] == "2 of 4 texts are longer than 4 pieces: the rest is not read"


def test_texts_cut_by_other_pieces_are_cut_anew_and_by_the_same_not(pieces):
    first = PIECES.cut(load(TEXTS, domain="text"))
    again = pieces.cut(first)
    assert again.x.by == pieces.name and np.array_equal(
        again.x.numbers, pieces.cut(load(TEXTS, domain="text")).x.numbers
    )
    assert pieces.cut(again) is again


def test_pieces_come_back_from_their_content_and_from_a_file(tmp_path, pieces):
    (tmp_path / "tokenizer.json").write_text(pieces.content, encoding="utf-8")
    for same in (Pieces(pieces.content), Cutting(file=str(tmp_path)).learned([])):
        assert same.name == pieces.name and same.size == pieces.size
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(SemblanceError, match=r"no tokenizer .* give a tokenizer\.json"):
        Cutting(file=str(tmp_path)).learned([])
    with pytest.raises(SemblanceError, match="cannot be read as a tokenizer"):
        Cutting(file=str(tmp_path / "none.json")).learned([])


def test_spans_say_where_the_pieces_stand(pieces):
    spans = pieces.spans("The  ships!")
    assert "".join("The  ships!"[a:b] for a, b in spans) == "Theships!"
    assert len(spans) == pieces.cut(load(["The  ships!"], domain="text")).x.lengths[0]


def test_without_the_library_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(SemblanceError, match=r"pip install 'semblance\[text\]'"):
        Cutting().learned(TEXTS)


def test_the_shape_counts_in_which_texts_each_piece_stands(pieces):
    found = pieces.cut(load(TEXTS, domain="text"))
    shape = shape_of(found)
    rows = found.splits["train"]
    held = np.zeros((len(rows), found.x.size))
    for text, row in enumerate(rows):
        held[text, found.x.numbers[found.x.start[row] : found.x.start[row + 1]]] = 1
    assert shape.item == (pieces.size,) and np.allclose(shape.mean, held.mean(0))


def test_views_leave_tokens_out_and_never_all_of_them(pieces):
    x = torch.from_numpy(pieces.cut(load(TEXTS * 50, domain="text")).x[np.arange(200)])
    drawn = TextViews(drop=0.3, cut=0.5)(x, torch.Generator().manual_seed(0), lambda x: x)
    assert ((drawn == x) | (drawn == PADDING)).all() and (drawn != PADDING).any(1).all()
    left = (drawn != PADDING).sum() / (x != PADDING).sum()
    assert 0.3 < left < 0.6
    same = TextViews(drop=0.0, cut=0.0)(x, torch.Generator().manual_seed(0), lambda x: x)
    assert torch.equal(same, x)


def pairs_of(dataset, pairs, rng_seed=0, **settings):
    ready = replace(dataset, pairs=pairs)
    rows = ready.splits["train"]
    bound = GivenPairs(**settings).bind(ready, rows)
    rng = np.random.default_rng(rng_seed)
    for index in bound.epoch(len(rows), None, rng):
        yield rows[index], bound.read(ready, rows[index], rng)


def test_batches_hold_every_judged_pair_once_with_what_was_said_of_it(pieces):
    dataset = pieces.cut(load([f"{text} {k}" for k in range(20) for text in TEXTS], domain="text"))
    chance = np.random.default_rng(1)
    first, second = chance.integers(0, 80, (2, 200))
    said = first * 100.0 + second
    train = np.isin(np.arange(80), dataset.splits["train"])
    inside = train[first] & train[second]
    met = []
    for units, batch in pairs_of(dataset, Judged(first, second, said, splits={"train": np.arange(200)}), batch=8):
        one, two = np.split(units, 2)
        assert np.array_equal(batch["said"], one * 100.0 + two)
        met += list(zip(one, two, strict=True))
    wanted = list(zip(first[inside], second[inside], strict=True))
    assert len(met) == len(wanted) - len(wanted) % 4 and set(met) <= set(wanted)


def test_pairs_of_like_lengths_stand_together(pieces):
    dataset = pieces.cut(load(["bread " * (1 + k % 10) for k in range(100)], domain="text"))
    rows = dataset.splits["train"]
    pairs = Judged(rows, rows, np.ones(len(rows)), splits={"train": np.arange(len(rows))})

    def spread(pool):
        return np.mean([dataset.x.lengths[u].std() for u, _ in pairs_of(dataset, pairs, batch=16, pool=pool)])

    assert spread(16) < 0.5 * spread(1)


def test_what_is_no_pair_is_not_known(pieces):
    dataset = pieces.cut(load(TEXTS, domain="text"))
    rows = dataset.splits["train"]
    bound = GivenPairs(4).bind(
        replace(dataset, pairs=Judged(rows[:1], rows[1:2], np.ones(1), splits={"train": np.arange(1)})), rows
    )
    rng = np.random.default_rng(0)
    assert np.isnan(bound.read(dataset, rows[[1, 0]], rng)["said"]).all()
    assert bound.read(dataset, rows[[0, 1]], rng)["said"].tolist() == [1.0]
    with pytest.raises(SemblanceError, match="pairs of texts that were judged"):
        GivenPairs(4).bind(dataset, rows)
