"""Label cascade: people answer yes or no to samples, a model answers where it is sure, and they are asked about the rest.

    1  a random sample of the pool is shown to people
    2  a part of all answers so far trains a classifier on fixed features (two dense layers, or a logistic regression); the
       other part is held out for good
    3  from the held-out answers that lie in the pool, two thresholds:
       yes above the lowest one at which the precision's lower bound is at least `precision`
       no  below the highest one under which at most `missed` of all positives lie, by an upper bound, in every round
    4  what lies between is the next pool; once it is small, people answer it whole

The bounds are Clopper and Pearson's for the rate r of yes among the held-out answers of a region, put right for people's
own errors: a region of true rate q is answered yes at r = false_yes + q (1 - false_yes - false_no), so q's bound follows
from r's. A held-out answer stays a fair draw of every later pool, since only thresholds have cut the pool.

Reference: Yu et al. 2015, arXiv:1506.03365. Paper: thresholds read off a validation set. Here with bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from semblance.errors import SemblanceError
from semblance.learning.parts import chance, torch_chance
from semblance.learning.workers import WAYS, Answers, Judged, People, judge_answers, no_answers, reject

YES, NO, UNSURE = 1, 0, -1
Fit = Callable[[np.ndarray, np.ndarray, torch.Generator], Callable[[np.ndarray], np.ndarray]]
GRID = 64  # regions tried for a threshold


@dataclass(frozen=True)
class Rules:
    """How the loop asks and decides. `sample`: shown a round; `rest`: a pool that is shown whole; `held`: share of the
    answers that is held out; `confidence`: of the bound on precision; `confidence_missed`: of the bound on missed positives
    (1% of a few hundred positives cannot be bounded with much); `way`: how answers are joined; `hidden`: units of the
    classifier, 0 for a logistic regression; `known`: known items asked again in every round, and `worst` the share of them
    that a worker may get wrong."""

    sample: int = 500
    rest: int = 500
    precision: float = 0.95
    missed: float = 0.01
    held: float = 0.5
    confidence: float = 0.95
    confidence_missed: float = 0.8
    rounds: int = 20
    way: str = "majority"
    hidden: int = 64
    known: int = 0
    worst: float = 0.2

    def __post_init__(self) -> None:
        for name in ("precision", "missed", "held", "confidence", "confidence_missed"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise SemblanceError(f"{name} is {value}, but it is a share: give a number between 0 and 1")
        for name, least in (("sample", 4), ("rest", 0), ("rounds", 1), ("hidden", 0), ("known", 0)):
            if getattr(self, name) < least:
                raise SemblanceError(f"{name} is {getattr(self, name)}: give {least} or more")
        if self.way not in WAYS:
            raise SemblanceError(f"way is {self.way!r}, but answers are joined by {' or '.join(WAYS)}")


@dataclass
class Round:
    """What one round did: the pool before it, pictures shown, thresholds, and what the model called yes and no."""

    pool: int
    shown: int
    upper: float
    lower: float
    yes: int
    no: int

    @property
    def unsure(self) -> int:
        """What is left for the next round."""
        return self.pool - self.shown - self.yes - self.no


@dataclass
class Cascade:
    """The state: labels [N] (1 yes, 0 no, -1 not yet), who answered what, and the rounds so far. `by_people` [N] says whose
    label comes from answers."""

    features: np.ndarray
    rules: Rules = field(default_factory=Rules)
    seed: int = 0

    def __post_init__(self) -> None:
        z = np.asarray(self.features, np.float32)
        if z.ndim != 2 or not len(z) or not np.isfinite(z).all():
            raise SemblanceError(f"features have shape {z.shape}: give finite numbers [N, d], a row per candidate")
        # One scale for all columns: what varies little tells little. (64 PCA numbers of MNIST, 250 answers: average
        # precision 0.94, and 0.90 with every column brought to deviation 1.)
        centred = z - z.mean(0)
        self.features = centred / max(float(centred.std()), 1e-30)
        self.labels = np.full(len(z), UNSURE, np.int8)
        self.by_people = np.zeros(len(z), bool)
        self.held = np.zeros(len(z), bool)
        self.between = np.ones(
            len(z), bool
        )  # whom no threshold has cut off so far, those that people answered included
        self.answers: Answers = no_answers()
        self.rejected: set[int] = set()
        self.rounds: list[Round] = []

    @property
    def pool(self) -> np.ndarray:
        """Positions without a label."""
        return np.flatnonzero(self.labels == UNSURE)

    @property
    def shown(self) -> int:
        """Items that people ever saw."""
        return int(self.by_people.sum())

    def run(self, people: People) -> Iterator[Round]:
        """Asks and decides until every item has a label, or the rounds are spent."""
        while len(self.pool) and len(self.rounds) < self.rules.rounds:
            yield self.step(people)

    def step(self, people: People) -> Round:
        """One round."""
        pool, number = self.pool, len(self.rounds)
        last = len(pool) <= max(self.rules.rest, self.rules.sample)
        rng = chance(self.seed, 255, number)
        asked = pool if last else np.sort(rng.choice(pool, self.rules.sample, replace=False))
        judged = self._ask(people, asked, rng)
        if not last:
            self.held[asked[rng.permutation(len(asked))[: round(self.rules.held * len(asked))]]] = True
        done = Round(len(pool), len(asked), float("inf"), float("-inf"), 0, 0)
        if not last and len(np.unique(judged.yes)) == 2:
            self._decide(judged, done, number)
        self.rounds.append(done)
        return done

    def _ask(self, people: People, asked: np.ndarray, rng: np.random.Generator) -> Judged:
        """New answers beside the old ones; people who fail on known items are left out, from the past too."""
        again = np.empty(0, np.int64)
        if self.rules.known and self.shown:
            again = rng.choice(np.flatnonzero(self.by_people), min(self.rules.known, self.shown), replace=False)
            known = {int(i): bool(self.labels[i] == YES) for i in again}
        fresh = people(np.concatenate([asked, again]))
        missing = np.setdiff1d(asked, fresh.item)
        if len(missing):
            raise SemblanceError(f"{len(missing)} of {len(asked)} items that were asked about got no answer")
        if len(again):
            self.rejected |= {int(w) for w in reject(fresh, known, self.rules.worst)}
        self.answers = self.answers + fresh
        trusted = self.answers.of(~np.isin(self.answers.worker, sorted(self.rejected)))
        judged = judge_answers(trusted, self.rules.way)
        # An item that only the rejected saw goes back to the pool.
        seen = self.by_people.copy()
        seen[asked] = True
        back = np.setdiff1d(np.flatnonzero(seen), judged.items)
        self.labels[back], self.by_people[back], self.held[back] = UNSURE, False, False
        self.labels[judged.items], self.by_people[judged.items] = np.where(judged.yes, YES, NO), True
        return judged

    def _decide(self, judged: Judged, done: Round, number: int) -> None:
        """Trains, sets both thresholds and labels what lies beyond them."""
        held = self.held[judged.items]
        learned = judged.items[~held]
        if len(np.unique(judged.yes[~held])) < 2:
            return
        generator = torch_chance(self.seed, 256, number)
        score = fit_scorer(self.features[learned], judged.yes[~held], generator, self.rules.hidden)
        inside = held & self.between[judged.items]
        s, y = score(self.features[judged.items[inside]]), judged.yes[inside]
        done.upper, done.lower = thresholds(
            s, y, self.rules, judged.false_yes, judged.false_no, found=float((self.labels == YES).sum()), pool=done.pool
        )
        scores, left = score(self.features), self.labels == UNSURE
        above, below = scores >= done.upper, scores < done.lower
        self.labels[above & left], self.labels[below & left] = YES, NO
        self.between &= ~above & ~below
        done.yes, done.no = int((above & left).sum()), int((below & left).sum())


def thresholds(
    scores: np.ndarray,
    yes: np.ndarray,
    rules: Rules,
    false_yes: float = 0.0,
    false_no: float = 0.0,
    found: float = 0.0,
    pool: int = 0,
) -> tuple[float, float]:
    """Held-out scores [n] and answers [n] -> (upper, lower): inf and -inf where no region is sure enough. `missed` is a
    share of all positives: those `found` already and those that the held-out ones make expect in a pool of this size."""
    order = np.argsort(-scores, kind="stable")
    s, y = scores[order], yes[order].astype(float)
    n = len(s)
    clean = 1 - false_yes - false_no
    if n == 0 or clean <= 0:
        return float("inf"), float("-inf")
    sizes = np.unique(np.linspace(1, n, GRID).astype(int))
    above = np.cumsum(y)[sizes - 1]
    precise = (lower_bound(above, sizes, rules.confidence) - false_yes) / clean >= rules.precision
    upper = float(s[sizes[precise].max() - 1]) if precise.any() else float("inf")
    below = np.cumsum(y[::-1])[sizes - 1]
    rate = ((upper_bound(below, sizes, rules.confidence_missed) - false_yes) / clean).clip(0, 1)
    positives = max((y.sum() - n * false_yes) / clean, 0.0) + found * n / max(pool, n)
    safe = rate * sizes <= rules.missed * positives
    # Of m items below, the threshold is the score just above them, so that scores equal to theirs are not cut apart.
    lower = float(np.append(s[::-1], np.inf)[sizes[safe].max()]) if safe.any() and positives > 0 else float("-inf")
    return upper, min(lower, upper)


def lower_bound(hits: np.ndarray, of: np.ndarray, confidence: float) -> np.ndarray:
    """Clopper and Pearson's one-sided lower bound of a rate."""
    from scipy.stats import beta

    found = beta.ppf(1 - confidence, np.maximum(hits, 1e-12), of - hits + 1)
    return np.where(hits > 0, found, 0.0)


