"""Prototypical networks: class means of a few embedded items name characters of alphabets that were never seen.

Omniglot small, Greek and Sanskrit (66 characters) left out; each of the other 176 in 4 turns makes 704 classes. 100
episodes of 60 classes with 5 support and 5 query items; conv4, Adam 1e-3. Judged on 600 tasks of 20 unseen characters, 15
queries each.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from semblance.claims.ledger import Run, at_least, at_most, claim, exactly
from semblance.claims.settings import features
from semblance.contracts import Batch, Encoder, Metrics
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.data.samplers import Episodes
from semblance.heads.prototypes.class_means import ClassMeans, class_means, scores
from semblance.objectives.clusters import Episode, occurrence, task
from semblance.recipes.prototypes import prototypical_networks as recipe
from semblance.space.training import train

UNSEEN = ("Greek", "Sanskrit")


@claim(
    "prototypical-networks",
    parts={
        "(a) logits against the linear classifier, softmax error": at_most(1e-5),
        "(a) logits against the linear classifier, equal answers": exactly(1.0),
        "(a) one shot: prototypes against matching, softmax error": at_most(1e-5),
        "(a) ratios of old classes after adding one, relative error": at_most(1e-5),
        "(b) 20-way 5-shot accuracy": at_least(0.85),
        "(b) 20-way 1-shot accuracy": at_least(0.65),
        "(c) 5-shot, Euclidean above unscaled cosine": at_least(0.02),
    },
    data=("omniglot-small",),
    seeds=(0,),
    broken="the labels of the support items are shuffled while training",
    files=("heads/prototypes/class_means.py", "objectives/clusters.py", "recipes/prototypes.py", "data/samplers.py"),
    minutes=2.5,
)
def prototypical_networks(run: Run) -> None:
    """The mean of a class's embedded support items is a classifier for classes never trained on."""
    exact(run)
    data, unseen = split()
    y = np.asarray(data.targets["labels"])[unseen]
    z_pixels = torch.from_numpy(data.x[unseen].reshape(len(unseen), -1)).float() / 255
    run.baseline("pixels, 20-way 1-shot", accuracy(z_pixels, y, 1, "euclidean"))
    run.baseline("pixels, 20-way 5-shot", accuracy(z_pixels, y, 5, "euclidean"))
    five, one, above = [], [], []
    for seed in run.seeds:
        z = embedded(run, data, unseen, seed, "euclidean")
        five.append(accuracy(z, y, 5, "euclidean"))
        one.append(accuracy(z, y, 1, "euclidean"))
        if not run.broken:
            above.append(five[-1] - accuracy(embedded(run, data, unseen, seed, "cosine"), y, 5, "cosine"))
    run.report("(b) 20-way 5-shot accuracy", five)
    run.report("(b) 20-way 1-shot accuracy", one)
    if above:
        run.report("(c) 5-shot, Euclidean above unscaled cosine", above)


def split() -> tuple[ArrayDataset, np.ndarray]:
    """Omniglot small with the seen characters in four turns, each turn a class of its own, for training, then the unseen
    ones upright; and the positions of these."""
    data = load("omniglot-small")
    y = np.asarray(data.targets["labels"])
    unseen = np.isin([data.classes[k].split("/")[0] for k in y], UNSEEN)
    x = np.concatenate([*(np.rot90(data.x[~unseen], turn, (2, 3)) for turn in range(4)), data.x[unseen]])
    labels = np.concatenate([*(y[~unseen] * 4 + turn for turn in range(4)), y[unseen] * 4])
    rows = np.arange(len(x))
    turned = replace(
        data,
        x=x,
        ids=[str(row) for row in rows],
        targets={"labels": labels},
        attributes=pa.table({"row": rows}),
        classes=tuple(f"{name}, turned {90 * turn}" for name in data.classes for turn in range(4)),
        splits={"train": rows[: 4 * int((~unseen).sum())]},
        fingerprint=f"{data.fingerprint} in four turns",
    )
    return turned, rows[4 * int((~unseen).sum()) :]


class Shuffled(Episode):
    """The sabotaged loss: support items stand under one another's labels."""

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        labels: Tensor = batch["labels"]
        support = (occurrence(labels) < self.shots).nonzero()[:, 0]
        wrong = labels.clone()
        wrong[support] = labels[support.roll(self.shots * 7 + 1)]
        return super().forward(model, {**batch, "labels": wrong})


def embedded(run: Run, data: ArrayDataset, unseen: np.ndarray, seed: int, distance: str) -> Tensor:
    """Train on the seen characters; the unseen ones' embeddings [1320, d]."""
    parts = recipe(ways=60, shots=5, queries=5, distance=distance, episodes=100, epochs=1)
    if run.broken:
        first = replace(parts.stages[0], objective=lambda shape: Shuffled(5, distance))
        parts = replace(parts, stages=(first, *parts.stages[1:]))
    model = train(data, parts, seed=seed)
    run.progress(f"seed {seed}, {distance}: accuracy while training {model.history[0]['accuracy']:.3f}")
    return torch.from_numpy(features(model, data, unseen))


def accuracy(z: Tensor, y: np.ndarray, shots: int, distance: str) -> float:
    """Mean over 600 tasks of 20 classes, 15 queries each; the same tasks for every embedding."""
    right = []
    for rows in Episodes(20, shots, 15, 600).epoch(len(y), y, np.random.default_rng(210)):
        logits, target = task(z[rows], torch.from_numpy(y[rows]), shots, distance)
        right.append(float((logits.argmax(1) == target).float().mean()))
    return float(np.mean(right))


def exact(run: Run) -> None:
    """The identities, on random embeddings in float64."""
    rng = torch.Generator().manual_seed(0)
    queries, support = (torch.randn(n, 64, generator=rng, dtype=torch.float64) for n in (500, 60))
    labels = torch.arange(60) % 12
    logits = scores(queries, support, labels, 12)
    c = class_means(support, labels, 12)
    linear = 2 * queries @ c.T - (c**2).sum(1)
    run.report(
        "(a) logits against the linear classifier, softmax error",
        float((logits.softmax(1) - linear.softmax(1)).abs().max()),
    )
    run.report(
        "(a) logits against the linear classifier, equal answers",
        float((logits.argmax(1) == linear.argmax(1)).double().mean()),
    )
    one = scores(queries, support[:12], labels[:12], 12).softmax(1)
    matching = scores(queries, support[:12], labels[:12], 12, read="matching").softmax(1)
    run.report("(a) one shot: prototypes against matching, softmax error", float((one - matching).abs().max()))
    head = ClassMeans(64, 12, scale=0.02).double()  # so small that no class's share is lost to rounding
    head.solve(support, labels)
    before = head(queries, {}).softmax(1)
    head.add(torch.randn(5, 64, generator=rng, dtype=torch.float64), torch.full((5,), 12))
    after = head(queries, {}).softmax(1)[:, :12]
    ratios = (after / after[:, :1]) / (before / before[:, :1])
    run.report("(a) ratios of old classes after adding one, relative error", float((ratios - 1).abs().max()))
