"""Features of a pair of nodes from their vectors, the same whichever of the two comes first.

    average (a + b) / 2      hadamard a * b      weighted-l1 |a - b|      weighted-l2 (a - b)^2

Grover & Leskovec 2016, node2vec, arXiv:1607.00653, table 1.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from semblance.errors import unknown

OPERATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "average": lambda a, b: (a + b) / 2,
    "hadamard": lambda a, b: a * b,
    "weighted-l1": lambda a, b: (a - b).abs(),
    "weighted-l2": lambda a, b: (a - b) ** 2,
}


def edge_features(z: Tensor, pairs: Tensor, operator: str = "hadamard") -> Tensor:
    """Vectors of nodes z [V, d] and pairs int64 [2, n] -> [n, d]."""
    if operator not in OPERATORS:
        raise unknown("edge operator", operator, OPERATORS)
    return OPERATORS[operator](z[pairs[0]], z[pairs[1]])
