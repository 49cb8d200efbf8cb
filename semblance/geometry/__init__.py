"""Shapes of spaces: which points there are, what distance means, who is near whom. The ground floor.

ball.py       the Poincare ball: distance, sum, midpoint, and the ways in and out
graph.py      nodes and edges, grouped by either end
groups.py     finite groups that act on images, as numbered elements
hypergraph.py nodes and hyperedges, grouped by either side
kept.py       what is computed of a structure once
nearest.py    the k most similar of N items for each of Q queries, exactly, in memory bounded by a block
spaces.py     what distance means, and how a raw output is brought in
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Geometry": "spaces",
        "Euclidean": "spaces",
        "Sphere": "spaces",
        "PoincareBall": "spaces",
        "space_named": "spaces",
        "nearest": "nearest",
        "Graph": "graph",
        "Rows": "graph",
        "joined": "graph",
        "Hypergraph": "hypergraph",
        "Group": "groups",
        "Cyclic": "groups",
        "Turns": "groups",
        "FineTurns": "groups",
    },
)
