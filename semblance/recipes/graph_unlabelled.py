"""Graphs and hypergraphs without labels: what can be said of them without learning.

wl-subtree     a graph as the counts of its nodes' neighbourhood trees
star-fastrp    a hypergraph's nodes by sparse projections of the walk between nodes and hyperedges
"""

from __future__ import annotations

from semblance.encoders.graphs.projection import RandomProjection
from semblance.encoders.graphs.subtrees import Subtrees
from semblance.encoders.topology.expanded import OnStar
from semblance.learning.solve import Nothing
from semblance.recipes.graph_walks import by_solving
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry=None, paper="Shervashidze et al. 2011, JMLR 12", domains="graphs")
def wl_subtree(rounds: int = 3, dim: int = 512) -> Recipe:
    """semblance fit mutag --recipe wl-subtree"""
    return Recipe(encoder=lambda shape: Subtrees(rounds, dim), stages=(Stage(rule=Nothing()),), standardise=False)


@recipe(entry=None, paper="Chen et al. 2019, arXiv:1908.11512", domains="hypergraph")
def star_fastrp(dim: int = 128, beta: float = -0.5) -> Recipe:
    """semblance fit email-enron --recipe star-fastrp"""
    # Even powers lead from nodes to nodes, odd ones from nodes to hyperedges.
    return by_solving(lambda shape: OnStar(RandomProjection(dim, (0.0, 1.0, 0.0, 1.0), beta)))
