"""Graphs in memory -> a relational dataset: arrays by role, sparse matrices, PyG Data, graphs of networkx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from semblance.data import cells
from semblance.data.edges import checked_ends, refuse_trivial
from semblance.data.known_graphs import from_roles
from semblance.data.networkx_graphs import roles_of
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError

CALLED = {
    "edge_weight": "weight",
    "edge_attr": "edge_x",
    "labels": "y",
    "label": "y",
    "ids": "names",
    "edge_type": "kind",
}
"""What arrays are called elsewhere -> their roles."""
GIVEN = ("edge_index", "edge_index_directed", "hyperedge_nodes", "node_ptr", "faces", "boundary_1", "simplices", "user")


def is_data(data: Any) -> bool:
    """Whether this looks like a Data of PyG: edges and a number of nodes."""
    return hasattr(data, "edge_index") and hasattr(data, "num_nodes") and hasattr(data, "keys")


def is_networkx(data: Any) -> bool:
    """Whether this is a graph of networkx."""
    return type(data).__module__.partition(".")[0] == "networkx" and hasattr(data, "edges")


def from_graph_arrays(
    arrays: Mapping[str, Any], domain: str, *, label: str | None = None, directed: bool | None = None, **known: Any
) -> RelationalDataset:
    """Arrays by role, under the names of the shared index of data sets or of PyG."""
    if {"format", "shape", "data"} <= set(arrays):
        return from_matrix(_matrix(arrays, known["what"]), domain, directed=directed, **known)
    held = {CALLED.get(name, name): np.asarray(array) for name, array in arrays.items() if name != label}
    if label is not None:
        if label not in arrays:
            raise SemblanceError(f"there is no array {label!r} among {', '.join(arrays)}: name one of them")
        held["y"] = np.asarray(arrays[label])
    if domain == "complex" and "boundary_1" in held:
        count = sum(name.startswith("boundary_") for name in held)
        return cells.from_boundaries([held[f"boundary_{k}"] for k in range(1, count + 1)], **known)
    if domain == "complex" and "simplices" in held:
        return cells.from_simplices([held["simplices"]], **known)
    ends = held.get("edge_index", held.get("edge_index_directed"))
    if domain == "events" and "edge_index_directed" not in held and ends is not None:
        held["edge_index_directed"] = held.pop("edge_index")
    if domain in ("graph", "events") and ends is not None:
        _check(held, ends, domain, known["what"])
        if directed and "edge_index_directed" not in held:
            held["edge_index_directed"] = held["edge_index"]
    used = {*GIVEN, "x", "y", "names", "weight", "sign", "time", "kind", "num_nodes", "class_names", "pos", "fold"}
    aligned = {n: v for n, v in held.items() if n not in used and v.ndim == 1 and "_mask" not in n and "_idx" not in n}
    return from_roles(domain, {**held, "attributes": aligned}, directed=directed, **known)


def from_matrix(matrix: Any, domain: str = "graph", *, directed: bool | None = None, **known: Any) -> RelationalDataset:
    """A sparse or dense matrix, entry (i, j) the weight of the edge from i to j. A symmetric one is undirected. As a
    hypergraph: rows are nodes, columns hyperedges, and what is not 0 a membership."""
    if domain == "hypergraph":
        columns = sparse.csc_array(matrix)
        columns.eliminate_zeros()
        members = {"hyperedge_ptr": columns.indptr, "hyperedge_nodes": columns.indices, "num_nodes": columns.shape[0]}
        return from_roles(domain, members, directed=directed, **known)
    held = sparse.coo_array(matrix)
    if held.shape[0] != held.shape[1]:
        raise SemblanceError(
            f"{known['what']} is {list(held.shape)}, and a graph's matrix is square: its sides are the same nodes"
        )
    held.sum_duplicates()
    held.eliminate_zeros()
    source, target = (at.astype(np.int64) for at in held.coords)
    refuse_trivial(held.shape[0], held.nnz, known["what"])
    if directed is None:
        mirror = held.T
        directed = bool((sparse.csr_array(held) != sparse.csr_array(mirror)).nnz)
    roles: dict[str, Any] = {"num_nodes": held.shape[0]}
    if held.nnz and (held.data != 1).any():
        roles["weight"] = np.asarray(held.data)
    roles["edge_index_directed" if directed else "edge_index"] = np.stack([source, target])
    return from_roles(domain, roles, directed=directed or None, **known)


def from_data(data: Any, *, directed: bool | None = None, **known: Any) -> RelationalDataset:
    """A Data of PyG (anything with edge_index, num_nodes and keys). It is undirected where every edge has its reverse."""
    held = {name: _numpy(getattr(data, name)) for name in _keys(data)}
    held = {CALLED.get(name, name): value for name, value in held.items() if isinstance(value, np.ndarray)}
    held["num_nodes"] = np.asarray(int(data.num_nodes))
    for part in ("train", "val", "test"):
        if (mask := held.get(f"{part}_mask")) is not None and mask.ndim == 2:
            held[f"{part}_mask"] = mask.T  # PyG: one column a split
    if held.get("edge_x") is not None and held["edge_x"].ndim == 1:
        held["weight"] = held.pop("edge_x")
    if directed is None:
        directed = not _mirrored(checked_ends(held["edge_index"], int(data.num_nodes), known["what"]))
    return from_graph_arrays(held, "graph", directed=directed or None, **known)


def from_data_list(items: Sequence[Any], **known: Any) -> RelationalDataset:
    """Many Data of PyG -> one dataset of graphs; y is one label each."""
    sizes = np.array([int(data.num_nodes) for data in items])
    first = np.concatenate([[0], np.cumsum(sizes)])
    ends = [
        checked_ends(_numpy(data.edge_index), int(size), f"graph {k}")
        for k, (data, size) in enumerate(zip(items, sizes, strict=True))
    ]
    counts = np.array([part.shape[1] for part in ends])
    roles: dict[str, Any] = {
        "node_ptr": first,
        "edge_ptr": np.concatenate([[0], np.cumsum(counts)]),
        "edge_index": np.concatenate([part + start for part, start in zip(ends, first, strict=False)], 1),
    }
    x = [_numpy(getattr(data, "x", None)) for data in items]
    if all(part is not None for part in x):
        roles["x"] = np.concatenate(x)
    y = [_numpy(getattr(data, "y", None)) for data in items]
    if all(part is not None for part in y):
        roles["y"] = np.array([np.asarray(part).reshape(-1)[0] for part in y])
    return from_roles("graphs", roles, **known)


def from_networkx(
    graph: Any, *, label: str | None = None, directed: bool | None = None, **known: Any
) -> RelationalDataset:
    """A graph of networkx: numbers of nodes become features, a label as named or called so, `weight` of the edges."""
    held = {name for _, data in graph.nodes(data=True) for name in data}
    chosen = label or next((name for name in ("label", "y", "class", "club") if name in held), None)
    if label is not None and label not in held:
        raise SemblanceError(
            f"no node has an attribute {label!r}, only {', '.join(sorted(map(str, held))) or 'none'}: name one"
        )
    roles = {} if chosen is None else {"y": f"node:{chosen}"}
    for name in ("weight", "sign", "time"):
        if graph.number_of_edges() and all(name in data for _, _, data in graph.edges(data=True)):
            roles[name] = f"edge:{name}"
    refuse_trivial(graph.number_of_nodes(), graph.number_of_edges(), known["what"])
    arrays = roles_of(graph, roles)
    numbers = sorted(
        name for name in held - {chosen} if all(isinstance(d.get(name), int | float) for _, d in graph.nodes(data=True))
    )
    if numbers:
        arrays["x"] = np.array([[data[name] for name in numbers] for _, data in graph.nodes(data=True)], np.float64)
    words = [
        n
        for n in held - {chosen}
        if n not in numbers and all(isinstance(d.get(n), str) for _, d in graph.nodes(data=True))
    ]
    arrays["attributes"] = {
        name: np.array([data[name] for _, data in graph.nodes(data=True)]) for name in sorted(words)
    }
    if directed is True and "edge_index" in arrays:
        arrays["edge_index_directed"] = arrays["edge_index"]
    return from_roles("graph", arrays, directed=directed, **known)


def _check(held: Mapping[str, np.ndarray], ends: np.ndarray, domain: str, what: str) -> None:
    """The first thing to say of wrong arrays: edges that are none, and rows of nodes that do not match them."""
    rows = {name: len(held[name]) for name in ("x", "y", "names") if name in held}
    if len(set(rows.values())) > 1:
        told = ", ".join(f"{name} {count:,}" for name, count in rows.items())
        raise SemblanceError(f"{what} has rows for different numbers of nodes ({told}): give one row per node in each")
    stated = int(held["num_nodes"]) if "num_nodes" in held else None
    if stated is not None and rows and next(iter(rows.values())) != stated:
        name, count = next(iter(rows.items()))
        said = "features" if name == "x" else name
        raise SemblanceError(f"{what} has {said} for {count:,} nodes, and {stated:,} nodes: give every node its row")
    count = next(iter(rows.values()), stated)
    if count is None:
        flat = np.asarray(ends)
        if flat.dtype.kind == "f" and np.isfinite(flat).all() and (flat == np.floor(flat)).all():
            flat = flat.astype(np.int64)
        count = int(flat.max(initial=-1)) + 1 if flat.dtype.kind in "iu" else 1
    checked = checked_ends(ends, max(count, 1), what)
    refuse_trivial(count, checked.shape[1], what)


def _mirrored(ends: np.ndarray) -> bool:
    size = int(ends.max(initial=-1)) + 1
    return np.array_equal(np.sort(ends[0] * size + ends[1]), np.sort(ends[1] * size + ends[0]))


def _matrix(arrays: Mapping[str, Any], what: str) -> Any:
    """The matrix that SciPy's save_npz wrote."""
    kind = np.asarray(arrays["format"]).item()
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    shape = tuple(int(n) for n in arrays["shape"])
    if kind in ("csr", "csc"):
        make = sparse.csr_array if kind == "csr" else sparse.csc_array
        return make((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
    if kind == "coo":
        return sparse.coo_array((arrays["data"], (arrays["row"], arrays["col"])), shape=shape)
    raise SemblanceError(f"{what} holds a sparse matrix of format {kind!r}: save it as csr, csc or coo")


def _keys(data: Any) -> list[str]:
    keys = data.keys() if callable(data.keys) else data.keys
    return [str(key) for key in keys]


def _numpy(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value
