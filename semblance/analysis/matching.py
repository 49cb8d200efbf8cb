"""Units of one network matched to units of another: the same inputs, a unit a neuron or a channel.

    correlation   c(i, j) = E[ (x_i - m_i)(y_j - m_j) ] / (s_i s_j)
    information   of binned activations, in bits: sees what correlation misses

    one to one    semi-matching: every unit's best partner, repeats allowed; matching: the assignment of largest total
    one to many   how many units say what one unit says: `sparse_maps`
    many to many  spectral or agglomerative clusters of both networks' units by |correlation|, within and between

A dead unit (one value for all inputs) correlates with nothing: it is listed and never matched. Rows of activations are
inputs, or inputs times positions (`activations`, unit "position"): then `positions` says how many rows an input has, and
inputs, not rows, are split and drawn again for intervals, since the positions of one input are not independent.

References: Li et al. 2015 "Convergent Learning: Do different neural networks learn the same representations?"
(arXiv:1511.07543); Kuhn 1955 (assignment).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from semblance.errors import SemblanceError
from semblance.reports import report_html, write_page

Array = np.ndarray
LONELY = 0.5
"""A unit whose best partner correlates less than this has none."""
ORDERS, WORK = 99, 2e9
"""Random orders for chance, and units cubed over all of them: fewer orders where matching costs more."""


def alive(x: Array) -> Array:
    """bool [p]: which units say more than one thing."""
    return np.asarray(np.ptp(x, 0) > 0)


def standardised(x: Array) -> Array:
    """float32 [n, p], columns of mean 0 and deviation 1; dead ones are 0."""
    x = np.asarray(x, np.float64)
    _finite(x)
    x = x - x.mean(0)
    deviation = x.std(0)
    return np.divide(x, deviation, out=np.zeros_like(x), where=deviation > 0).astype(np.float32)


def _finite(x: Array) -> None:
    broken = int((~np.isfinite(x).all(1)).sum())
    if broken:
        raise SemblanceError(
            f"activations hold NaN or infinity in {broken} of {len(x)} rows: leave these out of both sides"
        )


def correlations(x: Array, y: Array) -> Array:
    """[n, p], [n, q] -> float32 [p, q], 0 where a unit is dead."""
    if len(x) != len(y):
        raise SemblanceError(f"{len(x)} rows and {len(y)}: give the activations of the same inputs on both sides")
    return np.clip(standardised(x).T @ standardised(y) / len(x), -1, 1)


def information(x: Array, y: Array, bins: int = 16) -> Array:
    """[n, p], [n, q] -> float64 [p, q], mutual information of activations in `bins` bins of equal counts, in bits."""
    if bins < 2:
        raise SemblanceError(f"bins is {bins}: give 2 or more")
    a, b = (_binned(side, bins) for side in (x, y))  # one-hot [n, units * bins]
    joint = (a.T @ b).astype(np.float64).reshape(x.shape[1], bins, y.shape[1], bins) / len(x)
    alone = joint.sum(3, keepdims=True) * joint.sum(1, keepdims=True)
    ratio = np.divide(joint, alone, out=np.ones_like(joint), where=joint > 0)
    return np.asarray((joint * np.log2(ratio)).sum((1, 3)))


def _binned(x: Array, bins: int) -> Array:
    edges = np.quantile(x, np.arange(1, bins) / bins, axis=0)  # [bins - 1, p]
    at = (x[:, None] > edges).sum(1)  # [n, p]
    return (at[..., None] == np.arange(bins)).reshape(len(x), -1).astype(np.float32)


def semi_matching(scores: Array) -> Array:
    """[p, q] -> int64 [p], every unit's best partner; -1 where no score is above 0."""
    best = scores.argmax(1)
    return np.where(scores[np.arange(len(scores)), best] > 0, best, -1)


def matching(scores: Array) -> Array:
    """[p, q] -> int64 [p], distinct partners of largest total score; -1 for units that find none with a score above 0."""
    units, partners = linear_sum_assignment(scores, maximize=True)
    found = np.full(len(scores), -1)
    kept = scores[units, partners] > 0
    found[units[kept]] = partners[kept]
    return found


