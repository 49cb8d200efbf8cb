"""Encoders of images.

    stagenet.py    stem, stages of blocks, read-out: residual networks and their relatives
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "stage_net": "stagenet",
        "StageNet": "stagenet",
    },
)
