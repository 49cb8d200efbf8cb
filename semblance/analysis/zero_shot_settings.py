"""The settings in which zero-shot models are asked, each a function of the task, the way and its answer -> rows of figures.

Figures are means over classes, with 95% intervals from items drawn again. `zero_shot` says what the settings are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from semblance.analysis.intervals import DRAWS, bootstrap_mean, middle
from semblance.data.class_tables import ClassTable
from semblance.errors import SemblanceError
from semblance.heads.prototypes.hubs import corrected, occurrences, skewness
from semblance.heads.prototypes.semantic import Answer, fit_described, settings_of
from semblance.heads.prototypes.transductive import propagated, retrained

NEIGHBOURS = ("nearest", "corrected")
TRANSDUCTIVE = ("none", "retrained", "propagated")
HELD_OUT = 0.25  # of the seen classes are played unseen, of the others' items kept to be asked
STEPS = 101
COMBINATIONS = 20_000


@dataclass(frozen=True)
class Task:
    """Items with the classes they belong to, in numbers of the table's rows: x [N, d] standardised by the training items,
    y [N]; seen and unseen are classes."""

    x: Tensor
    y: Tensor
    asked: Tensor
    truth: Tensor
    codes: Tensor
    seen: Tensor
    unseen: Tensor
    table: ClassTable

    @cached_property
    def is_unseen(self) -> Tensor:
        """[n] of the items asked."""
        return torch.isin(self.truth, self.unseen)


@dataclass(frozen=True)
class Way:
    """A model with its switches."""

    model: str
    direction: str = ""
    neighbours: str = "nearest"
    transductive: str = "none"
    seed: int = 0

    def fitted(self, x: Tensor, y: Tensor, codes: Tensor) -> Answer:
        """The model's answer, without the switches on answers."""
        settings: dict[str, Any] = {"direction": self.direction} if self.direction else {}
        if "seed" in settings_of(self.model):
            settings["seed"] = self.seed
        return fit_described(self.model, x, y, codes, **settings)

    def switched(self, x: Tensor, scores: Tensor) -> Tensor:
        """Scores [n, K] of items that are asked together, as the switches would have them."""
        if self.transductive == "retrained":
            scores = retrained(x, scores)
        elif self.transductive == "propagated":
            scores = propagated(x, scores)
        return corrected(scores) if self.neighbours == "corrected" else scores


def by_class(right: Tensor, truth: Tensor) -> tuple[float, float, float]:
    """Answers [n] right or not, classes [n] -> the mean over classes of their shares right, with its interval: each class's
    items drawn again."""
    if not len(truth):
        return float("nan"), float("nan"), float("nan")
    _, at, count = truth.unique(return_inverse=True, return_counts=True)
    n, share = count.numpy(), (torch.bincount(at, right.double()) / count).numpy()
    drawn = np.random.default_rng(0).binomial(n, share, (DRAWS, len(n))) / n
    return float(share.mean()), *middle(drawn.mean(1))


def width(scores: Tensor) -> Tensor:
    """How far an item's scores lie apart, in the root mean square: what all of an item's scores share does not count."""
    return (scores - scores.mean(1, keepdim=True)).square().mean().sqrt().clamp_min(1e-12)


def harmonic(a: float, b: float) -> float:
    """2 a b / (a + b), 0 where one is 0."""
    return 2 * a * b / (a + b) if a > 0 and b > 0 else 0.0


def unseen_only(task: Task, way: Way, answer: Answer) -> list[dict[str, Any]]:
    """zero-shot"""
    x, truth = task.asked[task.is_unseen], task.truth[task.is_unseen]
    scores = way.switched(x, answer(x, task.codes[task.unseen]))
    found = by_class(task.unseen[scores.argmax(1)] == truth, truth)
    return [_row("unseen", found, 1 / len(task.unseen)) | {"skewness": skewness(occurrences(scores))}]


def generalised(task: Task, way: Way, answer: Answer) -> list[dict[str, Any]]:
    """generalised"""
    every = torch.cat([task.seen, task.unseen])
    scores = way.switched(task.asked, answer(task.asked, task.codes[every]))
    shift = calibration(task, way) * float(width(scores))
    rows = []
    for name, taken in (("", 0.0), (" calibrated", shift)):
        lowered = scores - taken * (torch.arange(len(every)) < len(task.seen))
        right = every[lowered.argmax(1)] == task.truth
        seen, unseen = (by_class(right[part], task.truth[part]) for part in (~task.is_unseen, task.is_unseen))
        both = harmonic(seen[0], unseen[0])
        rows += [_row(f"seen{name}", seen, 1 / len(every)), _row(f"unseen{name}", unseen, 1 / len(every))]
        rows.append(_row(f"harmonic mean{name}", (both, None, None), 1 / len(every)))
    return rows


