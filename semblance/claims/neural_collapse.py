"""Claim of neural collapse: with free features the classes stand where the theory says, by class size; so nearly do those
of a trained network.

Minima are those of L-BFGS from random starts, the least of three for layers in a row. `spread` is the root mean square
distance to the class mean, in mean lengths of these. The network is 784-256-256 with ReLU, and linear layers of 256, 256
and 10 without bias behind it; its loss is half the squared error of a digit, with decay / 2 times the squares of all
weights, under stochastic gradient descent with momentum (batch and rate chosen on seed 100: the smallest cosine of those
that collapse).

What is not shown: cross-entropy behind three layers has two kinds of minima (decay 5e-3: loss 0.1373 for the simplex,
0.1240 for two pairs of opposite class means, in two dimensions; the same order at 2e-3 and 5e-4), so the least of three
starts is often the second; behind one layer it is the simplex. And 3,000 steps leave raw class means of digits at a mean
cosine of 0.4.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.analysis.collapse import apart, class_means, neural_collapse, spread
from semblance.analysis.fine_tuning import drawn_module
from semblance.analysis.unconstrained_features import Found, foretold, found
from semblance.claims.ledger import Run, above, at_most, below, claim
from semblance.claims.perceptrons import mnist_rows
from semblance.learning.parts import ORDER, torch_chance
from semblance.objectives.projector import perceptron

EQUAL, SIZES = (10, 10, 10, 10), (40, 20, 10, 3)
DECAY, FEATURE_DECAY = 5e-3, 2e-3
BETWEEN = float(np.sqrt(6) / sum(SIZES))
"""With this decay classes of up to 6 items vanish."""
PER_CLASS, NET_DECAY = 500, 5e-4
BATCH, RATE, STEPS = 64, 0.1, 3000


@claim(
    "neural-collapse",
    parts={
        "(a) no bias: farthest cosine of class means or rows from 0": at_most(1e-3),
        "(a) bias: farthest cosine of class means or rows from -1/3": at_most(1e-3),
        "(a) cross-entropy with bias: farthest cosine from -1/3": at_most(1e-3),
        "(a) within-class spread, most": below(1e-3),
        "(b) one layer: eight lengths, farthest from the closed form": at_most(1e-3),
        "(b) two and three layers: class singular values, farthest from the scalar problem": at_most(1e-3),
        "(b) two and three layers: loss, farthest from the scalar problem": at_most(1e-6),
        "(c) row and mean of the class of 3, longest": below(1e-3),
        "(c) rows and means of the other classes, shortest": above(1e-3),
        "(d) within-class variability, end over start": at_most(0.02),
        "(d) mean absolute cosine of raw class means": at_most(0.2),
    },
    data=("mnist", "synthetic: unconstrained features"),
    broken="features and layers have no weight decay (one of 1e-12)",
    files=(
        "analysis/collapse.py",
        "analysis/unconstrained_features.py",
        "claims/perceptrons.py",
    ),
    minutes=2.0,
)
def neural_collapse_claim(run: Run) -> None:
    """Free features and linear layers end in orthogonal frames, with a bias in simplices, with lengths that follow class
    sizes; classes that are too small vanish; and a trained network's features go the same way."""
    found_parts: dict[str, list[float]] = {name: [] for name in run.parts}
    beside: dict[str, list[float]] = {}
    for seed in run.seeds:
        for part in (balanced, imbalanced, vanishing, digits):
            for name, value in part(run, seed).items():
                (found_parts if name in found_parts else beside).setdefault(name, []).append(value)
        run.progress(f"seed {seed} done")
    for name, values in beside.items():
        run.baseline(name, values)
    for name, values in found_parts.items():
        run.report(name, values)


def decays(run: Run, *values: float) -> list[float]:
    """Nearly none in the sabotaged twin."""
    return [1e-12 if run.broken else value for value in values]


def most(run: Run) -> int:
    """Steps of descent; without decay it would creep on."""
    return 500 if run.broken else 20_000


def angles(least: Found, wanted: float) -> tuple[float, float]:
    """How far the cosines of class means and of rows are from the wanted one at most; the spread within classes."""
    classes = class_means(least.features.T, least.labels)
    cosines = np.concatenate([apart(classes.means), apart(least.classifier)])
    return float(np.abs(cosines - wanted).max()), spread(classes)


def balanced(run: Run, seed: int) -> dict[str, float]:
    """(a)"""
    off: dict[str, list[float]] = {"no bias": [], "bias": [], "cross-entropy": []}
    spreads = []
    for layers in (1, 3):
        (feature_decay, *lambdas) = decays(run, DECAY, *[DECAY] * layers)
        for name, wanted in (("no bias", 0.0), ("bias", -1 / 3), ("cross-entropy", -1 / 3)):
            loss = "cross-entropy" if name == "cross-entropy" else "squared"
            starts = 1 if layers == 1 else 3
            least = found(EQUAL, lambdas, feature_decay, 16, loss, name != "no bias", starts, seed, most=most(run))
            angle, within = angles(least, wanted)
            off[name].append(angle)
            spreads.append(within)
    return {
        "(a) no bias: farthest cosine of class means or rows from 0": max(off["no bias"]),
        "(a) bias: farthest cosine of class means or rows from -1/3": max(off["bias"]),
        "(a) cross-entropy with bias: farthest cosine from -1/3": max(off["cross-entropy"]),
        "(a) within-class spread, most": max(spreads),
    }


