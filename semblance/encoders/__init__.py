"""From a domain to a representation: vectors, maps or tokens. An encoder does not know how it is trained.

vision/     images
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "stage_net": "vision.stagenet",
    },
)
