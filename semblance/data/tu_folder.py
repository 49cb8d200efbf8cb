"""Many graphs in the format of the TU collection: a folder with DS_A.txt, DS_graph_indicator.txt and, if any, labels.

DS_A                       one edge a line, "row, column", nodes counted from 1 over all graphs; both directions stand there
DS_graph_indicator         the graph of every node, from 1
DS_graph_labels            a class a graph;             DS_graph_attributes   a number a graph (regression)
DS_node_labels             one or more categories, one-hot in x;    DS_node_attributes   numbers, beside them in x
DS_edge_labels             a type a edge;               DS_edge_attributes    numbers
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from semblance.data.domains import tu_sets
from semblance.data.edges import build_graph
from semblance.data.labels import labels_of
from semblance.data.relate import one_hot, relate
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError


def from_tu(path: Path, *, directed: bool | None = None, **known: Any) -> RelationalDataset:
    """The graphs of a folder. directed: None is no where every edge stands in both directions."""
    stems = tu_sets(path)
    if len(stems) != 1:
        raise SemblanceError(f"{path} holds the sets {', '.join(stems)}: give a folder for each")
    stem = path / stems[0]
    member = _rows(stem, "graph_indicator", int)[:, 0] - 1
    if (member[1:] < member[:-1]).any() or member.min() != 0:
        line = int(np.flatnonzero(member[1:] < member[:-1])[0]) + 2 if len(member) > 1 and member.min() == 0 else 1
        raise SemblanceError(f"{stem}_graph_indicator.txt, line {line}: graphs are numbered from 1, and in this order")
    nodes, count = len(member), int(member.max()) + 1
    ends = _rows(stem, "A", int).T - 1
    if ends.shape[0] != 2:
        raise SemblanceError(f"{stem}_A.txt has {ends.shape[0]} columns: give two, the ends of an edge")
    across = np.flatnonzero(member[np.clip(ends[0], 0, nodes - 1)] != member[np.clip(ends[1], 0, nodes - 1)])
    if len(across):
        edge = int(across[0])
        raise SemblanceError(
            f"{stem}_A.txt, line {edge + 1}: edge {(ends[:, edge] + 1).tolist()} joins two graphs: correct it"
        )
    columns: dict[str, Any] = {}
    if (kind := _given(stem, "edge_labels", int)) is not None:
        columns["kind"] = np.unique(kind[:, 0], return_inverse=True)[1]
    if (edge_x := _given(stem, "edge_attributes", float)) is not None:
        columns["edge_x"] = edge_x
    for name, column in columns.items():
        if len(column) != ends.shape[1]:
            raise SemblanceError(
                f"{stem} has {len(column):,} rows of {name} for {ends.shape[1]:,} edges: give one for each"
            )
    built = build_graph(
        ends, nodes, directed=bool(directed), member=member, num_graphs=count, what=str(path), **columns
    )
    labels, classes = None, ()
    if (held := _given(stem, "graph_labels", int)) is not None:
        labels, classes = labels_of(held[:, 0], "graph_labels")
    elif (held := _given(stem, "graph_attributes", float)) is not None:
        labels, classes = labels_of(held[:, 0], "graph_attributes")
    x = [
        one_hot(part[:, k])
        for part in [_given(stem, "node_labels", int)]
        if part is not None
        for k in range(part.shape[1])
    ]
    x += [part for part in [_given(stem, "node_attributes", float)] if part is not None]
    if any(len(part) != nodes for part in x):
        bad = next(len(part) for part in x if len(part) != nodes)
        raise SemblanceError(f"{stem} has features for {bad:,} nodes, and {nodes:,} nodes: give every node its row")
    return relate(
        "graphs",
        built.graph,
        x=np.concatenate(x, 1) if x else None,
        labels=labels,
        classes=classes,
        units="graph",
        count=count,
        notes=built.notes,
        **known,
    )


def _given(stem: Path, what: str, kind: type) -> np.ndarray | None:
    return _rows(stem, what, kind) if stem.with_name(f"{stem.name}_{what}.txt").is_file() else None


def _rows(stem: Path, what: str, kind: type) -> np.ndarray:
    """[lines, columns] of numbers parted by commas."""
    import pyarrow as pa
    from pyarrow import csv

    path = stem.with_name(f"{stem.name}_{what}.txt")
    try:
        table = csv.read_csv(path, csv.ReadOptions(autogenerate_column_names=True))
        rows = np.stack([column.cast(pa.float64()).to_numpy() for column in table.columns], 1)
    except (pa.ArrowException, OSError) as error:
        why = str(error).splitlines()[0]
        raise SemblanceError(f"{path} cannot be read ({why}): give numbers parted by commas, one row a line") from None
    if not np.isfinite(rows).all() or (kind is int and (rows != np.floor(rows)).any()):
        line = int(np.argwhere(~np.isfinite(rows) | ((rows != np.floor(rows)) & (kind is int)))[0, 0]) + 1
        raise SemblanceError(f"{path}, line {line}: {rows[line - 1].tolist()} are no whole numbers: correct the line")
    return rows.astype(np.int64) if kind is int else rows
