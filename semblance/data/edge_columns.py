"""Which columns of a table are edges, memberships of hyperedges or interactions: by their names, whatever the case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

ENDS = (
    ("source", "target"),
    ("src", "dst"),
    ("from", "to"),
    ("head", "tail"),
    ("u", "v"),
    ("node1", "node2"),
    ("sender", "receiver"),
    ("follower", "followed"),
)
MEMBERS = (
    ("node", "hyperedge"),
    ("vertex", "hyperedge"),
    ("node_id", "hyperedge_id"),
    ("member", "hyperedge"),
    ("node", "edge"),
)
SIDES = (
    ("user", "item"),
    ("user_id", "item_id"),
    ("userid", "itemid"),
    ("userid", "movieid"),
    ("user_id", "movie_id"),
    ("user", "movie"),
    ("customer", "product"),
    ("customer_id", "product_id"),
)
FURTHER = {
    "weight": ("weight", "w", "rating", "score", "stars", "strength", "capacity"),
    "sign": ("sign",),
    "time": ("time", "timestamp", "ts", "t", "date", "datetime"),
    "kind": ("type", "kind", "relation", "predicate", "edge_type"),
}
"""Roles of the columns beside the ends, and what people call them."""


def chosen(names: Iterable[str], pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """role -> column: the two ends under `first` and `second`, and what else is told of an edge; empty where no pair of
    names stands there."""
    lower = {name.lower(): name for name in reversed(list(names))}
    pair = next((pair for pair in pairs if set(pair) <= lower.keys()), None)
    if pair is None:
        return {}
    found = {"first": lower.pop(pair[0]), "second": lower.pop(pair[1])}
    for role, called in FURTHER.items():
        name = next((lower[c] for c in called if c in lower), None)
        if name is not None:
            found[role] = name
    return found


def edge_columns(table: pa.Table) -> list[str]:
    return list(chosen(table.column_names, ENDS).values())


def incidence_columns(table: pa.Table) -> list[str]:
    return list(chosen(table.column_names, MEMBERS).values())


def interaction_columns(table: pa.Table) -> list[str]:
    return list(chosen(table.column_names, SIDES).values())
