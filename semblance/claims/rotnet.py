"""RotNet: who can tell how a picture was turned has learned what is in it.

CIFAR-10 subset, small net, all four turns of every picture, 5 epochs of 40,000 images, Adam 1e-3, batches of 32 x 4. Fine
tuning and training from scratch are alike: whole net with a linear head, Adam 1e-3, 20 labels per class.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from semblance.claims.ledger import Run, at_least, at_most, claim, exactly, within
from semblance.claims.settings import cifar_subset, features, labelled, linear_probe, pixels, untrained
from semblance.contracts import Batch
from semblance.data.dataset import ArrayDataset, Shape
from semblance.data.samplers import Shuffled
from semblance.geometry.groups import Turns, average
from semblance.heads.classify import Linear
from semblance.learning.backprop import Backprop
from semblance.learning.parts import chance
from semblance.objectives.classify import CrossEntropy
from semblance.objectives.pretext import Acted, Pretext, pooled_blocks
from semblance.recipes.pretext import flips_and_shifts
from semblance.recipes.pretext import rotnet as recipe
from semblance.recipes.registry import Recipe, Stage
from semblance.space.model import Model
from semblance.space.training import train

TURNS = Turns(4)
PER_CLASS, DRAWS, TUNING_EPOCHS = 20, 5, 30


@claim(
    "rotnet",
    parts={
        "(a) held-out turn accuracy": at_least(0.45),
        "(b) linear probe above the untrained net": at_least(0.06),
        "(b) 20 labels per class: fine-tuned above from scratch": at_least(0.01),
        "(c) exact: four quarter turns against none": exactly(0),
        "(c) exact: loss of a turned batch with labels permuted": at_most(1e-6),
        "(d) invariant features: largest difference between turns": at_most(1e-4),
        "(d) invariant features: turn accuracy": within(0.25, 0.005),
    },
    data=("cifar10-subset",),
    seeds=(0,),
    broken="the turns' labels are shuffled",
    files=("objectives/pretext.py", "geometry/groups.py", "recipes/pretext.py", "claims/settings.py"),
    minutes=3.0,
)
def rotnet(run: Run) -> None:
    """Predicting which of four turns was applied gives features that classify, and a good start where labels are few."""
    data = cifar_subset()
    for part, error in exact_errors(data).items():
        run.report(part, error)
    held_out, probes, before, tuned, scratch = [], [], [], [], []
    for seed in run.seeds:
        made = recipe()
        if run.broken:
            made = with_change(made, Dealt())
        model = train(data, made, seed=seed)
        held_out.append(turn_accuracy(model, data))
        run.progress(f"seed {seed}: turn accuracy {held_out[-1]:.3f}")
        fresh = untrained(data, recipe(), seed)
        probes.append(linear_probe(*labelled(model, data)))
        before.append(linear_probe(*labelled(fresh, data)))
        run.progress(f"seed {seed}: linear probe {probes[-1]:.3f}, untrained {before[-1]:.3f}")
        for draw in range(DRAWS):
            few = few_labels(data, chance(seed, draw))
            tuned.append(fine_tuned(model, few, data, draw))
            scratch.append(fine_tuned(fresh, few, data, draw))
            run.progress(f"draw {draw}: fine-tuned {tuned[-1]:.3f}, from scratch {scratch[-1]:.3f}")
        for block, accuracy in enumerate(block_probes(model, data), 1):
            run.baseline(f"linear probe at block {block}, seed {seed}", accuracy)
    run.baseline("linear probe", probes)
    run.baseline("linear probe, untrained net", before)
    run.baseline("linear probe on pixels of 2,000", linear_probe(*some(pixels(data), 2000)))
    run.baseline("fine-tuned, 20 labels per class", tuned)
    run.baseline("from scratch, 20 labels per class", scratch)
    run.report("(a) held-out turn accuracy", held_out)
    run.report("(b) linear probe above the untrained net", np.subtract(probes, before))
    run.report("(b) 20 labels per class: fine-tuned above from scratch", np.subtract(tuned, scratch))
    difference, accuracy = invariant(data, run.seeds[0])
    run.report("(d) invariant features: largest difference between turns", difference)
    run.report("(d) invariant features: turn accuracy", accuracy)


class Dealt(Acted):
    """All four turns, with the answers dealt out at random."""

    def __init__(self) -> None:
        super().__init__(TURNS)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        changed, target = super().__call__(x)
        return changed, target[torch.randperm(len(target))]


class Averaged(nn.Module):
    """An encoder whose features are the mean over the four turns."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder, self.dim, self.geometry = encoder, encoder.dim, encoder.geometry

    def embed(self, batch: Batch) -> Tensor:
        """[N, C, H, W] -> [N, d]"""
        return average(TURNS, lambda x: self.encoder.embed({"x": x}), batch["x"])


