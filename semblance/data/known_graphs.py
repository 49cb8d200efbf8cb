"""Named sets of the relational domains: arrays by role, as known.json tells them, -> a relational dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from semblance.data.arrays import named_classes
from semblance.data.cells import from_mesh
from semblance.data.edges import build_graph
from semblance.data.graph_splits import of_folds, of_indices, of_masks
from semblance.data.incidence import build_hypergraph
from semblance.data.interactions import bipartite
from semblance.data.labels import labels_of
from semblance.data.relate import one_hot, relate
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError

Arrays = Mapping[str, Any]
NEEDED: dict[str, list[set[str]]] = {
    "graph": [{"edge_index"}, {"edge_index_directed"}],
    "events": [{"edge_index_directed", "time"}, {"edge_index", "time"}],
    "graphs": [{"edge_index", "node_ptr"}],
    "hypergraph": [{"hyperedge_nodes", "hyperedge_ptr"}],
    "complex": [{"faces", "pos"}],
    "interactions": [{"item", "user"}],
}
"""Roles that make a dataset of a domain."""


def from_roles(
    domain: str,
    arrays: Arrays,
    *,
    directed: bool | None = None,
    split: int | str | None = None,
    seed: int = 0,
    **known: Any,
) -> RelationalDataset:
    """directed: the directed edges where the set has both (None: the undirected ones where it has them)."""
    if directed is not None and domain not in ("graph", "events"):
        raise SemblanceError(f"directed is for the domains graph and events, and this is {domain}: leave it out")
    if not any(wanted <= set(arrays) for wanted in NEEDED[domain]):
        wanted = " or ".join(" and ".join(sorted(one)) for one in NEEDED[domain])
        held = ", ".join(name for name in arrays if name != "attributes")
        raise SemblanceError(f"{known['what']} has the arrays {held}, and {domain} needs {wanted}: give them")
    builder = {"graphs": _graphs, "hypergraph": _hypergraph, "complex": _mesh, "interactions": _ratings}.get(domain)
    if builder is not None:
        return builder(arrays, split=split, seed=seed, **known)
    return _graph(domain, arrays, directed, split=split, seed=seed, **known)


def _graph(domain: str, arrays: Arrays, directed: bool | None, **known: Any) -> RelationalDataset:
    both = "edge_index" in arrays
    if directed is None:
        directed = not both
    if directed and "edge_index_directed" not in arrays:
        raise SemblanceError(f"{known['what']} has undirected edges only: leave directed out")
    ends = arrays["edge_index_directed"] if directed or not both else arrays["edge_index"]
    nodes = _nodes(arrays, ends)
    columns = {role: arrays[role] for role in ("weight", "sign", "time") if role in arrays}
    if "edge_attributes" in arrays:
        columns["edge_x"] = np.stack([v.astype(np.float32) for v in arrays["edge_attributes"].values()], 1)
    built = build_graph(ends, nodes, directed=directed, what=known["what"], **columns)
    labels, classes = _labels(arrays)
    return relate(
        domain,
        built.graph,
        x=_x(arrays),
        ids=_ids(arrays, nodes),
        labels=labels,
        classes=classes,
        attributes=_attributes(arrays, nodes),
        given_splits=_splits(arrays, nodes, labels, known["seed"]),
        notes=built.notes,
        **known,
    )


def _graphs(arrays: Arrays, **known: Any) -> RelationalDataset:
    sizes = np.diff(arrays["node_ptr"])
    nodes, count = int(arrays["node_ptr"][-1]), len(sizes)
    member = np.repeat(np.arange(count), sizes)
    built = build_graph(arrays["edge_index"], nodes, member=member, num_graphs=count, what=known["what"])
    labels, classes = _labels(arrays)
    return relate(
        "graphs",
        built.graph,
        x=one_hot(arrays["node_label"]) if "node_label" in arrays else _x(arrays),
        labels=labels,
        classes=classes,
        given_splits=_splits(arrays, count, labels, known["seed"]),
        units="graph",
        count=count,
        **known,
    )


def _hypergraph(arrays: Arrays, **known: Any) -> RelationalDataset:
    nodes = _nodes(arrays, arrays["hyperedge_nodes"])
    edge = np.repeat(np.arange(len(arrays["hyperedge_ptr"]) - 1), np.diff(arrays["hyperedge_ptr"]))
    built = build_hypergraph(
        arrays["hyperedge_nodes"],
        edge,
        nodes,
        len(arrays["hyperedge_ptr"]) - 1,
        time=arrays.get("time"),
        what=known["what"],
    )
    labels, classes = _labels(arrays)
    return relate(
        "hypergraph",
        built.hypergraph,
        x=_x(arrays),
        ids=_ids(arrays, nodes),
        labels=labels,
        classes=classes,
        given_splits=_splits(arrays, nodes, labels, known["seed"]),
        notes=built.notes,
        **known,
    )


def _mesh(arrays: Arrays, **known: Any) -> RelationalDataset:
    return from_mesh(arrays["pos"], arrays["faces"], **known)


def _ratings(arrays: Arrays, **known: Any) -> RelationalDataset:
    items = {"title": arrays["item_names"]} if "item_names" in arrays else {}
    masks = arrays.get("test_mask")
    return bipartite(
        arrays["user"],
        arrays["item"],
        weight=arrays.get("weight"),
        time=arrays.get("time"),
        item_attributes=items,
        item_x=arrays.get("item_x"),
        held_out=() if masks is None else tuple(np.atleast_2d(masks)),
        **known,
    )


def _nodes(arrays: Arrays, ends: np.ndarray) -> int:
    """How many nodes there are: by the first array that has one row for each, else by the largest that an edge names."""
    for role in ("y", "names", "pos"):
        if role in arrays:
            return len(arrays[role])
    for role in ("x_sparse", "y_sparse", "x"):
        if role in arrays:
            return int(arrays[role].shape[0])
    if "num_nodes" in arrays:
        return int(arrays["num_nodes"])
    return int(np.max(ends)) + 1


def _x(arrays: Arrays) -> Any:
    return arrays.get("x_sparse", arrays.get("x"))


def _ids(arrays: Arrays, nodes: int) -> list[str] | None:
    """The names, where they differ and tell more than the position."""
    if "names" not in arrays:
        return None
    names = [str(name) for name in arrays["names"].tolist()]
    return names if len(set(names)) == nodes else None


def _labels(arrays: Arrays) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if "y_sparse" in arrays:
        flags = arrays["y_sparse"].toarray().astype(bool)
        return flags, tuple(map(str, range(flags.shape[1])))
    if "y" not in arrays:
        return None, ()
    names = arrays.get("class_names", arrays.get("label_values"))
    if names is not None and arrays["y"].dtype.kind in "iu":
        return named_classes(arrays["y"], np.asarray(names))
    labels = labels_of(arrays["y"], "y")
    return labels.values, labels.classes


def _attributes(arrays: Arrays, nodes: int) -> dict[str, Any]:
    held: dict[str, Any] = {}
    if "names" in arrays:
        held["name"] = pa.array([str(name) for name in arrays["names"].tolist()])
    if "pos" in arrays:
        held |= {f"pos_{k}": column.copy() for k, column in enumerate(arrays["pos"].T)}
    return held | {name: pa.array(v) for name, v in arrays.get("attributes", {}).items() if len(v) == nodes}


def _splits(arrays: Arrays, units: int, labels: np.ndarray | None, seed: int) -> tuple[dict[str, np.ndarray], ...]:
    if "fold" in arrays:
        return of_folds(arrays["fold"].astype(np.int64))
    masks = {part: arrays[f"{part}_mask"] for part in ("train", "val", "test") if f"{part}_mask" in arrays}
    if masks:
        return of_masks(masks)
    rows = {part: arrays[f"{part}_idx"] for part in ("train", "val", "test") if f"{part}_idx" in arrays}
    return of_indices(rows, units, labels, seed) if rows else ()


def csr(parts: tuple[np.ndarray, ...]) -> sparse.csr_array:
    """data, indices, indptr, shape as stored -> a CSR array in float32 (types of the smallest size are cast)."""
    data, indices, indptr, shape = parts
    held = (data.astype(np.float32), indices.astype(np.int64), indptr.astype(np.int64))
    return sparse.csr_array(held, shape=tuple(int(n) for n in shape))
