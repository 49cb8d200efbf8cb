"""Filtered search in one compiled call: rows in the order of an attribute, their codes scanned in place.

codes.py       vectors in four bits a sub-quantiser
files.py       a part in a folder, and back as memory maps
conjunction.py a condition as stretches of orders joined by and, or and not, for compiled code
kernels.py     a search in one compiled call: exact, by codes, by inverted lists
lists.py       inverted lists whose rows ascend
orders.py      rows in the order of an attribute: a condition on it is a stretch
part.py        so many rows with their orders, codes and lists, which never change
planner.py     which arm and how deep, from what was measured when the part was built
prepared.py    a condition read once, and then one compiled call a search
shuffle.py     scores of 64 rows from their 4-bit codes, by the processor's byte shuffle
together.py    one search over several parts and the rows that no part holds yet
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, {"Part": "part"})
