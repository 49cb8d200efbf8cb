"""The labelling cascade of LSUN: people answer about a few pictures, a model labels the rest to a stated precision.

Candidates: all 5,851 eights of MNIST's training part and the first 14,149 other digits of it; features: their 64 PCA
coordinates. Five simulated workers err in 5% of their answers, three answer each picture, 500 a round; the confidences of
the bounds (0.95 for precision, 0.8 for missed positives) were set on seeds 100 to 102. (b) one round with as many pictures.
(c) two dense layers on the same features tell eights among the 10,000 test digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semblance.claims.ledger import Run, at_least, at_most, claim
from semblance.data.load import load
from semblance.learning.label_cascade import YES, Cascade, Rules, fit_scorer
from semblance.learning.parts import chance, torch_chance
from semblance.learning.workers import Simulated

CANDIDATES, RUNS = 20_000, 20
WORKERS, ERROR, ANSWERS = 5, 0.05, 3


@claim(
    "lsun-cascade",
    parts={
        "(a) precision of the final positives": at_least(0.95),
        "(a) recall of the final positives": at_least(0.96),
        "(a) share of the pictures ever shown to people": at_most(0.2),
        "(b) recall above that of one round with as many pictures shown": at_least(0.02),
        "(c) accuracy lost by the cascade's labels": at_most(0.01),
        "(d) runs of 20 whose precision misses its bound": at_most(2),
    },
    data=("mnist",),
    broken="the features belong to other pictures",
    files=("learning/label_cascade.py", "learning/workers.py"),
    minutes=4.0,
)
def lsun_cascade(run: Run) -> None:
    """People who answer about samples, and a model that labels where it is sure, make a large labelled set from few
    answers, at the precision that was asked for."""
    digits = Digits.load(run)
    found: dict[str, list[float]] = {}
    for seed in run.seeds:
        made = cascade_of(digits, seed)
        for name, value in {
            **quality(digits, made),
            **one_round(digits, made, seed),
            **taught(digits, made, seed),
        }.items():
            found.setdefault(name, []).append(value)
            run.progress(f"seed {seed}: {name} {value:.4f}")
    for name, values in found.items():
        (run.report if name in run.parts else run.baseline)(name, values)
    precision = [precision_of(digits, cascade_of(digits, seed)) for seed in range(RUNS if not run.broken else 3)]
    run.baseline("(d) precision of 20 runs", precision)
    missed = sum(value < Rules().precision for value in precision)
    run.report("(d) runs of 20 whose precision misses its bound", missed)


@dataclass
class Digits:
    """Features of the candidates and of the test digits, and which are eights."""

    z: np.ndarray
    eight: np.ndarray
    test: np.ndarray
    test_eight: np.ndarray

    @classmethod
    def load(cls, run: Run) -> Digits:
        data = load("mnist")
        eight = np.asarray(data.targets["labels"]) == 8
        rows, test = data.splits["train"], data.splits["test"]
        own = rows[eight[rows]]
        rows = np.sort(np.concatenate([own, rows[~eight[rows]][: CANDIDATES - len(own)]]))
        x, asked = (data.x[part].reshape(len(part), -1).astype(np.float32) / 255 for part in (rows, test))
        mean = x.mean(0)
        _, axes = np.linalg.eigh(np.cov((x - mean).T))
        turn = axes[:, ::-1][:, :64].astype(np.float32)
        z = (x - mean) @ turn
        if run.broken:
            z = z[np.random.default_rng(255).permutation(len(z))]
        return cls(z, eight[rows], (asked - mean) @ turn, eight[test])


def people_of(d: Digits, seed: int) -> Simulated:
    return Simulated(d.eight, np.full(WORKERS, ERROR), ANSWERS, chance(seed, 257))


def cascade_of(d: Digits, seed: int, rules: Rules | None = None) -> Cascade:
    """A cascade after its last round."""
    made = Cascade(d.z, rules or Rules(), seed)
    for _ in made.run(people_of(d, seed)):
        pass
    return made


def precision_of(d: Digits, made: Cascade) -> float:
    return float(d.eight[made.labels == YES].mean())


def recall_of(d: Digits, made: Cascade) -> float:
    return float((made.labels[d.eight] == YES).mean())


def quality(d: Digits, made: Cascade) -> dict[str, float]:
    by_model = (made.labels == YES) & ~made.by_people
    return {
        "(a) precision of the final positives": precision_of(d, made),
        "(a) recall of the final positives": recall_of(d, made),
        "(a) share of the pictures ever shown to people": made.shown / len(d.z),
        "(a) precision of the model's own positives": float(d.eight[by_model].mean())
        if by_model.any()
        else float("nan"),
        "(a) rounds": float(len(made.rounds)),
        "(a) answers per labelled picture": len(made.answers) / int((made.labels >= 0).sum()),
    }


def one_round(d: Digits, made: Cascade, seed: int) -> dict[str, float]:
    """All pictures shown at once, the same bounds; what is unsure stays so."""
    once = cascade_of(d, seed, Rules(sample=made.shown, rest=0, rounds=1))
    yes = (once.labels == YES).any()
    return {
        "(b) recall above that of one round with as many pictures shown": recall_of(d, made) - recall_of(d, once),
        "(b) one round: precision": precision_of(d, once) if yes else float("nan"),
        "(b) one round: left unsure": float(len(once.pool)),
        "(b) cascade: left unsure": float(len(made.pool)),
    }


def taught(d: Digits, made: Cascade, seed: int) -> dict[str, float]:
    """The same classifier from the cascade's labels and from the true ones."""
    known = made.labels >= 0
    mean, scale = d.z.mean(0), d.z.std()
    accuracy = []
    for rows, labels in ((known, made.labels[known] == YES), (np.ones(len(d.z), bool), d.eight)):
        score = fit_scorer((d.z[rows] - mean) / scale, labels, torch_chance(seed, 258))
        accuracy.append(float(((score((d.test - mean) / scale) > 0) == d.test_eight).mean()))
    return {
        "(c) accuracy lost by the cascade's labels": accuracy[1] - accuracy[0],
        "(c) accuracy from true labels": accuracy[1],
    }
