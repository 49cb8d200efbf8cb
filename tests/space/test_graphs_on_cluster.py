"""Graphs on Ray, with a cluster of this machine: rows in blocks, and what cannot be shared out says so before it starts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from semblance.app import cli
from semblance.data.load import load
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError
from semblance.geometry import stored_rows
from semblance.recipes.registry import build
from semblance.space import by_blocks
from semblance.space.fit import fit
from semblance.space.space import load as load_space

pytestmark = pytest.mark.usefixtures("two_cores")
GUIDE = Path(__file__).parents[2] / "docs" / "scale.md"


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
    with pytest.raises(SemblanceError, match=r"of the cluster does not see .*gone: give an --out on a disk that all"):
        list(run(len, [(0, 1)]))


def test_what_reads_a_whole_graph_at_every_step_says_so_before_it_starts(tmp_path: Path) -> None:
    for recipe in ("gcn", "node2vec", "appnp"):
        with pytest.raises(SemblanceError, match="at every step"):
            fit(nodes(200), recipe, out=tmp_path / "a", on="ray", workers=2)
    assert by_blocks.in_blocks(nodes(200), build("gcn"), "ray", 2, tmp_path, None) is None
    assert by_blocks.in_blocks(nodes(200), build("sgc"), "local", None, tmp_path, None) is None
    assert by_blocks.in_blocks(replace(nodes(200), domain="graphs"), build("sgc"), "ray", 2, tmp_path, None) is None


def written(folder: Path) -> None:
    """A graph as edges.parquet with nodes.csv beside it, and in four parts by PyG's own Partitioner."""
    from torch_geometric.data import Data
    from torch_geometric.distributed import Partitioner
    from torch_geometric.loader import ClusterData

    data = nodes(600)
    group, ends = data.targets["labels"], data.graph.edge_index
    with pytest.MonkeyPatch.context() as patch:
        # PyG asks METIS, a compiled extra, which part a node is of.
        patch.setattr(
            ClusterData, "_metis", lambda self, edges, count: torch.from_numpy(group + np.arange(count) // 450)
        )
        Partitioner(Data(edge_index=ends, num_nodes=600, x=None), 4, str(folder / "partitions")).generate_partition()
    once = ends[:, ends[0] <= ends[1]].numpy()
    pq.write_table(pa.table({"source": once[0], "target": once[1]}), folder / "edges.parquet")
    split = ["train" if i % 2 else "val" if i % 4 else "test" for i in range(600)]
    x = [",".join(map(str, row)) for row in data.x]
    lines = [f"{i},group {group[i]},{split[i]},{x[i]}" for i in range(600)]
    (folder / "nodes.csv").write_text("\n".join(["id,label,split,a,b,c", *lines]))


LINES = re.findall(r"^semblance (fit (?:edges|partitions).*) --on ray --workers 2$", GUIDE.read_text(), re.MULTILINE)
MORE = {
    "fastrp": "--set dim=32",
    "sgc": "--epochs 3 --set weight_decay=1e-4",
    "sage-sampled": "--epochs 3 --set batch=50 --set dropout=0",
}


def test_each_command_of_the_guide_gives_the_space_of_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert [line.split()[-1] for line in LINES] == list(MORE)
    for line in LINES:
        recipe = line.split()[-1]
        found = []
        for on in ("", " --on ray --workers 2"):
            out = f"{recipe}-{len(on)}.space"
            assert cli.run(cli.app, f"{line}{on} {MORE[recipe]} --out {out} --no-evaluate -q".split()) == 0, line
            with load_space(out) as space:
                found.append(np.array(space.vectors))
                if "partitions" in line:
                    assert set(space.attributes().column("part").to_pylist()) == {0, 1, 2, 3}
        np.testing.assert_allclose(found[0], found[1], atol=1e-2 if recipe == "sage-sampled" else 1e-6)
