"""SimSiam: without negatives nothing but the stop-gradient, together with the predictor, keeps the branches apart.

All runs: moved MNIST, small net, projector of three layers to 256, batch 64, SGD 0.05 (momentum 0.9, decay 1e-4). Parts a
to c have batch norm on hidden layers only and a constant rate, so that collapse shows as spread; part d adds batch norm
without scale on the output and a cosine schedule.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from semblance.claims.ledger import Run, at_least, at_most, below, claim
from semblance.claims.settings import knn_probe, labelled, moved_mnist, pixels, untrained
from semblance.contracts import Batch
from semblance.data.dataset import ArrayDataset
from semblance.objectives.branches import Branches
from semblance.recipes.branches import simsiam as recipe
from semblance.recipes.registry import Recipe
from semblance.space.model import Model
from semblance.space.training import train

DIM = 256
IDEAL = 1 / math.sqrt(DIM)  # std per coordinate of directions spread evenly


@claim(
    "simsiam",
    parts={
        "(a) lowest std of an epoch, in units of 1/sqrt(d)": at_least(0.5),
        "(a) k-NN above no stop-gradient": at_least(0.08),
        "(a) k-NN above no predictor": at_least(0.08),
        "(b) no stop-gradient: std in units of 1/sqrt(d)": below(0.1),
        "(b) no stop-gradient: loss": below(-0.99),
        "(c) no predictor: std in units of 1/sqrt(d)": below(0.1),
        "(c) no predictor: loss": below(-0.99),
        "(d) k-NN after 48 epochs": at_least(0.54),
        "(d) k-NN above the untrained net": at_least(0.08),
        "exact: gradient of an untied target branch": at_most(0.0),
        "exact: halved gradient, largest relative error": at_most(1e-6),
    },
    data=("mnist",),
    seeds=(0, 1),
    broken="the stop-gradient is removed from the runs that should learn",
    files=("objectives/branches.py", "recipes/branches.py", "claims/settings.py"),
    minutes=5.0,
)
def simsiam(run: Run) -> None:
    """Siamese nets learn without negatives and without a momentum copy; stop-gradient and predictor prevent collapse."""
    data = moved_mnist()
    run.baseline("20-NN on pixels", knn_probe(*pixels(data)))
    run.report("exact: gradient of an untied target branch", untied_gradient(stop_gradient=not run.broken))
    run.report("exact: halved gradient, largest relative error", halving_error(stop_gradient=not run.broken))

    first = run.seeds[0]
    collapsed = {
        "no stop-gradient": fit(run, data, first, 4, stop_gradient=False),
        "no predictor": fit(run, data, first, 4, predictor="none"),
    }
    for part, (name, model) in zip("bc", collapsed.items(), strict=True):
        run.report(f"({part}) {name}: std in units of 1/sqrt(d)", model.history[-1]["std"] / IDEAL)
        run.report(f"({part}) {name}: loss", model.history[-1]["loss"])

    stop = not run.broken
    spread = [fit(run, data, seed, 8, stop_gradient=stop) for seed in run.seeds]
    run.report(
        "(a) lowest std of an epoch, in units of 1/sqrt(d)",
        [min(epoch["std"] for epoch in model.history) / IDEAL for model in spread],
    )
    learned = [knn_probe(*labelled(model, data)) for model in spread]
    run.baseline("k-NN after 8 epochs", learned)
    for name, model in collapsed.items():
        flat = knn_probe(*labelled(model, data))
        run.baseline(f"k-NN, {name}", flat)
        run.report(f"(a) k-NN above {name}", [accuracy - flat for accuracy in learned])

    if run.broken:
        return  # the short runs have decided already
    before = knn_probe(*labelled(untrained(data, plain_output(), first), data))
    long = fit(run, data, first, 48, output_norm="plain", schedule="cosine")
    after = knn_probe(*labelled(long, data))
    run.baseline("untrained net, eval mode", before)
    run.baseline("rank of z after 48 epochs", long.history[-1]["rank"])
    run.report("(d) k-NN after 48 epochs", after)
    run.report("(d) k-NN above the untrained net", after - before)


def plain_output() -> Recipe:
    """The recipe of part d."""
    return recipe(dim=DIM)


def fit(run: Run, data: ArrayDataset, seed: int, epochs: int, **axes: object) -> Model:
    """Train one arm and say how it ended."""
    settings = {"output_norm": "none", "schedule": "constant", **axes}
    model = train(data, recipe(dim=DIM, **settings), seed=seed, epochs=epochs)
    last = model.history[-1]
    run.progress(f"seed {seed}, {epochs} epochs {axes}: loss {last['loss']:.4f}, std {last['std'] / IDEAL:.3f}")
    return model


class Untied(nn.Module):
    """One linear map per view."""

    def __init__(self, maps: int, generator: torch.Generator):
        super().__init__()
        self.maps = nn.ParameterList([torch.randn(16, 16, generator=generator).double() for _ in range(maps)])

    def embed(self, batch: Batch) -> torch.Tensor:
        """x [N, 16] -> [N, 16]"""
        return (batch["x"] @ self.maps[batch["view"] % len(self.maps)]).tanh()


def two_views(generator: torch.Generator) -> Batch:
    """Random vectors as two views."""
    return {"views": [{"x": torch.randn(32, 16, generator=generator).double(), "view": view} for view in range(2)]}


def untied_gradient(stop_gradient: bool = True) -> float:
    """Largest entry of the gradient that reaches the target's own weights."""
    generator = torch.Generator().manual_seed(0)
    model, batch = Untied(2, generator), two_views(generator)
    Branches(predictor=nn.Tanh(), symmetric=False, stop_gradient=stop_gradient)(model, batch)[0].backward()
    gradient = model.maps[1].grad
    return 0.0 if gradient is None else float(gradient.abs().max())


def halving_error(stop_gradient: bool = True) -> float:
    """|2 g - G| / max |G|: g with stop-gradient, G without, both with the identity as predictor."""
    generator = torch.Generator().manual_seed(0)
    model, batch = Untied(1, generator), two_views(generator)
    gradients = []
    for stop in (stop_gradient, False):
        model.zero_grad()
        Branches(stop_gradient=stop)(model, batch)[0].backward()
        gradients.append(model.maps[0].grad.clone())
    return float((2 * gradients[0] - gradients[1]).abs().max() / gradients[1].abs().max())
