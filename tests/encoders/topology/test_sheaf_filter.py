"""Filters over sheaves: the trivial sheaf is the graph, and the polynomial is that of 1 - L."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.encoders.graphs.bases import Chebyshev, Favard
from semblance.encoders.graphs.propagate import Filter, Propagation, Weights, geometric
from semblance.encoders.topology.sheaf import GivenSheaf, SheafLearner
from semblance.encoders.topology.sheaf_filter import SheafFilter
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.recipes.graph_sheaf_filters import sheaf_appnp

NODES = 13


def graph(seed=0, count=24):
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers(0, NODES * NODES, count))
    ends = torch.from_numpy(np.stack([pairs // NODES, pairs % NODES]))
    return Graph(ends, NODES, directed=True).without_loops().undirected()


def states(width, seed=0, dtype=torch.float64):
    return torch.randn(NODES, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("basis", [None, Chebyshev()])
@pytest.mark.parametrize("d", [1, 2])
def test_over_the_trivial_sheaf_it_is_the_plain_filter(d, basis, dtype):
    held, x, weights = graph(), states(6, dtype=dtype), Weights(geometric(4, 0.2))
    sheaf = SheafFilter(4, weights, GivenSheaf("constant", augmented=True), d, basis)
    torch.testing.assert_close(sheaf(x, held), Filter(4, weights, basis, "symmetric-loops")(x, held))


def test_learned_maps_that_are_all_one_are_the_trivial_sheaf():
    held, x, weights = graph(1), states(6), Weights(geometric(3, 0.2))
    learner = SheafLearner(2, 3, augmented=True).double()
    plain = Filter(3, weights)(x, held)
    assert (SheafFilter(3, weights, learner, 2)(x, held) - plain).abs().max() > 0.01
    with torch.no_grad():
        learner.linear.weight.zero_()
        learner.linear.bias.fill_(40.0)  # tanh of it is 1
    torch.testing.assert_close(SheafFilter(3, weights, learner, 2)(x, held), plain)


@pytest.mark.parametrize("maps", ["diagonal", "cayley", "general"])
def test_it_is_the_polynomial_of_one_less_the_laplacian(maps):
    torch.manual_seed(0)
    held, x = graph(2), states(6, 2)
    learner = SheafLearner(2, 3, maps, augmented=True).double()
    laplacian = torch.from_numpy(learner(x, held).laplacian().matrix.toarray())
    s, v = torch.eye(2 * NODES, dtype=torch.float64) - laplacian, x.view(2 * NODES, 3)
    wanted = 0.5 * v + 0.3 * s @ v + 0.2 * s @ s @ v
    found = SheafFilter(2, Weights([0.5, 0.3, 0.2]), learner, 2)(x, held)
    torch.testing.assert_close(found, wanted.view(NODES, 6))


def test_the_gradient_reaches_the_maps_and_a_learned_basis_fits_too():
    held, x = graph(3), states(4, 3, torch.float32)
    layer = SheafFilter(3, Weights([1.0, 0.5, 0.5, 0.5], learned=True, channels=4), SheafLearner(1, 4), 1, Favard(4, 3))
    layer(x, held).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())
    assert layer.sheaf.linear.weight.grad.abs().max() > 0


def test_raw_features_and_uneven_stalks_are_refused():
    layer = SheafFilter(2, Weights([0, 0, 1.0]), SheafLearner(2, 3), 2)
    with pytest.raises(SemblanceError, match="put a map of the features before it"):
        Propagation(layer, 6)({"x": states(6), "graph": graph()})
    with pytest.raises(SemblanceError, match="no stalks of 2"):
        layer(states(5), graph())
    with pytest.raises(SemblanceError, match="no stalks of 3"):
        sheaf_appnp(hidden=64, stalk=3)
