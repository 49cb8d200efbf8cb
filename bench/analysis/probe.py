"""The linear probe's six L2 strengths at once against one, and against scikit-learn, on 50,000 x 512 features.

`loss` and `theirs` are the penalised losses at l2 = 1e-4, each on standardised columns.

    python bench/analysis/probe.py --rounds 3
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.analysis.features import features
from bench.harness import bench, times

L2 = 1e-4


def problem() -> tuple[torch.Tensor, torch.Tensor]:
    from semblance.analysis.probes import Standard

    z, y, _, _ = features()
    return Standard.of(z.numpy())(z.numpy()), torch.from_numpy(y).long()


def ours(strengths: Sequence[float]) -> Callable[[], dict[str, float]]:
    def run() -> dict[str, float]:
        from semblance.analysis.probes import fit_logistic

        z, y = problem()
        target = torch.nn.functional.one_hot(y).float()
        fitted: list = []
        measured = times(lambda: fitted.append(fit_logistic(z, target, strengths)), 1, warmup=0)
        loss = float(fitted[0].loss[list(strengths).index(L2)])
        return {**measured, "loss": loss, "passes": fitted[0].passes}

    return run


def scikit_learn() -> dict[str, float]:
    from sklearn.linear_model import LogisticRegression

    z, y = problem()
    model = LogisticRegression(C=1 / (L2 * len(z)), max_iter=400)
    measured = times(lambda: model.fit(z.numpy(), y.numpy()), 1, warmup=0)
    logits = z @ torch.from_numpy(model.coef_).float().T + torch.from_numpy(model.intercept_).float()
    loss = torch.nn.functional.cross_entropy(logits, y) + L2 / 2 * float((model.coef_**2).sum())
    return {**measured, "loss": float(loss), "passes": float(model.n_iter_[0])}


if __name__ == "__main__":
    from semblance.analysis.probes import STRENGTHS

    bench(
        __file__,
        {"scikit-learn, one": scikit_learn, "one strength": ours([L2]), "six strengths": ours(STRENGTHS)},
        baseline="scikit-learn, one",
        targets={"six strengths in at most twice the time of one": ("six strengths / one strength", 0.5)},
        rounds=3,
        notes="50,000 x 512 random ReLU features of MNIST, 10 classes, L-BFGS",
    )
