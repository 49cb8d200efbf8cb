"""Multi-task self-supervision: four tasks on one trunk give better features than any of them alone.

CIFAR-10 subset, 4,000 pictures, small net, 4 epochs of batches of 128, Adam 3e-3; every run shows each of its tasks the
same pictures in the same steps. Blobs that will move are cut from other pictures. Dense features are the places of the last
map, of 1,000 training and 500 test pictures with blobs; a place lies on the blob where half or more of its pixels do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.claims.ledger import Run, at_least, at_most, claim
from semblance.claims.settings import cifar_subset, labelled, linear_probe, pixels, untrained
from semblance.data.dataset import ArrayDataset, Shape
from semblance.data.moments import shape_of
from semblance.data.pasted import pasted
from semblance.learning.parts import torch_chance
from semblance.objectives.pretexts.asked import last_map
from semblance.objectives.pretexts.combined import Combined
from semblance.recipes.pretext_menu import FOUR
from semblance.recipes.pretext_menu import multi_task_ssl as recipe
from semblance.recipes.registry import Recipe
from semblance.space.model import Model
from semblance.space.training import train

ITEMS, EPOCHS, BATCH = 4000, 4, 128
DENSE = (1000, 500)
STRENGTH, ZERO = 1e-2, 1e-3
TASKS = tuple(FOUR.split(","))
MOTION = "motion-segmentation"
SHORT = (1000, 2)  # pictures and epochs of the twin


@claim(
    "multi-task-ssl",
    parts={
        "(a) linear probe: joint above the best single task": at_least(0.005),
        "(a) linear probe: joint above the mean of single tasks": at_least(0.03),
        "(b) dense probe: joint less the motion task alone": at_least(-0.02),
        "(c) lasso 1e-2: share of a below 1e-3": at_least(0.30),
        "(c) lasso 1e-2: linear probe below the joint run": at_most(0.015),
        "exact: gradient of the summed loss against the summed gradients": at_most(1e-6),
        "exact: blocks mixed by one-hot weights against the plain net": at_most(1e-6),
    },
    data=("cifar10-subset", "synthetic: pasted moving blobs"),
    seeds=(0, 1),
    broken="the trunk gets no gradient from the joint run's tasks",
    files=(
        "data/pasted.py",
        "encoders/vision/units.py",
        "objectives/pretexts/asked.py",
        "objectives/pretexts/colours.py",
        "objectives/pretexts/combined.py",
        "objectives/pretexts/known.py",
        "objectives/pretexts/pieces.py",
        "objectives/pretexts/table.py",
        "recipes/pretext_menu.py",
        "claims/settings.py",
    ),
    minutes=4.0,
    calibrated={
        "(a) linear probe: joint above the best single task": {
            "catalogue": "at least 0.005",
            "used": "at least 0.005; Adam 3e-3",
            "why": "on seed 100 at 1e-3 nets hardly learned (joint 0.320 in half the epochs); at 3e-3 0.414 against 0.400. "
            "The dense probe was 0.07 below the motion task with losses as they are and in units of their first values",
        },
        "(c) lasso 1e-2: share of a below 1e-3": {
            "catalogue": "at least 0.30",
            "used": "at least 0.30; weights begin at the last block alone, with a rate of 1e-2",
            "why": "on seed 100, begun at even weights with a rate of 5e-2: 0.19; begun at the last block: 0.375",
        },
    },
)
def multi_task_ssl(run: Run) -> None:
    """Relative position, colourisation, exemplars and motion together teach a trunk more than each alone; what each reads
    of its blocks can be made sparse at little cost."""
    items, epochs = SHORT if run.broken else (ITEMS, EPOCHS)
    seeds = run.seeds[:1] if run.broken else run.seeds
    data = some(cifar_subset(), items)
    for part, error in exact_errors(data, run.broken).items():
        run.report(part, error)
    run.baseline("linear probe on pixels of 2,000", linear_probe(*first(pixels(data), 2000)))
    single: dict[str, list[float]] = {name: [] for name in TASKS}
    joint, dense, alone = [], [], []
    for seed in seeds:
        run.baseline(f"linear probe, untrained, seed {seed}", probe(untrained(data, made("auto"), seed), data))
        for name in TASKS:
            model = train(data, made(name, epochs), seed=seed)
            single[name].append(probe(model, data))
            run.progress(f"seed {seed}: {name} {single[name][-1]:.3f}")
            if name == MOTION:
                alone.append(dense_probe(model, data))
        model = train(data, cut_off(made("auto", epochs)) if run.broken else made("auto", epochs), seed=seed)
        joint.append(probe(model, data))
        dense.append(dense_probe(model, data))
        run.progress(f"seed {seed}: joint {joint[-1]:.3f}; dense {dense[-1]:.3f}, motion alone {alone[-1]:.3f}")
    for name in TASKS:
        run.baseline(f"linear probe, {name}", single[name])
    run.baseline("linear probe, joint", joint)
    run.baseline("dense probe, motion alone", alone)
    run.baseline("dense probe, joint", dense)
    best = max(TASKS, key=lambda name: float(np.mean(single[name])))
    run.report("(a) linear probe: joint above the best single task", np.subtract(joint, single[best]))
    mean = np.mean([single[name] for name in TASKS], axis=0)
    run.report("(a) linear probe: joint above the mean of single tasks", np.subtract(joint, mean))
    run.report("(b) dense probe: joint less the motion task alone", np.subtract(dense, alone))

    sparse = train(data, made("auto", epochs, lasso=STRENGTH), seed=seeds[0])
    share = sparse.network.encoder.share.detach()
    for name, row in zip(TASKS, share.tolist(), strict=True):
        run.progress(f"a of {name}: " + ", ".join(f"{a:+.4f}" for a in row))
    found = probe(sparse, data)
    run.baseline("linear probe, lasso", found)
    run.baseline("dense probe, lasso", dense_probe(sparse, data))
    run.report("(c) lasso 1e-2: share of a below 1e-3", float((share.abs() < ZERO).float().mean()))
    run.report("(c) lasso 1e-2: linear probe below the joint run", joint[0] - found)


def made(tasks: str, epochs: int = 0, **axes: Any) -> Recipe:
    """The claim's form of the recipe."""
    return recipe(tasks=tasks, batch=BATCH, least=1, epochs=epochs, **axes)