def calibration(task: Task, way: Way) -> float:
    """What to take from the scores of seen classes, in units of `width`: a quarter of them is played unseen, a quarter
    of the others' items is asked, and the number of the largest harmonic mean is taken."""
    rng = np.random.default_rng([task.x.shape[1], way.seed])
    count = len(task.seen)
    order = torch.from_numpy(rng.permutation(count))
    played = torch.sort(order[: max(1, round(HELD_OUT * count))]).values
    rest = torch.sort(order[len(played) :]).values
    if len(rest) < 2:
        raise SemblanceError(f"{count} seen classes are too few to play some of them unseen: give three or more")
    hidden = torch.isin(task.y, played)
    asked = torch.from_numpy(rng.random(len(task.y)) < HELD_OUT) | hidden
    # Whatever is drawn, each class that is learned from keeps an item.
    first = torch.full((count,), len(task.y)).scatter_reduce(0, task.y, torch.arange(len(task.y)), "amin")
    asked[first[rest]] = False
    place = torch.full((count,), -1).scatter(0, rest, torch.arange(len(rest)))
    answer = way.fitted(task.x[~asked], place[task.y[~asked]], task.codes[task.seen[rest]])
    every = torch.cat([rest, played])
    x, truth = task.x[asked], task.y[asked]
    scores = way.switched(x, answer(x, task.codes[task.seen[every]]))
    scores = scores / width(scores)
    seen, unseen = scores[:, : len(rest)].max(1), scores[:, len(rest) :].max(1)
    lead = seen.values - unseen.values
    # None below 0: it is for the unseen classes that scores of seen ones are lowered.
    levels = torch.quantile(lead, torch.linspace(0, 1, STEPS).to(lead)).clamp_min(0).unique()
    right_seen = rest[seen.indices] == truth
    right_unseen = played[unseen.indices] == truth
    kept = lead > levels[:, None]  # [levels, n], those who are answered by a seen class
    weights = [_weights(truth, part) for part in (~hidden[asked], hidden[asked])]
    a = (kept & right_seen).to(lead) @ weights[0]
    b = (~kept & right_unseen).to(lead) @ weights[1]
    best = (2 * a * b / (a + b).clamp_min(1e-12)).argmax()
    return float(levels[best])


def one_shot(task: Task, way: Way, answer: Answer) -> list[dict[str, Any]]:
    """one-shot"""
    x, truth = task.asked[task.is_unseen], task.truth[task.is_unseen]
    rng = np.random.default_rng(way.seed)
    order = torch.from_numpy(rng.permutation(len(x)))
    own = truth[order] == task.unseen[:, None]  # [U, n] in a random order
    there = own.any(1)
    shown = order[own.int().argmax(1)]
    shots = x[shown].masked_fill(~there[:, None], 0.0)
    asked = torch.ones(len(x), dtype=torch.bool)
    asked[shown[there]] = False
    if not bool(asked.any()):
        raise SemblanceError(
            "one-shot shows an item of each unseen class, and none is left to be asked: give more items"
        )
    x, truth = x[asked], truth[asked]
    described = way.switched(x, answer(x, task.codes[task.unseen]))
    far = -torch.cdist(x, shots)
    far = torch.where(there, far, far.mean(1, keepdim=True))
    total = described / width(described) + far / width(far)
    rows = []
    for name, scores in (("unseen", total), ("unseen by the item alone", far), ("unseen by the code alone", described)):
        rows.append(_row(name, by_class(task.unseen[scores.argmax(1)] == truth, truth), 1 / len(task.unseen)))
    return rows


def open_set(task: Task, way: Way, answer: Answer) -> list[dict[str, Any]]:
    """open-set"""
    if bool(task.is_unseen.all()):
        raise SemblanceError("open-set tells unseen items from seen ones, and none of the items is seen: give both")
    novelty = -way.switched(task.asked, answer(task.asked, task.codes[task.seen])).max(1).values
    auc = float(roc_auc_score(task.is_unseen.numpy(), novelty.numpy()))
    level = torch.quantile(novelty[~task.is_unseen], 0.95)
    rejected = bootstrap_mean((novelty[task.is_unseen] > level).double().numpy())
    return [_row("novelty AUC", (auc, None, None), 0.5), _row("rejected where 5% of seen are", rejected, 0.05)]


def compositional(task: Task, way: Way, answer: Answer) -> list[dict[str, Any]]:
    """compositional"""
    parts = task.table.parts()
    if len(parts) < 2:
        raise SemblanceError(
            f"classes are composed of parts, and the table has {len(parts)}: give columns called part=value, or columns of "
            "words, for two parts or more"
        )
    count = int(np.prod([len(columns) for columns in parts.values()]))
    if count > COMBINATIONS:
        raise SemblanceError(f"the parts make {count:,} classes, more than {COMBINATIONS:,}: describe fewer at a time")
    chosen = np.array(list(itertools.product(*parts.values())))  # [C, parts], a column of each
    codes = torch.from_numpy(np.tile(task.table.values.mean(0), (count, 1)))  # other columns say nothing
    codes[:, sorted(c for columns in parts.values() for c in columns)] = 0.0
    codes[torch.arange(count)[:, None], torch.from_numpy(chosen)] = 1.0
    x, truth = task.asked[task.is_unseen], task.truth[task.is_unseen]
    said = torch.from_numpy(chosen)[way.switched(x, answer(x, codes)).argmax(1)]  # [n, parts]
    own = torch.stack([torch.tensor(cs)[task.codes[truth][:, cs].argmax(1)] for cs in parts.values()], 1)
    rows = [_row("unseen", by_class((said == own).all(1), truth), 1 / count)]
    for i, (part, columns) in enumerate(parts.items()):
        rows.append(_row(f"{part} of unseen", by_class(said[:, i] == own[:, i], truth), 1 / len(columns)))
    return rows


SETTINGS: Mapping[str, Callable[[Task, Way, Answer], list[dict[str, Any]]]] = {
    "zero-shot": unseen_only,
    "generalised": generalised,
    "one-shot": one_shot,
    "open-set": open_set,
    "compositional": compositional,
}


def _row(name: str, found: tuple[float, float | None, float | None], chance: float) -> dict[str, Any]:
    value, low, high = found
    return {"measure": name, "value": value, "low": low, "high": high, "chance": chance, "skewness": None}


def _weights(truth: Tensor, part: Tensor) -> Tensor:
    """[n], by which a sum over items becomes the mean over the classes of a part."""
    _, at, count = truth[part].unique(return_inverse=True, return_counts=True)
    weights = torch.zeros(len(truth), dtype=torch.float64)
    weights[part] = 1 / (len(count) * count[at].double())
    return weights
