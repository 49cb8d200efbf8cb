"""Claim of feature complexity: a network's features are fewer than its channels, and its weights alone say which are one.

The net of (b) learns pixels in 0..1 by Adam at 1e-3, in batches of 64. Pruning keeps the channels with the largest sum
of absolute weights into them. Outputs of permuted networks are compared in float64, where what is left of a difference is
the order of sums.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.analysis.channel_axes import channel_axes
from semblance.analysis.channels import Axis, axis_named, permuted
from semblance.analysis.fine_tuning import drawn_module
from semblance.analysis.fitted import fitted
from semblance.analysis.merging import (
    BETAS,
    correlations_on,
    merge_channels,
    prune_channels,
    split_channels,
    weights_of,
)
from semblance.claims.ledger import Run, at_least, at_most, below, claim, exactly
from semblance.claims.perceptrons import mnist_rows, right
from semblance.objectives.projector import perceptron

LAYERS = ("0", "2")
STEPS = 4000


@claim(
    "feature-complexity",
    parts={
        "(a) split layers: channels left that are not the 30 of before": exactly(0),
        "(a) split net: largest change of an output": below(1e-5),
        "(a) complexity of the split net less that of the original": exactly(0),
        "(b) points lost with 150 of 256 channels a layer": at_most(1.5),
        "(b) points lost with 100 of 256 channels a layer": at_most(2.5),
        "(b) points above magnitude pruning to 100": at_least(15),
        "(c) channels in another order: largest difference of a layer's complexity": exactly(0),
        "(c) channels in another order: largest change of an output": at_most(1e-5),
    },
    data=("mnist", "synthetic: networks with split channels"),
    broken="channels are compared by random numbers instead of their weights",
    files=(
        "analysis/merging.py",
        "analysis/channels.py",
        "analysis/channel_axes.py",
        "analysis/fitted.py",
        "claims/perceptrons.py",
    ),
    minutes=1.0,
)
def feature_complexity(run: Run) -> None:
    """Channels that the weights hold to be one can be joined: split ones exactly, those of a trained net at little
    loss, far less than pruning costs."""
    found: dict[str, list[float]] = {name: [] for name in run.parts}
    beside: dict[str, list[float]] = {}
    for seed in run.seeds:
        for part in (split, digits):
            for name, value in part(run, seed).items():
                (found if name in found else beside).setdefault(name, []).append(value)
    for name, values in beside.items():
        run.baseline(name, values)
    for name, values in found.items():
        run.report(name, values)


def compared(run: Run, seed: int) -> Callable[[nn.Module, Axis], np.ndarray]:
    """What channels are compared by."""
    chance = np.random.default_rng([170, seed])
    return (lambda net, axis: chance.normal(size=(axis.size, 64))) if run.broken else weights_of


def split(run: Run, seed: int) -> dict[str, float]:
    """(a)"""
    chance = np.random.default_rng(seed)
    plain = drawn_module(lambda: perceptron((20, 30, 30, 5), hidden_norm=False), seed)
    x = torch.from_numpy(chance.normal(size=(500, 20))).float()
    net = plain
    for layer in LAYERS:
        copies = np.ones(30, np.int64)
        copies[chance.choice(30, 10, replace=False)] = chance.integers(2, 4, 10)
        net = split_channels(net, axis_named(channel_axes(net, x), layer), copies)
    joined = merge_channels(net, x, 1e-6, describe=compared(run, seed))
    before = merge_channels(plain, x, 1e-6).kept
    with torch.no_grad():
        change = float((joined.module(x) - net(x)).abs().max())
    return {
        "(a) split layers: channels left that are not the 30 of before": max(abs(n - 30) for n in joined.kept.values()),
        "(a) split net: largest change of an output": change,
        "(a) complexity of the split net less that of the original": sum(joined.kept.values()) - sum(before.values()),
    }


def digits(run: Run, seed: int) -> dict[str, float]:
    """(b) and (c)"""
    net, x, y = classifier(seed, STEPS // 8 if run.broken else STEPS)
    chance, found = np.random.default_rng(seed), {}
    accuracy = 100 * right(net, x, y)
    found["(b) accuracy of the net, percent"] = accuracy
    for width in (150, 100):
        joined = merge_channels(net, x[:2], to=width, describe=compared(run, seed)).module
        alike = merge_channels(net, x[:2], to=width, describe=correlations_on(x[:1000])).module
        pruned = prune_channels(net, x[:2], width).module
        merged, correlated, cut = (100 * right(one, x, y) for one in (joined, alike, pruned))
        found[f"(b) points lost with {width} of 256 channels a layer"] = accuracy - merged
        found[f"(b) points above magnitude pruning to {width}"] = merged - cut
        found[f"(b) accuracy joined to {width}"] = merged
        found[f"(b) accuracy joined by correlation to {width}"] = correlated
        found[f"(b) accuracy pruned to {width}"] = cut
    return found | reordered(run, net.double(), x[:500].double(), chance, seed)


def classifier(seed: int, steps: int = STEPS) -> tuple[nn.Module, Tensor, Tensor]:
    """784-256-256-10, trained, with the test digits."""
    x, y = mnist_rows("train")
    net = drawn_module(lambda: perceptron((784, 256, 256, 10), hidden_norm=False), seed)
    fitted(net, lambda rows: F.cross_entropy(net(x[rows]), y[rows]), len(x), steps, seed)
    return net, *mnist_rows("test")


def reordered(run: Run, net: nn.Module, x: Tensor, chance: np.random.Generator, seed: int) -> dict[str, float]:
    """(c)"""
    other = net
    for layer in LAYERS:
        order = torch.from_numpy(chance.permutation(256))
        other = permuted(other, axis_named(channel_axes(other, x[:2]), layer), order)
    counts, change = [], 0.0
    for beta in BETAS:
        one, two = (merge_channels(side, x[:2], beta, describe=compared(run, seed)) for side in (net, other))
        counts += [abs(one.kept[layer] - two.kept[layer]) for layer in LAYERS]
        with torch.no_grad():
            change = max(change, float((one.module(x) - two.module(x)).abs().max()))
    return {
        "(c) channels in another order: largest difference of a layer's complexity": max(counts),
        "(c) channels in another order: largest change of an output": change,
    }
