"""Cell complexes: meshes and oriented simplices -> a complex with features of its vertices."""

from __future__ import annotations

from typing import Any

import numpy as np

from semblance.data.relate import relate
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError


def from_mesh(pos: Any, faces: Any, *, what: str = "the mesh", **known: Any) -> RelationalDataset:
    """pos: [V, 2 or 3], the features of the vertices; faces: [F, 3]. The edges are the sides of the faces."""
    from semblance.geometry.cell_builders import of_simplices

    pos, faces = np.asarray(pos), np.asarray(faces)
    if pos.ndim != 2 or pos.shape[1] not in (2, 3) or not len(pos):
        raise SemblanceError(f"{what} has positions {list(pos.shape)}: give [vertices, 2 or 3]")
    checked = checked_simplices([faces], len(pos), what)
    complex_ = of_simplices(checked, num_nodes=len(pos))
    x = [pos.astype(np.float32), *[None] * complex_.dim]
    places = {f"pos_{k}": column.copy() for k, column in enumerate(pos.T.astype(np.float32))}
    return relate(
        "complex",
        complex_,
        x=x,
        attributes=places,
        units="vertex",
        count=len(pos),
        what=what,
        **known,
    )


def checked_simplices(simplices: Any, num_nodes: int | None, what: str) -> list[np.ndarray]:
    """One int64 [n, k + 1] for every dimension that has some; every vertex known, none twice in a simplex."""
    found = []
    for rows in simplices:
        rows = np.asarray(rows)
        if rows.dtype.kind == "f" and (rows == np.floor(rows)).all():
            rows = rows.astype(np.int64)
        if rows.ndim != 2 or rows.dtype.kind not in "iu":
            raise SemblanceError(
                f"{what} has simplices {list(rows.shape)} of {rows.dtype}: give numbers of vertices, one simplex a row"
            )
        rows = rows.astype(np.int64)
        off = (rows < 0) | (rows >= (np.inf if num_nodes is None else num_nodes))
        if off.any():
            row, column = np.argwhere(off)[0]
            there = "" if num_nodes is None else f", and there are {num_nodes:,} (from 0)"
            raise SemblanceError(f"{what}: simplex {row} names vertex {rows[row, column]}{there}: correct the row")
        ordered = np.sort(rows, 1)
        twice = (ordered[:, 1:] == ordered[:, :-1]).any(1)
        if twice.any():
            row = int(np.flatnonzero(twice)[0])
            raise SemblanceError(f"{what}: simplex {row} is {rows[row].tolist()}, with a vertex twice: drop it")
        found.append(rows)
    return found
