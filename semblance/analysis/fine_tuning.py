"""Fine tuning as a measurement: what a new head makes of an encoder, kept as it is or trained along.

    fine_tuned          an encoder with a new head, both trained on some labelled units
    perceptron_scores   the non-linear probe: head = Linear(K) relu(norm(Linear(h))) relu(norm(Linear(h))), three layers on
                        frozen features, beside the linear map of probes.py
Both go through the one loop, with Adam and a cosine schedule.

Reference: Gidaris et al. 2018, arXiv:1803.07728 (features probed by three layers of 200 units).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semblance.analysis.probes import Standard
from semblance.contracts import Batch
from semblance.data.assemble import assemble
from semblance.data.dataset import ArrayDataset, Shape
from semblance.data.prepare import Prepare
from semblance.data.samplers import Shuffled
from semblance.encoders.vectors import Identity
from semblance.learning.backprop import Backprop
from semblance.learning.parts import INIT, Budget, Feed, Network, Parts, torch_chance
from semblance.objectives.classify import CrossEntropy
from semblance.objectives.projector import perceptron


class Perceptron(nn.Module):
    """A classifier of several layers, batch norm and ReLU between them."""

    def __init__(self, dim: int, hidden: int, layers: int, classes: int):
        super().__init__()
        self.layers = perceptron((dim, *[hidden] * (layers - 1), classes))

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """[N, d] -> logits [N, K]."""
        logits: Tensor = self.layers(z)
        return logits


def drawn_module(make: Callable[[], nn.Module], seed: int, place: int = 0) -> nn.Module:
    """A module with the weights that this seed gives it at this place; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_chance(seed, INIT, place).initial_seed())
        return make()


def fine_tuned(
    encoder: nn.Module,
    head: Callable[[], nn.Module],
    dataset: ArrayDataset,
    rows: np.ndarray,
    prepare: Prepare,
    *,
    rule: Backprop | None = None,
    batch: int = 50,
    views: Any = None,
    seed: int = 0,
) -> Network:
    """The encoder (trained in place, where it has weights that ask for it) with a new head, after learning these rows."""
    rule = rule or Backprop("adam", lr=1e-3, epochs=30)
    network = Network(encoder, drawn_module(head, seed, 1))
    feed = Feed(dataset, np.asarray(rows), Shuffled(min(batch, len(rows))), prepare, views)
    for _ in rule.run(Parts(network, CrossEntropy()), feed, Budget(seed=seed)):
        pass  # the rule is a generator: it learns while its epochs are asked for
    return network.eval()


def logits_of(network: Network, dataset: ArrayDataset, rows: np.ndarray, prepare: Prepare) -> np.ndarray:
    """The network's scores of these rows [n, K]."""
    with torch.inference_mode():
        return torch.cat([network(b) for b in Feed(dataset, np.asarray(rows), None, prepare).in_order()]).numpy()


def perceptron_scores(
    train_z: np.ndarray,
    train_y: np.ndarray,
    test_z: np.ndarray,
    seed: int = 0,
    *,
    hidden: int = 200,
    layers: int = 3,
    rule: Backprop | None = None,
    batch: int = 128,
) -> np.ndarray:
    """Frozen features [N, d] and classes [N] in 0..K-1 (-1: unlabelled), features of test units [Q, d] -> logits [Q, K].

    Features are standardised on the training part. layers 1 is a linear classifier.
    """
    y, standard, train = np.asarray(train_y), Standard.of(train_z), len(train_z)
    z = torch.cat([standard(train_z), standard(test_z)]).numpy()
    classes, width = int(y.max()) + 1, z.shape[1]
    units = assemble(
        "vectors",
        z,
        targets={"labels": np.concatenate([y, np.full(len(z) - train, -1)])},
        splits={"train": np.arange(train), "test": np.arange(train, len(z))},
    )
    prepare = Prepare(Shape("vectors", (width,), classes, train), standardise=False)
    network = fine_tuned(
        Identity(width),
        lambda: Perceptron(width, hidden, layers, classes),
        units,
        np.flatnonzero(y >= 0),
        prepare,
        rule=rule,
        batch=batch,
        seed=seed,
    )
    return logits_of(network, units, units.splits["test"], prepare)
