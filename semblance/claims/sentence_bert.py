"""Claim of sentence-BERT: one encoder trained on pairs gives vectors that are compared at the price of a product; its
classes of pairs are learned by |u - v| as well."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from semblance.claims.ledger import Run, above, at_least, below, claim
from semblance.claims.text_settings import agreement, pieces_of_all, sts, tf_idf
from semblance.data.dataset import ArrayDataset
from semblance.data.judged import Judged
from semblance.encoders.sequences.text import TextEncoder, encoder_of
from semblance.geometry.closest_pairs import closest_pairs
from semblance.heads.match_text import CrossEncoder
from semblance.recipes.texts import sentence_bert
from semblance.space.model import Model
from semblance.space.training import train

SENTENCES, JOINT = 1000, 500
CUTS = (2.0, 4.0)


@claim(
    "sentence-bert",
    parts={
        "largest change of an embedding with batch mates, padding and order": below(1e-5),
        "closest pair of 1,000 sentences, time of a joint reader over that of embeddings": at_least(200.0),
        "STS-B test, regression, Spearman": at_least(0.69),
        "the same above TF-IDF": above(0.0),
        "the same above the untrained start": at_least(0.02),
        "classification, Spearman with u, v, |u-v| above that with u, v": at_least(0.05),
    },
    data=("sts-benchmark", "pieces: mrpc, newsgroups20-subset, ohsumed-single23"),
    broken="what was said of the training pairs is shuffled",
    files=(
        "encoders/sequences/text.py",
        "encoders/sequences/transformer.py",
        "objectives/judgements.py",
        "heads/match_text.py",
        "recipes/texts.py",
        "data/pieces.py",
        "data/judged.py",
        "claims/text_settings.py",
    ),
)
def claim_sentence_bert(run: Run) -> None:
    """One encoder with shared weights, trained on pairs of sentences, gives embeddings whose cosine follows how alike
    people found them, at a cost that grows with the number of sentences instead of pairs."""
    data = _shuffled(sts()) if run.broken else sts()
    seeds = run.seeds[:1] if run.broken else run.seeds
    with pieces_of_all() as tokenizer:
        kept = partial(sentence_bert, tokenizer=tokenizer)
        models = [train(data, kept(), seed=seed) for seed in seeds]
        learned = [agreement(model, data) for model in models]
        start = [agreement(train(data, kept(epochs=0), seed=seed), data) for seed in seeds]
        words = tf_idf(data)
        run.report("STS-B test, regression, Spearman", learned)
        run.report("the same above TF-IDF", [value - words for value in learned])
        run.report("the same above the untrained start", [a - b for a, b in zip(learned, start, strict=True)])
        run.baseline("TF-IDF", words)
        run.baseline("untrained", start)
        run.report("largest change of an embedding with batch mates, padding and order", _moved(models[0], data))
        run.report(
            "closest pair of 1,000 sentences, time of a joint reader over that of embeddings", _ratio(models[0], data)
        )
        classes, seed = _in_classes(data), seeds[0]
        found = [
            agreement(train(classes, kept(objective="classification", combine=c), seed=seed), data)
            for c in ("u,v,|u-v|", "u,v")
        ]
    run.report("classification, Spearman with u, v, |u-v| above that with u, v", found[0] - found[1])
    run.baseline("classification, Spearman with u, v, |u-v|", found[0])
    run.baseline("classification, Spearman with u, v", found[1])


def _shuffled(data: ArrayDataset) -> ArrayDataset:
    assert data.pairs is not None
    said, rows = data.pairs.said.copy(), data.pairs.splits["train"]
    said[rows] = np.random.default_rng(0).permutation(said[rows])
    return replace(data, pairs=replace(data.pairs, said=said))


def _in_classes(data: ArrayDataset) -> ArrayDataset:
    """Scores cut into three classes."""
    pairs = data.pairs
    assert pairs is not None
    classes = np.digitize(pairs.said, CUTS).astype(np.int64)
    return replace(data, pairs=Judged(pairs.first, pairs.second, classes, ("apart", "related", "alike"), pairs.splits))


def _moved(model: Model, data: ArrayDataset) -> float:
    """The largest difference between a sentence's embedding alone and among others, padded and in another order."""
    assert model.pieces is not None
    encoder, tokens = model.network.encoder, model.pieces.cut(data).x
    rows = data.splits["test"][:200]
    order = np.random.default_rng(0).permutation(len(rows))
    with torch.no_grad():
        alone = torch.cat([encoder.embed({"x": torch.from_numpy(tokens[[row]])}) for row in rows])
        padded = torch.nn.functional.pad(torch.from_numpy(tokens[rows[order]]), (0, 20))
        among = encoder.embed({"x": padded})
    # Once as the encoder groups them, and once as one batch, which is how it learns.
    together = encoder.embed({"x": padded}).detach()
    return max(float((z - alone[order]).abs().max()) for z in (among, together))


def _ratio(model: Model, data: ArrayDataset) -> float:
    """Seconds to find the closest pair by reading every pair, from 500 of them, over those by embeddings and a search."""
    rows = data.splits["train"][:SENTENCES]
    assert model.pieces is not None
    cut = model.pieces.cut(data)
    begun = time.perf_counter()
    closest_pairs(model.embed(cut, rows))
    ours = time.perf_counter() - begun
    encoder: TextEncoder = encoder_of(model.shape, segments=2)
    reader = CrossEncoder(encoder).eval()
    ends = np.random.default_rng(0).choice(rows, (2, JOINT))
    begun = time.perf_counter()
    with torch.no_grad():
        for start in range(0, JOINT, 64):
            one, two = (torch.from_numpy(cut.x[side[start : start + 64]]) for side in ends)
            reader(one, two)
    joint = (time.perf_counter() - begun) / JOINT * (SENTENCES * (SENTENCES - 1) / 2)
    return joint / ours