def some(data: ArrayDataset, items: int) -> ArrayDataset:
    """The first training pictures, and all test pictures."""
    return data.subset(np.concatenate([data.splits["train"][:items], data.splits["test"]]))


def first(parts: tuple[np.ndarray, ...], items: int) -> tuple[np.ndarray, ...]:
    """A probe on thousands of columns with fewer training items."""
    return parts[0][:items], parts[1][:items], parts[2], parts[3]


def probe(model: Model, data: ArrayDataset) -> float:
    """Linear probe of the classes."""
    return linear_probe(*labelled(model, data))


@torch.no_grad()
def dense_probe(model: Model, data: ArrayDataset) -> float:
    """How often a linear map of a place of the last map tells whether the place lies on the blob that will move."""
    encoder, held = model.network.eval().encoder, []
    for number, (part, count) in enumerate(zip(("train", "test"), DENSE, strict=True)):
        x = torch.cat(list(model.blocks(data, data.splits[part][:count])))
        found = pasted(x, generator=torch_chance(0, number))
        maps = torch.cat([places(encoder, block) for block in found.first.split(500)])
        on = F.adaptive_avg_pool2d(found.moved[:, None], maps.shape[2:]) >= 0.5
        held += [maps.flatten(2).transpose(1, 2).flatten(0, 1).numpy(), on.flatten().long().numpy()]
    return linear_probe(*held)


