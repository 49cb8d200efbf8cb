"""Claim of ResNet: the published sizes, and degradation: a deep plain net learns worse than a shallow one, a residual one
does not."""

from __future__ import annotations

import numpy as np
import torch

from semblance.claims.ledger import Run, at_least, at_most, claim, exactly
from semblance.claims.signed_digits import signed, signed_digits
from semblance.encoders.vision.stagenet import multiply_adds, stage_net
from semblance.recipes.supervised import resnet as recipe
from semblance.space.training import train

PARAMETERS = {
    ("resnet18", 1000): 11_689_512,
    ("resnet34", 1000): 21_797_672,
    ("resnet50", 1000): 25_557_032,
    ("resnet101", 1000): 44_549_160,
    ("resnet152", 1000): 60_192_808,
    ("resnet20", 10): 269_722,
    ("resnet32", 10): 464_154,
    ("resnet44", 10): 658_586,
    ("resnet56", 10): 853_018,
    ("plain56", 10): 853_018,
    ("resnet110", 10): 1_727_962,
    ("resnet1202", 10): 19_421_274,
}
# (row, stride in the first convolution, side): millions of multiply-adds, rounded as the catalogue has them.
WORK = {
    ("resnet18", True, 224): 1814.0,
    ("resnet34", True, 224): 3664.0,
    ("resnet50", True, 224): 3858.0,
    ("resnet101", True, 224): 7570.0,
    ("resnet152", True, 224): 11282.0,
    ("resnet50", False, 224): 4089.0,
    ("resnet101", False, 224): 7801.0,
    ("resnet152", False, 224): 11514.0,
    ("resnet56", True, 32): 125.5,
}


def parameters_of(row: str, classes: int) -> str:
    return f"parameters of {row} with {classes} classes"


def work_of(row: str, first: bool, side: int) -> str:
    return f"million multiply-adds of {row}{'' if first else ' v1.5'} at {side} pixels"


@claim(
    "resnet",
    parts={
        **{parameters_of(*key): exactly(count) for key, count in PARAMETERS.items()},
        **{work_of(*key): exactly(count) for key, count in WORK.items()},
        "residual-56 test accuracy": at_least(0.96),
        "plain-56 test accuracy": at_most(0.70),
        "plain-56 training loss over residual-56's": at_least(20),
        "plain-8 test accuracy": at_least(0.96),
    },
    data=("digits",),
    seeds=(0, 1),
    broken="the shortcut sums are removed from the residual arm",
    files=("encoders/vision/stagenet.py", "encoders/vision/rows.py", "encoders/vision/blocks.py"),
    minutes=2.0,
)
def resnet(run: Run) -> None:
    """Sizes are the published ones. Without shortcuts 56 layers learn far worse than 8, also on their training data; with
    them they learn as well. Digits, widths 8, 16, 32, 10 epochs."""
    for row, classes in PARAMETERS:
        run.report(parameters_of(row, classes), parameters(row, classes))
    for row, first, side in WORK:
        run.report(work_of(row, first, side), work(row, first, side))
    residual = [trained("plain56" if run.broken else "resnet56", seed) for seed in run.seeds]
    plain = [trained("plain56", seed) for seed in run.seeds]
    shallow = [trained("plain8", seed) for seed in run.seeds]
    run.report("residual-56 test accuracy", [accuracy for accuracy, _ in residual])
    run.report("plain-56 test accuracy", [accuracy for accuracy, _ in plain])
    ratios = [bad / good for (_, bad), (_, good) in zip(plain, residual, strict=True)]
    run.report("plain-56 training loss over residual-56's", ratios)
    run.report("plain-8 test accuracy", [accuracy for accuracy, _ in shallow])
    run.baseline("residual-56 training loss", [loss for _, loss in residual])
    run.baseline("plain-56 training loss", [loss for _, loss in plain])


def parameters(row: str, classes: int) -> int:
    """Parameters with a linear classifier."""
    with torch.device("meta"):
        net = stage_net(row)
    return sum(p.numel() for p in net.parameters()) + net.dim * classes + classes


def work(row: str, first: bool, side: int) -> float:
    """Millions of multiply-adds with a linear classifier (1000 classes at 224 pixels, 10 at 32)."""
    with torch.device("meta"):
        net = stage_net(row, stride_in_first=first)
    total = multiply_adds(net, (side, side)) + net.dim * (1000 if side == 224 else 10)
    return round(total / 1e6, 0 if side == 224 else 1)


def trained(row: str, seed: int) -> tuple[float, float]:
    """-> test accuracy, and the training loss of the last epoch. Paper: lr 0.1 at batches of 128."""
    data = signed_digits()
    chosen = recipe(backbone=row, width=8, batch=BATCH, lr=RATE, augment=False, least=1, epochs=10)
    model = train(data, signed(chosen), seed=seed)
    test = data.subset(data.splits["test"])
    answers = np.array(model.predict(test)).astype(int)
    return float((answers == test.targets["labels"]).mean()), model.history[-1]["loss"]


BATCH, RATE = 32, 0.05
