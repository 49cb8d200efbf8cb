"""Heads that answer by points they store: one a class, several, or parts of pictures.

centres.py        as many learned points as there are clusters, and the nearest one answers
attribute_votes.py probabilities of attributes or of seen classes vote for a described class
class_means.py    a class is the mean of its embedded support items, and the nearest mean answers
compatible.py     one matrix between features and codes of classes
hubs.py           classes that are the nearest of far too many items
image_parts.py    a class is recognised by parts of pictures that were seen in training
inverse_distance.py stored keys that answer by how near they are, and can be mended by hand
projected.py      items are carried to codes of classes, or codes to items
semantic.py       classes known by description: the models by name
similarities.py   how like a point is to a stored one
transductive.py   what the items asked look like corrects where codes had put their classes
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Centres": "centres",
        "ClassMeans": "class_means",
        "fit_described": "semantic",
        "ImageParts": "image_parts",
        "StoredKeys": "inverse_distance",
        "InverseDistanceAttention": "inverse_distance",
    },
)
