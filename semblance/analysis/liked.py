"""What matched units like: the items that move a unit most, beside those of its partner in another network.

A number says that two units correlate; the pictures say on what. Pairs are spread from the best matched to the worst, so
that both are seen. Units that go together over all items may still differ in their extremes: `shared` tells of the tenth
of the items that either likes most. Reference: Li et al. 2015 (arXiv:1511.07543).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semblance.analysis.matching import UnitMatching, match_units, scores_of
from semblance.reports import report_html, write_page

PAIRS, TOP = 8, 6
SIDE = 48
"""Pixels of a picture's side."""


@dataclass(frozen=True)
class LikedUnits:
    """The report: a matching, and of some of its pairs what either unit likes. pairs: int [k] units of the first; liked:
    int [2, k, top] rows of items; shared: [k], of the tenth of the items that the unit likes most the share that its
    partner's tenth holds, too; ids: of all items; pictures: uint8 [H, W, 3] by row, where items are pictures."""

    names: tuple[str, str]
    matching: UnitMatching
    pairs: np.ndarray
    liked: np.ndarray
    shared: np.ndarray
    ids: Sequence[str]
    pictures: dict[int, np.ndarray]
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.names[0]} and {self.names[1]}: {self.matching}"

    def rows(self) -> list[dict[str, Any]]:
        """One row a pair that is shown."""
        score = scores_of(self.matching.scores, self.matching.matched)
        return [
            {
                "unit": int(unit),
                "matched": int(self.matching.matched[unit]),
                "correlation": float(score[unit]),
                "shared": float(share),
                "likes": ", ".join(self.ids[row] for row in self.liked[0, k]),
                "partner_likes": ", ".join(self.ids[row] for row in self.liked[1, k]),
            }
            for k, (unit, share) in enumerate(zip(self.pairs, self.shared, strict=True))
        ]

    def to_dict(self) -> dict[str, Any]:
        """{mean, low, high, null, p, units: [{unit, best, score, low, high, ...}], pairs: [...], sentence, notes}."""
        one = self.matching
        return {
            "mean": one.mean,
            "low": one.low,
            "high": one.high,
            "null": one.null,
            "p": one.p,
            "units": one.rows(),
            "pairs": self.rows(),
            "sentence": str(self),
            "notes": list(self.notes),
        }

    def table(self) -> Any:
        """Columns unit, matched, correlation, shared, likes, partner_likes."""
        import pyarrow as pa

        return pa.Table.from_pylist(self.rows())

    def plot(self) -> Any:
        """A matplotlib figure: a line a pair, what the unit likes on the left and what its partner likes on the right."""
        from semblance.figures import Drawn

        count = len(self.pairs)
        figure = Drawn(figsize=(8.4, (0.68 if self.pictures else 0.34) * count + 0.7), layout="constrained")
        rows = self.rows()
        grid = figure.subplots(count, 2, squeeze=False)
        for k, row in enumerate(rows):
            for side, axes in enumerate(grid[k]):
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                if self.pictures:
                    axes.imshow(np.concatenate([self._tile(item) for item in self.liked[side, k]], 1))
                else:
                    said = row["likes" if not side else "partner_likes"]
                    axes.text(0.0, 0.5, said, va="center", size=7, transform=axes.transAxes, wrap=True, clip_on=True)
                    axes.plot([], [])
                unit = f"{row['unit']}" if not side else f"{row['matched']}   ({row['correlation']:.2f})"
                axes.set_ylabel(unit, rotation=0, ha="right", va="center", size=9)
        for axes, name in zip(grid[0], self.names, strict=True):
            axes.set_title(f"units of {name}", size=10)
        return figure

    def _tile(self, item: int) -> np.ndarray:
        """[SIDE, SIDE, 3] with a white seam; white where the item has no picture."""
        from PIL import Image

        tile = np.full((SIDE, SIDE, 3), 255, np.uint8)
        picture = self.pictures.get(item)
        if picture is not None:
            tile[1:-1, 1:-1] = np.asarray(Image.fromarray(picture).resize((SIDE - 2, SIDE - 2)))
        return tile

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, table and picture."""
        write_page(path, self._title(), self._said(), self.plot(), self.rows())

    def _title(self) -> str:
        return f"Matched units of {' and '.join(self.names)}"

    def _said(self) -> str:
        return ". ".join([str(self), *self.notes]) + "."

    def _repr_html_(self) -> str:
        return report_html(self._title(), self._said(), self.plot(), self.rows())


def liked_units(
    x: np.ndarray,
    y: np.ndarray,
    names: tuple[str, str] = ("x", "y"),
    ids: Sequence[str] | None = None,
    picture: Callable[[int], np.ndarray | None] = lambda row: None,
    pairs: int = PAIRS,
    top: int = TOP,
    seed: int = 0,
) -> LikedUnits:
    """Activations [n, p], [n, q] of the same items -> matched units with the `top` items that either likes most. picture
    gives an item's as uint8 [H, W, 3], or None."""
    found = match_units(x, y, seed=seed)
    score = scores_of(found.scores, found.matched)
    order = np.argsort(-score, kind="stable")[: int((found.matched >= 0).sum())]
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(pairs, len(order))).round().astype(int))]
    top = min(top, len(x))
    partners = found.matched[chosen]
    order_of = [np.argsort(-side, 0, kind="stable").T for side in (x[:, chosen], y[:, partners])]  # [k, n]
    liked, tenth = np.stack([side[:, :top] for side in order_of]), max(1, len(x) // 10)
    shared = [np.intersect1d(a[:tenth], b[:tenth]).size / tenth for a, b in zip(*order_of, strict=True)]
    seen = {int(row): picture(int(row)) for row in np.unique(liked)}
    named = [str(row) for row in range(len(x))] if ids is None else ids
    shown = {row: image for row, image in seen.items() if image is not None}
    return LikedUnits(names, found, chosen, liked, np.array(shared), named, shown)
