"""Neural collapse: how far labelled embeddings, and the linear layers behind them, have come to one point a class.

    m_k  mean of class k;  m  their mean;  S_within, S_between  covariances of items about m_k, of m_k about m
    variability    tr( S_within pinv(S_between) ) / K                   0 when every item is its class mean      (NC1)
    spread         root of tr S_within, over the mean length of m_k      the same, without the directions of S_between
    simplex        distance of the Gram matrix of m_k - m to I - 1/K      0 when all cosines are -1/(K-1)         (NC2)
    orthogonal     distance of the Gram matrix of m_k to I                0 for an orthogonal frame
    general        distance of the Gram matrix of m_k to its diagonal     0 when orthogonal, whatever the lengths
    aligned        mean cosine of classifier rows with class means, both about their means                        (NC3)
    nearest mean   share of items whose largest output is the class of the nearest mean                           (NC4)

Distances are of matrices scaled to length 1. A classifier of several linear layers is their product. What the theory of
unconstrained features foretells of these: `unconstrained_features`.
References: Papyan et al. 2020 "Prevalence of Neural Collapse during the Terminal Phase of Deep Learning Training";
Dang et al. 2023 "Neural Collapse in Deep Linear Networks: From Balanced to Imbalanced Data".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from semblance.errors import SemblanceError
from semblance.reports import report_html, write_page

Array = np.ndarray
RANK = 1e-6  # of the largest singular value of the centred class means: what is smaller is no direction
COLLAPSED = 0.05
"""Within-class variability below which nearly nothing but the class is left in an embedding."""


@dataclass(frozen=True)
class ClassMeans:
    """labels [K] in order, items [K], means [K, d], residuals [N, d] of the items about theirs."""

    labels: Array
    items: Array
    means: Array
    residuals: Array

    @property
    def centred(self) -> Array:
        """[K, d], about the mean of the classes."""
        return np.asarray(self.means - self.means.mean(0))


def class_means(z: Array, y: Array) -> ClassMeans:
    """Embeddings [N, d], labels [N] (any kind; two classes or more) -> float64."""
    z = np.asarray(z, np.float64)
    if len(z) != len(y):
        raise SemblanceError(f"there are {len(z)} embeddings and {len(y)} labels: give one label an item")
    broken = int((~np.isfinite(z).all(1)).sum())
    if broken:
        raise SemblanceError(f"{broken} of {len(z)} embeddings hold NaN or infinity: leave these items out")
    labels, at, items = np.unique(np.asarray(y), return_inverse=True, return_counts=True)
    if len(labels) < 2:
        raise SemblanceError(f"{len(labels)} class has no geometry: give items of two classes or more")
    means = np.zeros((len(labels), z.shape[1]))
    np.add.at(means, at, z)
    means /= items[:, None]
    return ClassMeans(labels, items, means, z - means[at])


def variability(classes: ClassMeans) -> float:
    """tr( S_within pinv(S_between) ) / K; infinite where all class means are one."""
    _, s, v = np.linalg.svd(classes.centred, full_matrices=False)
    if not s[0] > 0:
        return float("inf")
    kept = s > RANK * s[0]
    along = (classes.residuals @ v[kept].T / s[kept]) ** 2  # K S_between = V s^2 V^T
    return float(along.sum() / len(classes.residuals))


def spread(classes: ClassMeans) -> float:
    """Root mean square distance to the class mean, over the mean length of these."""
    length = np.linalg.norm(classes.means, axis=1).mean()
    within = np.sqrt((classes.residuals**2).sum(1).mean())
    return float(within / length) if length > 0 else float("inf")


def cosines(rows: Array) -> Array:
    """[K, d] -> [K, K]; a row of length 0 has cosine 0 with all."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return np.asarray(unit @ unit.T)


def apart(rows: Array) -> Array:
    """[K, d] -> the K (K - 1) / 2 cosines of different rows."""
    return np.asarray(cosines(rows)[np.triu_indices(len(rows), 1)])


def frame_distance(rows: Array, frame: str) -> float:
    """Of the Gram matrix of [K, d] to that of a frame: simplex, orthogonal or general; 0 to about 1.4."""
    gram = rows @ rows.T
    wanted = {
        "simplex": lambda: np.eye(len(rows)) - 1 / len(rows),
        "orthogonal": lambda: np.eye(len(rows)),
        "general": lambda: np.diag(np.diag(gram)),
    }[frame]()
    size = np.linalg.norm(gram)
    return float(np.linalg.norm(gram / size - wanted / np.linalg.norm(wanted))) if size > 0 else 1.0


def alignment(weight: Array, means: Array) -> float:
    """Mean cosine of row k of [K, d] with row k of the other, each about the mean of its rows."""
    a, b = (rows - rows.mean(0) for rows in (weight, means))
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.divide((a * b).sum(1), length, out=np.zeros_like(length), where=length > 0).mean())