def with_change(made: Recipe, change: Acted) -> Recipe:
    """The recipe with another change before its question."""
    (stage,) = made.stages

    def objective(shape: Shape) -> Pretext:
        built = stage.objective(shape)
        return Pretext(change, built.head)

    return replace(made, stages=(replace(stage, objective=objective),))


def turn_accuracy(model: Model, data: ArrayDataset) -> float:
    """Share of right answers over all four turns of the test pictures."""
    right = []
    model.objective.eval()
    with torch.inference_mode():
        for x in model.blocks(data, data.splits["test"]):
            changed, target = Acted(TURNS)(x)
            right.append(model.objective.answers(model.network, changed)[0].argmax(1) == target[:, 0])
    return float(torch.cat(right).float().mean())


def block_probes(model: Model, data: ArrayDataset) -> list[float]:
    """Linear probe on the pooled features of every block, first to last."""
    y = np.asarray(data.targets["labels"])
    train_rows, test_rows = data.splits["train"], data.splits["test"]
    held = []
    with torch.inference_mode():
        for rows in (train_rows, test_rows):
            pooled = [pooled_blocks(model.network.encoder({"x": x})) for x in model.blocks(data, rows)]
            held.append([torch.cat(block).numpy() for block in zip(*pooled, strict=True)])
    return [linear_probe(z, y[train_rows], test_z, y[test_rows]) for z, test_z in zip(*held, strict=True)]


def few_labels(data: ArrayDataset, rng: np.random.Generator) -> ArrayDataset:
    """The data with a training split of 20 items per class."""
    rows, y = data.splits["train"], np.asarray(data.targets["labels"])
    chosen = [rng.choice(rows[y[rows] == k], PER_CLASS, replace=False) for k in range(len(data.classes))]
    return replace(data, splits={**data.splits, "train": np.sort(np.concatenate(chosen))})


def fine_tuned(start: Model, few: ArrayDataset, data: ArrayDataset, seed: int) -> float:
    """Test accuracy of the whole net, started from this model's encoder and trained on the few labels."""
    made = Recipe(
        encoder=lambda shape: copy.deepcopy(start.network.encoder),
        head=lambda shape: Linear(start.dim, len(data.classes)),
        stages=(
            Stage(
                Backprop("adam", lr=1e-3, epochs=TUNING_EPOCHS),
                lambda shape: CrossEntropy(),
                Shuffled(50),
                flips_and_shifts(),
            ),
        ),
    )
    model = train(few, made, seed=seed)
    z = torch.from_numpy(features(model, data, data.splits["test"]))
    with torch.inference_mode():
        answer = model.network.head(z, {}).argmax(1).numpy()
    return float((answer == np.asarray(data.targets["labels"])[data.splits["test"]]).mean())


def invariant(data: ArrayDataset, seed: int) -> tuple[float, float]:
    """A net that averages over the turns, trained for an epoch on 2,000 pictures: how far its answers to the four turns
    are apart, and how many are right."""
    made = recipe(batch=50)
    plain = made.encoder
    small = replace(data, splits={**data.splits, "train": data.splits["train"][:2000]})
    model = train(small, replace(made, encoder=lambda shape: Averaged(plain(shape))), seed=seed, epochs=1)
    x = next(model.blocks(data, data.splits["test"]))
    with torch.inference_mode():
        logits = model.objective.answers(model.network, Acted(TURNS)(x)[0])[0].unflatten(0, (4, len(x)))
    return float((logits - logits[:1]).abs().max()), turn_accuracy(model, data)


def exact_errors(data: ArrayDataset) -> dict[str, float]:
    """Turning four times, and the loss of a turned batch, in float64 on pictures."""
    x = torch.from_numpy(data.x[data.splits["test"][:50]]).double() / 255
    y = x
    for _ in range(4):
        y = TURNS.act(1, y)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = recipe().encoder(Shape("images", tuple(x.shape[1:]), 10, len(x))).double()
        objective = Pretext(Acted(TURNS), nn.Linear(net.dim, 4).double())
    errors = []
    with torch.inference_mode():
        loss = objective(net, {"x": x})[0]
        for g in range(1, 4):
            changed, target = objective.change(TURNS.act(g, x))
            permuted = (target + g) % 4  # an item turned by k more has been turned by k + g
            errors.append(float((objective.score(net, changed, permuted)[0] - loss).abs()))
    return {
        "(c) exact: four quarter turns against none": float((x - y).abs().max()),
        "(c) exact: loss of a turned batch with labels permuted": max(errors),
    }


def some(parts: tuple[np.ndarray, ...], items: int) -> tuple[np.ndarray, ...]:
    """The first items of the training part, for a probe on thousands of columns."""
    return parts[0][:items], parts[1][:items], parts[2], parts[3]
