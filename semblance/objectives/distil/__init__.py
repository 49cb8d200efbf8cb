"""A student learns what a teacher answers. The teacher comes in as an argument and is dropped afterwards.

codes.py        which of a codebook's entries a node is near, as the teacher sees it
hyperedges.py   answers averaged over the hyperedges on which the teacher stays sure
structure.py    a teacher that reads structure, a student that does not; soft labels
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "StructureDistillation": "structure",
        "SoftLabels": "structure",
        "ReliableHyperedges": "hyperedges",
        "SoftCodes": "codes",
    },
)
