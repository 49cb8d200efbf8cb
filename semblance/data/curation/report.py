"""What a filter kept: how much, of whom, how right it was, and how many of a kind.

precision, recall   of the good units among the kept, of the kept among the good
AUC                 how often a good unit scores above a bad one (equal scores count half)
ratio               the share of a class or attribute value that is kept, over the share of all that is: a filter that
                    prefers some is biased, whether or not it is right
duplicates          units whose stored item and caption stood earlier in the pool
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.data.dataset import ArrayDataset
from semblance.reports import report_html, write_page

FEW = 24
"""Values beyond which an attribute names no groups."""
BINS = 40


@dataclass(frozen=True)
class FilterReport:
    """precision, recall and auc are None where nobody knows what is good. `groups` has a row for every class and attribute
    value: kind, value, units, kept, share, ratio. `counts` are histograms [2, bins] of the pool's and the kept scores
    between `edges`."""

    units: int
    kept: int
    least: float
    precision: float | None
    recall: float | None
    auc: float | None
    duplicates: int
    kept_duplicates: int
    groups: tuple[Mapping[str, Any], ...]
    edges: np.ndarray
    counts: np.ndarray

    def __str__(self) -> str:
        share = self.kept / self.units
        told = f"{self.kept:,} of {self.units:,} units ({share:.0%}) are kept, with scores of {self.least:.4g} or more"
        if self.precision is not None and self.auc is not None:
            told += (
                f"; {self.precision:.0%} of them are good, {self.recall:.0%} of the good are kept, AUC {self.auc:.3f}"
            )
        uneven = self._uneven()
        if uneven is not None:
            told += f"; {uneven['kind']} {uneven['value']} is kept {uneven['ratio']:.2g} times as often as all"
        return told

    def _uneven(self) -> Mapping[str, Any] | None:
        """The group that is most preferred or passed over, if by half or more."""
        rows = [row for row in self.groups if row["units"] >= 20]
        if not rows:
            return None
        worst = max(rows, key=lambda row: abs(np.log(max(row["ratio"], 1e-3))))
        return worst if not 1 / 1.5 < worst["ratio"] < 1.5 else None

    def to_dict(self) -> dict[str, Any]:
        """Numbers, groups and the sentence."""
        names = ("units", "kept", "least", "precision", "recall", "auc", "duplicates", "kept_duplicates")
        return {name: getattr(self, name) for name in names} | {
            "sentence": str(self),
            "groups": [dict(row) for row in self.groups],
        }

    def rows(self) -> list[dict[str, Any]]:
        """All units first, then a row a group."""
        share = self.kept / self.units
        whole = {"kind": "all", "value": "", "units": self.units, "kept": self.kept, "share": share, "ratio": 1.0}
        return [whole, *(dict(row) for row in self.groups)]

    def table(self) -> pa.Table:
        """The same as an Arrow table."""
        return pa.Table.from_pylist(self.rows())

    def plot(self) -> Any:
        """A matplotlib figure: scores of the pool and of what is kept."""
        from semblance.figures import Drawn

        figure = Drawn(figsize=(6, 3.4), layout="constrained")
        axes = figure.subplots()
        for counts, name, colour in zip(self.counts, ("pool", "kept"), ("0.75", "#0072b2"), strict=True):
            axes.stairs(counts, self.edges, fill=True, label=name, color=colour)
        axes.axvline(self.least, color="#d55e00", linestyle="--", label="least score kept")
        axes.set(xlabel="score", ylabel="units")
        axes.legend(frameon=False)
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, table and picture."""
        write_page(path, "Filter", str(self), self.plot(), self.rows())

    def _repr_html_(self) -> str:
        return report_html("Filter", str(self), self.plot(), self.rows())


def report_on(pool: ArrayDataset, scores: np.ndarray, rows: np.ndarray, truth: np.ndarray | None) -> FilterReport:
    """What keeping these rows does to the pool."""
    stays = np.zeros(len(pool), bool)
    stays[rows] = True
    again = repeated(pool)
    finite = scores[np.isfinite(scores)]
    edges = np.histogram_bin_edges(finite if len(finite) else np.zeros(1), BINS)
    good = None if truth is None or truth.all() or not truth.any() else truth
    return FilterReport(
        units=len(pool),
        kept=len(rows),
        least=float(scores[rows].min()),
        precision=None if good is None else float(good[rows].mean()),
        recall=None if good is None else float(stays[good].mean()),
        auc=None if good is None else auc(scores, good),
        duplicates=int(again.sum()),
        kept_duplicates=int(again[rows].sum()),
        groups=tuple(_groups(pool, stays)),
        edges=edges,
        counts=np.stack([np.histogram(part[np.isfinite(part)], edges)[0] for part in (scores, scores[rows])]),
    )


def auc(scores: np.ndarray, good: np.ndarray) -> float:
    """Scores and bool [N] -> the chance that a good unit scores above a bad one."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]  # of equal scores the mean rank
    above = rank[good].sum() - good.sum() * (good.sum() + 1) / 2
    return float(above / (good.sum() * (~good).sum()))


def repeated(pool: ArrayDataset) -> np.ndarray:
    """bool [N]: units whose stored item and caption were there before."""
    texts = getattr(pool.x, "texts", None)
    captions = getattr(pool.captions, "texts", pool.captions)
    seen: set[bytes] = set()
    found = np.zeros(len(pool), bool)
    for i in range(len(pool)):
        item = str(texts[i]).encode() if texts is not None else _content(pool.x[i])
        digest = hashlib.blake2b(item, digest_size=16)
        if captions is not None:
            digest.update(b"\0" + str(captions[i]).encode("utf-8", "surrogateescape"))
        key = digest.digest()
        found[i] = key in seen
        seen.add(key)
    return found


def _content(item: Any) -> bytes:
    return item.encode("utf-8", "surrogateescape") if isinstance(item, str) else np.ascontiguousarray(item).tobytes()


def _groups(pool: ArrayDataset, stays: np.ndarray) -> list[dict[str, Any]]:
    """A row for every class, and for every value of an attribute that has few."""
    columns: dict[str, list[Any]] = {}
    most = min(FEW, len(pool) // 4)
    labels = pool.targets.get("labels")
    if labels is not None and labels.dtype.kind == "i":
        columns["class"] = [None if k < 0 else pool.classes[k] if pool.classes else int(k) for k in labels]
    for name in pool.attributes.column_names:
        values = pool.attributes.column(name).to_pylist()
        if name not in columns and not any(isinstance(v, float) for v in values) and 1 < len(set(values)) <= most:
            columns[name] = values
    whole = stays.mean()
    found = []
    for kind, column in columns.items():
        for value in sorted({v for v in column if v is not None}, key=str):
            there = np.array([v == value for v in column])
            share = float(stays[there].mean())
            counts = {"units": int(there.sum()), "kept": int(stays[there].sum())}
            found.append({"kind": kind, "value": str(value), **counts, "share": share, "ratio": float(share / whole)})
    return found
