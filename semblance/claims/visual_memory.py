"""Visual memory: stored, labelled items classify by their votes, and editing them takes the place of training.

MNIST pixels, centred by the stored items' mean, cosine; the first 10,000 training digits are stored (seeds draw flips and
subsets), the first 1,000 test digits asked, the next 10,000 training digits find who votes wrongly. (b) the small net
after one epoch of cross-entropy on all training digits 0 to 7, k = 10 by rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from semblance.analysis.memory_report import power_law
from semblance.claims.ledger import Run, at_least, at_most, below, claim, exactly
from semblance.claims.settings import features, small_net
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.learning.parts import chance
from semblance.memory.classifier import VoteMemory
from semblance.memory.usefulness import prune, soften, usefulness
from semblance.recipes.supervised import supervised
from semblance.space.model import Model
from semblance.space.training import train

STORED, ASKED = 10_000, 1_000
SIZES = (100, 316, 1000, 3162, 10_000)
FLIPPED = 0.3
LATER = ("8", "9")


@claim(
    "visual-memory",
    parts={
        "(a) rank votes: loss from k = 10 to 500": at_most(0.03),
        "(a) plurality loses more than rank votes": at_least(0.08),
        "(b) accuracy on the added digits 8 and 9": at_least(0.80),
        "(b) accuracy on 0 to 7 lowered by the addition": at_most(0.04),
        "(b) weights of the net that adding changed": exactly(0),
        "(c) answers unlike those of a memory built without the removed": exactly(0),
        "(d) hard pruning: share of the lost accuracy won back": at_least(0.5),
        "(d) soft pruning: share of the lost accuracy won back": at_least(0.5),
        "(d) flipped labels among the dropped items": at_least(0.7),
        "(e) slope of the error with the size of the memory, logarithms": below(-0.2),
    },
    data=("mnist",),
    broken="the labels of the stored items are shuffled",
    files=(
        "memory/classifier.py",
        "memory/decision.py",
        "memory/usefulness.py",
        "memory/exact.py",
        "heads/neighbours.py",
        "analysis/memory_report.py",
        "claims/settings.py",
    ),
    minutes=2.0,
)
def visual_memory(run: Run) -> None:
    """A memory of labelled items classifies by rank-weighted votes, takes in new classes without training, forgets exactly,
    and finds its own wrong items."""
    digits = Digits.load(run)
    votes_and_k(run, digits)
    removal(run, digits)
    found: dict[str, list[float]] = {}
    for seed in run.seeds:
        for part, value in {**new_classes(digits, seed), **pruning(digits, seed), **sizes(digits, seed)}.items():
            found.setdefault(part, []).append(value)
            run.progress(f"seed {seed}: {part} {value:.4f}")
    for part, values in found.items():
        (run.report if part in run.parts else run.baseline)(part, values)


@dataclass
class Digits:
    """Centred pixels and labels of the stored, the further and the asked digits; `given` are the labels as stored."""

    data: ArrayDataset
    rows: np.ndarray
    asked_rows: np.ndarray
    stored: np.ndarray
    labels: np.ndarray
    given: np.ndarray
    further: np.ndarray
    further_labels: np.ndarray
    asked: np.ndarray
    truth: np.ndarray

    @classmethod
    def load(cls, run: Run) -> Digits:
        data = load("mnist")
        rows, asked = data.splits["train"], data.splits["test"][:ASKED]
        parts = (rows[:STORED], rows[STORED : 2 * STORED], asked)
        y = np.array([str(c) for c in data.targets["labels"]], dtype=object)
        pixels = [data.x[part].reshape(len(part), -1).astype(np.float32) / 255 for part in parts]
        mean = pixels[0].mean(0)
        x = [part - mean for part in pixels]
        labels = [y[part] for part in parts]
        given = labels[0][np.random.default_rng(294).permutation(STORED)] if run.broken else labels[0]
        return cls(data, parts[0], asked, x[0], labels[0], given, x[1], labels[1], x[2], labels[2])


def memory_of(
    vectors: np.ndarray, labels: Sequence[str], votes: str = "rank", rows: np.ndarray | None = None
) -> VoteMemory:
    """An exact memory of these items (of these rows)."""
    rows = np.arange(len(vectors)) if rows is None else rows
    memory = VoteMemory.exact(vectors.shape[1], votes)
    memory.add([str(row) for row in rows], vectors[rows], pa.table({"label": [labels[row] for row in rows]}))
    return memory


def accuracy(memory: VoteMemory, queries: np.ndarray, truth: np.ndarray, k: int) -> float:
    """Share of right answers."""
    return float(np.mean(np.array(memory.classify(queries, k), dtype=object) == truth))


def votes_and_k(run: Run, d: Digits) -> None:
    lost = {}
    for votes in ("rank", "plain", "distance", "softmax"):
        memory = memory_of(d.stored, d.given, votes)
        at = {k: accuracy(memory, d.asked, d.truth, k) for k in (10, 100, 500)}
        lost[votes] = at[10] - at[500]
        for k, value in at.items():
            run.baseline(f"(a) accuracy, {votes} votes, k = {k}", value)
    run.report("(a) rank votes: loss from k = 10 to 500", lost["rank"])
    run.report("(a) plurality loses more than rank votes", lost["plain"] - lost["rank"])


def removal(run: Run, d: Digits) -> None:
    """Every third item is removed: answers, shares and distances to the last bit."""
    stays = np.arange(STORED) % 3 != 0
    memory = memory_of(d.stored, d.given, "softmax")
    memory.remove([str(row) for row in np.flatnonzero(~stays)])
    without = memory_of(d.stored, d.given, "softmax", np.flatnonzero(stays))
    unlike = 0
    for one, other in zip(memory.search(d.asked, 10), without.search(d.asked, 10), strict=True):
        unlike += sum(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    unlike += int((memory.probabilities(d.asked, 10) != without.probabilities(d.asked, 10)).any(1).sum())
    run.report("(c) answers unlike those of a memory built without the removed", unlike)


def new_classes(d: Digits, seed: int) -> dict[str, float]:
    """A net that never saw 8 and 9 gets them into its memory."""
    known = ~np.isin(d.labels, LATER)
    model = early_net(d, seed)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    z, asked = features(model, d.data, d.rows), features(model, d.data, d.asked_rows)
    old = ~np.isin(d.truth, LATER)
    memory = memory_of(z, d.given, rows=np.flatnonzero(known))
    alone = accuracy(memory, asked[old], d.truth[old], 10)
    later = np.flatnonzero(~known)
    memory.add([str(row) for row in later], z[later], pa.table({"label": d.given[later].tolist()}))
    after = accuracy(memory, asked[old], d.truth[old], 10)
    changed = sum(not tensor.equal(before[name]) for name, tensor in model.network.state_dict().items())
    return {
        "(b) accuracy on the added digits 8 and 9": accuracy(memory, asked[~old], d.truth[~old], 10),
        "(b) accuracy on 0 to 7 lowered by the addition": alone - after,
        "(b) weights of the net that adding changed": float(changed),
        "(b) accuracy on 0 to 7 before the addition": alone,
    }


def early_net(d: Digits, seed: int) -> Model:
    """The small net after one epoch of cross-entropy on the training digits 0 to 7."""
    rows = d.data.splits["train"]
    later = np.isin(np.asarray(d.data.targets["labels"])[rows], [int(c) for c in LATER])
    data = replace(d.data, splits={**d.data.splits, "train": rows[~later]})
    return train(data, replace(supervised(augment=False, epochs=1), encoder=small_net()), seed=seed)


def pruning(d: Digits, seed: int) -> dict[str, float]:
    """30% of the labels are flipped to another class; further digits tell whom not to believe."""
    rng = chance(294, seed)
    flipped = rng.random(STORED) < FLIPPED
    moved = (d.given.astype(int) + rng.integers(1, 10, STORED)) % 10
    labels = np.where(flipped, moved.astype(str), d.given).astype(object)
    clean = accuracy(memory_of(d.stored, d.given, "plain"), d.asked, d.truth, 5)
    hard, soft = (memory_of(d.stored, labels, "plain") for _ in range(2))
    spoilt = accuracy(hard, d.asked, d.truth, 5)
    found = usefulness(hard, d.further, d.further_labels.tolist(), k=10)
    dropped = np.array([int(id) for id in prune(hard, found)], np.int64)
    soften(soft, found)
    won = {
        name: (accuracy(m, d.asked, d.truth, 5) - spoilt) / (clean - spoilt)
        for name, m in (("hard", hard), ("soft", soft))
    }
    return {
        "(d) hard pruning: share of the lost accuracy won back": won["hard"],
        "(d) soft pruning: share of the lost accuracy won back": won["soft"],
        "(d) flipped labels among the dropped items": float(flipped[dropped].mean()),
        "(d) accuracy at k = 5 by plurality, true labels": clean,
        "(d) the same, 30% of the labels flipped": spoilt,
        "(d) items dropped": float(len(dropped)),
    }


def sizes(d: Digits, seed: int) -> dict[str, float]:
    """The error of nested subsets of growing size."""
    order = chance(295, seed).permutation(STORED)
    errors = [1 - accuracy(memory_of(d.stored, d.given, rows=order[:size]), d.asked, d.truth, 10) for size in SIZES]
    found = {f"(e) error with {size} items": error for size, error in zip(SIZES, errors, strict=True)}
    return {"(e) slope of the error with the size of the memory, logarithms": power_law(SIZES, errors)[1], **found}
