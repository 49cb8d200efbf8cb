"""Why two items are near: their similarity as a sum over their parts, and whether those parts are what it rests on.

    similarity = reference + sum over parts of share        (complete: the reference is what is left without the parts)

One report for every domain: cells of a picture, tokens of a text, nodes, edges and features of a graph. What varies is who
makes the shares (`explain.py` has the table) and the picture that is drawn of them (`explanation_plot.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from semblance.analysis.faithfulness import Curve
from semblance.errors import SemblanceError
from semblance.reports import report_html, write_page

KINDS = ("cells", "tokens", "nodes", "edges", "features")
STRONGEST = 12  # rows that a page shows
LARGE_GAP = 0.02  # of the similarity's own scale: from here on the sentence says that shares do not sum to it


@dataclass(frozen=True)
class Parts:
    """The parts of one kind that an item has (or both items, where `item` is ""), and what each gives to the similarity.

    names: [P] as a person reads them. share: [P]. reference: the similarity that is left without these parts, so that
    share sums to similarity - reference; None where shares are no decomposition (sizes of gradients, single effects).
    grid: rows and columns of cells, in reading order; picture: [H, W] or [H, W, 3] in 0..1, what they are cells of.
    ends: [P, 2] for edges, positions in the parts of kind "nodes".
    """

    item: str
    kind: str
    names: tuple[str, ...]
    share: np.ndarray
    reference: float | None = 0.0
    grid: tuple[int, int] | None = None
    picture: np.ndarray | None = field(default=None, repr=False)
    ends: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SemblanceError(f"parts are of kind {self.kind!r}: give one of {', '.join(KINDS)}")
        if self.share.shape != (len(self.names),):
            raise SemblanceError(
                f"{len(self.names)} parts have shares of shape {list(self.share.shape)}: give one each"
            )
        if self.grid is not None and self.grid[0] * self.grid[1] != len(self.names):
            raise SemblanceError(f"{len(self.names)} cells make no grid of {self.grid[0]} by {self.grid[1]}")

    def strongest(self, k: int = STRONGEST) -> list[int]:
        """Positions of the parts with the largest shares, in size, largest first."""
        return np.argsort(-np.abs(self.share), kind="stable")[:k].tolist()

    def to_dict(self) -> dict[str, Any]:
        """{item, kind, parts: [{name, share}], reference, grid}."""
        parts = [{"name": name, "share": float(s)} for name, s in zip(self.names, self.share, strict=True)]
        grid = None if self.grid is None else list(self.grid)
        return {"item": self.item, "kind": self.kind, "parts": parts, "reference": self.reference, "grid": grid}


@dataclass(frozen=True)
class Explanation:
    """The report. names: the two items. measure: what the similarity is called (cosine). without: what stands in the place
    of a part that is taken away, in words. pairs: [parts[0], parts[1]], where the similarity is a sum over pairs. curve:
    what becomes of the similarity as parts go, None where it was not asked for."""

    names: tuple[str, str]
    similarity: float
    parts: tuple[Parts, ...]
    method: str
    measure: str = "cosine"
    without: str = "nothing"
    pairs: np.ndarray | None = field(default=None, repr=False)
    curve: Curve | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.parts:
            raise SemblanceError("an explanation has no parts: give at least one kind")
        if self.pairs is not None:
            shape = tuple(len(side.names) for side in self.parts[:2])
            if self.pairs.shape != shape:
                raise SemblanceError(f"the pair matrix is {list(self.pairs.shape)}, and the parts are {list(shape)}")

    @property
    def completeness(self) -> list[dict[str, Any]]:
        """Per decomposition {item, kind, sum, expected, gap}: expected is similarity - reference."""
        found = []
        for side in self.parts:
            if side.reference is not None:
                total, expected = float(side.share.sum()), self.similarity - side.reference
                told = {"item": side.item, "kind": side.kind, "sum": total, "expected": expected}
                found.append({**told, "gap": total - expected})
        return found

    @property
    def gap(self) -> float | None:
        """The largest that any sum of shares misses its similarity by; None where no part is a decomposition."""
        return max((abs(one["gap"]) for one in self.completeness), default=None)

    def __str__(self) -> str:
        """How near, by which part most, whether the shares add up, and whether the similarity falls with those parts."""
        a, b = self.names
        said = [f"{a} and {b} have {self.measure} {self.similarity:.2f}"]
        first = self.parts[0]
        if len(first.names):
            best = int(first.share.argmax())
            of = f" of {first.item}" if first.item else ""
            said.append(f"most of it by {SINGULAR[first.kind]} {first.names[best]}{of} ({first.share[best]:+.3f})")
        gap = self.gap
        if gap is not None and gap > LARGE_GAP * max(abs(self.similarity), 1.0):
            said.append(f"the shares miss the similarity by {gap:.2g}")
        if self.curve is not None:
            c = self.curve
            areas = f"(area {c.deletion_area:.2f}, {c.random_deletion_area:.2f} in random order)"
            faithful = "it falls faster" if c.faithful else "it falls no faster than by chance"
            said.append(f"{faithful} when the strongest parts go first {areas}")
        return ", ".join(said)

    def to_dict(self) -> dict[str, Any]:
        """{items, similarity, measure, method, without, parts, pairs, completeness, curve, sentence, notes}; `pairs` holds
        the strongest ones as [part of the first, part of the second, share]."""
        return {
            "items": list(self.names),
            "similarity": self.similarity,
            "measure": self.measure,
            "method": self.method,
            "without": self.without,
            "parts": [side.to_dict() for side in self.parts],
            "pairs": [[a, b, share] for a, b, share in self.top_pairs()],
            "completeness": self.completeness,
            "curve": None if self.curve is None else self.curve.to_dict(),
            "sentence": str(self),
            "notes": list(self.notes),
        }

    def top_pairs(self, k: int = STRONGEST) -> list[tuple[str, str, float]]:
        """The pairs of parts with the largest shares, in size."""
        if self.pairs is None:
            return []
        left, right = self.parts[:2]
        order = np.argsort(-np.abs(self.pairs), axis=None, kind="stable")[:k]
        places = zip(*np.unravel_index(order, self.pairs.shape), strict=True)
        return [(left.names[i], right.names[j], float(self.pairs[i, j])) for i, j in places]

    def rows(self, k: int | None = None) -> list[dict[str, Any]]:
        """One row a part {item, kind, part, share}, the strongest first; of each kind at most k."""
        found = []
        for side in self.parts:
            told = {"item": side.item, "kind": side.kind}
            chosen = side.strongest(len(side.names) if k is None else k)
            found += [{**told, "part": side.names[i], "share": float(side.share[i])} for i in chosen]
        return found

    def table(self) -> Any:
        """Every part as an Arrow table."""
        import pyarrow as pa

        return pa.Table.from_pylist(self.rows())

    def plot(self) -> Any:
        """A matplotlib figure: the items with their parts coloured by share, the pair matrix, the curve."""
        from semblance.analysis.explanation_plot import draw

        return draw(self)

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, strongest parts and picture."""
        write_page(path, " and ".join(self.names), self._said(), self.plot(), self.rows(STRONGEST))

    def _said(self) -> str:
        return ". ".join([str(self), *self.notes]) + "."

    def _repr_html_(self) -> str:
        return report_html(" and ".join(self.names), self._said(), self.plot(), self.rows(STRONGEST))


SINGULAR = {"cells": "cell", "tokens": "token", "nodes": "node", "edges": "edge", "features": "feature"}


def cell_names(grid: tuple[int, int]) -> tuple[str, ...]:
    """row 1, column 1 of a grid, in reading order."""
    return tuple(f"row {r + 1}, column {c + 1}" for r in range(grid[0]) for c in range(grid[1]))


def from_pairs(
    names: tuple[str, str],
    similarity: float,
    sides: Sequence[Parts],
    pairs: np.ndarray,
    **more: Any,
) -> Explanation:
    """The report of a matrix [P, Q] over pairs of parts: each side's shares become its sums."""
    left, right = sides
    parts = (replace(left, share=pairs.sum(1)), replace(right, share=pairs.sum(0)))
    return Explanation(names, similarity, parts, pairs=pairs, **more)
