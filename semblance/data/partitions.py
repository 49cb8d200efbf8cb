"""A graph in the parts that PyG's Partitioner writes, read as they are and joined, each node with the number of its part.

    META.json                   num_parts, is_hetero
    node_map.pt, edge_map.pt    the part of every node [V] and edge [E]
    part_P/graph.pt             row, col, edge_id: the edges that lead into the part's nodes, by the numbers of the whole
    part_P/node_feats.pt        global_id, feats: {x}, and time of all nodes
    part_P/edge_feats.pt        global_id, feats: {edge_attr}, and edge_time of the part's edges; may be empty

The format has no labels and splits. They come from a table of nodes (`nodes`, ids 0 to V - 1), or from where PyG's own
example puts them: label.pt here or in X-label/ beside X-partitions/, positions in X-train-partitions/partition0.pt, ...

Files are read by torch's unpickler of tensors, which runs no code of theirs. PyG: Fey & Lenssen 2019, arXiv:1903.02428.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semblance.data.edges import build_graph
from semblance.data.labels import labels_of
from semblance.data.node_tables import read_nodes
from semblance.data.relate import relate
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


def from_partitions(
    path: Path,
    *,
    directed: bool | None = None,
    nodes: Any = None,
    label: str | None = None,
    id_column: str | None = None,
    **known: Any,
) -> RelationalDataset:
    """The whole graph, nodes and edges in their first order; `part` is an attribute, `options["parts"]` their number.
    directed: None is no where every edge has its reverse."""
    meta = _meta(path)
    part = _read(path / "node_map.pt").numpy().astype(np.int64)
    edges = len(_read(path / "edge_map.pt"))
    ends, columns = np.full((2, edges), -1), {}
    x: np.ndarray | None = None
    attributes: dict[str, Any] = {"part": part}
    for number in range(meta["num_parts"]):
        folder = path / f"part_{number}"
        graph, of_nodes, of_edges = (_read(folder / f"{name}.pt") for name in ("graph", "node_feats", "edge_feats"))
        at = graph["edge_id"].numpy()
        ends[:, at] = torch.stack([graph["row"], graph["col"]]).numpy()
        own = of_nodes["global_id"].numpy()
        if not np.array_equal(np.sort(own), np.flatnonzero(part == number)):
            raise SemblanceError(f"{folder} holds other nodes than node_map.pt says: write the parts anew, all at once")
        if (given := of_nodes["feats"].get("x")) is not None:
            x = np.zeros((len(part), given.shape[1]), np.float32) if x is None else x
            x[own] = given.numpy()
        if "time" in of_nodes:
            attributes["time"] = of_nodes["time"].numpy()  # of all nodes, in every part
        held = {"edge_x": of_edges.get("feats", {}).get("edge_attr"), "time": of_edges.get("edge_time")}
        for name, values in held.items():
            if values is not None:
                values = values.numpy().reshape(len(values), -1) if name == "edge_x" else values.numpy()
                columns.setdefault(name, np.zeros((edges, *values.shape[1:]), values.dtype))[at] = values
    if (ends < 0).any():
        lost = int((ends[0] < 0).sum())
        raise SemblanceError(f"{path}: {lost:,} of {edges:,} edges are in no part: write the parts anew, all at once")
    if directed is None:
        directed = not Graph(torch.from_numpy(ends), len(part)).is_symmetric()
    built = build_graph(ends, len(part), directed=directed, what=str(path), **columns)
    sizes = np.bincount(part, minlength=meta["num_parts"])
    told = f"{len(sizes)} parts of {sizes.min():,} to {sizes.max():,} nodes"
    known["options"] = {**known.get("options", {}), "parts": len(sizes)}
    beside = _of_table(nodes, label, id_column, len(part)) if nodes is not None else _beside(path)
    attributes |= beside.pop("attributes", {})
    of_table = beside.pop("x", None)
    x = of_table if x is None else x
    return relate("graph", built.graph, x=x, attributes=attributes, notes=[told, *built.notes], **beside, **known)


def parts_of(dataset: Any) -> np.ndarray | None:
    """int64 [V]: the part of every node, of a graph that came in parts; else None."""
    if "parts" not in getattr(dataset, "options", {}):
        return None
    part: np.ndarray = dataset.attributes.column("part").to_numpy()
    return part


def _meta(path: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads((path / "META.json").read_text())
        parts, several = int(meta["num_parts"]), bool(meta["is_hetero"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise SemblanceError(f"{path}/META.json is not one of PyG's Partitioner ({error}): write it anew") from None
    if several:
        kinds = ", ".join(meta.get("node_types") or ())
        raise SemblanceError(
            f"{path} holds nodes of several kinds ({kinds}), and one kind is read: partition data.to_homogeneous()"
        )
    return {**meta, "num_parts": parts}


def _read(path: Path) -> Any:
    """Tensors in dictionaries. PyG keeps features of edges in a defaultdict, for which an ordered one is taken, since torch
    fills no other. What somebody else has allowed (PyG does, when it is imported) would win over that and is not asked."""
    allowed = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        with torch.serialization.safe_globals([(OrderedDict, "collections.defaultdict")]):
            return torch.load(path, weights_only=True)
    except FileNotFoundError:
        raise SemblanceError(f"{path} is missing: copy all of the folder that PyG's Partitioner wrote") from None
    except Exception as error:  # what torch raises of a file that is none of its own is of many kinds
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SemblanceError(
            f"{path} is not read ({why[:120]}): write the parts anew, tensors in dictionaries only"
        ) from None
    finally:
        torch.serialization.add_safe_globals(allowed)


def _of_table(nodes: Any, label: str | None, id_column: str | None, count: int) -> dict[str, Any]:
    """What a table of nodes says, in the order of their numbers."""
    table = read_nodes(Path(nodes) if isinstance(nodes, str | Path) else nodes, label, id_column)
    place = {name: row for row, name in enumerate(table.ids)}
    lost = [str(i) for i in range(count) if str(i) not in place]
    if lost or len(table.ids) != count:
        raise SemblanceError(
            f"the table of nodes has {len(table.ids):,} rows for {count:,} nodes"
            f"{f' and none of id {lost[0]}' if lost else ''}: give the ids 0 to {count - 1:,}"
        )
    order = np.array([place[str(i)] for i in range(count)])
    back = np.argsort(order)
    return {
        "x": None if table.x is None else table.x[order],
        "labels": None if table.labels is None else table.labels[order],
        "classes": table.classes,
        "attributes": {name: column.take(order) for name, column in table.attributes.items()},
        "given_splits": [{name: back[rows] for name, rows in split.items()} for split in table.splits],
    }


def _beside(path: Path) -> dict[str, Any]:
    """Labels and splits where PyG's example puts them."""
    stem = path.name.removesuffix("-partitions")
    held: dict[str, Any] = {}
    for file in (path / "label.pt", path.with_name(f"{stem}-label") / "label.pt"):
        if file.exists():
            found = labels_of(_read(file).numpy(), "label.pt")
            held |= {"labels": found.values, "classes": found.classes}
            break
    folders = {name: path.with_name(f"{stem}-{name}-partitions") for name in ("train", "val", "test")}
    if stem != path.name and all(folder.is_dir() for folder in folders.values()):
        split = {name: [_read(file).numpy() for file in sorted(at.glob("*.pt"))] for name, at in folders.items()}
        held["given_splits"] = [{name: np.concatenate(rows) for name, rows in split.items()}]
    return held
