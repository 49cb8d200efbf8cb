"""Named compositions of all the rooms before: what a paper adds is a configuration here.

registry.py    the `@recipe` decorator, the table that is read without torch, settings and their check
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Recipe": "registry",
        "Stage": "registry",
        "recipe": "registry",
    },
)