@dataclass(frozen=True)
class Collapse:
    """The report. labels [K], items [K], gram: cosines of the raw class means [K, K], measures by name."""

    labels: Array
    items: Array
    gram: Array
    measures: dict[str, float]

    def __str__(self) -> str:
        """Whether classes are points, and in which frame they stand."""
        within, frames = self.measures["variability"], ("orthogonal", "simplex", "general")
        # The first where several are as near: an orthogonal frame is a general one too, and a simplex when centred.
        nearest = min(frames, key=lambda name: round(self.measures[name], 6))
        degree = "have collapsed to points" if within < COLLAPSED else "have not collapsed"
        return (
            f"{len(self.labels)} classes {degree} (within-class variability {within:.3g}); their means are nearest to the "
            f"{nearest} frame (distance {self.measures[nearest]:.2f})"
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row a measure."""
        return [
            {"measure": k, "value": v, "collapsed": AT_COLLAPSE[k], "about": ABOUT[k]} for k, v in self.measures.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """{sentence, measures, classes: [{label, items}]}."""
        classes = [{"label": str(a), "items": int(n)} for a, n in zip(self.labels, self.items, strict=True)]
        return {"sentence": str(self), "measures": dict(self.measures), "classes": classes}

    def table(self) -> Any:
        """Columns measure, value, collapsed (what it is then), about."""
        import pyarrow as pa

        return pa.Table.from_pylist(self.rows())

    def plot(self) -> Any:
        """A matplotlib figure: cosines of the class means, and where they lie between the frames."""
        from semblance.figures import Drawn

        figure = Drawn(figsize=(8.5, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        image = left.imshow(self.gram, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
        figure.colorbar(image, ax=left, label="cosine of class means")
        if len(self.labels) <= 20:
            left.set_xticks(range(len(self.labels)), [str(a) for a in self.labels], rotation=90)
            left.set_yticks(range(len(self.labels)), [str(a) for a in self.labels])
        right.hist(self.gram[np.triu_indices(len(self.gram), 1)], bins=np.linspace(-1, 1, 41), color="#0072b2")
        for at, name, style in ((0, "orthogonal", "-"), (-1 / (len(self.labels) - 1), "simplex", "--")):
            right.axvline(at, color="#d55e00", linestyle=style, label=name)
        right.set(xlabel="cosine of two class means", ylabel="pairs of classes")
        right.legend(frameon=False)
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, table and picture."""
        write_page(path, "Neural collapse", str(self), self.plot(), self.rows())

    def _repr_html_(self) -> str:
        return report_html("Neural collapse", str(self), self.plot(), self.rows())


ABOUT = {
    "variability": "within-class covariance in units of the between-class one (NC1)",
    "spread": "distance of an item to its class mean, in lengths of these",
    "simplex": "centred class means beside a simplex (NC2)",
    "orthogonal": "class means beside an orthogonal frame of equal lengths",
    "general": "class means beside an orthogonal frame of any lengths",
    "cosine": "mean absolute cosine of two class means",
    "centred cosine": "mean cosine of two centred class means",
    "aligned": "classifier rows along class means (NC3)",
    "nearest mean": "items that the classifier and the nearest class mean call the same (NC4)",
}
AT_COLLAPSE = dict.fromkeys(ABOUT, "0") | {"cosine": "0 or 1/(K-1)", "centred cosine": "-1/(K-1)"}
AT_COLLAPSE |= {"aligned": "1", "nearest mean": "1"}


def neural_collapse(
    z: Array, y: Array, weights: Array | Sequence[Array] | None = None, bias: Array | None = None
) -> Collapse:
    """Embeddings [N, d] with labels [N], and where there is one the classifier: weights [K, d] or the weights of its linear
    layers from first to last, rows of the last in the order of the sorted labels; bias [K] -> the report."""
    classes = class_means(z, y)
    measures = {"variability": variability(classes), "spread": spread(classes)}
    measures["simplex"] = frame_distance(classes.centred, "simplex")
    measures |= {frame: frame_distance(classes.means, frame) for frame in ("orthogonal", "general")}
    measures["cosine"] = float(np.abs(apart(classes.means)).mean())
    measures["centred cosine"] = float(apart(classes.centred).mean())
    if weights is not None:
        product = weights if isinstance(weights, np.ndarray) else reduce(lambda first, then: then @ first, weights)
        product = np.asarray(product, np.float64)
        if product.shape != classes.means.shape:
            raise SemblanceError(
                f"the classifier is {list(product.shape)}, and there are {len(classes.labels)} classes of "
                f"{classes.means.shape[1]} numbers: give weights [{len(classes.labels)}, {classes.means.shape[1]}]"
            )
        measures["aligned"] = alignment(product, classes.means)
        measures["nearest mean"] = _agreement(classes, np.asarray(z, np.float64), product, bias)
    return Collapse(classes.labels, classes.items, cosines(classes.means), measures)


def _agreement(classes: ClassMeans, z: Array, product: Array, bias: Array | None) -> float:
    said = (z @ product.T + (0 if bias is None else bias)).argmax(1)
    far = (classes.means**2).sum(1) - 2 * z @ classes.means.T
    return float((said == far.argmin(1)).mean())
