"""From a representation to an answer: classes, neighbours, prototypes."""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {},
)
