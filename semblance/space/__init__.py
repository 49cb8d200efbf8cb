"""What the user holds: a model, a space, and the verbs that join the rooms.

fit.py      fit, train: from data to a space
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "fit": "fit",
        "Model": "model",
    },
)
