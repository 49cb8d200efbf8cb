"""Any method for nodes of graphs, on the pairs of a hypergraph.

clique-expanded    a hypergraph's nodes are linked where they share a hyperedge; what follows is a recipe of graphs
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from semblance.data.dataset import Shape
from semblance.encoders.topology.expanded import Expanded, HeadOnClique
from semblance.errors import unknown
from semblance.learning.backprop import Backprop
from semblance.learning.chosen import Chosen
from semblance.recipes.registry import Recipe, build, recipe, table

WEIGHTINGS = {"plain": "clique", "count": "count-clique", "size": "size-clique"}


@recipe(entry=None, paper="Zhou, Huang & Schölkopf 2006; Agarwal et al. 2006", domains="hypergraph", needs="labels")
def clique_expanded(method: str = "gcn", weighting: str = "size") -> Recipe:
    """semblance fit cocitation-cora --recipe clique-expanded

    method      any recipe that learns labels of a graph's nodes: gcn, gat, appnp, sage, ...
    weighting   of a pair: plain, count (how many hyperedges it shares), or size (each by 1 / (its size - 1))
    """
    if weighting not in WEIGHTINGS:
        raise unknown("weighting of pairs", weighting, WEIGHTINGS)
    fitting = [n for n, row in table().items() if "graph" in row.domains and "labels" in row.needs]
    if method not in fitting:
        raise unknown("method for the nodes of graphs", method, fitting)
    base, how = build(method), WEIGHTINGS[weighting]
    make: Any = base.head

    def head(shape: Shape) -> HeadOnClique:
        return HeadOnClique(make(_pairs(shape)), how)

    stages = tuple(replace(stage, rule=_inside(stage.rule)) for stage in base.stages)
    return replace(base, encoder=lambda shape: Expanded(base.encoder(_pairs(shape)), how), head=head, stages=stages)


def _inside(rule: Backprop | Chosen) -> Backprop | Chosen:
    """The rule, with what it says of the encoder's parameters said of the encoder within."""
    if isinstance(rule, Chosen):
        return replace(rule, rules=tuple(map(_inside, rule.rules)))  # type: ignore[arg-type]
    apart = (
        replace(one, prefix=one.prefix.replace("network.encoder", "network.encoder.encoder")) for one in rule.apart
    )
    return replace(rule, apart=tuple(apart))


def _pairs(shape: Shape) -> Shape:
    """The shape as of a graph."""
    return replace(shape, domain="graph")
