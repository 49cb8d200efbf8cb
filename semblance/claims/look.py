"""LOOK: a loss over the nearest neighbours leaves classes in several pieces, and what was never labelled can still be read.

Moved MNIST with one bit of label, the digit's parity; small net, 8 epochs, 20 nearest of the batch and a queue of 2,048.
Cross-entropy and SupCon see the same single view of every digit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from semblance.analysis.class_modes import class_modes
from semblance.analysis.uniformity import effective_rank
from semblance.claims.ledger import Run, at_least, at_most, claim
from semblance.claims.settings import labelled, linear_probe, moved_mnist, moved_views
from semblance.claims.staged import staged
from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.learning.backprop import Backprop
from semblance.objectives.contrast import Contrast
from semblance.objectives.kernels import Cosine
from semblance.objectives.leave_one_out import voted
from semblance.objectives.lift import on_items
from semblance.objectives.neighbours import same_label
from semblance.objectives.projector import perceptron
from semblance.recipes.backbones import backbone_of, width_of
from semblance.recipes.leave_one_out import look as recipe
from semblance.recipes.registry import Recipe, Stage
from semblance.recipes.supervised import supervised
from semblance.space.training import train

ITEMS, EPOCHS, K, QUEUE, BATCH = 6000, 8, 20, 2048, 128
ARMS = ("look", "cross-entropy", "supcon")


@claim(
    "look",
    parts={
        "(a) loss against KL(p || q), value and gradient": at_most(1e-6),
        "(a) all candidates: loss against -log of the k-NN chance": at_most(1e-6),
        "(b) largest difference of parity accuracy among the three": at_most(0.02),
        "(b) digits by a linear probe, above cross-entropy": at_least(0.05),
        "(b) digits by a linear probe, above SupCon": at_least(0.05),
        "(b) effective rank, times SupCon's": at_least(1.3),
    },
    data=("mnist",),
    seeds=(0, 1),
    broken="all candidates count as nearest, and p is uniform over the label: SupCon under LOOK's name",
    files=("objectives/leave_one_out.py", "recipes/leave_one_out.py", "claims/settings.py"),
    minutes=5.0,
)
def look(run: Run) -> None:
    """The leave-one-out error of the nearest neighbours as a loss asks only that some neighbours share the label; classes
    keep their sub-classes, which a probe then finds."""
    exact(run)
    data = moved_mnist(ITEMS)
    digit = np.asarray(data.targets["labels"])
    parity = replace(
        data, targets={"labels": digit % 2}, classes=("even", "odd"), fingerprint=data.fingerprint + " parity"
    )
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ARMS}
    seeds, epochs = (run.seeds[:1], EPOCHS // 4) if run.broken else (run.seeds, EPOCHS)
    modes: dict[str, list[float]] = {name: [] for name in ARMS}
    for seed in seeds:
        for name in ("supcon", "look", "cross-entropy"):
            if name != "look" or not run.broken:
                model = train(parity, arm(name), seed=seed, epochs=epochs)
            train_z, train_y, test_z, test_y = labelled(model, parity)
            digits = linear_probe(train_z, digit[data.splits["train"]], test_z, digit[data.splits["test"]])
            rank = float(effective_rank(test_z / np.linalg.norm(test_z, axis=1, keepdims=True)))
            found[name].append((linear_probe(train_z, train_y, test_z, test_y), digits, rank))
            pieces = class_modes(test_z, test_y, parity.classes)
            modes[name].append(float(np.mean([row["modes"] for row in pieces.rows])))
            run.progress(f"seed {seed}, {name}: parity {found[name][-1][0]:.4f}, digits {digits:.4f}, rank {rank:.1f}")
            run.progress(f"seed {seed}, {name}: {pieces}")
    for name in ARMS:
        run.baseline(f"parity, {name}", [each[0] for each in found[name]])
        run.baseline(f"digits, {name}", [each[1] for each in found[name]])
        run.baseline(f"modes of a parity, {name}", modes[name])
    which = range(len(seeds))
    run.report(
        "(b) largest difference of parity accuracy among the three",
        [max(found[a][s][0] - found[b][s][0] for a in ARMS for b in ARMS) for s in which],
    )
    for other, part in (("cross-entropy", "cross-entropy"), ("supcon", "SupCon")):
        gain = [found["look"][s][1] - found[other][s][1] for s in which]
        run.report(f"(b) digits by a linear probe, above {part}", gain)
    run.report("(b) effective rank, times SupCon's", [found["look"][s][2] / found["supcon"][s][2] for s in which])


def arm(name: str) -> Recipe:
    """One view of every digit in batches of 128, Adam 1e-3, for each."""
    if name == "look":
        made = recipe(k=K, size=QUEUE, batch=BATCH, epochs=EPOCHS, least=1)
    elif name == "cross-entropy":
        made = supervised(batch=BATCH, epochs=EPOCHS, least=1)
    else:
        encoder = backbone_of("small")

        def objective(shape: Shape) -> torch.nn.Module:
            inner = width_of(encoder, shape)
            return on_items(Contrast(same_label, Cosine(0.1)), perceptron((inner, inner, 128)), ("labels",))

        stage = Stage(Backprop("adam", lr=1e-3, epochs=EPOCHS), objective, Shuffled(BATCH))
        made = Recipe(encoder=encoder, stages=(stage,))
    return staged(made, views=moved_views(1))


def exact(run: Run) -> None:
    """On random points in float64."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(60, 8, generator=generator).double().requires_grad_()
    labels = torch.arange(60) % 4

    def of(k: int) -> torch.Tensor:
        u = F.normalize(z, dim=1)
        return voted(u @ u.T / 0.1, labels, labels, k)[0]

    core = Contrast(same_label, Cosine(0.1), nearest=K, restrict=True)(z, {"labels": labels})
    ours = of(K).mean()
    gradients = [torch.autograd.grad(value, z, retain_graph=True)[0] for value in (ours, core)]
    gap = max(float((ours - core).abs().detach()), float((gradients[0] - gradients[1]).abs().max()))
    run.report("(a) loss against KL(p || q), value and gradient", gap)
    u = F.normalize(z.detach(), dim=1)
    weight = torch.exp(u @ u.T / 0.1).fill_diagonal_(0)
    chance = (weight * (labels[:, None] == labels)).sum(1) / weight.sum(1)
    off = (of(59).detach() + chance.log()).abs().max()
    run.report("(a) all candidates: loss against -log of the k-NN chance", float(off))
