"""Graphs on Ray, with a cluster of this machine: rows in blocks, and what cannot be shared out says so before it starts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from semblance.data.load import load
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError
from semblance.geometry import stored_rows
from semblance.recipes.registry import build
from semblance.space import by_blocks
from semblance.space.fit import fit

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module", autouse=True)
def here() -> Iterator[Any]:
    """A cluster of two cores, whatever the machine has."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200 << 20,
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parents[2])}},
    )
    yield ray
    ray.shutdown()


def nodes(count: int = 2500, words: bool = False) -> RelationalDataset:
    """Three groups, told by their features; most edges stay in a group."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, count)
    one, other = rng.integers(0, count, (2, 12 * count))
    kept = (group[one] == group[other]) | (rng.random(len(one)) < 0.05)
    x = np.eye(3)[group] + rng.normal(size=(count, 3))
    x = (np.tile(x, 40) > 1.6).astype(np.float32) if words else x
    return load({"edge_index": np.stack([one[kept], other[kept]]), "x": x, "y": group})


@pytest.mark.parametrize(("recipe", "words"), [("fastrp", False), ("sgc", False), ("sgc", True)])
def test_rows_in_blocks_on_two_workers_give_the_space_of_one_machine(
    recipe: str, words: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_rows, "STRETCH", 1)
    settings: dict[str, Any] = {"epochs": 3, "weight_decay": 1e-4} if recipe == "sgc" else {"dim": 32}
    told: list[str] = []
    spaces = []
    for on in ("local", "ray"):
        given = {} if on == "local" else {"on": on, "workers": 2, "progress": lambda *said: told.append(str(said))}
        with fit(nodes(words=words), recipe, out=tmp_path / on, **settings, **given) as space:
            spaces.append((np.array(space.vectors), space.info))
            # What is embedded later is so as a whole: the blocks' files are gone.
            again = space.model.embed(nodes(words=words))
            np.testing.assert_allclose(again, spaces[-1][0], atol=1e-6)
    (one, here), (two, away) = spaces
    np.testing.assert_array_equal(one, two)
    assert here["loss"] == away["loss"]
    assert "(3, 3, 'propagating by blocks')" in told
    assert json.loads((tmp_path / "ray" / "recipe.json").read_text())["trained"]["on"] == "ray"
    assert not (tmp_path / "ray.fitting").exists()


def test_a_worker_that_does_not_see_the_folder_says_what_to_do(tmp_path: Path) -> None:
    run = by_blocks._on_ray("ray", 2, tmp_path / "gone")
    with pytest.raises(SemblanceError, match=r"does not see .*gone: give --out on a disk that all machines"):
        list(run(len, [(0, 1)]))


def test_what_reads_a_whole_graph_at_every_step_says_so_before_it_starts(tmp_path: Path) -> None:
    for recipe in ("gcn", "node2vec", "appnp"):
        with pytest.raises(SemblanceError, match="at every step"):
            fit(nodes(200), recipe, out=tmp_path / "a", on="ray", workers=2)
    assert by_blocks.in_blocks(nodes(200), build("gcn"), "ray", 2, tmp_path, None) is None
    assert by_blocks.in_blocks(nodes(200), build("sgc"), "local", None, tmp_path, None) is None
    assert by_blocks.in_blocks(replace(nodes(200), domain="graphs"), build("sgc"), "ray", 2, tmp_path, None) is None


def in_parts(folder: Path) -> Path:
    """The graph in four parts, by PyG's own Partitioner, its labels in nodes.csv beside."""
    from torch_geometric.data import Data
    from torch_geometric.distributed import Partitioner
    from torch_geometric.loader import ClusterData

    data = nodes(600)
    group = data.targets["labels"]
    with pytest.MonkeyPatch.context() as patch:
        # PyG asks METIS, a compiled extra, which part a node is of.
        patch.setattr(
            ClusterData, "_metis", lambda self, edges, count: torch.from_numpy(group + np.arange(count) // 450)
        )
        given = Data(x=torch.from_numpy(data.x), edge_index=data.graph.edge_index)
        Partitioner(given, 4, str(folder / "parts")).generate_partition()
    split = ["train" if i % 2 else "val" if i % 4 else "test" for i in range(600)]
    lines = [f"{i},group {group[i]},{split[i]}" for i in range(600)]
    (folder / "nodes.csv").write_text("\n".join(["id,label,split", *lines]))
    return folder / "parts"


def test_a_worker_for_each_half_of_the_parts_goes_where_one_process_goes(tmp_path: Path) -> None:
    parts = in_parts(tmp_path)
    settings: dict[str, Any] = {"epochs": 3, "batch": 50, "dropout": 0.0, "nodes": tmp_path / "nodes.csv"}
    found = []
    for on in ("local", "ray"):
        given = {} if on == "local" else {"on": on, "workers": 2}
        with fit(parts, "sage-sampled", out=tmp_path / on, **settings, **given) as space:
            found.append((np.array(space.vectors), space.info["loss"]))
            assert set(space.attributes().column("part").to_pylist()) == {0, 1, 2, 3}
    (one, here), (two, away) = found
    assert away == pytest.approx(here, rel=1e-3)
    np.testing.assert_allclose(two, one, atol=1e-2)
