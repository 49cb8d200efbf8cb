"""Global proxy-based hard mining: batches of places whose proxies are near hold more to learn, at nearly no cost.

Omniglot small, a place is a character: 200 to train on, 42 of Sanskrit left out; small net, 40 epochs of 800 drawings in
batches of 16 places by 4, Adam 1e-3, triplet loss (margin 0.1) and multi-similarity, against batches of places at random.
"""

from __future__ import annotations

import time

import numpy as np

from semblance.claims.drawings import directions, parted
from semblance.claims.ledger import Run, at_least, at_most, claim, exactly
from semblance.claims.settings import features
from semblance.claims.staged import staged
from semblance.data.alike import Alike
from semblance.data.dataset import ArrayDataset
from semblance.recipes.mined import global_proxy_mining as recipe
from semblance.space.model import Model
from semblance.space.training import train

EPOCHS, LAST, PLACES, ITEMS = 40, 10, 16, 4
LOSSES = ("triplet", "multi-similarity")


@claim(
    "global-proxy-mining",
    parts={
        "(a) share of triplets with a loss over the last 10 epochs, times that of random batches": at_least(1.5),
        "(b) recall@1, triplet loss, above random batches": at_least(0.015),
        "(b) recall@1, multi-similarity, above random batches": at_least(0.0),
        "(c) index and batches, share of an epoch's time": at_most(0.05),
        "(c) places not used exactly once in an epoch": exactly(0.0),
        "10 nearest places by proxies that are so by descriptors": at_least(0.5),
    },
    data=("omniglot-small",),
    seeds=(0, 1),
    broken="proxies are those of other places, in a random order",
    files=(
        "data/alike.py",
        "objectives/proxies.py",
        "objectives/multi_similarity.py",
        "objectives/mined.py",
        "recipes/mined.py",
        "claims/drawings.py",
    ),
    minutes=4.0,
)
def global_proxy_mining(run: Run) -> None:
    """A short proxy of every place, learned along, says which places look alike; batches of look-alikes hold more triplets
    that teach and lead to better retrieval, and cost next to nothing."""
    data, unseen = parted(("Sanskrit",))
    y = np.asarray(unseen.targets["labels"])
    active: dict[bool, list[float]] = {True: [], False: []}
    recall: dict[tuple[str, bool], list[float]] = {}
    shares, repeated, alike = [], [], []
    seeds, epochs = (run.seeds[:1], EPOCHS // 8) if run.broken else (run.seeds, EPOCHS)
    for seed in seeds:
        for loss in LOSSES:
            for mined in (True, False):
                model, batches = fit(data, seed, epochs, loss, mined, run.broken)
                recall.setdefault((loss, mined), []).append(
                    recalled(directions(features(model, unseen, np.arange(len(unseen)))), y)
                )
                run.progress(f"seed {seed}, {loss}, mined {mined}: recall@1 {recall[loss, mined][-1]:.4f}")
                if loss == "triplet":
                    active[mined].append(
                        float(np.mean([epoch["active"] for epoch in model.history[-min(LAST, epochs) :]]))
                    )
                if mined:
                    seconds = [
                        b["seconds"] - a["seconds"] for a, b in zip(model.history, model.history[1:], strict=False)
                    ]
                    shares.append(batches.seconds / max(len(batches.epochs), 1) / float(np.median(seconds)))
                    repeated.append(batches.not_once(np.asarray(data.targets["labels"])))
                    if loss == "triplet":
                        alike.append(agreeing(model, data, batches))
    run.baseline("share of triplets with a loss, random batches", active[False])
    for loss in LOSSES:
        run.baseline(f"recall@1, {loss}, random batches", recall[loss, False])
    run.report(
        "(a) share of triplets with a loss over the last 10 epochs, times that of random batches",
        [a / b for a, b in zip(active[True], active[False], strict=True)],
    )
    for loss, part in zip(LOSSES, ("triplet loss", "multi-similarity"), strict=True):
        gain = [a - b for a, b in zip(recall[loss, True], recall[loss, False], strict=True)]
        run.report(f"(b) recall@1, {part}, above random batches", gain)
    run.report("(c) index and batches, share of an epoch's time", shares)
    run.report("(c) places not used exactly once in an epoch", repeated)
    run.report("10 nearest places by proxies that are so by descriptors", alike)


class Watched:
    """The recipe's batches, timed and remembered; sabotaged, every place has another's proxy."""

    def __init__(self, sampler: Alike, broken: bool):
        self.reader = sampler.proxies
        self.sampler = Alike(sampler.places, sampler.items, self.known)
        self.broken, self.seconds, self.epochs = broken, 0.0, []  # type: ignore[var-annotated]

    def known(self):  # type: ignore[no-untyped-def]
        """Labels and vectors, shuffled where sabotaged."""
        known = None if self.reader is None else self.reader()
        if known is None or not self.broken:
            return known
        return known[0], known[1][np.random.default_rng(0).permutation(len(known[1]))]

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """As the sampler."""
        start = time.perf_counter()
        found = self.sampler.epoch(units, labels, rng)
        self.seconds += time.perf_counter() - start
        self.epochs.append(found)
        return found

    def not_once(self, labels: np.ndarray) -> float:
        """Places that stood in no batch of an epoch or in several, over all epochs."""
        wrong = 0
        for batches in self.epochs:
            met = np.concatenate([np.unique(labels[batch]) for batch in batches])
            wrong += int((np.bincount(met, minlength=int(labels.max()) + 1) != 1).sum())
        return float(wrong)


def fit(data: ArrayDataset, seed: int, epochs: int, loss: str, mined: bool, broken: bool) -> tuple[Model, Watched]:
    """The model, and its batches as they were drawn."""
    made = recipe(loss=loss, mined=mined, places=PLACES, items=ITEMS)
    batches = Watched(made.stages[0].batches, broken)
    return train(data, staged(made, batches=batches), seed=seed, epochs=epochs), batches


def recalled(z: np.ndarray, y: np.ndarray) -> float:
    """Recall@1 of the last 15 drawings of every character among the first 5 of all."""
    order = np.argsort(y, kind="stable")
    place = np.empty(len(y), np.int64)
    place[order] = np.arange(len(y)) - np.searchsorted(y[order], y[order])
    first = place < 5
    nearest = (z[~first] @ z[first].T).argmax(1)
    return float((y[first][nearest] == y[~first]).mean())


def agreeing(model: Model, data: ArrayDataset, batches: Watched) -> float:
    """Share of a place's 10 nearest by proxies that are among its 10 nearest by mean descriptors."""
    known = batches.known()
    assert known is not None
    labels = np.asarray(data.targets["labels"])
    z = directions(features(model, data, np.arange(len(data))))
    means = directions(np.stack([z[labels == k].mean(0) for k in known[0]]))
    near = []
    for vectors in (directions(known[1]), means):
        products = vectors @ vectors.T
        np.fill_diagonal(products, -2)
        near.append(np.argsort(-products, axis=1)[:, :10])
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(*near, strict=True)]))