def scores_of(scores: Array, partner: Array) -> Array:
    """[p]: every unit's score with its partner, 0 where it has none."""
    return np.where(partner >= 0, scores[np.arange(len(scores)), np.maximum(partner, 0)], 0.0)


def inputs_of(x: Array, positions: int) -> int:
    """How many inputs these rows are of."""
    if positions < 1 or len(x) % positions:
        raise SemblanceError(f"{len(x)} rows are no whole number of inputs of {positions} positions each")
    return len(x) // positions


def by_input(x: Array, positions: int) -> Array:
    """[inputs * positions, p] -> [inputs, p], means."""
    return np.asarray(x.reshape(-1, positions, x.shape[1]).mean(1))


def weights_drawn(inputs: int, draws: int, rng: np.random.Generator) -> Array:
    """[draws, inputs]: how much every input weighs where as many are drawn again."""
    return rng.multinomial(inputs, np.full(inputs, 1 / inputs), size=draws).astype(np.float32) / inputs


def clusters(x: Array, y: Array, count: int, method: str = "spectral", seed: int = 0) -> tuple[Array, Array]:
    """Cluster of every unit of either side, int64 [p] and [q]; dead units have -1. method: spectral, or average linkage."""
    from sklearn.cluster import AgglomerativeClustering, SpectralClustering

    both, live = np.concatenate([x, y], 1), np.flatnonzero(alive(np.concatenate([x, y], 1)))
    if not 1 <= count <= len(live):
        raise SemblanceError(f"{count} clusters of {len(live)} live units: give 1 to {len(live)}")
    near = np.abs(correlations(both[:, live], both[:, live])).astype(np.float64)
    if method == "spectral":
        found = SpectralClustering(
            count, affinity="precomputed", random_state=seed, assign_labels="kmeans"
        ).fit_predict(near)
    elif method == "agglomerative":
        found = AgglomerativeClustering(count, metric="precomputed", linkage="average").fit_predict(1 - near)
    else:
        raise SemblanceError(f"there is no clustering {method!r}: there are spectral and agglomerative")
    labels = np.full(both.shape[1], -1)
    labels[live] = found
    return labels[: x.shape[1]], labels[x.shape[1] :]


