"""Quality: scores fitted to a small set that is known to be good, for a filter to keep by (`sb.data.filter`).

    Quality         log odds that a unit is of the good set and not of the pool          logistic regression
    Reconstruction  - |x - (V V' (x - m) + m)|^2, V the leading directions of the good    linear autoencoder
    OwnLabel        log p(the label a unit has | x), p learned from the good              (item, label) pairs

x are features: the units themselves, or what a function of a dataset makes of them, such as a space's embeddings. Of pairs
of picture and caption, `space.agreement` is the score.

References: binary filters and autoencoders beside CLIP's in Fang et al. 2023, arXiv:2309.17425; the linear autoencoder's
minimum is the principal subspace (Baldi & Hornik 1989).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from semblance.data.dataset import ArrayDataset
from semblance.errors import SemblanceError

Features = Callable[[ArrayDataset], np.ndarray]


def raw(dataset: ArrayDataset) -> np.ndarray:
    """[n, d] the units themselves."""
    return dataset.raw(np.arange(len(dataset)))


class Quality:
    """Good units told from the pool's, whatever these are: some of them are good as well, which lowers all odds alike."""

    def __init__(self, good: ArrayDataset, pool: ArrayDataset, features: Features = raw, strength: float = 1.0):
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        x, y = np.concatenate([features(good), features(pool)]), np.repeat([1, 0], [len(good), len(pool)])
        learner = LogisticRegression(C=strength, max_iter=1000, class_weight="balanced")
        self.features, self.model = features, make_pipeline(StandardScaler(), learner).fit(x, y)

    def __call__(self, dataset: ArrayDataset) -> np.ndarray:
        """[n]"""
        found: np.ndarray = self.model.decision_function(self.features(dataset))
        return found


class Reconstruction:
    """The less of a unit is lost when it is written down in `dim` numbers (32, or half of what there are) as the good are,
    the better."""

    def __init__(self, good: ArrayDataset, dim: int | None = None, features: Features = raw):
        x = np.asarray(features(good), np.float64)
        dim = min(32, max(1, min(x.shape) // 2)) if dim is None else dim
        if not 0 < dim <= min(x.shape):
            raise SemblanceError(f"dim is {dim} for {len(x)} units of {x.shape[1]} numbers: give 1 to {min(x.shape)}")
        self.mean, self.features = x.mean(0), features
        self.directions = np.linalg.svd(x - self.mean, full_matrices=False)[2][:dim]  # [dim, d]

    def __call__(self, dataset: ArrayDataset) -> np.ndarray:
        """[n], 0 at best."""
        x = np.asarray(self.features(dataset), np.float64) - self.mean
        # What the directions keep and what they lose add up to the whole.
        found: np.ndarray = (np.square(x @ self.directions.T).sum(1) - np.square(x).sum(1)).clip(max=0)
        return found


class OwnLabel:
    """How much a classifier that learned from the good believes the label that a unit has; units without one have -inf."""

    def __init__(self, good: ArrayDataset, features: Features = raw, strength: float = 1.0):
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        labels = _labels(good)
        known = labels >= 0
        learner = LogisticRegression(C=strength, max_iter=1000)
        self.features, self.classes = features, good.classes
        self.model = make_pipeline(StandardScaler(), learner).fit(features(good)[known], labels[known])

    def __call__(self, dataset: ArrayDataset) -> np.ndarray:
        """[n]"""
        labels = _labels(dataset)
        if dataset.classes != self.classes:
            place = {name: k for k, name in enumerate(self.classes)}
            labels = np.array([place.get(dataset.classes[k], -1) if k >= 0 else -1 for k in labels])
        column = {int(k): at for at, k in enumerate(self.model.classes_)}
        log_p = np.log(self.model.predict_proba(self.features(dataset)).clip(np.finfo(np.float64).tiny))
        rows = [(i, column[int(k)]) for i, k in enumerate(labels) if int(k) in column]
        found = np.full(len(dataset), -np.inf)
        for i, at in rows:
            found[i] = log_p[i, at]
        return found


def _labels(dataset: ArrayDataset) -> np.ndarray:
    labels = dataset.targets.get("labels")
    if labels is None or labels.dtype.kind != "i":
        raise SemblanceError("the score of labels is of units with one class each, and the data has none: give labels")
    return np.asarray(labels)
