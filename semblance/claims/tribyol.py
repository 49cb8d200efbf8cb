"""TriBYOL: three views and two slow copies learn more from small batches than two views and one.

Moved MNIST, 5,000 training digits, small net, batch 32, Adam 1e-3, momenta 0.99 that rise to 1 over the run, 4 epochs of
either method; 20-NN on frozen features. The gain is for the equal number of epochs, as published; what either gains over
the untrained net per picture passed is said beside it.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn

from semblance.claims.ledger import Run, above, at_least, at_most, claim
from semblance.claims.settings import knn_probe, labelled, moved_mnist, moved_views, pixels, untrained
from semblance.claims.staged import staged
from semblance.contracts import Batch
from semblance.objectives.branches import Copied
from semblance.objectives.teachers import Teachers
from semblance.recipes.registry import Recipe
from semblance.recipes.teachers import tribyol as recipe
from semblance.space.training import train

ITEMS, EPOCHS, DIM = 5000, 4, 256
IDEAL = 1 / math.sqrt(DIM)


@claim(
    "tribyol",
    parts={
        "k-NN above BYOL's": at_least(0.02),
        "k-NN above the untrained net": at_least(0.20),
        "std of TriBYOL in units of 1/sqrt(d)": above(0.5),
        "std of BYOL in units of 1/sqrt(d)": above(0.5),
        "exact: one-sided with equal views and targets over twice BYOL, loss and gradient": at_most(1e-6),
        "exact: gradient of the targets": at_most(0.0),
        "exact: targets after a step": at_most(1e-7),
        "exact: change of the symmetric loss when views are permuted": at_most(1e-6),
    },
    data=("mnist",),
    seeds=(0, 1),
    broken="the third view is the second one again and both copies are one, and the loss is one-sided",
    files=(
        "objectives/teachers.py",
        "objectives/branches.py",
        "recipes/teachers.py",
        "claims/settings.py",
    ),
    minutes=5.0,
)
def tribyol(run: Run) -> None:
    """With small batches, pulling a view to two slow copies' answers to two other views learns better representations
    than one copy and one other view do."""
    run.report(
        "exact: one-sided with equal views and targets over twice BYOL, loss and gradient", doubling_error(run.broken)
    )
    gradient, following = teachers_error()
    run.report("exact: gradient of the targets", gradient)
    run.report("exact: targets after a step", following)
    run.report("exact: change of the symmetric loss when views are permuted", permutation_error(run.broken))

    # The twin's two runs are one and the same, and a quarter of one shows it.
    seeds, epochs = (run.seeds[:1], EPOCHS // 4) if run.broken else (run.seeds, EPOCHS)
    data = moved_mnist(ITEMS)
    run.baseline("20-NN on pixels", knn_probe(*pixels(data)))
    found: dict[str, list[float]] = {name: [] for name in ("byol", "tribyol", "std byol", "std tribyol", "untrained")}
    for seed in seeds:
        for name, views in (("byol", 2), ("tribyol", 3)):
            if views == 2 or not run.broken:
                model = train(data, with_views(views - 1, views), seed=seed, epochs=epochs)
            found[name].append(knn_probe(*labelled(model, data)))
            found[f"std {name}"].append(model.history[-1]["std"] / IDEAL)
            run.progress(f"seed {seed}, {name}: k-NN {found[name][-1]:.4f}")
        found["untrained"].append(knn_probe(*labelled(untrained(data, with_views(2, 3), seed), data)))
    for name in ("byol", "tribyol", "untrained"):
        run.baseline(f"k-NN, {name}", found[name])
    gain = [a - b for a, b in zip(found["tribyol"], found["byol"], strict=True)]
    for name, views in (("byol", 2), ("tribyol", 3)):
        million = views * ITEMS * epochs / 1e6
        run.baseline(
            f"gain over the untrained net per million pictures passed, {name}",
            [(a - b) / million for a, b in zip(found[name], found["untrained"], strict=True)],
        )
    run.report("k-NN above BYOL's", gain)
    run.report(
        "k-NN above the untrained net", [a - b for a, b in zip(found["tribyol"], found["untrained"], strict=True)]
    )
    run.report("std of TriBYOL in units of 1/sqrt(d)", found["std tribyol"])
    run.report("std of BYOL in units of 1/sqrt(d)", found["std byol"])


def with_views(copies: int, views: int) -> Recipe:
    """The recipe with the catalogue's views of moved digits and its one momentum."""
    made = recipe(copies=copies, views=views, dim=DIM, momentum=0.99, second_momentum=0.99, batch=32, least=1)
    return staged(made, views=moved_views(views))


# --- exact parts ------------------------------------------------------------------------------------------------------


class Maps(nn.Module):
    """A linear map and a bend, float64."""

    def __init__(self, seed: int):
        super().__init__()
        self.map = nn.Parameter(torch.randn(12, 8, generator=torch.Generator().manual_seed(seed)).double())

    def embed(self, batch: Batch) -> torch.Tensor:
        """x [N, 12] -> [N, 8]"""
        return (batch["x"] @ self.map).tanh()


def some_views(count: int) -> list[Batch]:
    """Random vectors."""
    generator = torch.Generator().manual_seed(0)
    return [{"x": torch.randn(32, 12, generator=generator).double()} for _ in range(count)]


def objective(copies: int, views: list[Batch], apart: bool, symmetric: bool) -> tuple[Teachers, Maps]:
    """Copies filled with weights of their own, all alike unless `apart`."""
    made = Teachers(None, None, [Copied(Maps(1), None, 0.99) for _ in range(copies)], rotated=True, symmetric=symmetric)
    model = Maps(0)
    made(model, {"views": views})
    for k, teacher in enumerate(made.teachers):
        teacher.encoder.map.data = Maps(2 + k * apart).map.data  # type: ignore[union-attr]
    return made, model


def doubling_error(broken: bool = False) -> float:
    """Largest relative error of loss and gradient against twice BYOL's; sabotaged, the two targets differ."""
    one, two = some_views(2)
    found = []
    for copies, views in ((1, [one, two]), (2, [one, two, two])):
        made, model = objective(copies, views, broken, symmetric=False)
        loss, _ = made(model, {"views": views})
        loss.backward()
        assert model.map.grad is not None
        found.append((loss.detach(), model.map.grad))
    (loss, gradient), (twice, doubled) = found
    return max(
        float((twice / (2 * loss) - 1).abs()), float((doubled - 2 * gradient).abs().max() / gradient.abs().max())
    )


def teachers_error() -> tuple[float, float]:
    """The largest gradient that a target received, and how far the copies are from m old + (1 - m) online after a step."""
    views = some_views(3)
    made, model = objective(2, views, True, symmetric=True)
    made(model, {"views": views})[0].backward()
    teachers = [teacher.encoder.map for teacher in made.teachers]  # type: ignore[union-attr]
    gradient = max(0.0 if t.grad is None else float(t.grad.abs().max()) for t in teachers)  # type: ignore[union-attr]
    wanted = [0.99 * t.detach().clone() + 0.01 * model.map.detach() for t in teachers]  # type: ignore[union-attr, operator]
    made.after_step(model, {"views": views})
    return gradient, max(float((t - w).abs().max()) for t, w in zip(teachers, wanted, strict=True))  # type: ignore[operator]


def permutation_error(broken: bool = False) -> float:
    """Over all orders of three views, copies alike; sabotaged, only the first view asks."""
    views = some_views(3)
    made, model = objective(2, views, False, symmetric=not broken)
    losses = [float(made(model, {"views": list(order)})[0].detach()) for order in itertools.permutations(views)]
    return max(losses) - min(losses)