@dataclass(frozen=True)
class UnitMatching:
    """The report: every unit of the first network with its partners in the second. mean: the mean score of matched units,
    low and high its interval over inputs; null: the same with one side's inputs in random order and matched anew, its mean
    over some orders, and p, how often chance does as well; spans: the interval of every unit, of its best partner's score
    and of the matched one's, [2, p, 2], NaN where there is no partner."""

    scores: Array
    semi: Array
    matched: Array
    dead: tuple[Array, Array]
    mean: float
    low: float
    high: float
    null: float
    p: float
    spans: Array

    def __str__(self) -> str:
        live = len(self.scores) - len(self.dead[0])
        lonely = int((scores_of(self.scores, self.semi) < LONELY).sum()) - len(self.dead[0])
        return (
            f"matched units correlate {self.mean:.2f} [{self.low:.2f}, {self.high:.2f}] on average, {self.null:.2f} by "
            f"chance; "
            f"{lonely} of {live} live units have no partner above {LONELY}, and {len(self.dead[0])} are dead"
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row a unit of the first network."""
        best, one = scores_of(self.scores, self.semi), scores_of(self.scores, self.matched)
        names = ("unit", "best", "score", "low", "high", "matched", "matched_score", "matched_low", "matched_high")
        partners, ends = (np.stack([self.semi, self.matched]), self.spans.astype(object))
        ends[np.isnan(self.spans)] = None
        return [
            dict(
                zip(
                    names,
                    (
                        *(i, int(a) if a >= 0 else None, float(best[i]), *ends[0, i]),
                        *(int(b) if b >= 0 else None, float(one[i]), *ends[1, i]),
                    ),
                    strict=True,
                )
            )
            for i, (a, b) in enumerate(partners.T)
        ]

    def table(self) -> Any:
        """Columns unit, best, score, low, high, matched, matched_score, matched_low, matched_high."""
        import pyarrow as pa

        return pa.Table.from_pylist(self.rows())

    def plot(self) -> Any:
        """A matplotlib figure: scores in the second network's own order and in matched order, and the sorted scores."""
        from semblance.figures import Drawn

        order = np.argsort(-scores_of(self.scores, self.matched), kind="stable")
        rest = np.setdiff1d(np.arange(self.scores.shape[1]), self.matched)
        columns = np.concatenate([self.matched[order][self.matched[order] >= 0], rest])
        figure = Drawn(figsize=(10, 3.4), layout="constrained")
        plain, sorted_, curve = figure.subplots(1, 3)
        for axes, rows, shown, title in (
            (plain, np.arange(len(self.scores)), self.scores, "as they come"),
            (sorted_, order, self.scores[:, columns], "matched"),
        ):
            image = axes.imshow(shown[rows], vmin=-1, vmax=1, cmap="RdBu_r", aspect="auto", interpolation="nearest")
            axes.set(title=title, xlabel="units of the second", ylabel="units of the first")
        figure.colorbar(image, ax=sorted_, label="correlation")
        for partner, label in ((self.semi, "best partner"), (self.matched, "matched")):
            curve.plot(np.sort(scores_of(self.scores, partner))[::-1], label=label)
        curve.axhline(LONELY, color="0.6", linewidth=0.8)
        curve.set(xlabel="units, best first", ylabel="correlation", ylim=(0, 1.02))
        curve.legend(frameon=False)
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, table and picture."""
        write_page(path, "Matched units", str(self), self.plot(), self.rows())

    def _repr_html_(self) -> str:
        return report_html("Matched units", str(self), self.plot(), self.rows())


def match_units(x: Array, y: Array, draws: int = 100, seed: int = 0, positions: int = 1) -> UnitMatching:
    """Activations [n, p], [n, q] of the same inputs -> who is whose partner. Intervals draw inputs again; partners stay."""
    scores = correlations(x, y)
    both = np.stack([semi_matching(scores), matching(scores)])
    if not (both[1] >= 0).any():
        raise SemblanceError(
            "no unit of the first correlates with any of the second: is it the same inputs in the same order?"
        )
    a, b = standardised(x), standardised(y)
    weight = weights_drawn(inputs_of(x, positions), draws, np.random.default_rng(seed))
    spans = np.full((*both.shape, 2), np.nan)
    for at, partner in enumerate(both):
        pairs = np.flatnonzero(partner >= 0)
        again = _correlated_again(a[:, pairs], b[:, partner[pairs]], positions, weight)
        spans[at, pairs] = np.quantile(again, [0.025, 0.975], axis=0).T
    low, high = np.quantile(again.mean(1), [0.025, 0.975])
    dead = tuple(np.flatnonzero(~alive(side)) for side in (x, y))
    mean = float(scores_of(scores, both[1])[pairs].mean())
    chance = np.array(_by_chance(a, b, positions, np.random.default_rng([seed, 1])))
    p = (1 + int((chance >= mean).sum())) / (1 + len(chance))
    return UnitMatching(
        scores, both[0], both[1], (dead[0], dead[1]), mean, float(low), float(high), float(chance.mean()), p, spans
    )


def _by_chance(a: Array, b: Array, positions: int, rng: np.random.Generator) -> list[float]:
    """Mean scores of units matched where b's inputs are in random order, the positions of an input staying together."""
    orders = int(np.clip(WORK / max(a.shape[1], b.shape[1]) ** 3, 3, ORDERS))
    found = []
    for _ in range(orders):
        mixed = b.reshape(-1, positions, b.shape[1])[rng.permutation(len(b) // positions)].reshape(b.shape)
        scores = a.T @ mixed / len(a)
        partner = matching(scores)
        found.append(float(scores_of(scores, partner)[partner >= 0].mean()))
    return found


def _correlated_again(a: Array, b: Array, positions: int, weight: Array) -> Array:
    """Standardised pairs of columns [n, k] -> their correlations where inputs are drawn again, [draws, k]."""
    of_a, of_b, both, aa, bb = (weight @ by_input(side, positions) for side in (a, b, a * b, a * a, b * b))
    spread = (aa - of_a**2) * (bb - of_b**2)
    return np.asarray((both - of_a * of_b) / np.sqrt(np.maximum(spread, 1e-12)))
