"""Shapes of spaces: which points there are, what distance means, who is near whom. The ground floor.

ball.py       the Poincare ball: distance, sum, midpoint, and the ways in and out
groups.py     finite groups that act on images, as numbered elements
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
        "Group": "groups",
        "Cyclic": "groups",
        "Turns": "groups",
        "FineTurns": "groups",
    },
)
