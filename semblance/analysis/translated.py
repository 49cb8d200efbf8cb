"""Whether two sides meet: items known on both, brought into one space, each to find its counterpart among all of them.

    cosine            mean cosine of an item with its counterpart, beside that with another item
    top1, mean_rank   how often the counterpart is the nearest of the other side, and where it stands (1 is first)
    reciprocal_rank   mean of 1 / rank
    shared            share of the k nearest of the other side's pool that both sides' vectors of an item agree on (Jaccard)

Reference: the measures of Moschella et al. 2023 (arXiv:2209.15430) and Jha et al. 2025 (arXiv:2505.12540).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semblance.errors import SemblanceError
from semblance.reports import report_html, write_page

POOL = 2_000  # pairs that are measured at most
NEAR = 10


@dataclass(frozen=True)
class Translated:
    """The report on n held-out pairs; `ranks` [2n] of counterparts, from either side, `true` and `other` cosines [n]."""

    names: tuple[str, str]
    method: str
    cosine: float
    by_chance: float
    top1: float
    mean_rank: float
    reciprocal_rank: float
    shared: float
    ranks: np.ndarray
    true: np.ndarray
    other: np.ndarray

    @property
    def pairs(self) -> int:
        """How many were held out."""
        return len(self.true)

    def __str__(self) -> str:
        a, b = self.names
        return (
            f"{self.method}, on {self.pairs:,} held-out pairs of {a} and {b}: the counterpart is the nearest of "
            f"{self.pairs:,} in {self.top1:.1%} of cases (chance {1 / self.pairs:.1%}), cosine {self.cosine:.2f} against "
            f"{self.by_chance:.2f} of others"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and the sentence."""
        return {**self.row(), "sentence": str(self)}

    def row(self) -> dict[str, Any]:
        """The numbers."""
        numbers = ("pairs", "cosine", "by_chance", "top1", "mean_rank", "reciprocal_rank", "shared")
        return {"method": self.method, **{name: getattr(self, name) for name in numbers}}

    def table(self) -> Any:
        """One row, as an Arrow table."""
        import pyarrow as pa

        return pa.Table.from_pylist([self.row()])

    def plot(self) -> Any:
        """A matplotlib figure: cosines of counterparts and of others; how soon the counterpart is found."""
        from semblance.figures import Drawn

        figure = Drawn(figsize=(7.5, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        edges = np.linspace(min(self.true.min(), self.other.min()), max(self.true.max(), self.other.max(), 0.01), 31)
        for values, label, colour in ((self.other, "another item", "#d55e00"), (self.true, "counterpart", "#0072b2")):
            left.hist(values, edges, alpha=0.6, color=colour, label=label)
        left.set(xlabel="cosine in the common space", ylabel="held-out pairs")
        left.legend(frameon=False)
        first = np.arange(1, self.pairs + 1)
        found = np.searchsorted(np.sort(self.ranks), first, side="right") / len(self.ranks)
        right.plot(first, found, color="#0072b2", label=self.method)
        right.plot(first, first / self.pairs, "--", color="#d55e00", label="by chance")
        right.set(xscale="log", ylim=(0, 1.02), xlabel="among the k nearest, k", ylabel="counterparts found")
        right.legend(frameon=False)
        right.grid(alpha=0.3)
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, table and picture."""
        write_page(path, f"{self.names[0]} and {self.names[1]}", str(self), self.plot(), [self.row()])

    def _repr_html_(self) -> str:
        return report_html(f"{self.names[0]} and {self.names[1]}", str(self), self.plot(), [self.row()])


def translated(
    x: np.ndarray, y: np.ndarray, names: tuple[str, str] = ("x", "y"), method: str = "translation"
) -> Translated:
    """Unit vectors [n, m], [n, m] of the same items in one space -> how well they meet, on the first POOL of them."""
    if len(x) != len(y) or len(x) < 2:
        raise SemblanceError(
            f"{len(x)} and {len(y)} vectors of held-out pairs: give the same two items or more on both sides"
        )
    x, y = (np.asarray(side[:POOL], np.float32) for side in (x, y))
    cosines = x @ y.T  # [n, n]
    true = cosines.diagonal()
    # Of equals the counterpart comes in the middle: a translation of all to one point finds nothing.
    ranks = [
        1 + (side > true[:, None]).sum(1) + ((side == true[:, None]).sum(1) - 1) / 2 for side in (cosines, cosines.T)
    ]
    rank = np.concatenate(ranks)
    others = (cosines.sum(1) - true) / (len(x) - 1)
    return Translated(
        names,
        method,
        cosine=float(true.mean()),
        by_chance=float(others.mean()),
        top1=float((rank == 1).mean()),
        mean_rank=float(rank.mean()),
        reciprocal_rank=float((1 / rank).mean()),
        shared=_shared(cosines, y @ y.T),
        ranks=rank,
        true=true.copy(),
        other=cosines[np.arange(len(x)), (np.arange(len(x)) + 1) % len(x)],
    )


def _shared(across: np.ndarray, within: np.ndarray) -> float:
    """Mean Jaccard index of the nearest of the second side, found from the first and from the second."""
    k = min(NEAR, len(across))
    from_x, from_y = (np.argsort(-side, 1, kind="stable")[:, :k] for side in (across, within))
    both = np.sort(np.concatenate([from_x, from_y], 1), 1)
    common = (both[:, 1:] == both[:, :-1]).sum(1)
    return float((common / (2 * k - common)).mean())
