"""Walks over hyperedges, backward in time: what a set of nodes has in common, for sets and moments never seen before.

cat-walk    a set is the walks of its nodes without names; learned from labels, or from which sets met in the data
"""

from __future__ import annotations

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.encoders.topology.set_walks import SetWalks
from semblance.errors import unknown
from semblance.learning.backprop import Backprop
from semblance.objectives.set_links import SetLinks
from semblance.recipes.graph_networks import error
from semblance.recipes.graph_readouts import through
from semblance.recipes.registry import Recipe, Stage, recipe

TARGETS = ("auto", "labels", "hyperedges")


@recipe(entry="cat-walk", paper="Behrouz et al. 2023, arXiv:2306.11147", domains=("hypergraph", "events"))
def cat_walk(
    dim: int = 64,
    walks: int = 32,
    length: int = 3,
    theta: float = 0.0,
    law: str = "pairs",
    pooling: str = "set-mixer",
    over: str = "hyperedges",
    target: str = "auto",
    batch: int = 64,
    lr: float = 1e-4,
    epochs: int = 10,
) -> Recipe:
    """semblance fit college-msg --recipe cat-walk

    walks     of every node, `length` hyperedges each
    theta     how much later hyperedges are preferred, in mean gaps between moments; 0: not at all
    law       pairs (a hyperedge counts by the nodes shared with it), neighbours (all alike), over (first a node)
    pooling   set-mixer or mean; over: hyperedges or pairs, the clique expansion
    target    labels (of nodes, or of sets that are asked about), hyperedges (which sets met; needs times), or auto: labels
              where there are some
    """
    if target not in TARGETS:
        raise unknown("target", target, TARGETS)

    def encoder(shape: Shape) -> SetWalks:
        return SetWalks(dim, walks, length, theta, law, pooling, over)

    def asked(shape: Shape) -> bool:
        # Labels without classes are numbers, whose mean is among the facts.
        return target == "labels" or (target == "auto" and (shape.classes > 0 or "label_mean" in shape.facts))

    def objective(shape: Shape) -> nn.Module:
        return error(shape) if asked(shape) else SetLinks(dim)

    def head(shape: Shape) -> nn.Module | None:
        found: nn.Module | None = through(encoder, dim)(shape) if asked(shape) else None
        return found

    rule = Backprop("adam", lr=lr, schedule="constant", epochs=epochs)
    return Recipe(encoder, (Stage(rule, objective, Shuffled(batch)),), head, memory="data")
