"""Agreement: whether groups found without labels are the labels.

    nmi   2 I(a; b) / (H(a) + H(b)), from 0 to 1
    ari   (pairs together in both - expected) / (mean of pairs together in either - expected), 0 by chance
    acc   share of units whose group is their label's, groups and labels matched as well as can be

k-means gives as many groups as there are classes. The interval keeps the groups and draws the units again; since tables
drawn again agree a little more than the one they come from, the ends are moved by the mean excess.

References: Hubert & Arabie 1985 (ari); Kuhn 1955 (matching).
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy import sparse

from semblance.analysis.intervals import middle

DRAWS = 1000
BLOCK = 2**21


def k_means(z: np.ndarray, groups: int, seed: int = 0) -> np.ndarray:
    """[N, d] -> group of each unit [N], the best of 3 starts."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Fewer different units than groups is what a collapsed space looks like, and the figure says it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(min(groups, len(z)), n_init=3, random_state=seed).fit_predict(np.asarray(z, np.float32))


def agreement(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Two groupings of the same units -> nmi, ari."""
    cells, rows, columns = _table(a, b)
    nmi, ari = _measures(cells[None].astype(float), rows, columns)
    return float(nmi[0]), float(ari[0])


def matched(a: np.ndarray, b: np.ndarray) -> float:
    """Two groupings of the same units -> acc, each group having one partner at most (by the Hungarian method)."""
    from scipy.optimize import linear_sum_assignment

    _, a = np.unique(a, return_inverse=True)
    _, b = np.unique(b, return_inverse=True)
    both = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(both, (a, b), 1)
    return float(both[linear_sum_assignment(-both)].sum() / len(a))


def agreement_intervals(a: np.ndarray, b: np.ndarray, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """-> {"nmi": (value, low, high), "ari": ...}."""
    cells, rows, columns = _table(a, b)
    n, rng = int(cells.sum()), np.random.default_rng(seed)
    values = _measures(cells[None].astype(float), rows, columns)
    step = max(1, BLOCK // len(cells))
    parts = [
        _measures(rng.multinomial(n, cells / n, size=min(step, DRAWS - i)).astype(float), rows, columns)
        for i in range(0, DRAWS, step)
    ]
    found = {}
    for name, value, drawn in zip(("nmi", "ari"), values, zip(*parts, strict=True), strict=True):
        again = np.concatenate(drawn)
        low, high = middle(again - again.mean() + value[0])
        found[name] = (float(value[0]), low, min(high, 1.0))
    return found


def _table(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, sparse.csr_array, sparse.csr_array]:
    """The non-empty cells' counts [m], and which row and column each belongs to, [m, R] and [m, C] indicators."""
    _, a = np.unique(a, return_inverse=True)
    _, b = np.unique(b, return_inverse=True)
    pairs, cells = np.unique(np.stack([a, b]), axis=1, return_counts=True)
    one = np.ones(len(cells))
    at = np.arange(len(cells))
    return cells, sparse.csr_array((one, (at, pairs[0]))), sparse.csr_array((one, (at, pairs[1])))


def _measures(cells: np.ndarray, rows: sparse.csr_array, columns: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Tables [B, m] -> nmi [B], ari [B]. One group on both sides is full agreement, on one side none."""
    n = cells.sum(1)
    in_row, in_column = cells @ rows, cells @ columns

    def entropy(count: np.ndarray) -> np.ndarray:
        share = count / n[:, None]
        return -(share * np.log(np.maximum(share, 1e-300))).sum(1)

    def pairs(count: np.ndarray) -> np.ndarray:
        return (count * (count - 1) / 2).sum(1)

    h_row, h_column = entropy(in_row), entropy(in_column)
    total = h_row + h_column
    nmi = np.where(total > 0, 2 * (total - entropy(cells)) / np.maximum(total, 1e-300), 1.0)
    both, row, column = pairs(cells), pairs(in_row), pairs(in_column)
    expected = row * column / np.maximum(n * (n - 1) / 2, 1)
    room = (row + column) / 2 - expected
    ari = np.where(room > 0, (both - expected) / np.where(room > 0, room, 1), 1.0)
    return np.maximum(nmi, 0), ari
