"""Data filtering networks: a network that only says which pairs to learn from, and how clean its own few have to be.

A pool of 12,000 captioned digits, 60 percent with another picture's caption, 10 percent blurred to nothing; 1,500 clean
pairs apart. Half-width image net, text transformer; every induced model sees 76,800 pairs, whatever it is given. Accuracy
is that of finding a test picture's caption among twenty.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from semblance.claims.captioned_digits import drawn, paired, sentences
from semblance.claims.ledger import Run, above, at_least, claim
from semblance.data.curation.filter import filter_pool
from semblance.data.curation.report import FilterReport
from semblance.data.curation.rules import Drawn
from semblance.data.curation.weighing import Shown
from semblance.data.dataset import ArrayDataset
from semblance.recipes.captions import clip
from semblance.recipes.registry import Recipe
from semblance.space.model import Model
from semblance.space.training import train

POOL, CLEAN, HELD, TOP, CHOICES = 12_000, 1500, 1000, 0.25, 20
SEEN, FILTER_SEEN, BATCH, POOL_SEED = 76_800, 38_400, 256, 252
MISMATCHED, BLURRED = 0.6, 0.1
DIRTY = (0.0, 0.5, 0.9)


@claim(
    "data-filtering-network",
    parts={
        "(a) induced accuracy, top quarter above a random quarter": at_least(0.05),
        "(a) induced accuracy, top quarter above the whole pool": at_least(0.02),
        "(a) AUC of the filter for true pairs": at_least(0.9),
        "(b) AUC of a filter from clean pairs above one from half mismatched": above(0.0),
        "(b) AUC of a filter from half mismatched above one from nine tenths": above(0.0),
        "(b) induced accuracy by the clean filter above that by nine tenths mismatched": at_least(0.04),
        "(c) induced accuracy by a filter of a quarter of the width above that by the full one": at_least(-0.02),
    },
    data=("mnist",),
    seeds=(0,),
    broken="the filter learns from pairs of which every one is mismatched",
    files=(
        "claims/captioned_digits.py",
        "claims/coloured_digits.py",
        "data/curation/filter.py",
        "data/curation/report.py",
        "data/curation/weighing.py",
        "encoders/paired.py",
        "objectives/captions.py",
        "recipes/captions.py",
    ),
    minutes=4.0,
)
def data_filtering_network(run: Run) -> None:
    """A small contrastive model of few clean pairs picks out of a dirty pool what another learns more from than from all of
    it; its own data has to be clean, and it may be small."""
    pool, truth, clean, test = sets()
    seen = (SEEN // 6, FILTER_SEEN // 2) if run.broken else (SEEN, FILTER_SEEN)
    found: dict[str, list[float]] = {name: [] for name in run.parts}
    beside: dict[str, list[float]] = {}
    for seed in run.seeds:
        filters = {}
        for share in (1.0,) if run.broken else DIRTY:
            filters[share] = train(mixed(clean, share), recipe(seen[1]), seed=seed)
        best = filters[1.0 if run.broken else 0.0]
        by, report = kept(pool, truth, best.agreement, beside)
        induced = {"filter": accuracy(train(by, recipe(seen[0]), seed=seed), test)}
        chosen, _ = kept(pool, truth, Drawn(seed), {})
        induced["random"] = accuracy(train(chosen, recipe(seen[0]), seed=seed), test)
        induced["pool"] = accuracy(train(pool, recipe(seen[0]), seed=seed), test)
        add(found, "(a) induced accuracy, top quarter above a random quarter", induced["filter"] - induced["random"])
        add(found, "(a) induced accuracy, top quarter above the whole pool", induced["filter"] - induced["pool"])
        add(found, "(a) AUC of the filter for true pairs", report.auc or 0.0)
        add(beside, "accuracy of the filter itself", accuracy(best, test))
        add(beside, "precision of the top quarter", report.precision or 0.0)
        add(beside, "recall of the top quarter", report.recall or 0.0)
        for name, value in induced.items():
            add(beside, f"induced accuracy, {name}", value)
        run.progress(f"seed {seed}: AUC {report.auc:.4f}, {induced}")
        if run.broken:
            continue
        aucs, worst = {0.0: report.auc or 0.0}, pool
        for share in DIRTY[1:]:
            worst, told = kept(pool, truth, filters[share].agreement, {})
            aucs[share] = told.auc or 0.0
            add(beside, f"AUC of a filter from pairs of which {share:.0%} are mismatched", aucs[share])
        dirty = accuracy(train(worst, recipe(seen[0]), seed=seed), test)
        small = train(clean, recipe(seen[1], width=4, text_width=16), seed=seed)
        by_small, told = kept(pool, truth, small.agreement, {})
        quarter = accuracy(train(by_small, recipe(seen[0]), seed=seed), test)
        add(found, "(b) AUC of a filter from clean pairs above one from half mismatched", aucs[0.0] - aucs[0.5])
        add(found, "(b) AUC of a filter from half mismatched above one from nine tenths", aucs[0.5] - aucs[0.9])
        gain = "(b) induced accuracy by the clean filter above that by nine tenths mismatched"
        add(found, gain, induced["filter"] - dirty)
        loss = "(c) induced accuracy by a filter of a quarter of the width above that by the full one"
        add(found, loss, quarter - induced["filter"])
        add(beside, "AUC of a filter of a quarter of the width", told.auc or 0.0)
    for name, values in beside.items():
        run.baseline(name, values)
    for name, values in found.items():
        if values:
            run.report(name, values)


def add(found: dict[str, list[float]], name: str, value: float) -> None:
    """One more value under a name."""
    found.setdefault(name, []).append(value)


def recipe(seen: int, width: int = 16, text_width: int = 64) -> Recipe:
    """CLIP's, for so many pairs shown."""
    made = clip(
        backbone="half",
        width=width,
        text_width=text_width,
        feedforward=2 * text_width,
        augment=False,
        batch=BATCH,
        epochs=1,
    )
    return replace(made, stages=(replace(made.stages[0], batches=Shown(BATCH, seen)),))


