"""Two processes with a share of the nodes or graphs each find the loss and the gradients of one, with parts and without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from scipy import sparse
from torch import Tensor

from semblance.data.relational import RelationalDataset, as_tensor
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.learning.distribution import processes, together
from semblance.learning.node_shares import rows_of, seen_by
from semblance.learning.parts import Budget, Feed, Parts
from semblance.recipes.registry import Recipe, build, own
from semblance.space.training import train
from semblance.testing import short, small
from tests.learning.toy import doubled, steps

SAMPLED = ("sage-sampled", "gcn-clustered")
QUIET: dict[str, dict[str, Any]] = {
    "sage-sampled": {"dropout": 0.0, "batch": 9, "fan_out": 2},
    "gcn-clustered": {"dropout": 0.0, "size": 10, "together": 2},
    "graph-vit": {"drop": 0.0},
}
"""What a process draws for itself is left out, and batches are parts of the graph."""
NOISY = {"rni", "graph-mixer"}  # features, and the order of patches, are drawn anew at every pass
REFUSED = {"diff-pool"}  # a penalty is left in the encoder, of what it has seen


def built(name: str) -> Recipe:
    return build(name, **{**short(name), **QUIET.get(name, {})})


OF_GRAPHS = tuple(
    name
    for name, row in own().items()
    if row.makes == "model" and "graphs" in row.domains and any(map(steps, built(name).stages)) and name not in NOISY
)


@dataclass
class Measured:
    """Instead of training: the loss and every gradient of a rule's first steps, by however many processes there are."""

    rule: Any
    found: dict[str, Tensor]
    epochs: int = 1

    def run(self, parts: Parts, feed: Feed, budget: Budget) -> Iterator[dict[str, float]]:
        parts.modules().double()
        rule = together(self.rule)
        if processes() > 1:
            rule.know(feed)
        for number, index in enumerate(feed.epoch(0, 0)[:2]):
            parts.modules().zero_grad()
            torch.manual_seed(1)
            batch = doubled(feed.batch(index, 0, 0, number))
            metrics = rule.step(parts, batch, 1.0, torch.autocast("cpu", enabled=False))
            self.found[f"{number}.loss"] = torch.tensor(metrics["loss"])
            for key, parameter in parts.modules().named_parameters():
                gradient = torch.zeros(()) if parameter.grad is None else parameter.grad.clone()
                self.found[f"{number}.{key}"] = gradient
        parts.modules().float()
        return iter(())


def data(name: str) -> RelationalDataset:
    """The small set of this recipe's domain; `+parts`: as if it had come in five parts."""
    name, _, parts = name.partition("+")
    found = small("graph" if name in SAMPLED else "graphs")
    if not parts:
        return found
    part = np.random.default_rng(0).integers(0, 5, len(found))
    told = found.attributes.append_column("part", pa.array(part))
    return replace(found, attributes=told, options={**found.options, "parts": 5})


def learned(name: str) -> dict[str, Tensor]:
    recipe, found = built(name.partition("+")[0]), {}
    stages = [replace(stage, rule=Measured(stage.rule, found)) if steps(stage) else stage for stage in recipe.stages]
    train(data(name), replace(recipe, stages=tuple(stages)), epochs=1)
    return found


NAMES = (*SAMPLED, *(f"{name}+parts" for name in SAMPLED), *OF_GRAPHS)


def one_of_two(rank: int, folder: str) -> None:
    """What each of two processes does; the first writes down what it found."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    for name in NAMES:
        try:
            found: Any = learned(name)
        except SemblanceError as error:
            found = str(error)
        if rank == 0:
            torch.save(found, f"{folder}/{name}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    mp.start_processes(one_of_two, (str(folder),), nprocs=2, start_method="spawn")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_find_the_loss_and_the_gradients_of_one(folder: Path, name: str) -> None:
    two = torch.load(folder / f"{name}.pt")
    if name in REFUSED:
        assert "train it with one worker (--workers 1)" in two
        return
    assert not isinstance(two, str), two
    one = learned(name)
    assert two.keys() == one.keys() and len(one) > 2
    for key in one:
        scale = one[key].abs().max().clamp_min(1.0)
        assert (one[key] - two[key]).abs().max() <= 1e-5 * scale, key


def a_part(directed: bool, nodes: int = 80, edges: int = 70) -> Graph:
    rng = np.random.default_rng(0)
    ends = rng.integers(0, nodes, (2, edges))
    ends = ends if directed else np.concatenate([ends, ends[::-1]], 1)
    weight = torch.from_numpy(rng.random(ends.shape[1]))
    return Graph(torch.from_numpy(ends), nodes, directed=directed, weight=weight)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("directed", [True, False])
def test_what_a_node_sees_is_enough_for_layers_that_divide_by_both_degrees(layers: int, directed: bool) -> None:
    graph, x = a_part(directed), torch.from_numpy(np.random.default_rng(1).normal(size=(80, 4)))

    def states(x: Tensor, graph: Graph) -> Tensor:
        source, target = graph.edge_index
        degree = torch.bincount(target, minlength=len(x)).clamp(min=1).double()
        for _ in range(layers):
            scaled = graph.weight[:, None] * (x / degree[:, None].sqrt())[source]
            x = torch.tanh(x + torch.zeros_like(x).index_add(0, target, scaled) / degree[:, None].sqrt())
        return x

    batch = {"graph": graph, "x": x, "nodes": torch.tensor([7, 3, 50, 11]), "labels": torch.arange(4)}
    mine = torch.tensor([3, 0])
    own = seen_by(batch, mine, layers)
    assert own["labels"].tolist() == [3, 0] and own["graph"].num_nodes < 80
    torch.testing.assert_close(states(own["x"], own["graph"])[own["nodes"]], states(x, graph)[[11, 7]])


def test_rows_of_sparse_features_stay_sparse() -> None:
    dense = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (9, 5))).float()
    rows = torch.tensor([4, 0, 8, 8])
    found = rows_of(as_tensor(sparse.csr_array(dense.numpy())), rows)
    assert found.layout == torch.sparse_csr and torch.equal(found.to_dense(), dense[rows])
