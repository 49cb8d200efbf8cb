"""BatchFormer: items that look at one another while training help the rarest classes, and cost nothing at test.

Moved MNIST with 1,000 down to 10 training digits a class in geometric steps (2,480 in all), balanced test of 2,000, small
net, balanced softmax, batch 128, 18 epochs, with the module and without.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from semblance.claims.ledger import Run, above, at_least, at_most, claim, exactly
from semblance.claims.settings import features, moved_mnist
from semblance.data.dataset import ArrayDataset
from semblance.heads.batch_attention import BatchAttention
from semblance.heads.classify import Linear
from semblance.learning.parts import Network
from semblance.objectives.across_batch import AcrossBatch
from semblance.recipes.batch_attention import batchformer as recipe
from semblance.space.model import Model
from semblance.space.training import train

EPOCHS, MOST, LEAST, DIGITS, RARE = 18, 1000, 10, 12_000, 3


@claim(
    "batchformer",
    parts={
        "(a) largest gradient of an item's loss at another item, with the module": above(0.0),
        "(a) largest gradient of an item's loss at another item, without": exactly(0.0),
        "(a) change when the batch is permuted, dropout off": at_most(1e-5),
        "(a) change of answers with the batch at test": exactly(0.0),
        "(a) weights of the module in the saved model": exactly(0.0),
        "(b) accuracy on the three rarest classes above the run without": at_least(0.01),
        "(b) overall accuracy above the run without": at_least(-0.003),
        "(c) training time of a step, times the run's without": at_most(1.15),
    },
    data=("mnist",),
    seeds=(0, 1, 2, 3),
    broken="the module is left out of the run that should have it",
    files=(
        "heads/batch_attention.py",
        "objectives/across_batch.py",
        "recipes/batch_attention.py",
        "claims/settings.py",
    ),
    minutes=4.0,
)
def batchformer(run: Run) -> None:
    """Attention across the batch during training lets frequent classes shape the features of rare ones; the shared
    classifier is used alone at test."""
    exact(run)
    data, order = long_tail()
    found: dict[bool, list[tuple[float, float, float]]] = {True: [], False: []}
    answers, left, pulled = [], [], []
    # The twin's two runs are one and the same, and a few epochs show it.
    seeds, epochs = (run.seeds[:1], EPOCHS // 4) if run.broken else (run.seeds, EPOCHS)
    for seed in seeds:
        for across in (False, True):
            if not across or not run.broken:
                model = train(data, recipe(across=across, least=1), seed=seed, epochs=epochs)
            rare, overall = judged(model, data, order)
            # What else the machine does can only add to an epoch's time.
            seconds = float(np.min(np.diff([epoch["seconds"] for epoch in model.history])))
            found[across].append((rare, overall, seconds))
            run.progress(f"seed {seed}, module {across}: rare {rare:.4f}, all {overall:.4f}, {seconds:.2f} s an epoch")
            if across:
                answers.append(by_batch(model, data))
                pulled.append(from_others(model, data, order))
                left.append(sum("across" in name for name in model.network.state_dict()))
    for k, name in enumerate(("accuracy on the three rarest classes", "accuracy", "seconds of an epoch")):
        run.baseline(f"{name}, without", [each[k] for each in found[False]])
    run.baseline("share of a rare item's pull at features that is at other items'", pulled)
    pairs = list(zip(found[True], found[False], strict=True))
    run.report("(a) change of answers with the batch at test", answers)
    run.report("(a) weights of the module in the saved model", left)
    run.report("(b) accuracy on the three rarest classes above the run without", [a[0] - b[0] for a, b in pairs])
    run.report("(b) overall accuracy above the run without", [a[1] - b[1] for a, b in pairs])
    run.report("(c) training time of a step, times the run's without", [a[2] / b[2] for a, b in pairs])


def long_tail() -> tuple[ArrayDataset, np.ndarray]:
    """The digits with their numbers of training items in geometric steps, which digit is how rare drawn once; the classes
    from the most frequent to the rarest."""
    data = moved_mnist(DIGITS)
    y, rows = np.asarray(data.targets["labels"]), data.splits["train"]
    order = np.random.default_rng(264).permutation(10)
    counts = np.round(MOST * (LEAST / MOST) ** (np.arange(10) / 9)).astype(int)
    kept = np.concatenate([rows[y[rows] == k][:count] for k, count in zip(order, counts, strict=True)])
    return replace(data, splits={"train": np.sort(kept), "test": data.splits["test"]}), order


def judged(model: Model, data: ArrayDataset, order: np.ndarray) -> tuple[float, float]:
    """Mean accuracy over the three rarest classes, and over the test items."""
    rows = data.splits["test"]
    y = np.asarray(data.targets["labels"])[rows]
    z = torch.from_numpy(features(model, data, rows))
    with torch.inference_mode():
        right = (model.network.head(z, {}).argmax(1).numpy() == y).astype(float)
    return float(np.mean([right[y == k].mean() for k in order[-RARE:]])), float(right.mean())


def by_batch(model: Model, data: ArrayDataset) -> float:
    """The most that 64 items' features change with the company they are read in."""
    rows = data.splits["test"][:64]
    network = model.network.eval()
    (x,) = list(model.blocks(data, rows))
    with torch.inference_mode():
        whole = network.embed({"x": x})
        return float((network.embed({"x": x.flip(0)}).flip(0) - whole).abs().max())


def from_others(model: Model, data: ArrayDataset, order: np.ndarray) -> float:
    """Among 128 training items with all of the three rarest classes: of what a rare item's loss pulls at, how much is other
    items' features."""
    y, rows = np.asarray(data.targets["labels"]), data.splits["train"]
    rare = np.isin(y[rows], order[-RARE:])
    chosen = np.concatenate([rows[rare], rows[~rare]])[:128]
    assert isinstance(model.objective, AcrossBatch)
    z, labels = torch.from_numpy(features(model, data, chosen)), torch.from_numpy(y[chosen])
    return float(model.objective.eval().from_others(z, labels, model.network.head)[: int(rare.sum())].mean())


def exact(run: Run) -> None:
    """On random features."""
    torch.manual_seed(0)
    x, labels = torch.randn(12, 16), torch.arange(12) % 4
    network = Network(torch.nn.Identity(), Linear(16, 4))
    for across, words in ((True, "with the module"), (False, "without")):
        looked = BatchAttention(16, 4, dropout=0.0) if across and not run.broken else None
        objective, z = AcrossBatch(4, looked), x.clone().requires_grad_()
        read = z if objective.across is None else objective.across(z)
        loss = torch.nn.functional.cross_entropy(network.head(read, {}), labels, reduction="none")[0]
        gradient = torch.autograd.grad(loss, z)[0][1:].abs().max()
        run.report(f"(a) largest gradient of an item's loss at another item, {words}", float(gradient))
    module, order = BatchAttention(16, 4, dropout=0.0), torch.randperm(12)
    change = (module(x[order]) - module(x)[order]).abs().max()
    run.report("(a) change when the batch is permuted, dropout off", float(change.detach()))
