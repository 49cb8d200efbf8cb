"""What a representation is asked to be good at.

lift.py         a loss of embeddings as an objective
projector.py    the small perceptron between an embedding and the space where an objective compares
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "on_items": "lift",
        "on_views": "lift",
        "perceptron": "projector",
    },
)
