"""Putting a relational dataset together: what every loader of graphs does once it has a structure, features and labels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse
from torch import Tensor

from semblance.data.graph_facts import described
from semblance.data.graph_splits import drawn_or_given
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError
from semblance.geometry.cells import Boundary, CellComplex
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph

SPARSE = 0.1
"""Features of fewer nonzeros than this share, and of more than `WIDE` columns, stay sparse."""
WIDE = 64


def relate(
    domain: str,
    graph: Any,
    *,
    x: Any = None,
    ids: Sequence[str] | None = None,
    labels: np.ndarray | None = None,
    classes: tuple[str, ...] = (),
    attributes: Mapping[str, Any] | None = None,
    given_splits: Sequence[Mapping[str, np.ndarray]] = (),
    split: int | str | None = None,
    seed: int = 0,
    units: str = "node",
    count: int | None = None,
    what: str = "the data",
    notes: Sequence[str] = (),
    **known: Any,
) -> RelationalDataset:
    """count: the number of units (default: nodes). x, one row per node, may be any real matrix or a list of them (a
    complex); labels and attributes are of the units. split: the number of a given split, or "random:0.6/0.2/0.2"; None is
    the first given one, else 80/20 by the seed. A line on what the graph is like comes first among the notes."""
    nodes = graph.num_cells[0] if isinstance(graph, CellComplex) else graph.num_nodes
    count = nodes if count is None else count
    x = [None if part is None else features(part, what) for part in x] if isinstance(x, list) else features(x, what)
    if x is not None and not isinstance(x, list) and x.shape[0] != nodes:
        raise SemblanceError(
            f"{what} has features for {x.shape[0]:,} nodes, and {nodes:,} nodes: give every node its row of features"
        )
    if labels is not None and len(labels) != count:
        raise SemblanceError(
            f"{what} has {len(labels):,} labels for {count:,} {units}s: give one each, -1 where unknown"
        )
    ids = [str(i) for i in range(count)] if ids is None else [str(i) for i in ids]
    if len(ids) != count:
        raise SemblanceError(f"{what} has {len(ids):,} ids for {count:,} {units}s: give one for each")
    if len(set(ids)) != count:
        name, times = Counter(ids).most_common(1)[0]
        raise SemblanceError(f"{what} has the id {name!r} {times} times: ids have to differ")
    splits, given, said = drawn_or_given(count, labels, given_splits, split, seed)
    dataset = RelationalDataset(
        domain=domain,
        graph=graph,
        x=x,
        ids=ids,
        targets={} if labels is None else {"labels": labels},
        attributes=_attributes(graph, count, labels, classes, attributes or {}),
        splits=splits,
        given_splits=given,
        fingerprint=_fingerprint(graph, x, ids, labels),
        classes=classes,
        units=units,
        **known,
    )
    return replace(dataset, notes=(f"domain: {domain} ({described(dataset)})", *notes, *said))


def features(x: Any, what: str = "the data") -> Any:
    """Any real matrix -> float32, every value finite: a CSR array where it is wide and mostly zero, else dense."""
    if x is None:
        return None
    if not sparse.issparse(x):
        x = np.asarray(x)
        if x.dtype.kind not in "fiub" or x.ndim != 2:
            raise SemblanceError(f"{what} has features {list(x.shape)} of {x.dtype}: give numbers [nodes, features]")
    if 0 in x.shape:
        return None
    with np.errstate(over="ignore"):
        x = x.astype(np.float32)
    values = x.data if sparse.issparse(x) else x
    if not np.isfinite(values).all():
        place = np.argwhere(~np.isfinite(x.toarray() if sparse.issparse(x) else x))[0]
        kind = "missing (NaN)" if np.isnan(x[tuple(place)]) else "infinite or too large for float32"
        raise SemblanceError(
            f"{what}: feature {place[1]} of node {place[0]} is {kind} (from 0): fill the value in or drop the node"
        )
    nonzero = x.count_nonzero() if sparse.issparse(x) else np.count_nonzero(x)
    if x.shape[1] > WIDE and nonzero < SPARSE * x.shape[0] * x.shape[1]:
        x = sparse.csr_array(x)
        x.sum_duplicates()
        return x
    return x.toarray() if sparse.issparse(x) else np.ascontiguousarray(x)


def one_hot(category: np.ndarray) -> np.ndarray:
    """Categories [V] -> [V, C] float32, a column for every one that occurs."""
    _, code = np.unique(category, return_inverse=True)
    x = np.zeros((len(category), int(code.max(initial=-1)) + 1), np.float32)
    x[np.arange(len(category)), code] = 1
    return x


def _attributes(
    graph: Any, count: int, labels: np.ndarray | None, classes: tuple[str, ...], given: Mapping[str, Any]
) -> pa.Table:
    """row, class, degree (of graphs: nodes and edges), then what is given."""
    columns: dict[str, Any] = {"row": np.arange(count)}
    if classes and labels is not None and labels.ndim == 1:
        columns["class"] = pa.array([classes[c] if c >= 0 else None for c in labels], pa.string())
    if isinstance(graph, Graph) and graph.member is not None:
        member = graph.member.numpy()
        edges = np.bincount(member[graph.edge_index[0].numpy()], minlength=count)
        columns |= {
            "nodes": np.bincount(member, minlength=count),
            "edges": edges if graph.directed else (edges + 1) // 2,
        }
    elif isinstance(graph, Graph):
        columns["degree"] = graph.rows().degree
    elif isinstance(graph, Hypergraph):
        columns["degree"] = graph.by_node().degree
    return pa.table(columns | dict(given))


def _fingerprint(graph: Any, x: Any, ids: list[str], labels: np.ndarray | None) -> str:
    digest = hashlib.blake2b(digest_size=16)

    def add(value: Any) -> None:
        if value is None:
            digest.update(b"-")
        elif isinstance(value, Boundary):
            add([value.face, value.cell, value.sign])
        elif isinstance(value, Tensor):
            add(value.numpy())
        elif isinstance(value, list | tuple):
            for part in value:
                add(part)
        elif sparse.issparse(value):
            held = sparse.csr_array(value)
            add([held.data, held.indices.astype(np.int64), held.indptr.astype(np.int64)])
        elif isinstance(value, np.ndarray):
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).data)

    for name, value in vars(graph).items():
        if name != "kept":
            digest.update(name.encode() + (str(value).encode() if isinstance(value, int) else b""))
            add(value)
    add(x)
    add(labels)
    digest.update("\0".join(ids).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
