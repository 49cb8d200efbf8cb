"""Where propagation ends, how near each node is to it, and filters that stop there; transformations of any depth."""

from __future__ import annotations

import pytest
import torch

from semblance.encoders.graphs.operators import operator_of
from semblance.encoders.graphs.propagate import Filter, Gate, Propagation, Weights
from semblance.encoders.graphs.smoothing import NodeAdaptive, levels, stationary
from semblance.encoders.graphs.transform import Transform
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from tests.encoders.graphs.test_propagate import NODES, dense, features, random_graph, words


@pytest.mark.parametrize("kind", ["symmetric-loops", "row-loops"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_stationary_state_is_what_many_steps_end_in(kind: str, weighted: bool) -> None:
    graph, x = random_graph(1, weighted=weighted), features()  # 29 nodes and one alone
    operator = operator_of(graph, kind)
    power = torch.linalg.matrix_power(torch.from_numpy(operator.matrix().toarray()), 2**12)
    torch.testing.assert_close(stationary(operator, x), power @ x)
    torch.testing.assert_close(stationary(operator, x.float()), (power @ x).float(), rtol=1e-4, atol=1e-5)


def test_the_stationary_state_of_a_component_is_rank_one_with_the_entries_of_the_paper() -> None:
    graph = Graph(torch.tensor([[0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3]]), 5)
    d = torch.tensor([2.0, 3, 2, 2, 2], dtype=torch.float64)
    first = torch.sqrt(d[:3, None] * d[:3]) / (2 * 2 + 3)  # 2 m + n
    second = torch.full((2, 2), 0.5, dtype=torch.float64)
    limit = stationary(operator_of(graph), torch.eye(5, dtype=torch.float64))
    torch.testing.assert_close(limit, torch.block_diag(first, second))
    rows = stationary(operator_of(graph, "row-loops"), torch.eye(5, dtype=torch.float64))
    torch.testing.assert_close(rows[0], rows[2])
    torch.testing.assert_close(rows[0, :3], d[:3] / 7)


def test_powers_without_self_loops_may_swing_for_ever_and_are_refused() -> None:
    with pytest.raises(SemblanceError, match="symmetric-loops"):
        stationary(operator_of(random_graph(), "symmetric"), features())


def test_of_a_directed_graph_the_end_is_reached_step_by_step() -> None:
    graph, x = random_graph(2, directed=True), features()
    power = torch.linalg.matrix_power(torch.from_numpy(operator_of(graph).matrix().toarray()), 400)
    torch.testing.assert_close(stationary(operator_of(graph), x), power @ x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("by", ["distance", "level"])
def test_each_nodes_steps_are_weighted_by_how_far_it_is_from_the_end(by: str) -> None:
    graph, x, temperature = random_graph(3), features(width=6), 0.3
    s = torch.from_numpy(operator_of(graph).matrix().toarray())
    end = torch.linalg.matrix_power(s, 2**12) @ x
    z = Filter(4, Weights([1.0] * 5), NodeAdaptive(temperature, by))(x, graph)
    for v in range(NODES):
        steps = [(torch.linalg.matrix_power(s, k) @ x)[v] for k in range(5)]
        cos = torch.nn.functional.cosine_similarity
        far = torch.stack([1 - cos(step, end[v], dim=0) for step in steps])
        if by == "level":
            far = far * torch.stack([cos(step, x[v], dim=0) for step in steps])
        weights = torch.softmax(far / temperature, 0)
        torch.testing.assert_close(z[v], sum(w * step for w, step in zip(weights, steps, strict=True)))


def test_a_low_temperature_keeps_the_step_that_is_farthest_from_the_end() -> None:
    graph, x = random_graph(4), features(width=8)
    weights = NodeAdaptive(1e-4).weights(operator_of(graph), x, 5)
    _, beta = levels(operator_of(graph), x, 5)
    alone = graph.rows().degree == 0  # such a node is at its end from the start
    assert torch.equal(weights.argmax(1)[~alone], beta.argmin(1)[~alone])
    torch.testing.assert_close(weights[alone], torch.full((int(alone.sum()), 6), 1 / 6, dtype=torch.float64))
    for wrong in ({"temperature": 0.0}, {"by": "levels"}):
        with pytest.raises(SemblanceError, match=r"temperature|level"):
            NodeAdaptive(**wrong)


def test_bags_of_words_are_smoothed_as_their_dense_form_and_kept_for_every_setting_apart() -> None:
    graph, x = random_graph(5), words()
    made = [Filter(3, Weights([1.0] * 4), NodeAdaptive(t, by)) for t, by in ((1.0, "distance"), (0.1, "distance"))]
    made.append(Filter(3, Weights([1.0] * 4), NodeAdaptive(0.1, "level")))
    for layer in made:
        encoder = Propagation(layer, 12)
        torch.testing.assert_close(encoder.embed({"x": x, "graph": graph}), layer(x, graph))
        torch.testing.assert_close(encoder.embed({"x": x.to_sparse_csr(), "graph": graph}), layer(x, graph))


def test_gradients_of_the_adaptive_filter_agree_with_finite_differences() -> None:
    graph = random_graph(6, nodes=8)
    layer = Filter(3, Weights([1.0] * 4), NodeAdaptive(0.5, "level"))
    assert torch.autograd.gradcheck(lambda x: layer(x, graph), features(width=3, nodes=8).requires_grad_())


def test_a_shut_gate_halves_every_step_and_an_open_one_sums_them() -> None:
    graph, x = random_graph(7), features(width=4)
    s = torch.from_numpy(operator_of(graph).matrix().toarray())
    steps = [torch.linalg.matrix_power(s, k) @ x for k in range(4)]
    gate = Gate(4).double()
    for bias, share in ((0.0, 0.5), (40.0, 1.0)):
        with torch.no_grad():
            gate.score.weight.zero_()
            gate.score.bias.fill_(bias)
        torch.testing.assert_close(Filter(3, gate)(x, graph), share * sum(steps))
    with torch.no_grad():
        gate.score.weight.normal_(generator=torch.Generator().manual_seed(0))
        gate.score.bias.fill_(0)
    told = sum(torch.sigmoid(h @ gate.score.weight[0])[:, None] * h for h in steps)
    torch.testing.assert_close(Filter(3, gate)(x, graph), told)


@pytest.mark.parametrize("join", ["plain", "residual", "dense"])
def test_a_transform_is_its_formula(join: str) -> None:
    net, x = Transform(5, 4, 3, join).double().eval(), features()
    hidden = [x]
    for layer in net.maps:
        read = torch.cat(hidden, 1) if join == "dense" else hidden[-1]
        out = torch.relu(read @ layer.weight.T + layer.bias)
        hidden.append(out + hidden[-1] if join == "residual" and len(hidden) > 1 else out)
    torch.testing.assert_close(net(x), hidden[-1])
    assert net.dim == 4 and Transform(5, 4, 0, join).dim == 5
    torch.testing.assert_close(Transform(5, 4, 0, join)(x), x)


def test_the_edges_that_a_dense_power_sees_are_those_of_the_closed_form() -> None:
    graph = random_graph(8)
    looped = dense(graph)
    looped.diagonal().clamp_(min=1)
    component = torch.linalg.matrix_power((looped > 0).double(), NODES) > 0
    limit = stationary(operator_of(graph), torch.eye(NODES, dtype=torch.float64))
    assert torch.equal(limit > 0, component)
