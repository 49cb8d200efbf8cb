"""A graph on disk, block by block, gives what the graph in memory gives, in memory bounded by a block."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from semblance.data.relational import as_tensor
from semblance.encoders.graphs import by_blocks
from semblance.encoders.graphs.bases import Chebyshev
from semblance.encoders.graphs.by_blocks import Span, filtered, goes_by_blocks, here, projected, whole
from semblance.encoders.graphs.projection import RandomProjection
from semblance.encoders.graphs.propagate import Filter, Gate, Propagation, Weights, geometric, last
from semblance.geometry import stored_rows
from semblance.geometry.graph import Graph
from semblance.geometry.stored_rows import store

ROOT = Path(__file__).parents[3]


def a_graph(directed: bool, weighted: bool, nodes: int = 3000, edges: int = 20_000) -> Graph:
    rng = np.random.default_rng(0)
    ends = rng.integers(nodes - 1, size=(2, edges))  # the last node has no edge
    weight = rng.uniform(0.1, 3, edges).astype(np.float32)
    if not directed:
        ends, weight = np.concatenate([ends, ends[::-1]], 1), np.concatenate([weight, weight])
    given = torch.from_numpy(weight) if weighted else None
    return Graph(torch.from_numpy(ends), nodes, directed=directed, weight=given)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_rows, "STRETCH", 1)


def twice(run, spans: list[Span]):  # type: ignore[no-untyped-def]
    """In another order, and every block done again, as a cluster may do."""
    for span in reversed(spans):
        run(span)
        yield span, run(span)


@pytest.mark.parametrize("each", [here, twice])
@pytest.mark.parametrize("directed, weighted, dim", [(False, False, 64), (True, True, 20), (True, False, 150)])
@pytest.mark.parametrize("normalise", [True, False])
def test_random_projections_by_blocks_have_the_bits_of_the_graph_in_memory(
    directed: bool, weighted: bool, dim: int, normalise: bool, each: by_blocks.Each, tmp_path: Path
) -> None:
    graph = a_graph(directed, weighted)
    encoder = RandomProjection(dim, (0.5, 0.0, 1.0, 2.0), -0.6, normalise=normalise)
    encoder.solve({"graph": graph}, seed=3)
    rows = store(graph.columns(), None if graph.weight is None else graph.weight.numpy(), tmp_path / "rows")
    assert len(rows.stretches()) == 3
    found = projected(encoder, rows, tmp_path / "z", each)[0, 3000]
    assert torch.equal(found, encoder({"graph": graph}))
    assert len(list((tmp_path / "z").iterdir())) == 2  # z itself and what rows are divided by


@pytest.mark.parametrize("each", [here, twice])
@pytest.mark.parametrize("directed, weighted", [(False, False), (True, True)])
@pytest.mark.parametrize("coefficients", [last(2), geometric(3, 0.2), [1.0]])
@pytest.mark.parametrize("operator", ["symmetric-loops", "row", "two-way"])
def test_filters_by_blocks_are_those_of_the_graph_in_memory(
    directed: bool, weighted: bool, coefficients: list[float], operator: str, each: by_blocks.Each, tmp_path: Path
) -> None:
    graph = a_graph(directed, weighted)
    layer = Filter(len(coefficients) - 1, Weights(coefficients), operator=operator)
    x = torch.randn(3000, 20, generator=torch.Generator().manual_seed(0))
    expected = layer(x, graph)
    torch.testing.assert_close(filtered(layer, x, graph, tmp_path, each), expected, rtol=0, atol=1e-6)
    words = as_tensor(sparse.csr_array(torch.where(x > 1, x, 0).numpy()))
    found, held = filtered(layer, words, graph, tmp_path, each), layer.blocks(words, graph)[0]
    assert torch.equal(found.col_indices(), held.col_indices()) and torch.equal(found.values(), held.values())


def test_the_two_steps_of_sgc_have_the_bits_of_the_graph_in_memory_and_are_had_once(tmp_path: Path) -> None:
    graph, x, calls = a_graph(False, True), torch.randn(3000, 20), []

    def counted(run, spans):  # type: ignore[no-untyped-def]
        calls.append(len(spans))
        return here(run, spans)

    encoder = Propagation(Filter(2, Weights(last(2))), 20)
    batch = {"x": x, "graph": graph, "nodes": torch.tensor([5, 2999, 0])}
    expected = encoder.embed(batch)
    by_blocks.by_blocks(encoder, tmp_path, counted)
    assert torch.equal(encoder.embed(batch), expected) and torch.equal(encoder.embed(batch), expected)
    assert calls == [3, 3]
    whole(encoder)
    assert torch.equal(encoder.embed(batch), expected) and calls == [3, 3]


def test_what_does_not_go_by_blocks_is_known() -> None:
    fixed = Weights(last(2))
    assert goes_by_blocks(RandomProjection(8)) and goes_by_blocks(Propagation(Filter(2, fixed), 8))
    for other in (
        Propagation(Filter(2, fixed), 8, before=torch.nn.Linear(8, 8)),
        Propagation(Filter(2, Weights(last(2), learned=True)), 8),
        Propagation(Filter(2, Gate(8)), 8),
        Propagation(Filter(2, fixed, Chebyshev()), 8),
        torch.nn.Linear(8, 8),
    ):
        assert not goes_by_blocks(other)


SCRIPT = """
import re, resource, sys
from pathlib import Path
import numpy as np
import torch
from semblance.encoders.graphs.by_blocks import projected
from semblance.encoders.graphs.projection import RandomProjection
from semblance.geometry import stored_rows
from semblance.geometry.graph import Graph
from semblance.geometry.stored_rows import both_ways, sort_edges, store

def edges(nodes, blocks):
    for seed in range(blocks):
        one, other = np.random.default_rng(seed).integers(0, nodes, (2, 100_000))
        yield one, other, None

def embedded(nodes, blocks, folder):
    rows = sort_edges(both_ways(lambda: edges(nodes, blocks)), nodes, folder, bucket=1 << 19)
    encoder = RandomProjection(128)
    encoder.solve({"graph": Graph(torch.empty(2, 0, dtype=torch.int64), nodes)}, 0)
    return projected(encoder, rows, folder / "z")

folder = Path(sys.argv[1])
stored_rows.STRETCH = 1 << 19
embedded(2000, 1, folder / "warm")  # compiled code is there
held = int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
limit = held + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
if sys.argv[3:] == ["greedy"]:
    ends = np.concatenate([np.stack(block[:2]) for block in edges(200_000, 20)], 1)
    graph = Graph(torch.from_numpy(np.concatenate([ends, ends[::-1]], 1)), 200_000)
    encoder = RandomProjection(128)
    encoder.solve({"graph": graph}, 0)
    print(encoder({"graph": graph}).shape)
else:
    z = embedded(200_000, 20, folder / "big")
    print(z.rows, z.width, bool(z[199_000, 200_000].norm(dim=1).min() > 0))
"""
ALLOWED = 120 << 20
"""The vectors are 102 MB and there are three such files, the edges of both directions 64 MB."""


def run(tmp_path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(ALLOWED), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_graph_and_its_vectors_may_be_larger_than_the_memory_allowed(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "200000 128 True\n"


def test_the_limit_would_stop_a_process_that_holds_them_in_memory(tmp_path: Path) -> None:
    done = run(tmp_path, "greedy")
    assert done.returncode != 0 and ("MemoryError" in done.stderr or "alloc" in done.stderr)
