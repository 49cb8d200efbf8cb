"""Where representations live: stores and indexes."""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {},
)
