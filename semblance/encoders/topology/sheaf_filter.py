"""A propagation filter over a sheaf: a polynomial of S = 1 - L, L a sheaf's Laplacian, instead of a graph's operator.

    Z = sum_k c_k p_k(S) X,   k = 0 .. K            X: [V, d f], a stalk of d coordinates with f channels at every node

Coefficients and bases are those of the filters over graphs (`graphs/propagate.py`), sheaves those of sheaf diffusion
(`sheaf.py`): learned from the very states that are propagated, given with the graph, or read off the features. With the
constant sheaf, normalised and augmented, S is the operator of graph convolution, and this is the plain filter. Not of a
paper: Gasteiger et al. 2019, arXiv:1810.05997 (the filter) with Bodnar et al. 2022, arXiv:2202.04579 (the operator).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from semblance.encoders.graphs.propagate import Filter
from semblance.encoders.topology.diffusion import flowed
from semblance.errors import SemblanceError
from semblance.geometry.blocks import Blocks, check_stalks
from semblance.geometry.graph import Graph
from semblance.geometry.laplacians import Laplacian


@dataclass(frozen=True, eq=False)
class Agreement:
    """S = 1 - L on states [V, d f], as bases ask for it."""

    laplacian: Blocks | Laplacian
    d: int

    def __call__(self, x: Tensor) -> Tensor:
        stalks = x.view(len(x), self.d, -1)
        return (stalks - flowed(self.laplacian, stalks)).flatten(1)


class SheafFilter(Filter):
    """`sheaf`: a module (x, graph) -> L, asked once a pass, with the states before propagation; d: the size of a stalk."""

    def __init__(self, depth: int, mix: nn.Module, sheaf: nn.Module, d: int = 1, basis: nn.Module | None = None):
        super().__init__(depth, mix, basis)
        self.sheaf, self.d = sheaf, d

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, d f] -> [V, d f]."""
        check_stalks(x, self.d)
        terms = self.basis.terms(Agreement(self.sheaf(x, graph), self.d), x, self.depth)
        z: Tensor = self.mix(terms)
        return z

    def blocks(self, x: Tensor, graph: Graph) -> list[Tensor]:
        """Refused: nothing can be had of raw features before the sheaf is learned."""
        raise SemblanceError("a filter over a sheaf moves learned states: put a map of the features before it")
