"""How weights change: the one loop, and the rules that share it.

parts.py    what a rule works on: network, parts, feed, budget
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Network": "parts",
        "Parts": "parts",
        "Feed": "parts",
        "Budget": "parts",
    },
)
