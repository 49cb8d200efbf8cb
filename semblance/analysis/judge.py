"""Judge: what an embedding is worth, in numbers with intervals, beside the raw input's.

Gallery = training units, queries = test units. Of labels:
    knn1, knn5, knn20     accuracy of the plain majority of the nearest; of equal counts, the label met first
    linear                accuracy of a linear probe, its strength chosen on a fifth of the training units
    fewshot1, fewshot5    nearest class mean, 600 episodes of 5 classes
    fewshot5_all          the same, all classes at once, 5 labels each, 20 draws
    map, recall10         retrieval of the same label: mean average precision; any of the 10 nearest
    nmi, ari              k-means of the test units into as many groups as classes
  Of classes that no training unit has only the few-shot figures and groups can be told; support is then of the test part.
Without labels:
    alignment, view_recall1 (two views given), uniformity, effective_rank
Several labels per unit: micro_f1 and map (mean over classes) of linear scores. Numbers: r2 and spearman of ridge.

Intervals are the middle 95% of a bootstrap over test units (episodes for fewshot1 and fewshot5; draws and units for
fewshot5_all; a jackknife for effective_rank). The baseline is the raw input, flattened, as it is or with columns
standardised, whichever does better, by the same code (linear probes standardise, so there the two are one). Lower is
better for alignment and uniformity. What cannot be measured is None, with a `note`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from semblance.analysis import uniformity as sphere
from semblance.analysis.agreement import agreement_intervals, k_means
from semblance.analysis.fewshot import FewShot, unseen
from semblance.analysis.intervals import bootstrap_mean, middle
from semblance.analysis.probes import Standard, class_scores, ridge_values
from semblance.analysis.retrieval import average_precision, label_precision, neighbours
from semblance.errors import unknown
from semblance.geometry.nearest import GEOMETRIES
from semblance.heads.neighbours import decide, vote

MOST_UNITS = 10_000  # test units for nmi, ari, uniformity and effective_rank; a sample above
MOST_RANKED = 2 * 10**8  # pairs that are ranked for map; a sample of the test units above
DRAWS = 1000
OF_NEW = frozenset({"fewshot1", "fewshot5", "fewshot5_all", "nmi", "ari"})  # asked of classes never seen, too
NEW_CLASSES = "no training unit has the classes of the test units"
MOST_COLUMNS = 1024  # above, the effective rank is of as many test units
LOWER_IS_BETTER = frozenset({"alignment", "uniformity"})

Measured = dict[str, Any]  # "value", "low", "high", later "baseline"; "note" where there is something to say
Views = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Units:
    """One embedding of gallery and test units; what several metrics need is computed once. Labels are all known."""

    train_z: np.ndarray
    train_y: np.ndarray
    test_z: np.ndarray
    test_y: np.ndarray
    every_test: np.ndarray  # unlabelled ones too
    views: Views | None
    geometry: str
    seed: int

    @cached_property
    def neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and similarities of the 20 nearest gallery units."""
        return neighbours(self.test_z, self.train_z, min(20, len(self.train_z)), self.geometry)

    @cached_property
    def few(self) -> FewShot:
        return FewShot(self.train_z, self.train_y, self.test_z, self.test_y, self.geometry)

    @cached_property
    def class_scores(self) -> np.ndarray:
        return class_scores(self.train_z, self.train_y, self.test_z, self.seed)[0]

    @cached_property
    def predicted(self) -> np.ndarray:
        return ridge_values(self.train_z, self.train_y, self.test_z, self.seed)[0]

    @cached_property
    def groups(self) -> dict[str, tuple[float, float, float]]:
        some = self.some(len(self.test_y), MOST_UNITS)
        z = sphere.on_sphere(self.test_z[some]) if self.geometry == "cosine" else self.test_z[some]
        y = self.test_y[some]
        return agreement_intervals(k_means(z, len(np.unique(y)), self.seed), y, self.seed)

    def some(self, n: int, most: int) -> np.ndarray:
        """Positions of all n, or of a sample in order."""
        if n <= most:
            return np.arange(n)
        return np.sort(np.random.default_rng([self.seed, n]).choice(n, most, replace=False))

    def mean(self, scores: np.ndarray | None, note: str = "") -> Measured:
        """Scores of units, episodes, or draws by units -> their mean with its interval."""
        if scores is None:
            return _nothing("fewer than two classes have enough labelled units in both parts")
        return _measured(*bootstrap_mean(scores, self.seed), note)