def upper_bound(hits: np.ndarray, of: np.ndarray, confidence: float) -> np.ndarray:
    """The upper one."""
    return 1 - lower_bound(of - hits, of, confidence)


def fit_scorer(
    z: np.ndarray, yes: np.ndarray, generator: torch.Generator, hidden: int = 64, steps: int = 150, decay: float = 1e-2
) -> Callable[[np.ndarray], np.ndarray]:
    """Features [n, d] and answers -> a function to logits: two dense layers with `hidden` units between, or with 0 a
    logistic regression. Adam on all rows at once, the rate falling to 0."""
    x, y = torch.from_numpy(np.ascontiguousarray(z)), torch.from_numpy(yes.astype(np.float32))
    d = z.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        dense = [nn.Linear(d, hidden), nn.ReLU(), nn.Linear(hidden, 1)] if hidden else [nn.Linear(d, 1)]
    net = nn.Sequential(*dense)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(net(x)[:, 0], y).backward()
        optimiser.step()
        schedule.step()

    @torch.no_grad()
    def score(features: np.ndarray) -> np.ndarray:
        return net(torch.from_numpy(np.ascontiguousarray(features)))[:, 0].numpy()

    return score


@dataclass(frozen=True)
class Audit:
    """Estimates with their bounds: value, low, high."""

    precision: tuple[float, float, float]
    recall: tuple[float, float, float]
    answers_per_item: float