def imbalanced(run: Run, seed: int) -> dict[str, float]:
    """(b)"""
    singular, losses, lengths = [], [], 0.0
    for layers in (1, 2, 3):
        theory = foretold(SIZES, [DECAY] * layers, FEATURE_DECAY)
        feature_decay, *lambdas = decays(run, FEATURE_DECAY, *[DECAY] * layers)
        least = found(SIZES, lambdas, feature_decay, starts=3, seed=seed, most=most(run))
        if layers == 1:
            means = np.linalg.norm(class_means(least.features.T, least.labels).means, axis=1)
            rows = np.linalg.norm(least.classifier, axis=1)
            lengths = float(max(np.abs(means - theory.means).max(), np.abs(rows - theory.rows).max()))
            continue
        values = np.linalg.svd(least.classifier @ least.features, compute_uv=False)
        singular.append(float(np.abs(values - theory.z).max()))
        losses.append(abs(least.loss - theory.loss))
    return {
        "(b) one layer: eight lengths, farthest from the closed form": lengths,
        "(b) two and three layers: class singular values, farthest from the scalar problem": max(singular),
        "(b) two and three layers: loss, farthest from the scalar problem": max(losses),
    }


def vanishing(run: Run, seed: int) -> dict[str, float]:
    """(c)"""
    feature_decay, decay = decays(run, BETWEEN, BETWEEN)
    least = found(SIZES, [decay], feature_decay, seed=seed, most=most(run))
    means = np.linalg.norm(class_means(least.features.T, least.labels).means, axis=1)
    lengths = np.stack([means, np.linalg.norm(least.classifier, axis=1)])
    return {
        "(c) row and mean of the class of 3, longest": float(lengths[:, -1].max()),
        "(c) rows and means of the other classes, shortest": float(lengths[:, :-1].min()),
    }


def digits(run: Run, seed: int) -> dict[str, float]:
    """(d)"""
    x, y = some_digits(seed)
    body = nn.Sequential(perceptron((784, 256, 256), hidden_norm=False), nn.ReLU())
    head = nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in ((256, 256), (256, 256), (256, 10))))
    net = drawn_module(lambda: nn.Sequential(body, head).apply(redrawn), seed)
    before, _ = geometry(body, head, x, y)
    (decay,) = decays(run, NET_DECAY)
    target = F.one_hot(y, 10).float()

    def loss(rows: Tensor) -> Tensor:
        return (net(x[rows]) - target[rows]).square().sum(1).mean() / 2

    descended(net, loss, len(x), STEPS // 10 if run.broken else STEPS, decay, seed)
    after, measures = geometry(body, head, x, y)
    return {
        "(d) within-class variability, end over start": after / before,
        "(d) mean absolute cosine of raw class means": measures["cosine"],
        "(d) within-class variability at the start": before,
        "(d) at the end: distance to an orthogonal frame": measures["orthogonal"],
        "(d) at the end: classifier rows along class means": measures["aligned"],
        "(d) at the end: as the nearest class mean says": measures["nearest mean"],
    }


def descended(
    net: nn.Module, loss: Callable[[Tensor], Tensor], items: int, steps: int, decay: float, seed: int
) -> None:
    """Stochastic gradient descent with momentum 0.9, its rate falling along a cosine."""
    optimiser = torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9, weight_decay=decay)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    order = torch_chance(seed, ORDER)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(torch.randint(items, (BATCH,), generator=order)).backward()
        optimiser.step()
        falling.step()


def redrawn(layer: nn.Module) -> None:
    """torch's own start, drawn under the seed."""
    if isinstance(layer, nn.Linear):
        layer.reset_parameters()


def some_digits(seed: int) -> tuple[Tensor, Tensor]:
    """500 of each class."""
    x, y = mnist_rows("train")
    chance = np.random.default_rng(seed)
    rows = np.concatenate([chance.choice(np.flatnonzero(y.numpy() == k), PER_CLASS, replace=False) for k in range(10)])
    return x[rows], y[rows]


@torch.no_grad()
def geometry(body: nn.Module, head: nn.Sequential, x: Tensor, y: Tensor) -> tuple[float, dict[str, float]]:
    """Within-class variability of the features, and all measures."""
    weights = [layer.weight.double().numpy() for layer in head]
    measures = neural_collapse(body(x).numpy(), y.numpy(), weights).measures
    return measures["variability"], measures