def judge(
    train_z: np.ndarray,
    train_y: np.ndarray | None,
    test_z: np.ndarray,
    test_y: np.ndarray | None,
    *,
    raw_train: np.ndarray | None = None,
    raw_test: np.ndarray | None = None,
    views: Views | None = None,
    raw_views: Views | None = None,
    geometry: str = "cosine",
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> dict[str, Measured]:
    """Embeddings [N, d] and labels of gallery and test units -> metric -> {"value", "low", "high", "baseline"}.

    Labels: int [N] with -1 for unlabelled, bool [N, K] for several (no True: unlabelled), float [N] (nan: unknown) for
    numbers, or None. `views` are the embeddings of two views of the test units, `raw_views` and `raw_*` what they were
    made from, in any shape. `names` picks metrics (all without it).
    """
    kind = _kind(train_y)
    wanted = [*CLASSES, *ALWAYS, *(KINDS[kind].keys() - CLASSES.keys())] if names is None else list(names)
    for name in wanted:
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    found = _measure(wanted, kind, _units(train_z, train_y, test_z, test_y, kind, views, geometry, seed))
    measurable = [name for name in wanted if found[name]["value"] is not None]
    forms = _raw_forms(raw_train, raw_test, raw_views)
    flat = geometry if geometry in GEOMETRIES else "euclidean"  # the raw input lies in no ball
    baselines: dict[str, list[float]] = {name: [] for name in wanted}
    for i, (raw_gallery, raw_queries, seen) in enumerate(forms):
        once = [name for name in measurable if i == 0 or not _standardises(name, kind)]
        raw = _units(raw_gallery, train_y, raw_queries, test_y, kind, seen, flat, seed)
        for name, measured in _measure(once, kind, raw).items():
            if measured["value"] is not None:
                baselines[name].append(measured["value"])
    for name, values in baselines.items():
        better = min if name in LOWER_IS_BETTER else max
        found[name]["baseline"] = better(values) if values else None
    return found


def _kind(y: np.ndarray | None) -> str:
    if y is None:
        return "none"
    y = np.asarray(y)
    if y.ndim == 2:
        return "several"
    return "number" if y.dtype.kind == "f" else "class"


def _units(
    train_z: np.ndarray,
    train_y: np.ndarray | None,
    test_z: np.ndarray,
    test_y: np.ndarray | None,
    kind: str,
    views: Views | None,
    geometry: str,
    seed: int,
) -> Units:
    gallery, queries = np.asarray(train_z), np.asarray(test_z)
    if train_y is None or test_y is None:
        none = np.empty(0, np.int64)
        return Units(gallery[:0], none, queries[:0], none, queries, views, geometry, seed)
    y, asked = np.asarray(train_y), np.asarray(test_y)
    known, answered = _known(y, kind), _known(asked, kind)
    return Units(gallery[known], y[known], queries[answered], asked[answered], queries, views, geometry, seed)


def _known(y: np.ndarray, kind: str) -> np.ndarray:
    """[N], which units are labelled."""
    if kind == "several":
        return y.any(1)
    return np.asarray(np.isfinite(y) if kind == "number" else y >= 0)


def _measure(names: Sequence[str], kind: str, units: Units) -> dict[str, Measured]:
    why = ""
    if not len(units.train_y) or not len(units.test_y):
        why = "no labelled units in both parts"
    elif kind == "class" and len(np.unique(units.train_y)) < 2:
        why = "all labels are of one class"
    new = kind == "class" and not why and unseen(units.train_y, units.test_y)
    found = {}
    for name in names:
        if name in ALWAYS:
            found[name] = ALWAYS[name](units) if len(units.every_test) > 1 else _nothing("fewer than two test units")
        elif new and name in CLASSES and name not in OF_NEW:
            found[name] = _nothing(NEW_CLASSES)
        elif why:
            found[name] = _nothing(why)
        elif name not in KINDS[kind]:
            found[name] = _nothing(f"not measured for labels of this kind ({kind})")
        else:
            found[name] = KINDS[kind][name](units)
    return found


def _standardises(name: str, kind: str) -> bool:
    return name in ("linear", "micro_f1", "r2", "spearman") or (name == "map" and kind == "several")


def _raw_forms(
    train: np.ndarray | None, test: np.ndarray | None, views: Views | None
) -> list[tuple[np.ndarray, np.ndarray, Views | None]]:
    """The raw input flattened, as it is and with its columns standardised by the gallery's."""
    if train is None or test is None:
        return []
    flat = [np.asarray(x, np.float32).reshape(len(x), -1) for x in (train, test, *(views or ()))]
    standard = Standard.of(flat[0])
    forms = [flat, [standard(x).numpy() for x in flat]]
    return [(f[0], f[1], (f[2], f[3]) if views else None) for f in forms]


def _measured(value: float, low: float, high: float, note: str = "") -> Measured:
    return {"value": value, "low": low, "high": high, **({"note": note} if note else {})}


def _nothing(why: str) -> Measured:
    return {"value": None, "low": None, "high": None, "note": why}


# One class per unit


def _knn(k: int) -> Callable[[Units], Measured]:
    def accuracy(units: Units) -> Measured:
        position, similarity = units.neighbours
        near = torch.from_numpy(units.train_y[position[:, :k]])
        p = vote(near, similarity[:, :k], int(units.train_y.max()) + 1, weights="plain")
        note = "" if k <= position.shape[1] else f"{position.shape[1]} neighbours: there are no more labelled units"
        return units.mean(decide(p, near).numpy() == units.test_y, note)

    return accuracy


def _recall10(units: Units) -> Measured:
    near = units.train_y[units.neighbours[0][:, :10]]
    return units.mean((near == units.test_y[:, None]).any(1))


def _linear(units: Units) -> Measured:
    return units.mean(units.class_scores.argmax(1) == units.test_y)


def _map(units: Units) -> Measured:
    some = units.some(len(units.test_y), max(1, MOST_RANKED // len(units.train_y)))
    note = "" if len(some) == len(units.test_y) else f"on a sample of {len(some)} test units"
    scores = label_precision(units.train_z, units.train_y, units.test_z[some], units.test_y[some], units.geometry)
    return units.mean(scores, note)


def _grouped(name: str) -> Callable[[Units], Measured]:
    def agreement(units: Units) -> Measured:
        if len(np.unique(units.test_y)) < 2:
            return _nothing("all labels of the test units are of one class")
        note = f"on a sample of {MOST_UNITS} test units" if len(units.test_y) > MOST_UNITS else ""
        return _measured(*units.groups[name], note)

    return agreement


# Several classes per unit


def _micro_f1(units: Units) -> Measured:
    """2 TP / (2 TP + FP + FN) over all pairs of unit and class."""
    said, true = units.class_scores > 0, units.test_y.astype(bool)
    both, either = 2 * (said & true).sum(1), said.sum(1) + true.sum(1)
    return _resampled(units, lambda i: both[i].sum(-1) / np.maximum(either[i].sum(-1), 1))


def _class_map(units: Units) -> Measured:
    """Mean over the classes that occur of the average precision of the units ranked by that class's score."""
    some = units.some(len(units.test_y), MOST_UNITS)
    scores, true = torch.from_numpy(units.class_scores[some].T.copy()), torch.from_numpy(units.test_y[some].T.copy())
    rng, n = np.random.default_rng(units.seed), len(some)

    def precision(rows: np.ndarray) -> float:
        return float(average_precision(scores[:, rows], true[:, rows].bool()).nanmean())

    drawn = np.array([precision(rng.integers(n, size=n)) for _ in range(200)])
    return _measured(precision(np.arange(n)), *middle(drawn))


# Numbers


def _r2(units: Units) -> Measured:
    """1 - squared error / variance, of ridge."""
    y, error = units.test_y, (units.test_y - units.predicted) ** 2
    return _resampled(units, lambda i: 1 - error[i].mean(-1) / np.maximum(y[i].var(-1), 1e-300))


def _spearman(units: Units) -> Measured:
    """Correlation of ranks; drawn units keep the ranks that they have among all."""
    from scipy.stats import rankdata

    a, b = rankdata(units.test_y), rankdata(units.predicted)

    def correlation(i: np.ndarray) -> np.ndarray:
        x, y = a[i] - a[i].mean(-1, keepdims=True), b[i] - b[i].mean(-1, keepdims=True)
        return (x * y).sum(-1) / np.sqrt(np.maximum((x * x).sum(-1) * (y * y).sum(-1), 1e-300))

    return _resampled(units, correlation)


def _resampled(units: Units, of: Callable[[np.ndarray], np.ndarray]) -> Measured:
    """A statistic of positions [..., n] on all, and on units drawn again."""
    n, rng = len(units.test_y), np.random.default_rng(units.seed)
    drawn = np.concatenate([of(rng.integers(n, size=(50, n))) for _ in range(DRAWS // 50)])
    return _measured(float(of(np.arange(n))), *middle(drawn))


# Without labels


def _alignment(units: Units) -> Measured:
    if units.views is None:
        return _nothing("no views were given")
    return units.mean(sphere.alignment_scores(*units.views))


def _view_recall1(units: Units) -> Measured:
    if units.views is None:
        return _nothing("no views were given")
    return units.mean(sphere.view_recall_scores(*units.views, units.geometry))


def _uniformity(units: Units) -> Measured:
    some = units.some(len(units.every_test), MOST_UNITS)
    ends = bootstrap_mean(sphere.closeness_scores(units.every_test[some]), units.seed)
    value, low, high = (float(np.log(max(end, 1e-30))) for end in ends)
    return _measured(value, low, high)


def _effective_rank(units: Units) -> Measured:
    # Wide and many at once would take the eigenvalues of a matrix that is large on both sides.
    wide = units.every_test.shape[1] > MOST_COLUMNS
    some = units.some(len(units.every_test), MOST_COLUMNS if wide else MOST_UNITS)
    return _measured(*sphere.effective_rank_interval(units.every_test[some]))


Measure = Callable[[Units], Measured]
CLASSES: dict[str, Measure] = {
    "knn1": _knn(1),
    "knn5": _knn(5),
    "knn20": _knn(20),
    "linear": _linear,
    "fewshot1": lambda units: units.mean(units.few.episodes(1, seed=units.seed)),
    "fewshot5": lambda units: units.mean(units.few.episodes(5, seed=units.seed)),
    "fewshot5_all": lambda units: units.mean(units.few.draws(5, seed=units.seed)),
    "map": _map,
    "recall10": _recall10,
    "nmi": _grouped("nmi"),
    "ari": _grouped("ari"),
}
ALWAYS: dict[str, Measure] = {
    "alignment": _alignment,
    "uniformity": _uniformity,
    "effective_rank": _effective_rank,
    "view_recall1": _view_recall1,
}
KINDS: dict[str, dict[str, Measure]] = {
    "class": CLASSES,
    "several": {"micro_f1": _micro_f1, "map": _class_map},
    "number": {"r2": _r2, "spearman": _spearman},
    "none": {},
}
METRICS = tuple({name: None for kind in (CLASSES, ALWAYS, KINDS["several"], KINDS["number"]) for name in kind})
