"""The frequencies of a graph, a filter's answer to them, and the weights of a classifier behind it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.analysis.graph_spectrum import class_weights, frequency_response, largest_frequency
from semblance.encoders.graphs.propagate import Filter, Propagation, Weights, geometric, last
from semblance.encoders.vectors import Identity
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.heads.classify import Linear


def ring(nodes: int) -> Graph:
    at = torch.arange(nodes)
    ends = torch.stack([at, (at + 1) % nodes])
    return Graph(torch.cat([ends, ends.flip(0)], 1), nodes)


@pytest.mark.parametrize("nodes", [8, 100])
def test_an_even_ring_alternates_at_frequency_two_and_self_loops_damp_it(nodes: int) -> None:
    # Eigenvalues of a ring: 1 - cos(2 pi j / n); with loops of degree 3: (1 - cos) * 2 / 3.
    assert largest_frequency(ring(nodes), loops=False) == pytest.approx(2)
    assert largest_frequency(ring(nodes), loops=True) == pytest.approx(4 / 3)


def test_the_response_is_what_the_filter_does_to_an_eigenvector() -> None:
    graph, coefficients = ring(12), geometric(3, 0.3)
    report = frequency_response(graph, coefficients, points=5)
    rows = [row for row in report.rows if row["laplacian"] == "without"]
    alternating = torch.tensor([1.0, -1.0] * 6)[:, None]
    z = Filter(3, Weights(coefficients), operator="symmetric")(alternating, graph)
    assert rows[-1]["frequency"] == pytest.approx(2)
    torch.testing.assert_close(z, rows[-1]["response"] * alternating)
    assert rows[0]["response"] == pytest.approx(1) and rows[-1]["share below"] == 1
    assert "2.0000 to 1.3333" in str(report)
    shares = [row["share below"] for row in rows]
    assert shares == sorted(shares)


def test_a_directed_graph_has_no_frequencies() -> None:
    with pytest.raises(SemblanceError, match="undirected"):
        frequency_response(Graph(torch.tensor([[0, 1], [1, 2]]), 3, directed=True))


def test_the_largest_weights_of_every_class_are_named() -> None:
    head = Linear(3, 2, names=("cats", "dogs"))
    with torch.no_grad():
        head.map.weight.copy_(torch.tensor([[0.1, 3.0, 2.0], [5.0, -1.0, 0.0]]))
    encoder = Propagation(Filter(2, Weights(last(2))), 3)
    report = class_weights(encoder, head, ("purr", "fur", "tail"), top=2)
    told = [(row["class"], row["rank"], row["feature"], row["weight"]) for row in report.rows]
    assert told[:2] == [("cats", 1, "fur", 3.0), ("cats", 2, "tail", 2.0)] and told[2][2] == "purr"
    assert str(report) == "most telling cats: fur, dogs: purr"
    assert np.isclose([row["weight"] for row in report.rows][2], 5.0)
    with pytest.raises(SemblanceError, match="sgc"):
        class_weights(Identity(3), head)
