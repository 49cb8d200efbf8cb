"""Workers: the yes and no of several people become one answer per item, and people are told apart by their errors.

    majority       more than half of the answers say yes; each answer counts one
    dawid-skene    P(answers of i | truth y) = prod over workers w of P_w(answer | y), alternating the items' posteriors and
                   every worker's two error rates (EM); an item's answer is yes where its posterior is above 1/2
    known items    are asked among the others; who gets too many of them wrong is left out

`Simulated` stands in for people. References: Dawid & Skene 1979; the use of known items: Yu et al. 2015, arXiv:1506.03365.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from semblance.errors import SemblanceError, unknown

WAYS = ("majority", "dawid-skene")


@dataclass(frozen=True)
class Answers:
    """Who said what of which item: `item` [A], `worker` [A] (numbers from 0) and `yes` [A]."""

    item: np.ndarray
    worker: np.ndarray
    yes: np.ndarray

    def __len__(self) -> int:
        return len(self.item)

    def of(self, keep: np.ndarray) -> Answers:
        """Those at these places."""
        return Answers(self.item[keep], self.worker[keep], self.yes[keep])

    def __add__(self, other: Answers) -> Answers:
        pairs = ((self.item, other.item), (self.worker, other.worker), (self.yes, other.yes))
        return Answers(*(np.concatenate(pair) for pair in pairs))


def no_answers() -> Answers:
    """None yet."""
    return Answers(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool))


class People(Protocol):
    """Whoever answers: several answers an item, given at once or over days."""

    def __call__(self, items: np.ndarray) -> Answers: ...


@dataclass(frozen=True)
class Judged:
    """One answer per item: `items` [n] ascending, `yes` [n], `posterior` [n] (the share of yes by majority), and how often
    an item that is no is called yes (`false_yes`), and the reverse (`false_no`)."""

    items: np.ndarray
    yes: np.ndarray
    posterior: np.ndarray
    false_yes: float
    false_no: float


def judge_answers(answers: Answers, way: str = "dawid-skene") -> Judged:
    """All answers so far -> one per item. The two rates are those of a typical item with as many answers."""
    if way not in WAYS:
        raise unknown("way to join answers", way, WAYS)
    if not len(answers):
        raise SemblanceError("nobody has answered yet: ask about some items first")
    items, row = np.unique(answers.item, return_inverse=True)
    posterior, errors = dawid_skene(row, answers.worker, answers.yes, len(items))
    yes = posterior > 0.5
    if way == "majority":
        posterior = np.bincount(row, weights=answers.yes) / np.bincount(row)
        yes = posterior > 0.5
    weight = np.bincount(answers.worker, minlength=len(errors))
    mean = (errors * weight[:, None]).sum(0) / weight.sum()
    count = round(len(answers) / len(items))
    return Judged(items, yes, posterior, outvoted(float(mean[0]), count), outvoted(float(mean[1]), count))


def outvoted(error: float, count: int) -> float:
    """The chance that more than half of so many answers are wrong, each with this chance; of an even count, half."""
    chance = [math.comb(count, k) * error**k * (1 - error) ** (count - k) for k in range(count + 1)]
    tie = chance[count // 2] / 2 if count % 2 == 0 else 0.0
    return sum(chance[count // 2 + 1 :]) + tie


def dawid_skene(
    item: np.ndarray, worker: np.ndarray, yes: np.ndarray, items: int, steps: int = 50
) -> tuple[np.ndarray, np.ndarray]:
    """Answers [A] -> posterior of yes [items], and every worker's error rates [W, 2]: yes to a no, no to a yes.

    One answer of each kind is added to every worker (half of it wrong in ten), so that who answered little is taken for
    ordinary; the majority starts. With one answer an item nothing tells an error from the truth: the answers stand.
    """
    said = yes.astype(float)
    count = np.bincount(item, minlength=items)
    posterior = np.bincount(item, weights=said, minlength=items) / np.maximum(count, 1)
    workers = int(worker.max()) + 1
    if count.max() < 2:
        return posterior, np.zeros((workers, 2))
    prior_wrong, prior_all = 0.5, 10.0
    errors = np.zeros((workers, 2))
    for _ in range(steps):
        before = posterior
        p = posterior[item]
        for column, (truth, wrong) in enumerate((((1 - p), said), (p, 1 - said))):
            lost = np.bincount(worker, weights=truth * wrong, minlength=workers) + prior_wrong
            errors[:, column] = lost / (np.bincount(worker, weights=truth, minlength=workers) + prior_all)
        share = (posterior.sum() + 1) / (items + 2)
        of = errors[worker].clip(1e-6, 1 - 1e-6)
        for_yes = np.where(yes, 1 - of[:, 1], of[:, 1])
        for_no = np.where(yes, of[:, 0], 1 - of[:, 0])
        odds = np.bincount(item, weights=np.log(for_yes) - np.log(for_no), minlength=items)
        posterior = 1 / (1 + np.exp(-(odds + np.log(share) - np.log1p(-share)).clip(-500, 500)))
        if np.abs(posterior - before).max() < 1e-6:
            break
    return posterior, errors


def reject(answers: Answers, known: dict[int, bool], most: float = 0.2, least: int = 5) -> np.ndarray:
    """Workers who were asked at least `least` known items (item -> truth) and got more than `most` of them wrong."""
    if not 0 <= most < 1:
        raise SemblanceError(f"most is {most}, but it is a share of wrong answers: give 0 to below 1")
    asked = np.array([int(i) in known for i in answers.item], bool)
    truth = np.array([known.get(int(i), False) for i in answers.item], bool)
    workers = int(answers.worker.max(initial=-1)) + 1
    count = np.bincount(answers.worker[asked], minlength=workers)
    wrong = np.bincount(answers.worker[asked & (truth != answers.yes)], minlength=workers)
    return np.flatnonzero((count >= least) & (wrong > most * count))


@dataclass
class Simulated:
    """People of whom each errs at random with a rate of their own: `errors` [W], or [W, 2] (yes to a no, no to a yes).
    Every item gets `answers` of them, drawn by `rng`."""

    truth: np.ndarray
    errors: np.ndarray
    answers: int
    rng: np.random.Generator
    shown: set[int] = field(default_factory=set)

    def __call__(self, items: np.ndarray) -> Answers:
        """Answers about these items."""
        rates = np.asarray(self.errors, float)
        rates = np.repeat(rates[:, None], 2, 1) if rates.ndim == 1 else rates
        if not 1 <= self.answers <= len(rates):
            raise SemblanceError(
                f"{self.answers} answers an item are asked of {len(rates)} workers: give 1 to that many"
            )
        self.shown.update(int(i) for i in items)
        who = self.rng.random((len(items), len(rates))).argsort(1)[:, : self.answers]
        truth = np.asarray(self.truth, bool)[items][:, None]
        wrong = self.rng.random(who.shape) < np.where(truth, rates[who, 1], rates[who, 0])
        return Answers(np.repeat(items, self.answers), who.ravel(), (truth != wrong).ravel())
