"""What PyG's own Partitioner writes is read as the graph that it was given, and nothing in a file is run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.distributed import Partitioner
from torch_geometric.loader import ClusterData

from semblance.data.load import load
from semblance.data.partitions import parts_of
from semblance.errors import SemblanceError
from semblance.space.fit import fit

NODES, PARTS = 40, 3


@pytest.fixture(autouse=True)
def any_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyG asks METIS, a compiled extra, which part a node is of; every partition is written in the same way."""
    monkeypatch.setattr(ClusterData, "_metis", lambda self, edges, count: torch.arange(count) * 7 % self.num_parts)


def data(directed: bool = False, **more: Any) -> Data:
    rng = np.random.default_rng(0)
    ends = np.unique(rng.integers(0, NODES, (2, 150)), axis=1)
    ends = ends[:, ends[0] != ends[1]] if directed else np.unique(np.concatenate([ends, ends[::-1]], 1), axis=1)
    ends = torch.from_numpy(ends[:, rng.permutation(ends.shape[1])])
    x = torch.from_numpy(rng.normal(size=(NODES, 5)).astype(np.float32))
    given = {name: torch.from_numpy(make(rng, ends.shape[1])) for name, make in more.items()}
    return Data(x=x, edge_index=ends, **given)


def written(given: Any, folder: Path) -> Path:
    Partitioner(given, PARTS, str(folder)).generate_partition()
    return folder


@pytest.mark.parametrize("directed", [False, True])
def test_parts_joined_are_the_graph_that_was_parted(directed: bool, tmp_path: Path) -> None:
    given = data(directed, edge_attr=lambda rng, count: rng.normal(size=(count, 2)).astype(np.float32))
    read = load(written(given, tmp_path / "parts"))
    assert read.domain == "graph" and read.graph.directed == directed and len(read) == NODES
    np.testing.assert_array_equal(read.x, given.x.numpy())
    torch.testing.assert_close(read.graph.edge_index, given.edge_index)
    torch.testing.assert_close(read.graph.edge_x, given.edge_attr)
    part = np.arange(NODES) * 7 % PARTS
    np.testing.assert_array_equal(parts_of(read), part)
    assert read.attributes.column("part").to_pylist() == part.tolist()
    np.testing.assert_array_equal(parts_of(read.subset(np.array([5, 9, 2]))), part[[5, 9, 2]])
    assert any("3 parts of 13 to 14 nodes" in note for note in read.notes)
    assert parts_of(load({"edge_index": given.edge_index.numpy(), "x": given.x.numpy()})) is None


def test_times_and_a_graph_without_features_are_read(tmp_path: Path) -> None:
    given = data(True, edge_time=lambda rng, count: rng.permutation(count))
    del given.x
    given.num_nodes = NODES
    read = load(written(given, tmp_path / "parts"))
    assert read.x is None and read.graph.time is not None
    order = np.argsort(given.edge_time.numpy())
    np.testing.assert_array_equal(read.graph.edge_index, given.edge_index.numpy()[:, order])


def test_labels_and_splits_come_from_where_the_example_of_pyg_puts_them(tmp_path: Path) -> None:
    folder = written(data(), tmp_path / "town-partitions")
    (tmp_path / "town-label").mkdir()
    labels = torch.arange(NODES) % 4
    torch.save(labels, tmp_path / "town-label" / "label.pt")
    split = {"train": [[0, 5], [7]], "val": [[1], [2]], "test": [[3], [4, 6]]}
    for name, parts in split.items():
        (tmp_path / f"town-{name}-partitions").mkdir()
        for number, rows in enumerate(parts):
            torch.save(torch.tensor(rows), tmp_path / f"town-{name}-partitions" / f"partition{number}.pt")
    read = load(folder)
    assert read.targets["labels"].tolist() == labels.tolist() and len(read.classes) == 4
    assert {name: rows.tolist() for name, rows in read.splits.items()} == {
        "train": [0, 5, 7],
        "val": [1, 2],
        "test": [3, 4, 6],
    }


