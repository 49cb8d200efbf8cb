"""Analyses of representations, each on small nets of scikit-learn's digits: what their functions report, to be looked at
and copied. On data of one's own: `semblance.analysis.convergence`, `place`, `frechet_audit`."""

from __future__ import annotations

import numpy as np
import torch

from semblance.analysis.activations import activations
from semblance.analysis.convergence import convergence
from semblance.analysis.frechet_audit import frechet_audit
from semblance.analysis.placement import place, simulated_area
from semblance.contracts import Report
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.data.moments import shape_of
from semblance.data.prepare import Prepare
from semblance.learning.parts import INIT, Budget, Feed, Network, Parts, chance
from semblance.recipes.registry import Recipe, recipe
from semblance.recipes.supervised import supervised
from semblance.recipes.theory import no_encoder

STAGES = "encoder.stages.?"


def learned(data: ArrayDataset, seed: int, epochs: int) -> tuple[Network, Prepare]:
    """A small classifier of this seed, trained, with how it is fed."""
    made, shape = supervised(width=8, augment=False), shape_of(data)
    prepare, stage = Prepare(shape, made.standardise), made.stages[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(chance(seed, INIT).integers(2**63)))
        assert made.head is not None
        assert stage.objective is not None
        network = Network(made.encoder(shape), made.head(shape))
    feed = Feed(data, data.splits["train"], stage.batches, prepare, stage.views)
    for _ in stage.rule.run(Parts(network, stage.objective(shape)), feed, Budget(epochs=epochs, seed=seed)):
        pass
    return network.eval(), prepare


def layers(data: ArrayDataset, rows: np.ndarray, seed: int, epochs: int, unit: str) -> dict[str, np.ndarray]:
    """What every stage of the net of this seed says of these digits."""
    network, prepare = learned(data, seed, epochs)
    found = activations(network, [{"x": prepare(torch.from_numpy(data.x[rows]))}], [STAGES], unit, call=network)
    return {f"stage {name[-1]}": x for name, x in found.items()}


@recipe(entry="convergent-learning", paper="Li et al. 2015, arXiv:1511.07543", domains=(), makes="report")
def convergent_learning(networks: int = 2, inputs: int = 100, most: int = 16, epochs: int = 3) -> Recipe:
    """semblance reproduce convergent-learning    # units of digit nets of several seeds, matched layer by layer"""

    def report() -> Report:
        data = load("digits")
        rows = data.splits["test"][:inputs]
        nets = {f"seed {seed}": layers(data, rows, seed, epochs, "position") for seed in range(networks)}
        return convergence(nets, len(rows), most)

    return Recipe(encoder=no_encoder("convergent-learning"), makes="report", report=report)


@recipe(entry="cortex-comparison", paper="Shi et al. 2019", domains=(), makes="report")
def cortex_comparison(neurons: int = 100, images: int = 118, measure: str = "rsa", epochs: int = 3) -> Recipe:
    """semblance reproduce cortex-comparison    # areas simulated from one digit net, placed among the layers of another"""

    def report() -> Report:
        data = load("digits")
        rows = data.splits["test"][: 2 * images]
        brain, network = (layers(data, rows, seed, epochs, "flat") for seed in (1, 0))
        rng = np.random.default_rng(0)
        recorded = {
            f"area of {name}": simulated_area(x, min(2 * neurons, x.shape[1]), rng) for name, x in brain.items()
        }
        return place(recorded, [network], measure, neurons, images)

    return Recipe(encoder=no_encoder("cortex-comparison"), makes="report", report=report)


@recipe(entry="frechet-distance-audit", paper="Kynkaanniemi et al. 2022, arXiv:2203.06026", domains=(), makes="report")
def frechet_distance_audit(items: int = 500, top: int = 1, steps: int = 100, epochs: int = 3) -> Recipe:
    """semblance reproduce frechet-distance-audit    # digits of other class shares, weighted by class and for it"""

    def report() -> Report:
        data = load("digits")
        network, prepare = learned(data, 0, epochs)
        rng = chance(0, 354)
        share = (0.2 + 0.8 * np.arange(10) / 9)[data.targets["labels"]]
        rows = [
            rng.choice(len(data), min(items, len(data) // 2), replace=False),
            rng.choice(len(data), min(items, len(data) // 2), replace=False, p=share / share.sum()),
        ]
        turn = rng.normal(size=(64, 32)) / 8
        sides, scores = [], []
        for chosen in rows:
            with torch.inference_mode():
                z = network.embed({"x": prepare(torch.from_numpy(data.x[chosen]))})
                scores.append(network.head(z, {}).numpy())
            pixels = data.x[chosen].reshape(len(chosen), -1) / 16
            sides.append({"classifier": z.numpy(), "random map of pixels": pixels @ turn})
        return frechet_audit(sides[0], sides[1], "classifier", (scores[0], scores[1]), sorted({1, top}), steps)

    return Recipe(encoder=no_encoder("frechet-distance-audit"), makes="report", report=report)
