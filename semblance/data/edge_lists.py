"""Files and tables with a row per edge, membership or interaction -> a relational dataset.

graph, events     columns source and target; a table of nodes beside it or named by `nodes`
hypergraph        columns node and hyperedge, one row per membership
interactions      columns user and item
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from semblance.data.edge_columns import ENDS, MEMBERS, SIDES
from semblance.data.edge_tables import Pairs, read_pairs
from semblance.data.edges import build_graph, distinct, refuse_trivial
from semblance.data.incidence import build_hypergraph
from semblance.data.interactions import bipartite
from semblance.data.node_tables import Nodes, beside, placed, read_nodes
from semblance.data.relate import relate
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError

COLUMNS = {"graph": ENDS, "events": ENDS, "hypergraph": MEMBERS, "interactions": SIDES}


def from_edge_list(
    rows: Any,
    domain: str,
    *,
    nodes: Any = None,
    label: str | None = None,
    id_column: str | None = None,
    directed: bool | None = None,
    inferred: bool = False,
    **known: Any,
) -> RelationalDataset:
    """rows: a path or an Arrow table; nodes: a path or a table of nodes. inferred: the domain may turn out to be events,
    where pairs repeat at different times."""
    what = known["what"]
    pairs = read_pairs(rows, COLUMNS[domain], apart=domain in ("hypergraph", "interactions"), timed=domain == "events")
    if nodes is None and isinstance(rows, Path) and domain != "interactions":
        nodes = beside(rows)
    if domain == "interactions":
        _refuse(nodes, label, directed, domain)
        return _interactions(pairs, **known)
    table = (
        None if nodes is None else read_nodes(Path(nodes) if isinstance(nodes, str | Path) else nodes, label, id_column)
    )
    if table is None and (label or id_column):
        name = label or id_column
        raise SemblanceError(
            f"the column {name!r} is one of nodes, and {what} has edges: put nodes.csv beside it, or give nodes"
        )
    if domain == "hypergraph":
        _refuse(None, None, directed, domain)
        return _hypergraph(pairs, table, **known)
    return _graph(pairs, table, domain, directed, inferred, **known)


def _graph(
    pairs: Pairs, table: Nodes | None, domain: str, directed: bool | None, inferred: bool, **known: Any
) -> RelationalDataset:
    what = known["what"]
    ids, first, second = _named(pairs, table, what)
    refuse_trivial(len(ids), len(first), what)
    columns: Mapping[str, np.ndarray] = pairs.columns
    notes = (
        [f"types of edges: {', '.join(pairs.kinds[:6])}{', ...' if len(pairs.kinds) > 6 else ''}"]
        if pairs.kinds
        else []
    )
    notes += [f"columns {', '.join(pairs.left)} of the edges are not used"] if pairs.left else []
    if domain == "events" and "time" not in columns:
        raise SemblanceError(
            f"{what} has no column of times, and events are edges with one: name it time, or say --domain graph"
        )
    if inferred and "time" in columns and _repeats(first, second, len(ids)):
        domain = "events"
        notes.append("pairs repeat at different times, so these are events (--domain graph reads them as one graph)")
    elif domain == "graph" and "time" in columns:
        notes.append("the edges have times: --domain events reads them as events")
    if directed is None:
        directed = domain == "events"
        if not directed:
            notes.append("edges are undirected (--directed keeps their direction)")
    built = build_graph(np.stack([first, second]), len(ids), directed=directed, what=what, **columns)
    return relate(domain, built.graph, ids=ids, notes=[*notes, *built.notes], **_of_nodes(table), **known)


def _hypergraph(pairs: Pairs, table: Nodes | None, **known: Any) -> RelationalDataset:
    what = known["what"]
    ids, node, _ = _named(pairs._replace(second=pairs.first), table, what)
    edge = pairs.second
    assert pairs.others is not None
    held = {}
    for name in ("weight", "time"):
        if name in pairs.columns:
            held[name] = _of_hyperedges(pairs.columns[name], edge, len(pairs.others), name, what)
    built = build_hypergraph(node, edge, len(ids), len(pairs.others), what=what, **held)
    return relate("hypergraph", built.hypergraph, ids=ids, notes=built.notes, **_of_nodes(table), **known)


def _interactions(pairs: Pairs, **known: Any) -> RelationalDataset:
    assert pairs.others is not None
    names = {"user_ids": pairs.names.to_pylist(), "item_ids": pairs.others.to_pylist()}
    weight = pairs.columns.get("weight", pairs.columns.get("sign"))
    return bipartite(pairs.first, pairs.second, weight=weight, time=pairs.columns.get("time"), **names, **known)


def _named(pairs: Pairs, table: Nodes | None, what: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids, and ends as positions among them: those of the table of nodes, else those that the edges name."""
    if table is None:
        return [str(name) for name in pairs.names.to_pylist()], pairs.first, pairs.second
    first, second = placed(pairs.names, table.ids, pairs.first, pairs.second, what)
    return table.ids, first, second


def _of_nodes(table: Nodes | None) -> dict[str, Any]:
    if table is None:
        return {}
    held = {"x": table.x, "labels": table.labels, "classes": table.classes, "attributes": table.attributes}
    return held | {"given_splits": table.splits}


def _of_hyperedges(values: np.ndarray, edge: np.ndarray, count: int, name: str, what: str) -> np.ndarray:
    """One value per hyperedge from one per membership, which has to be the same for all of a hyperedge."""
    if values.dtype.kind == "M":
        values = values.astype("datetime64[ms]").astype(np.int64) / 1000
    found = np.zeros(count, values.dtype)
    found[edge] = values
    if (found[edge] != values).any():
        row = int(np.flatnonzero(found[edge] != values)[0])
        raise SemblanceError(
            f"{what}: row {row} gives its hyperedge another {name} than other rows do: give all the same"
        )
    return found


def _repeats(first: np.ndarray, second: np.ndarray, size: int) -> bool:
    keys = first * size + second
    return len(distinct(keys)) < len(keys)


def _refuse(nodes: Any, label: str | None, directed: bool | None, domain: str) -> None:
    for name, value in (("nodes", nodes), ("label", label), ("directed", directed)):
        if value is not None:
            raise SemblanceError(f"{name} is {value!r}, and has no meaning for the domain {domain}: leave it out")
