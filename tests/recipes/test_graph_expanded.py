"""A method of graphs on a hypergraph's pairs is that method on the graph of the pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from semblance.encoders.topology.expanded import expanded
from semblance.errors import SemblanceError
from semblance.recipes.graph_expanded import WEIGHTINGS
from semblance.recipes.registry import build
from semblance.space.training import train
from semblance.testing import small


@pytest.mark.parametrize(("method", "weighting"), [("gcn", "size"), ("gat", "plain"), ("gpr-gnn", "count")])
def test_it_learns_what_the_method_learns_on_the_graph_of_pairs(method, weighting):
    data = small("hypergraph")
    pairs = replace(data, domain="graph", graph=expanded(data.graph, WEIGHTINGS[weighting]))
    ours = train(data, build("clique-expanded", method=method, weighting=weighting), seed=3, epochs=3)
    theirs = train(pairs, build(method), seed=3, epochs=3)
    np.testing.assert_allclose(ours.embed(data), theirs.embed(pairs), rtol=1e-5, atol=1e-6)
    assert ours.predict(data) == theirs.predict(pairs)


def test_the_weighting_counts():
    data = small("hypergraph")
    z = [train(data, build("clique-expanded", weighting=w), seed=0, epochs=1).embed(data) for w in ("plain", "size")]
    assert np.abs(z[0] - z[1]).max() > 1e-3


def test_only_methods_that_learn_labels_of_nodes_are_taken():
    with pytest.raises(SemblanceError, match="method for the nodes of graphs"):
        build("clique-expanded", method="gin")
    with pytest.raises(SemblanceError, match="weighting of pairs"):
        build("clique-expanded", weighting="sizes")
