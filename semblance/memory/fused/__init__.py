"""Filtered search in one compiled call: rows in the order of an attribute, their codes scanned in place.

shuffle.py     scores of 64 rows from their 4-bit codes, by the processor's byte shuffle
kernels.py     a search in one compiled call: exact, by codes, by inverted lists
codes.py       vectors in four bits a sub-quantiser
orders.py      rows in the order of an attribute: a condition on it is a stretch
lists.py       inverted lists whose rows ascend
planner.py     which arm and how deep, from what was measured when the part was built
part.py        so many rows with their orders, codes and lists, which never change
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, {"Part": "part"})
