"""Where a sheaf comes from: learned from the states of both ends, given with the graph, or read off the features.

    learned      F_ve = maps( tanh( A [x_v | x_u] + b ) )                 Bodnar et al. 2022, arXiv:2202.04579
                 diagonal     d numbers
                 householder, cayley, exponential     rotations of d (d - 1) / 2 numbers
                 general      d^2 numbers
    given        friend and foe by the graph's signs, a table of relations, or the constant sheaf, which is the graph itself
                                                                          Hansen & Gebhart 2020, arXiv:2012.06333
    local PCA    the rotation between the tangent frames of both ends     Barbero et al. 2022, arXiv:2206.08702

Each is a module (x, graph) -> operator with `apply`. Normalisation: none, by a node's whole block ("block"), by the
entries of its diagonal alone ("entries"); augmented: the block plus 1. Where maps are diagonal or orthogonal the two are
the same. Learned maps see the structure alone: of a weighted or directed graph they take the pairs that it mentions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semblance.encoders.topology.fused import KINDS, Form, learned_blocks
from semblance.errors import SemblanceError, unknown
from semblance.geometry.blocks import SCALINGS, Blocks, blocks_of, is_compiled
from semblance.geometry.connections import frames, transports
from semblance.geometry.graph import Graph
from semblance.geometry.laplacians import Laplacian, graph_laplacian
from semblance.geometry.pairs import Pairs, pairs_of
from semblance.geometry.sheaves import Map, of_relations, sheaf_laplacian


class SheafLearner(nn.Module):
    """Maps from states [V, d f]. `low_pass` and `high_pass` fix one more stalk coordinate each, counted in d: maps 1 and 1
    at the two ends, or 1 and -1. ridge: added to the diagonal of L."""

    def __init__(
        self,
        d: int,
        f: int,
        maps: str = "diagonal",
        normalisation: str = "block",
        augmented: bool = False,
        low_pass: bool = False,
        high_pass: bool = False,
        ridge: float = 0.0,
    ):
        super().__init__()
        if maps not in MAPS:
            raise unknown("kind of restriction maps", maps, MAPS)
        if normalisation not in SCALINGS:
            raise unknown("normalisation", normalisation, SCALINGS)
        fixed = int(low_pass) + int(high_pass)
        if d <= fixed:
            raise SemblanceError(f"a stalk of {d} with {fixed} fixed coordinates leaves none to learn: raise d")
        self.d, self.f, self.maps, self.ridge = d, f, maps, ridge
        self.normalisation, self.augmented = normalisation, float(augmented)
        self.fixed = [1.0] * low_pass + [-1.0] * high_pass
        self.learned = d - fixed
        # Catalogue and published code count d (d + 1) / 2 for Cayley and the exponential; the diagonal of a skew matrix
        # is 0, so those numbers never had a gradient.
        self.linear = nn.Linear(2 * d * f, MAPS[maps][0](self.learned))

    def forward(self, x: Tensor, graph: Graph) -> Blocks:
        """[V, d f] -> the operator of this layer, differentiable."""
        pairs = pairs_of(graph)
        if self.maps in KINDS and not self.fixed and is_compiled(x, self.d, 1):
            blocks = learned_blocks(pairs, x @ self.weight().t() + self.bias(), self.maps, self.d, self.ridge)
        else:
            blocks = blocks_of(pairs, *self.restrictions(x, pairs), self.ridge)
        return blocks.normalised(self.normalisation, self.augmented)

    def restrictions(self, x: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """The maps of the lower and of the higher end of every pair, [m, d, d], or [m, d] where they are diagonal."""
        owner, other = (x @ self.weight().t() + self.bias()).chunk(2, 1)
        low = self._made(owner[pairs.low] + other[pairs.high])
        high = self._made(owner[pairs.high] + other[pairs.low])
        for sign in self.fixed:
            low, high = _widened(low, 1.0), _widened(high, sign)
        return low, high

    def weight(self) -> Tensor:
        """[2 o, d f]: the linear map by node, as the owner of a map and as the other end."""
        return torch.cat(self.linear.weight.chunk(2, 1))

    def bias(self) -> Tensor:
        """[2 o]."""
        return torch.cat([self.linear.bias, torch.zeros_like(self.linear.bias)])

    def compiled_form(self) -> Form | None:
        """What `residual_step` is set for, where it can do all that is asked."""
        same = self.normalisation != "block" or self.maps != "general"
        if self.maps not in KINDS or self.fixed or not same:
            return None
        added = -1.0 if self.normalisation == "none" else self.augmented
        return Form(self.maps, self.d, self.f, self.ridge, added)

    def _made(self, numbers: Tensor) -> Tensor:
        return MAPS[self.maps][1](torch.tanh(numbers), self.learned)


def _widened(maps: Tensor, value: float) -> Tensor:
    """One more stalk coordinate, mapped by `value`."""
    if maps.ndim == 2:
        return torch.cat([maps, maps.new_full((len(maps), 1), value)], 1)
    m, d, _ = maps.shape
    out = maps.new_zeros(m, d + 1, d + 1)
    out[:, :d, :d] = maps
    out[:, d, d] = value
    return out


def skew(numbers: Tensor, d: int) -> Tensor:
    """[m, d (d - 1) / 2] -> S - S^T with the numbers below the diagonal of S."""
    below = numbers.new_zeros(len(numbers), d, d)
    row, column = torch.tril_indices(d, d, -1)
    below[:, row, column] = numbers
    return below - below.transpose(1, 2)


def cayley(numbers: Tensor, d: int) -> Tensor:
    """(1 + S)^-1 (1 - S)."""
    s, one = skew(numbers, d), torch.eye(d, dtype=numbers.dtype)
    return torch.linalg.solve(one + s, one - s)


def householder(numbers: Tensor, d: int) -> Tensor:
    """H_1 H_2 ... H_d, reflections 1 - 2 u u^T / u.u along u_k = (0, ..., 0, 1, numbers of column k)."""
    u = torch.tril(skew(numbers, d), -1) + torch.eye(d, dtype=numbers.dtype)
    out = torch.eye(d, dtype=numbers.dtype).expand(len(numbers), d, d)
    for k in range(d):
        v = u[:, :, k]
        out = out - 2 * (out @ v[:, :, None]) * (v / v.square().sum(1, keepdim=True))[:, None, :]
    return out


def _half(d: int) -> int:
    return d * (d - 1) // 2


# Numbers a map is made of, and how.
MAPS: dict[str, tuple[Callable[[int], int], Callable[[Tensor, int], Tensor]]] = {
    "diagonal": (lambda d: d, lambda numbers, d: numbers),
    "householder": (_half, householder),
    "cayley": (_half, cayley),
    "exponential": (_half, lambda numbers, d: torch.linalg.matrix_exp(skew(numbers, d))),
    "general": (lambda d: d * d, lambda numbers, d: numbers.view(-1, d, d)),
}


class GivenSheaf(nn.Module):
    """The operator of a sheaf that the graph comes with, found once and kept with it: "constant" (all maps 1), "signs" (1
    and the sign of the edge), or a table {kind of edge: (source's map, target's map)}."""

    needs_input = False

    def __init__(
        self,
        sheaf: str | Mapping[int, tuple[Map, Map]] = "constant",
        normalisation: str = "block",
        augmented: bool = False,
    ):
        super().__init__()
        if isinstance(sheaf, str) and sheaf not in ("constant", "signs"):
            raise unknown("given sheaf", sheaf, ("constant", "signs"))
        self.sheaf, self.normalisation, self.augmented = sheaf, normalisation, augmented

    def forward(self, x: Any, graph: Graph) -> Laplacian:
        """x is not looked at."""
        which = self.sheaf if isinstance(self.sheaf, str) else id(self)
        return graph.once(("sheaf", which, self.normalisation, self.augmented), lambda: self._made(graph))

    def _made(self, graph: Graph) -> Laplacian:
        if self.sheaf == "constant":
            return graph_laplacian(graph, self.normalisation, self.augmented)
        if isinstance(self.sheaf, str):
            return signed_laplacian(graph, self.normalisation, self.augmented)
        return of_relations(graph, self.sheaf, self.normalisation, self.augmented)


def signed_laplacian(graph: Graph, normalisation: str = "none", augmented: bool = False) -> Laplacian:
    """Maps 1 and the sign: friends should agree, foes be opposite. Signs are +1 and -1."""
    pairs = pairs_of(graph)
    if pairs.sign is None:
        raise SemblanceError("the sheaf of signs needs edges with signs, and these have none: take the constant sheaf")
    sign = pairs.sign.double().numpy()
    if not np.isin(sign, (-1.0, 1.0)).all():
        raise SemblanceError(f"an edge has the sign {sign[~np.isin(sign, (-1.0, 1.0))][0]:g}, but signs are 1 and -1")
    ends = torch.stack([pairs.low, pairs.high])
    sizes = np.ones(graph.num_nodes, np.int64)
    same = np.ones((len(pairs), 1, 1))
    return sheaf_laplacian(ends, same, sign[:, None, None], sizes, normalisation, augmented)


class LocalPCA(nn.Module):
    """The connection of local PCA on the features that the network gets, found once and kept with the graph while they stay
    the same. It has no weights: L_ii = deg(i), L_ij = - O_ij, normalised by degree."""

    needs_input = True

    def __init__(self, d: int, weighted: bool = False, normalisation: str = "block", augmented: bool = False):
        super().__init__()
        self.d, self.weighted, self.normalisation, self.augmented = d, weighted, normalisation, float(augmented)

    def forward(self, x: Tensor, graph: Graph) -> Blocks:
        """x: [V, p], the features; p >= d."""
        kept: dict[str, Any] = graph.once(
            ("local pca", self.d, self.weighted, self.normalisation, self.augmented), dict
        )
        if kept.get("given") is not x:
            dense = x.to_dense() if x.layout != torch.strided else x
            if "x" not in kept or kept["x"].dtype != dense.dtype or not torch.equal(kept["x"], dense):
                kept.update(x=dense, blocks=self._found(dense, graph))
            kept["given"] = x
        blocks: Blocks = kept["blocks"]
        return blocks

    def _found(self, x: Tensor, graph: Graph) -> Blocks:
        pairs = pairs_of(graph)
        rotation = transports(frames(x, graph, self.d, self.weighted), graph).to(x.dtype)
        own = torch.diag_embed(pairs.degree.to(x.dtype)[:, None].expand(-1, self.d))
        return Blocks(pairs, rotation, own).normalised(self.normalisation, self.augmented).folded()
