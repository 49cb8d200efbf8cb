"""Jigsaw clustering: one pass over montages of a batch's patches teaches which of them belong together and where.

CIFAR-10 subset, montages of four 16-pixel patches, small net with strides 2, 2, 1, 1, batch 128, 8 epochs, Adam 1e-3.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from semblance.claims.ledger import Run, at_least, at_most, claim, exactly
from semblance.claims.settings import cifar_subset, labelled, linear_probe, untrained
from semblance.claims.staged import staged
from semblance.data.dataset import ArrayDataset
from semblance.objectives.montage import JigsawClustering, cut, montage
from semblance.recipes.montage import jigsaw_clustering as recipe
from semblance.recipes.registry import Recipe
from semblance.space.model import Model
from semblance.space.training import train

EPOCHS, BATCH, ITEMS = 8, 128, 10_000


@claim(
    "jigsaw-clustering",
    parts={
        "(a) held-out position accuracy": at_least(0.40),
        "(a) a same-image patch is the nearest of 511, above the untrained net": at_least(0.12),
        "(b) linear probe above the untrained net": at_least(0.06),
        "(c) pictures through the backbone per step, of those of two views": exactly(0.5),
        "(c) patches not recovered by unmontaging": exactly(0.0),
        "(c) change of vectors with the montage, per-pixel backbone": at_most(1e-6),
    },
    data=("cifar10-subset",),
    seeds=(0,),
    broken="positions and sources are those of other patches",
    files=("objectives/montage.py", "data/windows.py", "recipes/montage.py", "claims/settings.py"),
    minutes=4.0,
)
def jigsaw_clustering(run: Run) -> None:
    """Clustering and locating the patches of shuffled montages learns features at half the passes of two views."""
    x = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    recovered = cut(montage(cut(x, 2, 0.0), order), 2, 0.0).flatten(0, 1)[order.argsort()]
    wrong = (recovered != cut(x, 2, 0.0).flatten(0, 1)).flatten(1).any(1).sum()
    run.report("(c) patches not recovered by unmontaging", float(wrong))
    run.report("(c) change of vectors with the montage, per-pixel backbone", placing_error(x))
    run.report("(c) pictures through the backbone per step, of those of two views", passes(x) / (2 * len(x)))

    data = some(cifar_subset(), ITEMS // 5 if run.broken else ITEMS)
    located, nearest, gained = [], [], []
    for seed in run.seeds:
        model = train(data, made(run.broken), seed=seed, epochs=EPOCHS // 8 if run.broken else EPOCHS)
        before = untrained(data, made(), seed)
        (accuracy, retrieved), (_, chance) = (judged(each, data) for each in (model, before))
        probe, plain = (linear_probe(*labelled(each, data)) for each in (model, before))
        run.progress(f"seed {seed}: located {accuracy:.3f}, retrieved {retrieved:.3f}, untrained {chance:.3f}")
        run.progress(f"seed {seed}: linear probe {probe:.3f}, untrained {plain:.3f}")
        located.append(accuracy)
        nearest.append(retrieved - chance)
        gained.append(probe - plain)
    run.report("(a) held-out position accuracy", located)
    run.report("(a) a same-image patch is the nearest of 511, above the untrained net", nearest)
    run.report("(b) linear probe above the untrained net", gained)


def some(data: ArrayDataset, most: int) -> ArrayDataset:
    """The first training and test pictures, all of them unless a trial asks for fewer."""
    if len(data.splits["train"]) <= most:
        return data
    return data.subset(np.concatenate([data.splits["train"][:most], data.splits["test"][:most]]))


class Misled(JigsawClustering):
    """The sabotaged objective: every patch has another's vector."""

    def vectors(self, model, patches, order):  # type: ignore[no-untyped-def]
        """As they are, in another order."""
        z = super().vectors(model, patches, order)
        return z[torch.randperm(len(z))]


def misled(objective: JigsawClustering) -> Misled:
    """The same heads under the sabotage."""
    return Misled(objective.projector, objective.locate, objective.m)


def made(broken: bool = False) -> Recipe:
    """The recipe, an epoch being the data once."""
    return staged(recipe(batch=BATCH, least=1), misled if broken else None)


@torch.no_grad()
def judged(model: Model, data: ArrayDataset) -> tuple[float, float]:
    """On montages of 128 held-out pictures, unchanged: the share of positions told, and of patches whose nearest among the
    511 others of the batch is of the same picture."""
    network, right, found, count = model.network.eval(), 0.0, 0.0, 0
    assert isinstance(model.objective, JigsawClustering)
    objective = model.objective.eval()
    rows = data.splits["test"]
    for part in range(len(rows) // BATCH):
        x = torch.cat(list(model.blocks(data, rows[part * BATCH : (part + 1) * BATCH])))
        order = torch.randperm(4 * len(x), generator=torch.Generator().manual_seed(part))
        z = JigsawClustering.vectors(objective, network, cut(x), order)  # whatever the twin does while training
        right += float((objective.locate(z).argmax(1) == order % 4).sum())
        near = F.normalize(z, dim=1)
        found += float((order[(near @ near.T).fill_diagonal_(-2).argmax(1)] // 4 == order // 4).sum())
        count += len(order)
    return right / count, found / count


class PerPixel(torch.nn.Module):
    """Sees one pixel at a time, and counts what it is given."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.map, self.seen = torch.nn.Conv2d(3, 8, 1), 0

    def forward(self, batch):  # type: ignore[no-untyped-def]
        """x -> one map."""
        self.seen += len(batch["x"])
        return [self.map(batch["x"]).tanh()]


def objective_of() -> JigsawClustering:
    """A small one."""
    return JigsawClustering(torch.nn.Linear(8, 4), torch.nn.Linear(8, 4))


def placing_error(x: torch.Tensor) -> float:
    """The most that a patch's vector changes with the montage it is put in."""
    model, loss = PerPixel(), objective_of()
    orders = [torch.randperm(4 * len(x), generator=torch.Generator().manual_seed(s)) for s in (0, 1)]
    one, other = (loss.vectors(model, cut(x), order)[order.argsort()] for order in orders)
    return float((one - other).abs().max().detach())


def passes(x: torch.Tensor) -> int:
    """Pictures that one step gives the backbone."""
    model = PerPixel()
    objective_of()(model, {"views": [{"x": patch} for patch in cut(x).unbind(1)]})
    return model.seen
