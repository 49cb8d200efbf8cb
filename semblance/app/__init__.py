"""The faces of the library: the command line and its pictures.

cli.py         the verbs
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "main": "cli",
    },
)