def places(encoder: Any, x: Tensor) -> Tensor:
    """The last map, or what the mean task reads of all."""
    if hasattr(encoder, "read"):
        mixed: Tensor = encoder.read({"x": x}, encoder.share.mean(0))
        return mixed
    return last_map(encoder, x)


class Severed:
    """The sabotaged trunk: it is seen, and hears nothing back."""

    def __init__(self, model: Any):
        self.inner = getattr(model, "encoder", model)
        self.dim, self.geometry = self.inner.dim, self.inner.geometry

    def __call__(self, batch: Any) -> list[Tensor]:
        return [each.detach() for each in self.inner(batch)]

    def embed(self, batch: Any) -> Tensor:
        """The embedding, as a constant."""
        z: Tensor = self.inner.embed(batch)
        return z.detach()


class Cut(Combined):
    """All tasks, on a severed trunk."""

    def reader(self, model: Any, name: str) -> Any:
        return Severed(model)


def cut_off(plain: Recipe) -> Recipe:
    """The recipe whose trunk learns nothing."""
    (stage,) = plain.stages

    def objective(shape: Any) -> Combined:
        found: Combined = stage.objective(shape)  # type: ignore[misc]
        found.__class__ = Cut
        return found

    return replace(plain, stages=(replace(stage, objective=objective),))


class Seeded(nn.Module):
    """A task that draws the same whenever it is asked."""

    def __init__(self, task: nn.Module, seed: int):
        super().__init__()
        self.task, self.seed = task, seed

    def forward(self, model: Any, batch: Any) -> Any:
        torch.manual_seed(self.seed)
        return self.task(model, batch)


def exact_errors(data: ArrayDataset, broken: bool) -> dict[str, float]:
    """The gradient of the sum, and one-hot weights, in float64 on pictures."""
    shape = shape_of(data)
    x = torch.randn(24, *shape.item, generator=torch_chance(0, 1), dtype=torch.float64)
    batch = {"x": x, "views": [{"x": x}, {"x": x.flip(3)}, {"x": x.roll(2, 3)}], "index": torch.arange(24)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain, sparse = made("auto"), made("auto", lasso=STRENGTH)
        net, asked = built(cut_off(plain) if broken else plain, shape)
        mixed, reading = built(sparse, shape)
        mixed.trunk.load_state_dict(net.state_dict())
        reading.load_state_dict(asked.state_dict())
        reading.lasso = 0.0
        for one in (asked, reading):
            one.level.fill_(1.0)  # at its first step every balanced task would count 1, whatever the net
        with torch.no_grad():
            mixed.share.copy_(torch.eye(mixed.share.shape[1])[-1].expand_as(mixed.share))
        losses = [float(one(encoder, batch)[0].detach()) for encoder, one in ((net, asked), (mixed, reading))]
        weights = list(net.parameters())
        loss = asked(net, batch)[0]
        whole = torch.autograd.grad(loss, weights, allow_unused=True) if not broken else [None] * len(weights)
        sums = [torch.zeros_like(w) for w in weights]
        for name in TASKS:
            alone = asked.weighed(name, asked.tasks[name](net, asked.given(batch, name))[0])
            for total, g in zip(sums, torch.autograd.grad(alone, weights, allow_unused=True), strict=True):
                if g is not None:
                    total += g
    gaps = [float((total - (0 if g is None else g)).abs().max()) for total, g in zip(sums, whole, strict=True)]
    return {
        "exact: gradient of the summed loss against the summed gradients": max(gaps),
        "exact: blocks mixed by one-hot weights against the plain net": abs(losses[0] - losses[1]),
    }


def built(plain: Recipe, shape: Shape) -> tuple[Any, Any]:
    """Encoder and objective in float64, in eval mode, each task with its own chance."""
    encoder: Any = plain.encoder(shape).double().eval()
    objective: Any = plain.stages[0].objective(shape).double().eval()  # type: ignore[misc]
    for number, name in enumerate(TASKS):
        objective.tasks[name] = Seeded(objective.tasks[name], number)
    return encoder, objective
