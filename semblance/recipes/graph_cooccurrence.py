"""Co-occurrence beyond walks and windows: edges, features, counts that are mostly zero. Solvers, as in `graph_walks.py`.

line      skip-gram over drawn edges: who is a neighbour, beside who has the same neighbours
musae     skip-gram over nodes and the features of nodes some steps away; other graphs join
swivel    PMI of walks, shard by shard, with a bound for pairs that were never met
"""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.encoders.graphs.attributed import Attributed
from semblance.encoders.graphs.cooccurrence import Factoriser, Factors, edges
from semblance.encoders.graphs.edge_sampling import ORDERS, Beside, EdgeSampling
from semblance.encoders.graphs.sharded import Sharded
from semblance.encoders.graphs.visits import Visits
from semblance.encoders.graphs.windows import walk_counts
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.recipes.graph_walks import DOMAINS, by_solving, solved
from semblance.recipes.registry import Recipe, recipe


@recipe(entry="line", paper="Tang et al. 2015, arXiv:1503.03578", domains=DOMAINS)
def line(
    dim: int = 256,
    order: str = "both",
    negatives: int = 5,
    samples: int = 200,
    lr: float = 0.025,
    multiplied: bool = False,
    enough: int = 0,
) -> Recipe:
    """semblance fit cora --recipe line    # micro-F1, half of the labels: 0.790; a decomposition of the adjacency 0.726

    order: first, second, or both, which share the dimensions. samples: drawn edges for every edge. multiplied: steps are
    multiplied by an edge's weight, instead of drawing edges by it. enough: nodes with fewer neighbours get second ones.
    """
    # Paper: about 100 samples. Small graphs want more: on Cora the second order goes from 0.71 to 0.78 (seeds 100 to 102).
    if order not in (*ORDERS, "both"):
        raise unknown("order", order, (*ORDERS, "both"))
    each = [
        EdgeSampling(one, negatives, samples, lr, multiplied=multiplied, enough=enough)
        for one in (ORDERS if order == "both" else (order,))
    ]
    return solved(Beside(tuple(each)), dim=dim)


@recipe(entry="musae", paper="Rozemberczki, Allen & Sarkar 2021, arXiv:1909.13021", domains=DOMAINS)
def musae(
    dim: int = 128,
    mode: str = "musae",
    ego: bool = False,
    reach: int = 3,
    walks: int = 10,
    length: int = 80,
    p: float = 1.0,
    q: float = 1.0,
    drawn: int = 1,
    negatives: int = 5,
    lr: float = 0.05,
    epochs: int = 1,
) -> Recipe:
    """semblance fit cora --recipe musae

    mode: musae, a table for every distance from 1 to reach, or ae, one for all. ego: a node's name is one of its features.
    drawn: features at a visit.
    """
    if mode not in ("musae", "ae"):
        raise unknown("mode", mode, ("musae", "ae"))
    visits = Visits(walks, length, p, q, reach, drawn, negatives, lr=lr, end=lr / 2, epochs=epochs)

    def encoder(shape: Shape) -> Attributed:
        if not shape.item[0]:
            raise SemblanceError("the nodes have no features, which musae reads: give some, or take node2vec")
        return Attributed(int(shape.facts["nodes"]), shape.item[0], dim, visits, mode == "ae", ego)

    return by_solving(encoder)


@recipe(entry="swivel", paper="Shazeer et al. 2016, arXiv:1602.02215", domains=DOMAINS)
def swivel(
    dim: int = 100,
    source: str = "walks",
    walks: int = 10,
    length: int = 40,
    window: int = 5,
    nearness: str = "alike",
    bounded: bool = True,
    size: int = 512,
    epochs: int = 20,
    lr: float = 1.0,
    begin: float = 0.1,
) -> Recipe:
    """semblance fit cora --recipe swivel

    source: walks, counted within the window (nearness: alike, or 1/distance), or edges, by weight. bounded: pairs never met
    count too. size: rows and columns that are dense at a time. begin: what Adagrad's sums start with.
    """
    if source not in ("walks", "edges"):
        raise unknown("source of counts", source, ("walks", "edges"))
    method = Sharded(epochs, size, lr, bounded=bounded, begin=begin)

    def factorise(graph: Graph, dim: int, seed: int) -> Factors:
        if source == "edges":
            return method.of(edges(graph), dim, seed)
        counts = walk_counts(graph, seed, walks=walks, length=length, window=window, nearness=nearness)
        return method.of(counts, dim, seed)

    factoriser: Factoriser = factorise
    return solved(factoriser, dim=dim, contexts="sum")
