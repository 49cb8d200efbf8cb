"""What was learned, and how sure one can be of it: probes and intervals.
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, {})
