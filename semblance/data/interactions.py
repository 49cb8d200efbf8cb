"""Interactions: users and items are the two sides of one graph, ratings its edges.

Users come first, 0 .. U - 1, items after them, U .. U + I - 1; every rating stands in both directions, the first half of
the edges from users to items, so position r of both halves is rating r. Both sides get an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from semblance.data.edges import build_graph
from semblance.data.relate import relate
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


def bipartite(
    user: Any,
    item: Any,
    *,
    weight: Any = None,
    time: Any = None,
    user_ids: Sequence[str] | None = None,
    item_ids: Sequence[str] | None = None,
    item_attributes: Mapping[str, Any] | None = None,
    item_x: np.ndarray | None = None,
    held_out: Sequence[np.ndarray] = (),
    what: str = "the interactions",
    **known: Any,
) -> RelationalDataset:
    """user, item: positions [R], from 0 on either side. weight: the ratings. held_out: published test sets, flags [R], kept
    with the graph. item_x: features of the items; users then have zeros there. No unit is held out: `held_out` parts the
    ratings."""
    user, item = np.asarray(user).astype(np.int64), np.asarray(item).astype(np.int64)
    if not len(user):
        raise SemblanceError(f"{what} holds no interactions: give rows of a user and an item")
    users = int(user.max()) + 1 if user_ids is None else len(user_ids)
    items = int(item.max()) + 1 if item_ids is None else len(item_ids)
    if item_x is not None:
        items = max(items, len(item_x))
    built = build_graph(
        np.stack([user, users + item]), users + items, directed=True, weight=weight, time=time, what=what
    )
    one = built.graph
    order = np.arange(len(user)) if time is None else np.argsort(np.asarray(time), kind="stable")
    graph = _both(one)
    graph.kept["held_out"] = tuple(np.asarray(flags, bool)[order] for flags in held_out)
    ids = [f"user/{i}" for i in (range(users) if user_ids is None else user_ids)]
    ids += [f"item/{i}" for i in (range(items) if item_ids is None else item_ids)]
    attributes = {"side": pa.array(["user"] * users + ["item"] * items)}
    for name, column in (item_attributes or {}).items():
        attributes[name] = pa.array([None] * users + [str(v) for v in column], pa.string())
    x = None
    if item_x is not None:
        x = np.zeros((users + items, item_x.shape[1]), np.float32)
        x[users:] = item_x
    dataset = relate(
        "interactions",
        graph,
        x=x,
        ids=ids,
        attributes=attributes,
        units="user or item",
        what=what,
        notes=built.notes,
        **known,
    )
    every = {"train": np.arange(users + items), "test": np.empty(0, np.int64)}
    return replace(dataset, splits=every, options={**dataset.options, "users": users})


def ratings(dataset: RelationalDataset) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """user [R], item [R] (both from 0) and weight [R] or None."""
    graph, users = dataset.graph, _users(dataset)
    half = graph.num_edges // 2
    ends = graph.edge_index[:, :half].numpy()
    return ends[0], ends[1] - users, None if graph.weight is None else graph.weight[:half].numpy()


def held_out(
    dataset: RelationalDataset, split: int | str = "random", share: float = 0.2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of training and of test ratings. split: "random" hides a share of every user's ratings by the seed, "last"
    the latest of every user, a number takes that published test set. A user's first rating always stays."""
    user, _, _ = ratings(dataset)
    if isinstance(split, int):
        published = dataset.graph.kept.get("held_out", ())
        if not 0 <= split < len(published):
            raise SemblanceError(f"there is no test set {split} of {len(published)}: say random, last, or one of these")
        return np.flatnonzero(~published[split]), np.flatnonzero(published[split])
    if split not in ("random", "last") or not 0 < share < 1:
        raise SemblanceError(f"split is {split!r} with share {share}: give random or last, and a share between 0 and 1")
    turn = np.random.default_rng(seed).random(len(user)) if split == "random" else np.arange(len(user))
    order = np.lexsort((turn, user))
    counts = np.bincount(user, minlength=_users(dataset))
    place = np.arange(len(user)) - (np.cumsum(counts) - counts)[user[order]]
    test = (
        place >= counts[user[order]] - np.floor(share * counts + 0.5).clip(max=np.maximum(counts - 1, 0))[user[order]]
    )
    return np.sort(order[~test]), np.sort(order[test])


def only(graph: Graph, kept: np.ndarray) -> Graph:
    """The graph of these ratings alone (positions in the first half of the edges)."""
    half = graph.num_edges // 2
    return graph.with_edges(torch.from_numpy(np.concatenate([kept, kept + half]).astype(np.int64)))


def _both(graph: Graph) -> Graph:
    """Both directions, all edges from users first: unlike other graphs, times rise within each half."""
    columns = {n: getattr(graph, n) for n in ("weight", "sign", "time", "kind", "edge_x")}
    twice = {name: None if value is None else torch.cat([value, value]) for name, value in columns.items()}
    return Graph(
        edge_index=torch.cat([graph.edge_index, graph.edge_index.flip(0)], 1), num_nodes=graph.num_nodes, **twice
    )


def _users(dataset: RelationalDataset) -> int:
    return int(dataset.options["users"])  # type: ignore[call-overload]
