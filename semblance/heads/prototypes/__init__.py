"""Heads that answer by points they store: one a class, several, or parts of pictures.

class_means.py    a class is the mean of its embedded support items, and the nearest mean answers
image_parts.py    a class is recognised by parts of pictures that were seen in training
inverse_distance.py stored keys that answer by how near they are, and can be mended by hand
similarities.py   how like a point is to a stored one
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "ClassMeans": "class_means",
        "ImageParts": "image_parts",
        "StoredKeys": "inverse_distance",
        "InverseDistanceAttention": "inverse_distance",
    },
)