def audit(
    labels: np.ndarray,
    people: People,
    rng: np.random.Generator,
    sample: int = 200,
    confidence: float = 0.95,
    answers: int = 0,
) -> Audit:
    """People look at a random `sample` of the items called yes and another of those called no; `answers` is how many were
    given to make the labels. Precision is the rate of yes in the first; recall's bounds join those of both rates."""
    found = []
    for value in (YES, NO):
        rows = np.flatnonzero(labels == value)
        if not len(rows):
            raise SemblanceError(f"no item is labelled {'yes' if value else 'no'}: there is nothing to audit")
        asked = np.sort(rng.choice(rows, min(sample, len(rows)), replace=False))
        yes = judge_answers(people(asked), "majority").yes
        hits, of = np.array([yes.sum()]), np.array([len(yes)])
        side = (1 + confidence) / 2
        bounds = (hits[0] / of[0], lower_bound(hits, of, side)[0], upper_bound(hits, of, side)[0])
        found.append((len(rows), tuple(float(v) for v in bounds)))
    (called, p), (others, q) = found
    pairs = ((p[0], q[0]), (p[1], q[2]), (p[2], q[1]))
    recall = tuple(called * a / max(called * a + others * b, 1e-12) for a, b in pairs)
    return Audit(p, recall, answers / max(int((labels != UNSURE).sum()), 1))  # type: ignore[arg-type]  # both of three
