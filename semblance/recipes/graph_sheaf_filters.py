"""Propagation filters over sheaves: combinations of the parts that no paper tried.

sheaf-appnp    personalised PageRank of states along a sheaf that is learned from them
"""

from __future__ import annotations

from semblance.encoders.graphs.propagate import Weights, geometric
from semblance.encoders.topology.sheaf import GivenSheaf, SheafLearner
from semblance.encoders.topology.sheaf_filter import SheafFilter
from semblance.errors import SemblanceError
from semblance.recipes.graph_filters import filtered_nodes, trained
from semblance.recipes.registry import Recipe, recipe


@recipe(
    entry=None, paper="Gasteiger et al. 2019 with Bodnar et al. 2022, arXiv:2202.04579", domains="graph", needs="labels"
)
def sheaf_appnp(
    hidden: int = 64,
    stalk: int = 2,
    maps: str = "diagonal",
    depth: int = 10,
    restart: float = 0.1,
    learned: bool = False,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit wisconsin --recipe sheaf-appnp

    stalk     numbers of a stalk; it divides hidden
    maps      diagonal, general, or orthogonal by householder, cayley or exponential; constant: the plain filter
    learned   a learned weight for every step, from those of the restart
    """
    if stalk < 1 or hidden % stalk:
        raise SemblanceError(f"states of {hidden} numbers are no stalks of {stalk}: give a stalk that divides hidden")

    def layer(channels: int) -> SheafFilter:
        weights = Weights(geometric(depth, restart), learned=learned)
        if maps == "constant":
            return SheafFilter(depth, weights, GivenSheaf("constant", augmented=True), stalk)
        return SheafFilter(depth, weights, SheafLearner(stalk, channels // stalk, maps, augmented=True), stalk)

    return filtered_nodes(layer, trained(lr, weight_decay, epochs, patience), hidden, dropout, dropout)
