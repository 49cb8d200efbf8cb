"""Frames, transports and holonomy: flat space has none, a sphere turns by its area, gauges do not matter."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from semblance.errors import SemblanceError
from semblance.geometry.connections import connection, frames, holonomy, transports, vector_diffusion_map
from semblance.geometry.graph import Graph


def near_graph(x, k):
    near = cKDTree(x).query(x, k + 1)[1][:, 1:]
    ends = torch.tensor(np.stack([near.ravel(), np.repeat(np.arange(len(x)), k)]))
    return Graph(ends, len(x), directed=True).undirected()


def a_plane(seed=0, count=200):
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(10, 10)))[0][:, :2]
    return torch.from_numpy(rng.random((count, 2)) @ turn.T)


def test_every_holonomy_of_a_flat_plane_is_the_identity():
    x = a_plane()
    frame = frames(x, near_graph(x.numpy(), 10), 2)
    for seed in range(20):
        cycle = np.random.default_rng(seed).choice(len(x), 6, replace=False)
        torch.testing.assert_close(holonomy(frame, cycle), torch.eye(2, dtype=torch.float64), atol=1e-6, rtol=0)


def test_a_cycle_of_one_pair_there_and_back_is_the_identity_on_any_surface():
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    frame = frames(x, near_graph(x.numpy(), 8), 3)
    torch.testing.assert_close(holonomy(frame, [3, 9]), torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("weighted", [False, True])
def test_frames_are_orthonormal_whatever_the_neighbours_span(weighted):
    x = torch.zeros(9, 6)
    x[:4, 0] = torch.arange(4.0)  # on a line: one direction for three wanted
    x[4:7] = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    ends = torch.tensor([[0, 1, 2, 4, 7], [1, 2, 3, 5, 8]])  # 6 has no neighbour, 7 and 8 lie on one place
    frame = frames(x, Graph(ends, 9, directed=True), 3, weighted)
    same = torch.eye(3, dtype=torch.float64).expand(9, 3, 3)
    torch.testing.assert_close(frame.transpose(1, 2) @ frame, same)


def test_frames_do_not_hang_on_how_nodes_are_numbered():
    x = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
    graph = near_graph(x.numpy(), 5)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    renamed = Graph(order.argsort()[graph.edge_index], 30)
    torch.testing.assert_close(frames(x[order], renamed, 3), frames(x, graph, 3)[order])


def test_the_frame_spans_the_plane_of_the_neighbours():
    x = a_plane()
    frame = frames(x, near_graph(x.numpy(), 6), 2)
    step = (x[5] - x[4])[:, None]
    torch.testing.assert_close(frame[0] @ (frame[0].T @ step), step)


def test_transports_are_orthogonal_and_follow_a_change_of_frame():
    x = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
    graph = near_graph(x.numpy(), 5)
    frame = frames(x, graph, 2)
    found = transports(frame, graph)
    torch.testing.assert_close(found @ found.transpose(1, 2), torch.eye(2, dtype=torch.float64).expand_as(found))
    turn = torch.linalg.qr(torch.randn(30, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
    from semblance.geometry.pairs import pairs_of

    pairs = pairs_of(graph)
    turned = transports(frame @ turn, graph)
    torch.testing.assert_close(turned, turn[pairs.low].transpose(1, 2) @ found @ turn[pairs.high])


def test_the_connection_laplacian_of_a_plane_has_two_parallel_fields():
    x = a_plane()
    operator = connection(x, near_graph(x.numpy(), 8), 2)
    assert operator.kernel().shape[1] == 2
    assert operator.spectrum()[0][0] > -1e-10
    maps = vector_diffusion_map(operator, 4)
    assert maps.shape == (200, 4, 2)
    # The two parallel fields come first: every node's 2 x 2 map is orthogonal up to the root of its degree.
    gram = maps[:, :2] @ maps[:, :2].transpose(0, 2, 1)
    np.testing.assert_allclose(gram[:, 0, 1], 0, atol=1e-8)
    np.testing.assert_allclose(gram[:, 0, 0], gram[:, 1, 1], atol=1e-8)


def test_more_directions_than_features_are_refused():
    with pytest.raises(SemblanceError, match="d is at most 2"):
        frames(torch.randn(5, 2), Graph(torch.zeros(2, 0, dtype=torch.int64), 5), 3)
