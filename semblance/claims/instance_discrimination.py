"""Instance discrimination: every image its own class, the stored feature its weight (Wu et al. 2018).

The read-out is the 128-wide embedding itself, as in the paper, where nothing is dropped after training.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from semblance.claims.ledger import Run, at_least, at_most, claim
from semblance.claims.settings import knn_probe, labelled, moved_mnist, moved_views, pixels, untrained
from semblance.data.dataset import ArrayDataset
from semblance.objectives.bank import Bank, InstanceDiscrimination, NoiseContrast, stored
from semblance.objectives.contrast import Contrast
from semblance.objectives.kernels import Cosine
from semblance.objectives.neighbours import own_point
from semblance.recipes.contrast import instance_discrimination as recipe
from semblance.recipes.registry import Recipe
from semblance.space.model import Model
from semblance.space.training import train


@claim(
    "instance-discrimination",
    parts={
        "(a) full softmax against torch's, largest difference of gradients": at_most(1e-6),
        "(a) Z from 20 batches, relative error": at_most(0.03),
        "(a) bank off the unit sphere at most": at_most(1e-6),
        "(b) k-NN above 20-NN on pixels": at_least(0.10),
        "(b) k-NN above the untrained net": at_least(0.30),
        "(b) k-NN above parametric softmax": at_least(0.20),
        "(c) NCE with 512 negatives above the full softmax": at_least(-0.10),
        "(d) int8 codes of the bank lose": at_most(0.005),
    },
    data=("mnist",),
    seeds=(0, 1),
    broken="the bank is never updated: every image keeps the random vector it was given",
    files=(
        "objectives/bank.py",
        "objectives/contrast.py",
        "objectives/kernels.py",
        "objectives/neighbours.py",
        "recipes/contrast.py",
        "claims/settings.py",
    ),
    minutes=5.0,
)
def instance_discrimination(run: Run) -> None:
    """Telling every image from every other, with stored features as class weights, brings like digits together, and far
    better than one learned weight vector per image does."""
    data = moved_mnist()
    on_pixels = knn_probe(*pixels(data))
    run.baseline("20-NN on pixels", on_pixels)
    exact(run)

    # One seed of the sabotaged twin decides; NCE, which is only to come near, has one too.
    models = [fit(data, seed, frozen=run.broken) for seed in (run.seeds[:1] if run.broken else run.seeds)]
    learned = [knn_probe(*labelled(model, data)) for model in models]
    run.baseline("k-NN after full softmax", learned)
    run.report("(a) bank off the unit sphere at most", max(off_sphere(model) for model in models))
    run.report("(b) k-NN above 20-NN on pixels", [accuracy - on_pixels for accuracy in learned])
    if run.broken:
        return  # decided already
    start = [knn_probe(*labelled(untrained(data, moved(recipe()), seed), data)) for seed in run.seeds]
    run.baseline("k-NN, untrained", start)
    run.report("(b) k-NN above the untrained net", differences(learned, start))
    parametric = [knn_probe(*labelled(fit(data, seed, estimator="parametric"), data)) for seed in run.seeds]
    run.baseline("k-NN after parametric softmax", parametric)
    run.report("(b) k-NN above parametric softmax", differences(learned, parametric))
    first = run.seeds[:1]
    noise = [knn_probe(*labelled(fit(data, seed, estimator="nce", negatives=512), data)) for seed in first]
    run.baseline("k-NN after NCE", noise)
    run.report("(c) NCE with 512 negatives above the full softmax", differences(noise, learned[:1]))
    run.report("(d) int8 codes of the bank lose", [lost_in_codes(run, model, data) for model in models])


def moved(plain: Recipe) -> Recipe:
    """The recipe with the views of moved MNIST, one of each image."""
    return replace(plain, stages=(replace(plain.stages[0], views=moved_views(1)),))


def fit(data: ArrayDataset, seed: int, frozen: bool = False, **settings: object) -> Model:
    """40 epochs; with `frozen` the bank stays as it was drawn."""
    plain = moved(recipe(**settings))  # type: ignore[arg-type]
    if frozen:
        stage = plain.stages[0]
        assert stage.objective is not None
        build = stage.objective
        plain = replace(plain, stages=(replace(stage, objective=lambda shape: stopped(build(shape))),))
    return train(data, plain, seed=seed)


def stopped(objective: InstanceDiscrimination) -> InstanceDiscrimination:
    """The objective whose bank takes nothing up."""
    objective.bank.update = lambda index, z: None  # type: ignore[method-assign]
    return objective


def differences(ours: list[float], theirs: list[float]) -> list[float]:
    """Seed by seed."""
    return [a - b for a, b in zip(ours, theirs, strict=True)]


def exact(run: Run) -> None:
    """The core with all items as candidates, and the estimate of Z over a fresh bank of the claim's size."""
    worst, errors = 0.0, []
    for seed in run.seeds:
        torch.manual_seed(seed)
        bank = Bank(6000, 128)
        z = F.normalize(torch.randn(20, 128, 128), dim=2)
        noise = NoiseContrast(negatives=512)
        for step in range(20):
            noise(z[step], {"index": torch.arange(128), "bank": bank.vectors})
        exact_z = (z.flatten(0, 1) @ bank.vectors.T / 0.07).logsumexp(1).exp().mean()
        errors.append(abs(float(noise.log_z.exp() / exact_z) - 1))
        vectors = F.normalize(bank.vectors.double(), dim=1)
        v = z[0].double().requires_grad_()
        batch = {"index": torch.randperm(6000)[:128], "bank": vectors}
        ours = Contrast(own_point, Cosine(0.07), candidates=stored)(v, batch)
        plain = F.cross_entropy(F.normalize(v, dim=1) @ vectors.T / 0.07, batch["index"])
        gradients = [torch.autograd.grad(loss, v)[0] for loss in (ours, plain)]
        worst = max(worst, float((gradients[0] - gradients[1]).abs().max()))
    run.report("(a) full softmax against torch's, largest difference of gradients", worst)
    run.report("(a) Z from 20 batches, relative error", errors)


def bank_of(model: Model) -> np.ndarray:
    """[n, 128], what training left in the bank."""
    assert isinstance(model.objective, InstanceDiscrimination)
    return model.objective.bank.vectors.numpy()


def off_sphere(model: Model) -> float:
    """Largest | |v| - 1 |."""
    return float(np.abs(np.linalg.norm(bank_of(model).astype(np.float64), axis=1) - 1).max())


def lost_in_codes(run: Run, model: Model, data: ArrayDataset) -> float:
    """Accuracy of neighbours among the stored vectors, less that among their int8 codes (one scale for all)."""
    _, train_y, test_z, test_y = labelled(model, data)
    vectors = bank_of(model)
    scale = np.abs(vectors).max() / 127
    codes = np.round(vectors / scale).astype(np.int8)
    as_stored = knn_probe(vectors, train_y, test_z, test_y)
    run.progress(f"k-NN straight from the bank {as_stored:.4f}")
    return as_stored - knn_probe(codes.astype(np.float32), train_y, test_z, test_y)