@lru_cache(maxsize=1)
def sets() -> tuple[ArrayDataset, np.ndarray, ArrayDataset, ArrayDataset]:
    """The pool and which of its pairs are true; the clean pairs; the test pairs. All are of different draws, and the test
    pairs of MNIST's test digits."""
    rng = np.random.default_rng(POOL_SEED)
    x, looks = drawn("train", POOL, rng)
    texts = np.array(sentences(looks, rng), dtype=object)
    order = rng.permutation(POOL)
    other, blurred = order[: int(MISMATCHED * POOL)], order[int(MISMATCHED * POOL) :][: int(BLURRED * POOL)]
    texts[other] = texts[np.roll(other, 1)]
    x[blurred] = blur(x[blurred])
    truth = np.ones(POOL, bool)
    truth[order[: len(other) + len(blurred)]] = False
    pool = paired(x, looks, texts.tolist(), only_train(POOL), "pool")
    held = []
    for split, units in (("train", CLEAN), ("test", HELD)):
        pictures, seen = drawn(split, units, rng)
        held.append(paired(pictures, seen, sentences(seen, rng), only_train(units), split))
    return pool, truth, held[0], held[1]


def only_train(units: int) -> dict[str, np.ndarray]:
    """All of them are learned from."""
    return {"train": np.arange(units)}


def blur(x: np.ndarray) -> np.ndarray:
    """Pictures of which nothing but their mean colour is left."""
    mean = x.mean((2, 3), keepdims=True).round().astype(np.uint8)
    return np.broadcast_to(mean, x.shape)


def mixed(clean: ArrayDataset, share: float) -> ArrayDataset:
    """The clean pairs, a share of which exchange their captions among themselves."""
    captions = clean.captions.copy()
    rows = np.random.default_rng(POOL_SEED).permutation(len(clean))[: round(share * len(clean))]
    captions[rows] = captions[np.roll(rows, 1)]
    return replace(clean, captions=captions)


def kept(
    pool: ArrayDataset, truth: np.ndarray, by: object, beside: dict[str, list[float]]
) -> tuple[ArrayDataset, FilterReport]:
    """The top quarter by these scores, and the report; how unevenly it takes the left digits stands beside."""
    found = filter_pool(pool, by, top=TOP, truth=truth)  # type: ignore[arg-type]  # a function of a data set
    ratios = [row["ratio"] for row in found.report.groups if row["kind"] == "left"]
    if beside is not None and ratios:
        beside.setdefault("the left digit that is kept most often, times the one kept least", []).append(
            float(max(ratios) / max(min(ratios), 1e-9))
        )
    return found.dataset, found.report


def accuracy(model: Model, test: ArrayDataset) -> float:
    """How often a picture's own caption is nearest among it and nineteen of other pictures."""
    z, words = model.embed(test), model.embed_words(list(test.captions))
    others = np.random.default_rng(POOL_SEED).integers(1, len(test), (len(test), CHOICES - 1))
    place = (np.arange(len(test))[:, None] + np.concatenate([np.zeros((len(test), 1), int), others], 1)) % len(test)
    cosine = np.einsum("nd,nkd->nk", z, words[place])
    return float((cosine.argmax(1) == 0).mean())
