"""Filters of directed graphs by the holomorphic calculus: functions of an operator that has no orthogonal eigenvectors.

    g(T) = 1 / (2 pi i) contour integral of g(z) (z I - T)^-1 dz          for g holomorphic around the spectrum of T

    layer   Y = a sum_k c_k p_k(T) X W_k + (1 - a) sum_k c_k p_k(T^T) X V_k,   x' = |Y|,   k = 1 .. K [and 0]

What varies: T and p (FaberNet: D_in^-a A D_out^-a and its powers, the Faber polynomials of a disc; Dir-ResolvNet: the
in-degree Laplacian and powers of (I + T)^-1, solved for), the damping c_k (2^-k, 1 / k or 1), the balance a of the two
directions, given or learned, weights real or complex. Complex weights make two streams, joined by the modulus.
Reference: Koke & Cremers 2024, HoloNets: Spectral Convolutions do extend to Directed Graphs, arXiv:2310.02232. The exact
form of Dir-ResolvNet's layer is not checked against the paper.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.encoders.graphs.inputs import linear_of
from semblance.encoders.graphs.operators import Operator, operator_of
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph

BASES = {"power": "two-way", "resolvent": "in-laplacian"}
DAMPINGS: dict[str, Callable[[int], float]] = {
    "halving": lambda k: 2.0**-k,
    "inverse": lambda k: 1 / max(k, 1),
    "none": lambda k: 1.0,
}


class BothWays(nn.Module):
    """The layer: x [V, f], graph -> [V, dim], activation included. `weight` is [directions, orders, dim, f]."""

    imaginary: nn.Parameter | None

    def __init__(
        self,
        inputs: int,
        outputs: int,
        depth: int = 2,
        basis: str = "power",
        exponent: float = 0.25,
        damping: str = "halving",
        constant: bool = False,
        balance: float = 0.5,
        learn_balance: bool = False,
        complex_weights: bool = False,
        unit_rows: bool = False,
    ):
        super().__init__()
        if basis not in BASES:
            raise unknown("basis of both ways", basis, BASES)
        if damping not in DAMPINGS:
            raise unknown("damping", damping, DAMPINGS)
        if depth < 1:
            raise SemblanceError(f"depth is {depth}: a filter along the edges takes 1 step or more")
        if not 0 <= balance <= 1:
            raise SemblanceError(f"balance is {balance}, but it is the share of the edges' own direction: give 0 to 1")
        self.dim, self.basis, self.exponent, self.unit_rows = outputs, basis, exponent, unit_rows
        self.orders = range(0 if constant else 1, depth + 1)
        self.damped = [DAMPINGS[damping](k) for k in self.orders]
        shape = (2, len(self.orders), outputs, inputs)
        bound = (6 / (inputs + outputs)) ** 0.5
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.imaginary = nn.Parameter(torch.empty(shape).uniform_(-bound, bound)) if complex_weights else None
        self.bias = nn.Parameter(torch.zeros(outputs * (2 if complex_weights else 1)))
        value = torch.tensor(float(balance))
        self.learn_balance = learn_balance
        if learn_balance:
            self.balance = nn.Parameter(value)
        else:
            self.register_buffer("balance", value)

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """x: [V, f], dense or torch.sparse_csr -> [V, dim], nowhere negative."""
        operator = operator_of(graph, BASES[self.basis], (self.exponent, self.exponent))
        weight = self.weight if self.imaginary is None else torch.cat([self.weight, self.imaginary], 2)
        mapped = linear_of(x, weight.flatten(0, 2)).unflatten(1, weight.shape[:3])  # [V, 2, orders, dim or twice dim]
        along, against = self._summed(operator, mapped[:, 0]), self._summed(operator.T, mapped[:, 1])
        y = self.balance * along + (1 - self.balance) * against + self.bias
        if self.imaginary is None:
            y = y.abs()
        else:
            y = torch.linalg.vector_norm(y.unflatten(1, (2, self.dim)), dim=1)  # whose gradient at 0 is 0, not nan
        return F.normalize(y, dim=1) if self.unit_rows else y

    def _summed(self, operator: Operator, mapped: Tensor) -> Tensor:
        """sum_k c_k p_k(T) mapped_k for [V, orders, C], from the highest order down: as many steps as the depth."""
        step = operator if self.basis == "power" else operator.solve
        y = self.damped[-1] * mapped[:, -1]
        for at in reversed(range(len(self.damped) - 1)):
            y = self.damped[at] * mapped[:, at] + step(y)
        return step(y) if self.orders[0] else y


def calculus(
    matrix: np.ndarray, function: Callable[[np.ndarray], np.ndarray], centre: float, radius: float, points: int = 1000
) -> np.ndarray:
    """function(matrix), complex [n, n], by the trapezoid rule on a circle that goes around every eigenvalue and around no
    point where the function is not holomorphic. By Gershgorin an in-degree Laplacian's eigenvalues lie within the largest
    in-degree of the largest in-degree."""
    turn = np.exp(2j * np.pi * np.arange(points) / points)
    total = np.zeros(matrix.shape, np.complex128)
    for start in range(0, points, 64):
        some = turn[start : start + 64]
        at = centre + radius * some
        inverse = np.linalg.inv(at[:, None, None] * np.eye(len(matrix)) - matrix)
        total += np.einsum("p,pij->ij", function(at) * radius * some, inverse)
    return total / points
