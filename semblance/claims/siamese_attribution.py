"""Claim of an attribution method for Siamese encoders: the similarity of two texts is a sum over pairs of their tokens."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from semblance.analysis.explain_text import text_along
from semblance.analysis.integrated_jacobians import PairAttribution, along, pair
from semblance.claims.ledger import Run, at_least, at_most, below, claim
from semblance.claims.text_settings import pieces_of_all, sts
from semblance.data.dataset import ArrayDataset
from semblance.data.judged import Judged
from semblance.data.load import load
from semblance.data.pieces import PADDING
from semblance.recipes.texts import sentence_bert
from semblance.space.model import Model
from semblance.space.training import train

PAIRS, PLANTED = 100, 200
FEW, MANY = 5, 100
DELETED = 3


@claim(
    "siamese-attribution",
    parts={
        "input layer, largest error of the sum at 100 steps": below(0.01),
        "input layer, error at 5 steps over that at 100": at_least(10.0),
        "layer 1, largest error of the sum at 100 steps": below(0.01),
        "layer 1, error at 5 steps over that at 100": at_least(10.0),
        "linear encoder, one step, largest error": at_most(1e-10),
        "matrix of (b, a) less the transpose of (a, b), largest": at_most(1e-10),
        "planted key words, share of pairs whose largest entry is key and key": at_least(0.9),
        "STS pairs, median share of token pairs that hold half of the sum of sizes": at_most(0.25),
        "fall without the 3 strongest pairs' tokens over that without 3 random pairs'": at_least(2.0),
    },
    data=("sts-benchmark", "synthetic: filler texts with a planted key word"),
    seeds=(0,),
    broken="the Jacobian is taken in one point instead of along the line",
    files=(
        "analysis/integrated_jacobians.py",
        "analysis/explain_text.py",
        "encoders/sequences/text.py",
        "encoders/sequences/transformer.py",
        "recipes/texts.py",
        "claims/text_settings.py",
    ),
)
def claim_siamese_attribution(run: Run) -> None:
    """The similarity of two texts is the sum of a matrix over pairs of their tokens, from Jacobians integrated from padding
    to the texts, for the tokens' own vectors and for hidden states; the large entries are those that the similarity rests
    on."""
    (seed,) = run.seeds
    steps = {count: 1 if run.broken else count for count in (FEW, MANY)}
    with pieces_of_all() as tokenizer:
        model = train(sts(), sentence_bert(tokenizer=tokenizer), seed=seed)
    texts = _test_pairs(model, seed)
    many: list[PairAttribution] = []
    for layer, name in ((0, "input layer"), (1, "layer 1")):
        few, found = ([_matrix(model, p, layer, steps[count]) for p in texts] for count in (FEW, MANY))
        errors = [np.array([one.error for one in side]) for side in (few, found)]
        run.report(f"{name}, largest error of the sum at 100 steps", float(errors[1].max()))
        run.report(f"{name}, error at 5 steps over that at 100", float(errors[0].mean() / errors[1].mean()))
        many = many or found
    run.report("linear encoder, one step, largest error", _linear(seed))
    run.report("matrix of (b, a) less the transpose of (a, b), largest", _turned(model, texts[0]))
    run.report("planted key words, share of pairs whose largest entry is key and key", _planted(seed, steps[MANY]))
    shares = [_half(found.matrix) for found in many]
    run.report("STS pairs, median share of token pairs that hold half of the sum of sizes", float(np.median(shares)))
    strongest, random = _deleted(model, texts, many, seed)
    run.report("fall without the 3 strongest pairs' tokens over that without 3 random pairs'", strongest / random)
    run.baseline("fall of the cosine without the 3 strongest pairs' tokens", strongest)
    run.baseline("fall of the cosine without 3 random pairs' tokens", random)


def _test_pairs(model: Model, seed: int) -> list[tuple[Tensor, Tensor]]:
    """The tokens of 100 test pairs."""
    data = sts()
    assert data.pairs is not None and model.pieces is not None
    pairs, tokens = data.pairs.part("test"), model.pieces.cut(data).x
    drawn = np.random.default_rng(seed).permutation(len(pairs))[:PAIRS]
    return [(_tokens(tokens, pairs.first[i]), _tokens(tokens, pairs.second[i])) for i in drawn]


def _tokens(tokens: np.ndarray, row: int) -> Tensor:
    return torch.from_numpy(tokens[[row]])[0]


def _matrix(model: Model, texts: tuple[Tensor, Tensor], layer: int, steps: int) -> PairAttribution:
    encoder = model.network.encoder
    return pair(*(text_along(encoder, text, layer, steps) for text in texts))


def _linear(seed: int) -> float:
    """The largest error of one step for e(x) = W x, against (a - r)_i (W' W)_ij (b - r)_j."""
    chance = torch.Generator().manual_seed(seed)
    w = torch.randn(7, 12, generator=chance, dtype=torch.float64)
    x, r = torch.randn(2, 2, 12, 1, generator=chance, dtype=torch.float64).unbind(1)  # every feature a part of its own
    found = pair(*(along(lambda h: h[..., 0] @ w.T, x[i], r[i], steps=1) for i in range(2)))
    delta = (x - r)[..., 0]
    exact = delta[0][:, None] * (w.T @ w) * delta[1]
    return float(np.abs(found.matrix - exact.numpy()).max())


def _turned(model: Model, texts: tuple[Tensor, Tensor]) -> float:
    one, two = (_matrix(model, pair_, 0, 10).matrix for pair_ in (texts, texts[::-1]))
    return float(np.abs(one - two.T).max())


def _planted(seed: int, steps: int) -> float:
    """Texts of 8 fillers and a key at any place; alike where the keys are. The share of 200 pairs of one key in whose
    matrix key and key are the largest entry."""
    data, keys = _fillers(seed)
    model = train(data, sentence_bert(vocabulary=2000, dim=32, feedforward=64, epochs=12, lr=3e-3), seed=seed)
    assert data.pairs is not None and model.pieces is not None
    tokens, pairs = model.pieces.cut(data).x, data.pairs.part("test")
    assert (tokens.lengths == 9).all(), "every word is a piece"
    alike = np.flatnonzero(pairs.said > 0)[:PLANTED]
    right = 0
    for i in alike:
        one, two = pairs.first[i], pairs.second[i]
        found = _matrix(model, (_tokens(tokens, one), _tokens(tokens, two)), 0, steps).matrix
        right += np.unravel_index(found.argmax(), found.shape) == (keys[one], keys[two])
    return right / len(alike)


def _fillers(seed: int) -> tuple[ArrayDataset, np.ndarray]:
    """600 texts with their pairs, and the place of the key in each."""
    chance = np.random.default_rng(seed)
    letters = [a + b for a in "bcdfghklmnprst" for b in "aeiou"]
    words = np.unique(["".join(chance.choice(letters, 3)) for _ in range(300)])
    keys, fillers = words[:20], words[20:220]
    place, key = chance.integers(0, 9, 600), chance.integers(0, len(keys), 600)
    texts = [" ".join(np.insert(chance.choice(fillers, 8), p, keys[k])) for p, k in zip(place, key, strict=True)]
    ends = chance.integers(0, 600, (2, 12_000))
    same = key[ends[0]] == key[ends[1]]
    # As many pairs of one key as of two.
    kept = np.concatenate([np.flatnonzero(same), np.flatnonzero(~same)[: same.sum()]])
    first, second = ends[:, chance.permutation(kept)]
    data = load(texts, domain="text", seed=seed)
    test = np.arange(len(first)) >= len(first) - 3 * PLANTED
    splits = {"train": np.flatnonzero(~test), "test": np.flatnonzero(test)}
    pairs = Judged(first, second, (key[first] == key[second]).astype(np.float64), splits=splits)
    return ArrayDataset(**{**vars(data), "pairs": pairs, "splits": {"train": np.arange(600)}}), place


def _half(matrix: np.ndarray) -> float:
    """The least share of the entries that hold half of the sum of their sizes."""
    size = np.sort(np.abs(matrix).ravel())[::-1]
    return float((np.searchsorted(np.cumsum(size), size.sum() / 2) + 1) / len(size))


def _deleted(
    model: Model, texts: list[tuple[Tensor, Tensor]], found: list[PairAttribution], seed: int
) -> tuple[float, float]:
    """By how much the cosine falls, on average over the pairs of texts, without the tokens of the 3 strongest pairs, and of
    3 random ones."""
    chance, falls = np.random.default_rng(seed), []
    for (one, two), matrix in zip(texts, (f.matrix for f in found), strict=True):
        cosine = partial(_cosine, model)
        before = cosine(one, two)
        chosen = (np.argsort(-matrix, axis=None)[:DELETED], chance.permutation(matrix.size)[:DELETED])
        falls.append([])
        for entries in chosen:
            i, j = np.unravel_index(entries, matrix.shape)
            falls[-1].append(before - cosine(_without(one, i), _without(two, j)))
    strongest, random = np.mean(falls, axis=0)
    return float(strongest), float(random)


def _without(text: Tensor, places: np.ndarray) -> Tensor:
    text = text.clone()
    text[torch.from_numpy(places)] = PADDING
    return text


@torch.no_grad()
def _cosine(model: Model, one: Tensor, two: Tensor) -> float:
    u, v = (model.network.encoder.embed({"x": text[None]})[0] for text in (one, two))
    return float(torch.cosine_similarity(u, v, dim=0, eps=1e-12))
