from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.encoders.graphs.projection import RandomProjection
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


def a_graph(directed: bool = False, weighted: bool = False, nodes: int = 30) -> Graph:
    rng = np.random.default_rng(0)
    ends = rng.integers(nodes - 1, size=(2, 80))  # the last node has no edge
    weight = rng.uniform(0.1, 3, 80).astype(np.float32)
    if not directed:
        ends, weight = np.concatenate([ends, ends[::-1]], 1), np.concatenate([weight, weight])
    return Graph(
        torch.from_numpy(ends), nodes, directed=directed, weight=torch.from_numpy(weight) if weighted else None
    )


def explicit(graph: Graph, encoder: RandomProjection, alpha: list[float], beta: float, normalise: bool) -> np.ndarray:
    n = graph.num_nodes
    a = np.zeros((n, n))
    weight = np.ones(graph.num_edges) if graph.weight is None else graph.weight.numpy()
    np.add.at(a, tuple(graph.edge_index.numpy()), weight)
    out, into = a.sum(1), a.sum(0)
    step = np.divide(a, out[:, None], out=np.zeros_like(a), where=out[:, None] > 0)
    scale = np.where(into > 0, np.where(into > 0, into / a.sum(), 1) ** beta, 0)
    r = encoder.projection(np.arange(n)).astype(float)
    z, power = 0, np.eye(n)
    for weight_k in alpha:
        power = power @ step
        term = (power * scale) @ r
        if normalise:
            term = term / np.maximum(np.linalg.norm(term, axis=1, keepdims=True), 1e-30)
        z = z + weight_k * term
    return z


@pytest.mark.parametrize("directed, weighted", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("law, normalise", [("sparse", False), ("sparse", True), ("normal", False)])
def test_the_recursion_is_the_explicit_matrix_times_r(
    directed: bool, weighted: bool, law: str, normalise: bool
) -> None:
    graph, alpha = a_graph(directed, weighted), [0.5, 0.0, 1.0, 4.0]
    encoder = RandomProjection(24, alpha, -0.6, law=law, normalise=normalise)
    encoder.solve({"graph": graph}, seed=3)
    z = encoder.embed({"graph": graph}).numpy()
    expected = explicit(graph, encoder, alpha, -0.6, normalise)
    np.testing.assert_allclose(z, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert not z[-1].any()


@pytest.mark.parametrize("sparsity, law", [(3.0, "sparse"), (0.0, "sparse"), (1.0, "sparse"), (0.0, "normal")])
def test_entries_of_r_have_mean_zero_and_variance_one_and_their_law(sparsity: float, law: str) -> None:
    graph = Graph(torch.tensor([[0], [1]]), 400, directed=True)
    encoder = RandomProjection(500, sparsity=sparsity, law=law)
    encoder.solve({"graph": graph}, seed=0)
    r = encoder.projection(np.arange(400))
    assert abs(r.mean()) < 0.02 and abs(r.var() - 1) < 0.05  # 4 deviations at s = 20
    if law == "sparse":
        s = sparsity or 20.0
        values, counts = np.unique(r, return_counts=True)
        np.testing.assert_allclose(np.abs(values[values != 0]), s**0.5, rtol=1e-6)
        np.testing.assert_allclose(counts[values != 0] / r.size, 1 / (2 * s), rtol=0.1)
    else:
        assert abs((r**4).mean() - 3) < 0.1


def test_r_belongs_to_the_name_of_a_node_and_to_the_seed() -> None:
    graph = a_graph()
    encoder = RandomProjection(16)
    encoder.solve({"graph": graph}, seed=1)
    r = encoder.projection(np.arange(30))
    np.testing.assert_array_equal(encoder.projection(np.arange(30)[::-1])[::-1], r)
    np.testing.assert_array_equal(encoder.projection(np.arange(40))[:30], r)
    encoder.key.fill_(2)
    assert (encoder.projection(np.arange(30)) != r).any()


def test_renaming_nodes_renames_their_vectors_where_names_come_along() -> None:
    graph, order = a_graph(weighted=True), torch.from_numpy(np.random.default_rng(1).permutation(30))
    renamed = Graph(order[graph.edge_index], 30, weight=graph.weight)
    names = torch.empty(30, dtype=torch.int64)
    names[order] = torch.arange(30)
    encoder = RandomProjection(16)
    encoder.solve({"graph": graph}, seed=1)
    z, other = encoder.embed({"graph": graph}), encoder.embed({"graph": renamed, "names": names})
    torch.testing.assert_close(other[order], z, rtol=1e-4, atol=1e-4)


def test_a_new_node_is_embedded_by_the_same_recursion_and_the_others_hardly_move() -> None:
    graph = a_graph()
    encoder = RandomProjection(64)
    encoder.solve({"graph": graph}, seed=1)
    far = Graph(torch.cat([graph.edge_index, torch.tensor([[30, 31], [31, 30]])], 1), 32)
    z, more = encoder.embed({"graph": graph}), encoder.embed({"graph": far})
    assert more.shape == (32, 64) and more[30].any()
    # A component of its own changes nothing but the total weight in L, which is a common factor that rows of length 1 lose.
    torch.testing.assert_close(more[:30], z, rtol=1e-4, atol=1e-4)


def test_trials_choose_by_labels_and_need_them() -> None:
    graph = a_graph()
    encoder = RandomProjection(16, trials=8)  # 8 draws beside beta 0, alpha 1
    y = torch.from_numpy(np.random.default_rng(0).integers(0, 2, 30))
    told = encoder.solve({"graph": graph, "nodes": torch.arange(30), "labels": y}, seed=0)
    assert -1 <= told["beta"] <= 0 and 2**-3 <= told["alpha"] <= 2**6
    assert encoder.alpha.tolist() == [0, 0, 1, told["alpha"]] and float(encoder.settings[0]) == told["beta"]
    with pytest.raises(SemblanceError, match="trials=0"):
        RandomProjection(16, trials=8).solve({"graph": graph}, seed=0)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SemblanceError, match="sparse or normal"):
        RandomProjection(4, law="cauchy")
    with pytest.raises(SemblanceError, match=r"sparsity 0\.5"):
        RandomProjection(4, sparsity=0.5)
