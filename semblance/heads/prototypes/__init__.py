"""Heads that answer by one point per class.

class_means.py    a class is the mean of its embedded support items, and the nearest mean answers
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "ClassMeans": "class_means",
    },
)
