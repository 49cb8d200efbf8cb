"""The nearest in few dimensions, by a tree of boxes (Bentley 1975, Multidimensional binary search trees), from SciPy.

A search walks the boxes that may hold one of the k nearest. Its answers are exact; in more than some twenty dimensions it
walks nearly all of them, and a scan is faster. Cosine distance is that of unit vectors: 1 - cos = |a - b|^2 / 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.spatial import cKDTree

from semblance.errors import SemblanceError
from semblance.geometry.spaces import space_named
from semblance.memory import Exact, Store
from semblance.memory.exact import checked_queries


class KdTree:
    """An index that is built again at the first search after a change. `Exact` checks, filters and writes the items."""

    def __init__(self, dim: int, geometry: str = "euclidean"):
        if geometry not in ("euclidean", "cosine"):
            raise SemblanceError(f"a kd-tree measures euclidean or cosine, not {geometry!r}: use the index 'exact'")
        self.dim, self.geometry, self.exact = dim, space_named(geometry), Exact(dim, geometry)
        self.ids: list[str] = []
        self.vectors = np.empty((0, dim), np.float32)
        self._tree: cKDTree | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, ids: Sequence[str], vectors: np.ndarray, attributes: pa.Table | None = None) -> None:
        """Adds items; an id that is there already is refused."""
        self.exact.add(ids, vectors, attributes)
        self.ids += ids
        self.vectors = np.concatenate([self.vectors, self.geometry.prepare(np.asarray(vectors))])
        self._tree = None

    def remove(self, ids: Sequence[str]) -> None:
        """Removes items; an id that is not there is refused, and then none is removed."""
        self.exact.remove(ids)
        gone = set(ids)
        stays = [row for row, name in enumerate(self.ids) if name not in gone]
        self.ids, self.vectors, self._tree = [self.ids[row] for row in stays], self.vectors[stays], None

    def search(self, queries: np.ndarray, k: int, where: str | None = None) -> tuple[list[list[str]], list[np.ndarray]]:
        """The k nearest items to each query [Q, d] for which the condition is true (then by a scan): ids and distances."""
        asked = self.geometry.prepare(checked_queries(queries, self.dim, k))
        if where is not None or not len(self) or not len(asked):
            return self.exact.search(queries, k, where)
        if self._tree is None:
            self._tree = cKDTree(self.vectors)
        far, rows = self._tree.query(asked, k=range(1, min(k, len(self)) + 1))
        if self.geometry.name == "cosine":
            far = far**2 / 2
        return [[self.ids[row] for row in line] for line in rows], list(far.astype(np.float32))

    def save(self, path: Path) -> None:
        """Writes a space folder, or replaces the content of the one that is there."""
        self.exact.save(path)

    @classmethod
    def load(cls, path: Path) -> KdTree:
        """The index over what a space holds."""
        with Store.open(path) as store:
            now = store.view
            index = cls(now.manifest["dim"], now.manifest["geometry"])
            index.add(now.ids(), now.vectors(), now.attributes())
        return index
