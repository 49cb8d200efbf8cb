"""A table of nodes beside a file of edges: which row is which node, its features, label, split and attributes.

It is `nodes.csv` beside `edges.csv` and `town_nodes.csv` beside `town_edges.csv` or `town.csv` (.tsv and .parquet as well),
or what `nodes` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from semblance.data import tables
from semblance.data.labels import labels_of
from semblance.data.splits import from_words
from semblance.errors import SemblanceError

SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")


class Nodes(NamedTuple):
    """ids in the order of the rows; x [V, f] or None; labels and classes; the split the table gives; attributes; notes."""

    ids: list[str]
    x: np.ndarray | None
    labels: np.ndarray | None
    classes: tuple[str, ...]
    splits: tuple[Mapping[str, np.ndarray], ...]
    attributes: dict[str, Any]
    notes: tuple[str, ...]


def beside(path: Path) -> Path | None:
    """The table of nodes that belongs to a file of edges, if it is there."""
    stem = path.stem
    renamed = [
        stem.replace(word, new)
        for word, new in (("edges", "nodes"), ("Edges", "Nodes"), ("edge", "node"))
        if word in stem
    ]
    for name in (*renamed, f"{stem}_nodes", f"{stem}.nodes"):
        for suffix in SUFFIXES:
            if (found := path.with_name(name + suffix)).is_file() and found != path:
                return found
    return None


def read_nodes(source: Any, label: str | None = None, id_column: str | None = None) -> Nodes:
    """source: a path or an Arrow table with a row per node."""
    what = source.name if isinstance(source, Path) else "the table of nodes"
    if isinstance(source, Path) and not source.is_file():
        raise SemblanceError(f"there is no table of nodes {source}: give its path, or leave nodes out")
    table = tables.read_table(source) if isinstance(source, Path) else source
    found = tables.roles(table, label, _id_column(table, id_column))
    if found["id"] is None:
        raise SemblanceError(
            f"{what} has no column of ids, only {', '.join(table.column_names)}: name it id, or by --id-column"
        )
    names = tables.features(table, found)
    used = {found["id"], found["label"], found["split"]}
    x = tables.stacked(table, names) if names else None
    labels = None if found["label"] is None else labels_of(table.column(found["label"]), found["label"])
    words = None if found["split"] is None else from_words(table.column(found["split"]).to_pylist())
    held, notes = tables.attributes(table, {*names, *used}, found["label"])
    told = f"nodes: {what}, {table.num_rows:,} rows" + (
        f", features {', '.join(names[:4])}" if names else ", no features"
    )
    told += ", ..." if len(names) > 4 else ""
    return Nodes(
        ids=tables.id_values(table.column(found["id"]), found["id"]),
        x=x,
        labels=None if labels is None else labels.values,
        classes=() if labels is None else labels.classes,
        splits=() if words is None else (words,),
        attributes={name: held.column(name) for name in held.column_names},
        notes=(told + (f", label {found['label']}" if found["label"] else ""), *notes),
    )


def placed(
    names: pa.Array, ids: list[str], first: np.ndarray, second: np.ndarray, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Ends as positions among `names` -> among the ids of a table of nodes. Error: an edge to an unknown node."""
    place = pc.index_in(names.cast(pa.large_string()), value_set=pa.array(ids, pa.large_string()))
    if place.null_count:
        lost = np.flatnonzero(place.is_null().to_numpy(zero_copy_only=False))
        edge = int(np.flatnonzero(np.isin(first, lost) | np.isin(second, lost))[0])
        name = names[int(first[edge]) if first[edge] in lost else int(second[edge])].as_py()
        raise SemblanceError(
            f"{what}: edge {edge} names node {str(name)!r}, which the table of nodes does not have ({len(lost):,} such): "
            "add its row, or drop the edge"
        )
    where = place.to_numpy(zero_copy_only=False).astype(np.int64)
    return where[first], where[second]


def _id_column(table: pa.Table, id_column: str | None) -> str | None:
    """The column that names nodes, where the usual names say nothing."""
    if id_column is not None:
        return id_column
    lower = {name.lower(): name for name in reversed(table.column_names)}
    return next((lower[name] for name in ("id", "node", "node_id", "nodeid", "vertex", "key") if name in lower), None)
