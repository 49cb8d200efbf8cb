"""Integrated Jacobians: a similarity of two items as a sum over pairs of their parts.

    f(a, b) = e(a) . e(b)
    A_st    = sum_k G_a[k, s] G_b[k, t],    G_a[k, s] = sum over the features i of part s of (a - r)_i integral de_k/dx_i

along the straight line from a reference r to a. The matrix sums to f(a, b) - f(r_a, b) - f(a, r_b) + f(r_a, r_b), which is
e'(a) . e'(b) with e'(x) = e(x) - e(r): with the embedding so shifted nothing is left over. What varies:

    part        the second last axis of what is differentiated: a token, a cell of a map, a state of a hidden layer
    quadrature  midpoint (the paper's), or gauss: the same error at a fraction of the steps, where e is smooth
    mode        derivatives along every part (forward) or of every output (reverse), whichever are fewer

For the cosine, divide by the lengths of both embeddings (`similarity_matrix`): putting the division into e would lose the
sum, since at a reference of length 0 a direction jumps.

Moeller, Nikolaev & Pado 2023, "An Attribution Method for Siamese Encoders"; Sundararajan, Taly & Yan 2017,
arXiv:1703.01365.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from semblance.errors import SemblanceError, unknown

Embed = Callable[[Tensor], Tensor]
Push = Callable[[Tensor, Tensor], Tensor]
QUADRATURES = ("midpoint", "gauss")
AT_ONCE = 1 << 22
"""Numbers of tangents at a time."""


@dataclass(frozen=True)
class Along:
    """One side. parts: [k, P], how each output moves on the way, by part. z, reference: [k], the embeddings at its ends."""

    parts: Tensor
    z: Tensor
    reference: Tensor

    @property
    def shifted(self) -> Tensor:
        """[k], e(x) - e(r)."""
        return self.z - self.reference


@dataclass(frozen=True)
class PairAttribution:
    """matrix: [P, Q], whose sum is `shifted` up to the error of the steps. shifted: e'(a) . e'(b). similarity: f(a, b).
    left: what of f the parts do not make, f(r_a, b) + f(a, r_b) - f(r_a, r_b). lengths: |e'(a)| |e'(b)|; norms: |e(a)|
    |e(b)|."""

    matrix: np.ndarray
    shifted: float
    similarity: float
    left: float
    lengths: float
    norms: float

    @property
    def error(self) -> float:
        """How far the sum misses, as a part of |e'(a)| |e'(b)|."""
        return abs(float(self.matrix.sum()) - self.shifted) / max(self.lengths, np.finfo(np.float64).tiny)


@torch.no_grad()  # weights get no gradient, and none is kept on the way; derivatives by the input go through all the same
def along(
    embed: Embed,
    x: Tensor,
    reference: Tensor,
    steps: int = 50,
    quadrature: str = "midpoint",
    mode: str = "auto",
    push: Push | None = None,
) -> Along:
    """embed: [n, P, d] -> [n, k], differentiable. x, reference: [P, d] of one item. push: the derivatives along each part
    where somebody has written them out, (points [n, P, d], x - reference) -> [n, P, k]."""
    if steps < 1:
        raise SemblanceError(f"steps is {steps}: the line from the reference needs one point or more")
    where, weight = _points(steps, quadrature, x)
    delta = x - reference
    points = reference + where[:, None, None] * delta  # [steps, P, d]
    z, start = embed(torch.stack([x, reference]))
    parts = len(x)
    forward = mode == "forward" or (mode == "auto" and parts <= len(z))
    # A block holds the derivatives of so many steps, each parts (or outputs) x parts x features.
    size = max(1, AT_ONCE // (max(parts if forward else len(z), 1) * max(delta.numel(), 1)))
    total = x.new_zeros(len(z), parts)
    for first in range(0, steps, size):
        block, scale = points[first : first + size], weight[first : first + size]
        if push is not None:
            total += torch.einsum("n,npk->kp", scale, push(block, delta))
        else:
            total += (_forward if forward else _reverse)(embed, block, delta, scale)
    return Along(total, z, start)


def _forward(embed: Embed, points: Tensor, delta: Tensor, weight: Tensor) -> Tensor:
    """Derivatives along each part: [k, P]."""
    parts = len(delta)
    each = torch.diag_embed(delta.T).permute(1, 2, 0)  # [P, P, d], row s holds part s alone

    def one(direction: Tensor) -> Tensor:
        moved: Tensor = torch.func.jvp(embed, (points,), (direction.expand_as(points),))[1]
        return weight @ moved  # [k]

    if not parts:
        return points.new_zeros(embed(points).shape[1], 0)
    found: Tensor = torch.func.vmap(one)(each).T
    return found


def _reverse(embed: Embed, points: Tensor, delta: Tensor, weight: Tensor) -> Tensor:
    """Gradients of each output: [k, P]."""
    z, back = torch.func.vjp(embed, points)
    each = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    gradient = torch.func.vmap(lambda output: back(weight[:, None] * output)[0].sum(0))(each)  # [k, P, d]
    found: Tensor = (gradient * delta).sum(-1)
    return found


def _points(steps: int, quadrature: str, like: Tensor) -> tuple[Tensor, Tensor]:
    """Places on the line in (0, 1), and their weights, which sum to 1."""
    if quadrature == "midpoint":
        where, weight = (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    elif quadrature == "gauss":
        where, weight = np.polynomial.legendre.leggauss(steps)
        where, weight = (where + 1) / 2, weight / 2
    else:
        raise unknown("quadrature", quadrature, QUADRATURES)
    return torch.as_tensor(where).to(like), torch.as_tensor(weight).to(like)


def pair(a: Along, b: Along) -> PairAttribution:
    """Both sides joined."""
    f, cross = a.z @ b.z, (a.reference @ b.z, a.z @ b.reference)
    base = a.reference @ b.reference
    return PairAttribution(
        (a.parts.double().T @ b.parts.double()).cpu().numpy(),
        float(a.shifted @ b.shifted),
        float(f),
        float(cross[0] + cross[1] - base),
        float(a.shifted.norm() * b.shifted.norm()),
        float(a.z.norm() * b.z.norm()),
    )


def similarity_matrix(found: PairAttribution) -> tuple[np.ndarray, float, float]:
    """For the cosine: the matrix [P, Q], the cosine, and what of it the parts do not make; 0 where an embedding is 0."""
    norms = found.norms or np.inf
    return found.matrix / norms, found.similarity / norms, found.left / norms
