"""DeeperCluster: on a pool that nobody curated, clusters and turns together are worth at least the better of them.

Pool from the CIFAR-10 subset: ten classes of 1,000 pictures down to 20 by equal factors (2,800), 800 exact duplicates,
350 flat and 350 noise pictures. Small net, 10 epochs of one random turn, three corners of one call. Linear probe on 200
pictures a class and the 2,000 test pictures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.analysis.agreement import agreement
from semblance.claims.ledger import Run, above, at_least, at_most, claim, exactly
from semblance.claims.settings import cifar_subset, features, linear_probe, untrained
from semblance.contracts import Batch, Encoder
from semblance.data.dataset import ArrayDataset
from semblance.learning.parts import chance
from semblance.objectives.reassigned import Factorised, Reassigned
from semblance.recipes.reassigned import deeper_cluster as recipe
from semblance.recipes.registry import Recipe
from semblance.space.model import Model
from semblance.space.training import train

EPOCHS, SHORT, BATCH = 10, 3, 32
LARGEST, SMALLEST, DUPLICATES, FLAT, NOISE = 1000, 20, 800, 350, 350
GROUPS, PARTS = 4, 25
CORNERS = {
    "both": {"turns": 4, "groups": GROUPS, "parts": PARTS},
    "clusters alone": {"turns": 1, "groups": 1, "parts": GROUPS * PARTS},
    "turns alone": {"turns": 4, "groups": 1, "parts": 1},
}


@claim(
    "deeper-cluster",
    parts={
        "(a) linear probe of both less the better alone": at_least(-0.005),
        "(a) linear probe of both less the worse alone": at_least(0.02),
        "(a) linear probe of both less the untrained net": at_least(0.05),
        "(b) rise of nmi of clusters and classes from the first to the last clustering": above(0.0),
        "(c) exact: sum of the probabilities of all targets off 1": at_most(1e-6),
        "(c) exact: loss off -log of the product": at_most(1e-6),
        "(c) exact: rows of weights that an item touches beyond 4 m + k": exactly(0.0),
    },
    data=("cifar10-subset",),
    seeds=(0, 1),
    broken="clusters and turns are dealt out at random",
    files=(
        "objectives/reassigned.py",
        "geometry/k_means.py",
        "data/even.py",
        "learning/survey.py",
        "recipes/reassigned.py",
        "claims/settings.py",
    ),
    minutes=4.0,
)
def deeper_cluster(run: Run) -> None:
    """Predicting a picture's turn and the cluster of its features as one factorised label learns from uncurated pictures at
    least what the better of the two learns alone."""
    exact(run)
    data = uncurated()
    probes: dict[str, list[float]] = {name: [] for name in ("untrained", *CORNERS)}
    rises = []
    for seed in run.seeds[: 1 if run.broken else None]:
        probes["untrained"].append(probe(untrained(data, made("both"), seed), data))
        for corner in CORNERS:
            seen: list[np.ndarray] = []
            given = noted(made(corner), seen, run.broken)
            model = train(data, given, seed=seed, epochs=SHORT if run.broken else EPOCHS)
            probes[corner].append(probe(model, data))
            last = model.history[-1]
            run.progress(f"seed {seed} {corner}: probe {probes[corner][-1]:.4f}, loss {last['loss']:.3f}")
            if seen:
                told = [information(found, data) for found in seen]
                run.baseline(f"nmi of {corner}, each clustering, seed {seed}", told)
                if corner == "both":
                    rises.append(told[-1] - told[0])
            if run.broken:
                break
    for name, values in probes.items():
        if values:
            run.baseline(f"linear probe, {name}", values)
    run.report("(a) linear probe of both less the untrained net", np.subtract(probes["both"], probes["untrained"]))
    run.report("(b) rise of nmi of clusters and classes from the first to the last clustering", rises)
    if run.broken:
        return
    alone = np.array([probes["clusters alone"], probes["turns alone"]])
    run.report("(a) linear probe of both less the better alone", probes["both"] - alone.max(0))
    run.report("(a) linear probe of both less the worse alone", probes["both"] - alone.min(0))


def made(corner: str) -> Recipe:
    """A corner of the call."""
    return recipe(batch=BATCH, epochs=EPOCHS, **CORNERS[corner])


class Noted(Reassigned):
    """What it finds at every clustering is written down; sabotaged, it finds a random deal, and turns are dealt, too."""

    seen: list[np.ndarray]
    dealt: bool

    def review(self, network: Encoder, batches: Iterable[Batch], epoch: int, generator: torch.Generator) -> None:
        super().review(network, batches, epoch, generator)
        if self.dealt:
            order = torch.randperm(len(self.group), generator=generator)
            self.group.copy_(self.group[order])
            self.part.copy_(self.part[order])
        self.seen.append(self.labels)

    def targets(self, index: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        return super().targets(index, turn[torch.randperm(len(turn))] if self.dealt else turn)


def noted(given: Recipe, seen: list[np.ndarray], dealt: bool) -> Recipe:
    """The recipe, its clusterings written to `seen`."""
    (stage,) = given.stages

    def objective(shape: Any) -> Reassigned:
        built: Any = stage.objective(shape)  # type: ignore[misc]
        built.__class__, built.seen, built.dealt = Noted, seen, dealt
        return built  # type: ignore[no-any-return]

    return replace(given, stages=(replace(stage, objective=objective),))


def uncurated() -> ArrayDataset:
    """The pool as `train`; 2,000 pictures of equal classes as `probe`; the test pictures as `test`. Flat and noise pictures
    have the label -1."""
    source = cifar_subset()
    y, rng = np.asarray(source.targets["labels"]), chance(270)
    rows, classes = source.splits["train"], len(source.classes)
    by_class = [rng.permutation(rows[y[rows] == k]) for k in range(classes)]
    sizes = np.rint(LARGEST * (SMALLEST / LARGEST) ** (np.arange(classes) / (classes - 1))).astype(int)
    curated = np.concatenate([members[:size] for members, size in zip(by_class, sizes, strict=True)])
    pool = np.concatenate([curated, rng.choice(curated, DUPLICATES)])
    item = source.x.shape[1:]
    flat = np.broadcast_to(rng.integers(256, size=(FLAT, item[0], 1, 1)), (FLAT, *item)).astype(np.uint8)
    noise = rng.integers(256, size=(NOISE, *item)).astype(np.uint8)
    judged = np.concatenate([*(members[-200:] for members in by_class), source.splits["test"]])
    x = np.concatenate([source.x[pool], flat, noise, source.x[judged]])
    labels = np.concatenate([y[pool], np.full(FLAT + NOISE, -1), y[judged]])
    learned, probed = len(pool) + FLAT + NOISE, 200 * classes
    ends = np.split(np.arange(len(x)), [learned, learned + probed])
    return replace(
        source,
        x=x,
        ids=[str(i) for i in range(len(x))],
        targets={"labels": labels},
        attributes=pa.table({"label": labels}),
        splits=dict(zip(("train", "probe", "test"), ends, strict=True)),
        name="uncurated",
        source="",
    )


def probe(model: Model, data: ArrayDataset) -> float:
    """Linear, on the pictures of equal classes."""
    y, rows, test = np.asarray(data.targets["labels"]), data.splits["probe"], data.splits["test"]
    return linear_probe(features(model, data, rows), y[rows], features(model, data, test), y[test])


def information(found: np.ndarray, data: ArrayDataset) -> float:
    """nmi of clusters and classes over the pool's pictures that show something."""
    y = np.asarray(data.targets["labels"])[data.splits["train"]]
    return agreement(found[y >= 0], y[y >= 0])[0]


def exact(run: Run) -> None:
    """On random features in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        heads, z = Factorised(128, 4 * GROUPS, PARTS).double(), torch.randn(64, 128).double()
        of, within = torch.randint(4 * GROUPS, (64,)), torch.randint(PARTS, (64,))
    with torch.no_grad():
        p = heads.log_probabilities(z)
        off = float((p.exp().sum((1, 2)) - 1).abs().max())
        told, told_within = heads(z, of)
        loss = F.cross_entropy(told, of) + F.cross_entropy(told_within, within)
        product = -p[torch.arange(64), of, within].mean()
    run.report("(c) exact: sum of the probabilities of all targets off 1", off)
    run.report("(c) exact: loss off -log of the product", float((loss - product).abs()))
    told, told_within = heads(z[:1], of[:1])
    (F.cross_entropy(told, of[:1]) + F.cross_entropy(told_within, within[:1])).backward()
    grads = [heads.weight.grad, heads.sub_weight.grad]
    assert all(grad is not None for grad in grads)
    rows = sum(int((grad.abs().sum(-1) > 0).sum()) for grad in grads if grad is not None)
    run.report("(c) exact: rows of weights that an item touches beyond 4 m + k", rows - (4 * GROUPS + PARTS))
