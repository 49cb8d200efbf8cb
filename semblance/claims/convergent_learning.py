"""Claim of convergent learning: networks of different seeds share more than chance, not every unit, and subspaces more than
axes.

Every position of 500 test digits is a sample; for chance one side's samples are in another order. The nets have four
convolutions with batch norm (on seeds 100 to 102 nets of more channels, without a norm, or with a linear layer at the end
had as few units without a partner in their last layer). The untrained nets are those of the same seeds before
their first step. The hidden order is one of all units of a layer, with the weights that lead into and out of them moved
along, so that the net says the same; its activations get noise of 5 percent of their deviation. Spectral clusters are half
as many as live units.
"""

from __future__ import annotations

import copy
from itertools import combinations

import numpy as np
import torch

from semblance.analysis.convergence import agreement_of
from semblance.analysis.matching import alive, clusters, correlations, matching, scores_of, semi_matching
from semblance.claims.digit_nets import STAGES, digit_net, digits_given, said, test_accuracy
from semblance.claims.ledger import Run, at_least, at_most, claim, exactly
from semblance.space.model import Model

INPUTS, NOISE, MOST = 500, 0.05, 16
NAMES = tuple(f"layer {i + 1}" for i in range(len(STAGES)))


@claim(
    "convergent-learning",
    parts={
        "(a) outputs of the net in another order, largest change": at_most(1e-4),
        "(a) live units whose matched partner is their copy, least share of a layer": exactly(1.0),
        "(a) live units clustered with their copy, least share of a layer": exactly(1.0),
        "(b) accuracy of a net, least": at_least(0.97),
        **{f"(b) matched correlation above untrained nets, {name}": at_least(0.05) for name in NAMES},
        **{f"(b) matched correlation above samples in another order, {name}": at_least(0.3) for name in NAMES},
        "(b) a unit's matched score above its best, most": at_most(0.0),
        "(c) units of the last hidden layer without a partner above 0.5": at_least(0.1),
        **{f"(d) variance explained by 16 units above the best one, {name}": at_least(0.1) for name in NAMES},
    },
    data=("mnist",),
    broken="the second network's samples are in another order",
    files=(
        "analysis/activations.py",
        "analysis/convergence.py",
        "analysis/matching.py",
        "analysis/sparse_maps.py",
        "claims/digit_nets.py",
    ),
    minutes=3.0,
)
def convergent_learning(run: Run) -> None:
    """Networks trained from different seeds have units in common, found by matching, and others that have no partner; what
    they share are subspaces more than single units."""
    rows = digits_given().splits["test"][:INPUTS]
    nets = [digit_net(seed) for seed in run.seeds]
    run.report("(b) accuracy of a net, least", min(test_accuracy(net) for net in nets))
    known_answer(run, nets[0], rows)

    trained = [said(net, rows, "position") for net in nets]
    drawn = [said(digit_net(seed, 0), rows, "position") for seed in run.seeds]
    above = 0.0
    for name, layer in zip(NAMES, STAGES, strict=True):
        found: dict[str, list[float]] = {}
        for i, j in combinations(range(len(nets)), 2):
            x, y, rng = trained[i][layer], trained[j][layer], np.random.default_rng([15, i, j])
            positions, mixed = len(x) // INPUTS, rng.permutation(y)
            pair = agreement_of(x, mixed if run.broken else y, positions, MOST, draws=20)
            scores = correlations(x, y)
            ends = [scores_of(scores, partner(scores)) for partner in (matching, semi_matching)]
            above = max(above, float((ends[0] - ends[1]).max()))
            inputs_mixed = y.reshape(INPUTS, -1)[rng.permutation(INPUTS)].reshape(y.shape)
            others = {"shuffled": (x, mixed), "untrained": (drawn[i][layer], drawn[j][layer])}
            others["inputs shuffled, positions kept"] = x, inputs_mixed
            figures = {"trained": pair["matched"], **{key: matched_mean(*both) for key, both in others.items()}}
            for key, value in (figures | {key: pair[key] for key in ("one", "few", "lonely")}).items():
                found.setdefault(key, []).append(value)
        for key, values in found.items():
            run.baseline(f"{name}: {key}", values)
        apart = {key: np.array(values) for key, values in found.items()}
        run.report(f"(b) matched correlation above untrained nets, {name}", apart["trained"] - apart["untrained"])
        run.report(
            f"(b) matched correlation above samples in another order, {name}", apart["trained"] - apart["shuffled"]
        )
        run.report(f"(d) variance explained by 16 units above the best one, {name}", apart["few"] - apart["one"])
    run.report("(b) a unit's matched score above its best, most", above)
    run.report("(c) units of the last hidden layer without a partner above 0.5", apart["lonely"])


def matched_mean(x: np.ndarray, y: np.ndarray) -> float:
    """The mean correlation of matched units."""
    scores = correlations(x, y)
    partner = matching(scores)
    return float(scores_of(scores, partner)[partner >= 0].mean())


def known_answer(run: Run, net: Model, rows: np.ndarray) -> None:
    """(a): the net beside itself with its channels in another order and noise."""
    rng = np.random.default_rng(15)
    moved, orders = reordered(net, rng)
    batch = next(net.batches(digits_given(), rows))
    with torch.no_grad():
        change = float((net.network.eval()(batch) - moved.network.eval()(batch)).abs().max())
    run.report("(a) outputs of the net in another order, largest change", change)
    own, copies = said(net, rows, "position"), said(moved, rows, "position")
    recovered, together = [], []
    for layer, order in zip(STAGES, orders, strict=True):
        x, y = own[layer], copies[layer]
        y = y + NOISE * y.std(0) * rng.normal(size=y.shape).astype(np.float32)
        if run.broken:
            y = rng.permutation(y)
        live, copy_of = np.flatnonzero(alive(x)), np.argsort(order)
        recovered.append(float((matching(correlations(x, y))[live] == copy_of[live]).mean()))
        left, right = clusters(x, y, len(live) // 2)
        together.append(float((left[live] == right[copy_of[live]]).mean()))
    run.report("(a) live units whose matched partner is their copy, least share of a layer", min(recovered))
    run.report("(a) live units clustered with their copy, least share of a layer", min(together))


def reordered(net: Model, rng: np.random.Generator) -> tuple[Model, list[np.ndarray]]:
    """The same function with the units of every layer in a random order: the i-th is the order[i]-th of the net."""
    moved = copy.deepcopy(net)
    state, orders = moved.network.state_dict(), []
    before: torch.Tensor | None = None
    for layer in STAGES:
        kernel = next(name for name, t in state.items() if name.startswith(layer) and t.ndim >= 2)
        order = torch.from_numpy(rng.permutation(len(state[kernel])))
        for name, tensor in state.items():
            if name.startswith(layer) and tensor.ndim:
                tensor.copy_(tensor[order] if name != kernel or before is None else of_inputs(tensor[order], before))
        before = order
        orders.append(order.numpy())
    weight = next(name for name, t in state.items() if name.startswith("head") and t.ndim == 2)
    assert before is not None
    state[weight].copy_(of_inputs(state[weight], before))
    return moved, orders


def of_inputs(weight: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Weights [out, channels, ...], or [out, channels * places], whose input channels come in this order."""
    return weight.reshape(len(weight), len(order), -1)[:, order].reshape(weight.shape)
