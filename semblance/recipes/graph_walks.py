"""Co-occurrence on graphs: who is met near whom on a walk, as a vector for every node. Nothing is trained by gradient
steps of the loop: a solver reads the whole graph once.

deepwalk          skip-gram over uniform walks
node2vec          the same over walks that return with weight 1/p and leave the neighbourhood with 1/q
fastrp            powers of the walk matrix on a very sparse random matrix; new nodes embed
graphlet-orbits   a decomposition of who sits with whom in small subgraphs, by where in them
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

from semblance.data.dataset import Shape
from semblance.encoders.graphs.cooccurrence import CoOccurrence, Factoriser, Singular, SkipGram, pmi
from semblance.encoders.graphs.graphlets import NAMES, orbit_adjacency
from semblance.encoders.graphs.projection import RandomProjection
from semblance.errors import unknown
from semblance.learning.solve import SolveEncoder
from semblance.recipes.registry import Recipe, Stage, recipe

DOMAINS = ("graph", "events")
WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)


def solved(*factorise: Factoriser, dim: int, contexts: str = "drop") -> Recipe:
    """A table of vectors that factorises the graph: this file's skeleton. Of several factorisers the labels choose."""

    def encoder(shape: Shape) -> CoOccurrence:
        return CoOccurrence(int(shape.facts["nodes"]), dim, *factorise, contexts=contexts)

    return by_solving(encoder)


def by_solving(encoder: Callable[[Shape], object]) -> Recipe:
    """An encoder that solves itself."""
    return Recipe(encoder=encoder, stages=(Stage(rule=SolveEncoder()),), standardise=False, memory="data")


@recipe(entry=None, paper="Perozzi, Al-Rfou & Skiena 2014, arXiv:1403.6652", domains=DOMAINS)
def deepwalk(
    dim: int = 128,
    walks: int = 10,
    length: int = 80,
    window: int = 10,
    negatives: int = 5,
    subsample: float = 1e-3,
    lr: float = 0.025,
    epochs: int = 1,
) -> Recipe:
    """semblance fit cora --recipe deepwalk"""
    walk = SkipGram(walks, length, 1.0, 1.0, window, negatives, subsample=subsample, lr=lr, epochs=epochs)
    return solved(walk, dim=dim)


@recipe(entry="node2vec", paper="Grover & Leskovec 2016, arXiv:1607.00653", domains=DOMAINS)
def node2vec(
    dim: int = 128,
    walks: int = 10,
    length: int = 80,
    p: float = 1.0,
    q: float = 0.5,
    choose: bool = False,
    window: int = 10,
    negatives: int = 5,
    subsample: float = 1e-3,
    lr: float = 0.025,
    epochs: int = 1,
) -> Recipe:
    """semblance fit cora --recipe node2vec

    choose: p and q of 0.25, 0.5, 1, 2, 4 by labels, at 25 times the cost.
    """
    # Paper: places are not thinned out. The programs that made node2vec's figures do, at 1e-3 (gensim's default).
    pairs = product(WEIGHTS, WEIGHTS) if choose else [(p, q)]
    over = [
        SkipGram(walks, length, p, q, window, negatives, subsample=subsample, lr=lr, epochs=epochs) for p, q in pairs
    ]
    return solved(*over, dim=dim)


@recipe(entry="fastrp", paper="Chen et al. 2019, arXiv:1908.11512", domains=DOMAINS)
def fastrp(
    dim: int = 128,
    beta: float = 0.0,
    last: float = 1.0,
    sparsity: float = 0.0,
    law: str = "sparse",
    normalise: bool = True,
    trials: int = 0,
) -> Recipe:
    """semblance fit ppi --recipe fastrp

    last: the weight of the fourth power beside 1 for the third. sparsity 0: the root of the number of nodes. trials: beta
    and last by labels, from so many draws beside these.
    """

    def encoder(shape: Shape) -> RandomProjection:
        return RandomProjection(dim, (0.0, 0.0, 1.0, last), beta, sparsity, law, normalise, trials)

    return by_solving(encoder)


@recipe(
    entry="graphlet-orbit-adjacency",
    paper="Graphlets correct for the topological information missed by random walks, 2024",
    domains=DOMAINS,
)
def graphlet_orbits(dim: int = 128, orbits: str = "sum") -> Recipe:
    """semblance fit cora --recipe graphlet-orbits

    orbits: one of the 28 orbit adjacencies by name (path4-end-end, claw-leaf-leaf, ...), their sum, or `choose`: by labels.
    """
    # The paper's factoriser is not known to us: positive PMI and a truncated decomposition, as for walks.
    if orbits not in (*NAMES, "sum", "choose"):
        raise unknown("orbit adjacency", orbits, (*NAMES, "sum", "choose"))
    names = NAMES if orbits == "choose" else (orbits,)
    return solved(*(Singular(partial(orbit_adjacency, name), pmi) for name in names), dim=dim)
