"""Few-shot: how well class means of a handful of labelled units name the others.

    episode   draw some classes, `shots` gallery units of each and some query units; the nearest class mean answers
    draw      all classes at once, `shots` gallery units of each, every query unit

On the sphere the units are brought to unit length and the answer is the mean of largest cosine; in flat space the mean
of least distance, in the Poincare ball the midpoint of least distance. Support comes from the gallery and queries from
the test part, so no unit is on both sides. Where the two parts share no class (characters of another alphabet), both come
from the test part: the classes were never learned from, and a unit that is support is not asked in that draw.

References: Snell et al. 2017, arXiv:1703.05175 (class means, episodes).
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from semblance.analysis.uniformity import on_sphere
from semblance.geometry.ball import lift
from semblance.geometry.spaces import PoincareBall, space_named

QUERIES = 15  # of each class and episode at most
BLOCK = 2**23  # numbers held at a time


def on_hyperboloid(z: np.ndarray, geometry: str) -> np.ndarray:
    """Points of the ball of this name [N, d] -> [N, 1 + d] float64: time, then space, with time^2 - |space|^2 = 1."""
    space = space_named(geometry)
    assert isinstance(space, PoincareBall)
    lifted = lift(torch.from_numpy(space.prepare(z).astype(np.float64)), space.curvature).numpy()
    return np.concatenate([lifted[:, :1], lifted[:, 1:] * space.curvature**0.5], 1)


def answers(support: np.ndarray, queries: np.ndarray, geometry: str) -> np.ndarray:
    """Support [..., ways, shots, d] and queries [..., Q, d] -> [..., Q], the way whose mean is nearest; ties: the first.

    Hyperbolic ones are given on the hyperboloid, whose mean, brought back to it, is the midpoint.
    """
    means = support.mean(-2)
    if geometry not in ("cosine", "euclidean"):
        time, rest = means[..., :1], means[..., 1:]
        size = np.sqrt(np.maximum(time**2 - (rest**2).sum(-1, keepdims=True), np.finfo(means.dtype).tiny))
        means = np.concatenate([-time, rest], -1) / size  # q.m is then minus the distance's cosh
    if geometry == "cosine":
        means = means / np.maximum(np.linalg.norm(means, axis=-1, keepdims=True), np.finfo(means.dtype).tiny)
    scores = queries @ means.swapaxes(-1, -2)
    if geometry == "euclidean":
        scores = scores - (means**2).sum(-1)[..., None, :] / 2
    return scores.argmax(-1)


class FewShot:
    """Gallery and test units of the classes that both have, or test units alone where they share none; -1 is no class."""

    def __init__(
        self, train_z: np.ndarray, train_y: np.ndarray, test_z: np.ndarray, test_y: np.ndarray, geometry: str = "cosine"
    ):
        bring = {"cosine": on_sphere, "euclidean": np.asarray}.get(geometry, partial(on_hyperboloid, geometry=geometry))
        self.gallery, self.queries, self.geometry = bring(train_z), bring(test_z), geometry
        self.train_y, self.test_y = np.asarray(train_y), np.asarray(test_y)
        self.unseen = unseen(self.train_y, self.test_y)
        if self.unseen:
            self.gallery, self.train_y = self.queries, self.test_y

    def classes(self, shots: int) -> np.ndarray:
        """Those with enough gallery units and at least one test unit beside them."""
        found, count = np.unique(self.train_y[self.train_y >= 0], return_counts=True)
        return np.intersect1d(found[count >= shots + self.unseen], self.test_y)

    def episodes(self, shots: int, ways: int = 5, episodes: int = 600, seed: int = 0) -> np.ndarray | None:
        """Accuracy of each episode [episodes], or None with fewer than two classes. Fewer ways where classes are few."""
        classes = self.classes(shots)
        ways = min(ways, len(classes))
        if ways < 2:
            return None
        rng = np.random.default_rng([seed, shots])
        gallery = _Rows([np.flatnonzero(self.train_y == c) for c in classes])
        asked = _Rows([np.flatnonzero(self.test_y == c) for c in classes])
        queries = min(QUERIES, asked.most - shots * self.unseen)
        step = max(1, BLOCK // (ways * max(gallery.most, asked.most, (shots + queries) * self.gallery.shape[1])))
        scores = []
        for first in range(0, episodes, step):
            count = min(step, episodes - first)
            chosen = rng.random((count, len(classes))).argpartition(ways - 1, 1)[:, :ways]
            if self.unseen:
                both, there = asked.draw(chosen, shots + queries, rng)
                order = np.argsort(~there, axis=-1, kind="stable")  # a class of fewer has its padding last
                both, there = (np.take_along_axis(a, order, -1) for a in (both, there))
                support, some, real = both[..., :shots], both[..., shots:], there[..., shots:]
            else:
                support, _ = gallery.draw(chosen, shots, rng)
                some, real = asked.draw(chosen, queries, rng)
            found = answers(self.gallery[support], self.queries[some.reshape(count, -1)], self.geometry)
            right = (found == np.repeat(np.arange(ways), queries)) & real.reshape(count, -1)
            scores.append(right.sum(1) / real.sum((1, 2)))
        return np.concatenate(scores)

    def draws(self, shots: int = 5, draws: int = 20, seed: int = 0) -> np.ndarray | None:
        """All classes at once -> right or not [draws, test units of these classes], or None with fewer than two; of unseen
        classes [1, test units], the share of the draws in which a unit was asked."""
        classes = self.classes(shots)
        if len(classes) < 2:
            return None
        rng = np.random.default_rng([seed, shots, 1])
        gallery = _Rows([np.flatnonzero(self.train_y == c) for c in classes])
        asked = np.flatnonzero(np.isin(self.test_y, classes))
        right = np.searchsorted(classes, self.test_y[asked])
        scores = np.empty((draws, len(asked)))
        for draw in range(draws):
            support, _ = gallery.draw(np.arange(len(classes))[None], shots, rng)
            scores[draw] = answers(self.gallery[support[0]], self.queries[asked], self.geometry) == right
            if self.unseen:
                scores[draw, np.searchsorted(asked, support.ravel())] = np.nan
        if not self.unseen:
            return scores
        scores = scores[:, ~np.isnan(scores).all(0)]  # a unit of a small class may have been support every time
        mean: np.ndarray = np.nanmean(scores, axis=0, keepdims=True)
        return mean


def unseen(train_y: np.ndarray, test_y: np.ndarray) -> bool:
    """Whether the labelled units of the two parts share no class."""
    there, asked = (np.asarray(y)[np.asarray(y) >= 0] for y in (train_y, test_y))
    return len(asked) > 0 and not np.isin(asked, there).any()


class _Rows:
    """Positions of the units of each class, padded to the largest."""

    def __init__(self, rows: list[np.ndarray]):
        self.count = np.array([len(r) for r in rows])
        self.most = int(self.count.max())
        self.padded = np.zeros((len(rows), self.most), np.int64)
        for i, row in enumerate(rows):
            self.padded[i, : len(row)] = row

    def draw(self, classes: np.ndarray, items: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Classes [E, ways] -> so many different positions of each [E, ways, items], and which are real: a class of
        fewer has all of them and then padding."""
        key = rng.random((*classes.shape, self.most), dtype=np.float32)
        key[np.arange(self.most) >= self.count[classes][..., None]] = 2
        order = key.argpartition(items - 1, -1)[..., :items] if items < self.most else key.argsort(-1)
        real = np.take_along_axis(key, order, -1) < 2
        return self.padded[classes[..., None], order], real