def test_a_table_of_nodes_in_any_order_labels_them(tmp_path: Path) -> None:
    folder = written(data(), tmp_path / "parts")
    order = np.random.default_rng(1).permutation(NODES)
    rows = [f"{i},{'ab'[i % 2]},{'train' if i < 30 else 'test'},town{i}" for i in order]
    (tmp_path / "nodes.csv").write_text("\n".join(["id,label,split,name", *rows]))
    read = load(folder, nodes=tmp_path / "nodes.csv")
    assert read.targets["labels"].tolist() == [i % 2 for i in range(NODES)]
    assert sorted(read.splits["train"].tolist()) == list(range(30))
    assert read.attributes.column("name").to_pylist() == [f"town{i}" for i in range(NODES)]
    (tmp_path / "nodes.csv").write_text("\n".join(["id,label", *[row.rsplit(",", 2)[0] for row in rows[1:]]]))
    with pytest.raises(SemblanceError, match=rf"39 rows for 40 nodes and none of id {order[0]}: give the ids 0 to 39"):
        load(folder, nodes=tmp_path / "nodes.csv")


def test_a_space_is_learned_from_parts(tmp_path: Path) -> None:
    with fit(written(data(), tmp_path / "parts"), "fastrp", dim=8, out=tmp_path / "a.space") as space:
        assert space.vectors.shape == (NODES, 8)
        assert len(space.search(space.vectors[0], k=3, where="part = 1").ids) == 3


class Command:
    """What a pickle may hold: a call."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_what_is_no_tensor_is_refused_and_not_run(tmp_path: Path) -> None:
    folder = written(data(), tmp_path / "parts")
    torch.save({"row": Command(tmp_path / "run")}, folder / "part_1" / "graph.pt")
    with pytest.raises(SemblanceError, match=r"part_1/graph.pt is not read"):
        load(folder)
    (folder / "part_1" / "graph.pt").write_bytes(pickle.dumps(Command(tmp_path / "run"), 2))
    with pytest.raises(SemblanceError, match=r"part_1/graph.pt is not read"):
        load(folder)
    assert not (tmp_path / "run").exists()


def test_what_is_amiss_is_named(tmp_path: Path) -> None:
    folder = written(data(), tmp_path / "parts")

    def broken(name: str) -> Path:
        return Path(shutil.copytree(folder, tmp_path / name))

    missing = broken("missing")
    (missing / "part_2" / "node_feats.pt").unlink()
    with pytest.raises(SemblanceError, match=r"part_2/node_feats.pt is missing: copy all"):
        load(missing)
    mixed = broken("mixed")
    shutil.copy(folder / "part_0" / "node_feats.pt", mixed / "part_1" / "node_feats.pt")
    with pytest.raises(SemblanceError, match=r"part_1 holds other nodes than node_map.pt says"):
        load(mixed)
    twice = broken("twice")
    shutil.copy(folder / "part_0" / "graph.pt", twice / "part_1" / "graph.pt")
    with pytest.raises(SemblanceError, match=r"edges are in no part"):
        load(twice)
    other = broken("other")
    (other / "META.json").write_text("{}")
    with pytest.raises(SemblanceError, match=r"META.json is not one of PyG's Partitioner"):
        load(other)
    (other / "META.json").write_text(json.dumps({"num_parts": 2, "is_hetero": True, "node_types": ["paper", "author"]}))
    with pytest.raises(SemblanceError, match=r"several kinds \(paper, author\), and one kind is read"):
        load(other)


def test_several_kinds_of_nodes_are_refused_in_one_line(tmp_path: Path) -> None:
    hetero = HeteroData()
    hetero["a"].x, hetero["b"].x = torch.randn(9, 3), torch.randn(9, 3)
    hetero["a", "to", "b"].edge_index = torch.randint(0, 9, (2, 20))
    with pytest.raises(SemblanceError, match=r"data\.to_homogeneous"):
        load(written(hetero, tmp_path / "parts"))
