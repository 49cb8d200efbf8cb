"""Prefixes: what the first numbers of an embedding are worth alone, by its nearest neighbours and by a linear classifier.

The report `prefixes` of a space; for embeddings that were trained nested (`objectives/nested.py`), and to see what others
lose. Accuracies are of items that were not learned from; neighbours by cosine, each voting exp(similarity / 0.07).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from semblance.analysis.intervals import bootstrap_mean
from semblance.errors import SemblanceError
from semblance.geometry.nearest import nearest
from semblance.reports import TableReport

TEMPERATURE = 0.07


def prefixes(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    dims: Sequence[int] = (),
    k: int = 20,
) -> TableReport:
    """Embeddings [N, d] with labels [N], to learn from and to be asked; `dims` default to d, d/2, ... down to 4."""
    (x, labels), (asked, truth) = train, test
    x, asked = np.asarray(x, np.float32), np.asarray(asked, np.float32)
    width = x.shape[1]
    chosen = sorted({min(width, dim) for dim in dims} if dims else {width >> i for i in range(16) if width >> i >= 4})
    if not chosen or chosen[0] < 1:
        raise SemblanceError(f"prefixes of {tuple(dims)} numbers: give 1 to the {width} of the embedding")
    if len(x) <= k or not len(asked):
        raise SemblanceError(
            f"there are {len(x)} items to learn from and {len(asked)} to ask: {k + 1} and 1 are needed"
        )
    names, y = np.unique(labels, return_inverse=True)
    rows = []
    for dim in chosen:
        right = names[_voted(x[:, :dim], y, asked[:, :dim], len(names), k)] == truth
        scaler = StandardScaler().fit(x[:, :dim])
        model = LogisticRegression(max_iter=300).fit(scaler.transform(x[:, :dim]), y)
        straight = names[model.predict(scaler.transform(asked[:, :dim]))] == truth
        row: dict[str, float | int] = {"numbers": dim}
        for name, said in (("neighbours", right), ("linear", straight)):
            row[name], row[f"{name} low"], row[f"{name} high"] = bootstrap_mean(said.astype(float))
        rows.append(row)
    least, most = rows[0], rows[-1]
    told = (
        f"the first {least['numbers']} of {width} numbers give an accuracy of {least['neighbours']:.3f} by neighbours, all "
        f"of them {most['neighbours']:.3f}"
    )
    return TableReport("Prefixes", told, tuple(rows), "numbers", ("neighbours", "linear"))


def _voted(x: np.ndarray, y: np.ndarray, asked: np.ndarray, classes: int, k: int) -> np.ndarray:
    """[n], the class of most votes."""
    position, similarity = nearest(asked, x, k, "cosine", precision="float32")
    votes = np.zeros((len(asked), classes))
    weight = np.exp((similarity - similarity[:, :1]) / TEMPERATURE)
    np.add.at(votes, (np.arange(len(asked))[:, None], y[position]), weight)
    return np.asarray(votes.argmax(1))
