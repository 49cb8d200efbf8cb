"""Shapes of spaces: which points there are, what distance means, and who is near whom. The ground floor: arrays only.

spaces.py     Euclidean space and the sphere: distance, and how a raw vector is brought into the space
nearest.py    exact nearest neighbours in blocks
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Euclidean": "spaces",
        "Sphere": "spaces",
        "Geometry": "spaces",
        "space_named": "spaces",
    },
)
