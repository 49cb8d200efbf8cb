"""Cell complexes: meshes, oriented simplices and boundary matrices -> a complex with features of its vertices.

.obj, .off            vertices and faces, of any number of corners
.simplices            the vertices of one simplex a line, whole numbers from 0; their order is the orientation
boundary_1, ...       signed boundary matrices, arrays of an .npz
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semblance.data.relate import relate
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError
from semblance.geometry.cell_builders import of_polygons, of_simplices
from semblance.geometry.cells import CellComplex

FILES = (".obj", ".off", ".simplices")


def from_cell_file(path: Path, **known: Any) -> RelationalDataset:
    """A file of one of the kinds above."""
    suffix = path.suffix.lower()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SemblanceError(f"{path} cannot be read as text ({error}): save it again as UTF-8") from None
    try:
        if suffix == ".simplices":
            return from_simplices(_ragged(text.splitlines()), **known)
        pos, faces = _obj(text) if suffix == ".obj" else _off(text)
    except ValueError as error:
        if isinstance(error, SemblanceError):
            raise
        raise SemblanceError(
            f"{path} cannot be read as {suffix[1:]} ({error}): check the file, or save it anew"
        ) from None
    return from_mesh(pos, faces, **known)


def from_simplices(simplices: Sequence[Any], *, what: str = "the complex", **known: Any) -> RelationalDataset:
    """Lists of simplices, each [n, k + 1], k as it comes; faces that are not given are added."""
    checked = checked_simplices(simplices, None, what)
    return _related(of_simplices(checked), None, what=what, **known)


def from_boundaries(matrices: Sequence[Any], *, what: str = "the complex", **known: Any) -> RelationalDataset:
    """B_1, B_2, ...; an error where the boundary of a boundary is not zero."""
    return _related(CellComplex.of_boundaries(matrices), None, what=what, **known)


def from_mesh(pos: Any, faces: Any, *, what: str = "the mesh", **known: Any) -> RelationalDataset:
    """pos: [V, 2 or 3], the features of the vertices; faces: [F, corners], or a list of such
    arrays. The edges are the sides of the faces."""
    pos = np.asarray(pos)
    if pos.ndim != 2 or pos.shape[1] not in (2, 3) or not len(pos):
        raise SemblanceError(f"{what} has positions {list(pos.shape)}: give [vertices, 2 or 3]")
    checked = checked_simplices(faces if isinstance(faces, list) else [faces], len(pos), what)
    if any(rows.shape[1] > 3 for rows in checked):
        mesh = of_polygons([cycle for rows in checked for cycle in rows], num_nodes=len(pos))
    else:
        mesh = of_simplices(checked, num_nodes=len(pos))
    return _related(mesh, pos.astype(np.float32), what=what, **known)


def _related(cells: CellComplex, pos: np.ndarray | None, **known: Any) -> RelationalDataset:
    if cells.size(0) < 2 or not cells.size(1):
        told = f"{cells.size(0)} vertices and {cells.size(1)} edges"
        raise SemblanceError(
            f"{known['what']} has {told}, so nothing is related to anything: give a cell of two vertices"
        )
    places = {} if pos is None else {f"pos_{k}": column.copy() for k, column in enumerate(pos.T)}
    x = [pos, *[None] * cells.dim]
    return relate("complex", cells, x=x, attributes=places, units="vertex", **known)


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


def _obj(text: str) -> tuple[np.ndarray, list[np.ndarray]]:
    lines = re.findall(r"(?m)^[ \t]*v[ \t]+(.*)$", text)
    if not lines:
        raise ValueError("it has no vertices")
    pos = np.array([line.split()[:3] for line in lines], np.float64)
    faces = _ragged(re.sub(r"/\S*", "", line) for line in re.findall(r"(?m)^[ \t]*f[ \t]+(.*)$", text))
    # Numbers below 0 count from the end, others from 1.
    return pos, [np.where(rows < 0, rows + len(pos), rows - 1) for rows in faces]


def _off(text: str) -> tuple[np.ndarray, list[np.ndarray]]:
    lines = [line for line in re.sub(r"#.*", "", text).splitlines() if line.strip()]
    head = lines[0].strip() if lines else ""
    if not head.startswith("OFF"):
        raise ValueError(f"it begins with {head[:20]!r} and not with OFF")
    lines = [head[3:], *lines[1:]] if head[3:].strip() else lines[1:]
    vertices, faces = (int(n) for n in lines[0].split()[:2])
    if len(lines) < 1 + vertices + faces:
        raise ValueError(f"it says {vertices} vertices and {faces} faces and has {len(lines) - 1} lines of them")
    pos = np.array([line.split()[:3] for line in lines[1 : 1 + vertices]], np.float64)
    cells = [line.split() for line in lines[1 + vertices : 1 + vertices + faces]]
    return pos, _ragged(" ".join(cell[1 : 1 + int(cell[0])]) for cell in cells)  # colours follow the corners


def _ragged(lines: Any) -> list[np.ndarray]:
    """Lines of whole numbers -> an array [n, length] for every length, comments and empty lines left out."""
    of_length: dict[int, list[list[str]]] = {}
    for line in lines:
        cells = line.partition("#")[0].replace(",", " ").split()
        if cells:
            of_length.setdefault(len(cells), []).append(cells)
    return [np.array(rows, np.int64) for _, rows in sorted(of_length.items())]
