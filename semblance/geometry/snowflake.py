"""Neural snowflakes: a learned function f of a flat distance, f(|x - y|), which bends the whole space alike.

    u_0 = t;   u_j = B_j psi(A_j u_(j-1)) C_j,  j = 1 .. J;   f(t) = u_J^(1 + |p|)
    psi(u) = (1 - exp(-u), u^a, log(1 + u)^b)      smooth;   0 < a, b < 1 learned
    psi(u) = u^s where u < 1, u^l beyond           stable;   0 < s, l < 1 learned

A, B, C are absolute values of free weights, so f(0) = 0 and f never falls. Neither psi(u) / u ever rises, and sums and
compositions keep that: where p = 0, f(t) / t does not rise either, and f(|x - y|) is a metric. p != 0 gives a
quasi-metric, which bends the triangle inequality by a constant factor and reaches what no flat space can: a star of
many leaves. At p = 0 there is no gradient to leave it by.

References: Borde et al. 2024, Neural snowflakes, arXiv:2310.15003; the stable psi: Borde & Kratsios 2024, Neural
spacetimes, arXiv:2408.13885.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.errors import SemblanceError, unknown
from semblance.geometry.manifolds import Flat

KINDS = {"smooth": 3, "stable": 1}
"""Kinds of psi, and how many numbers each makes of one."""


class Snowflake(nn.Module):
    """f, [...] -> [...], of distances of 0 or more. p: where the outer power starts; learn_p False keeps it."""

    def __init__(
        self,
        layers: int = 2,
        width: int = 20,
        psi: str = "smooth",
        p: float = 0.1,
        learn_p: bool = True,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        if psi not in KINDS:
            raise unknown("psi", psi, KINDS)
        if layers < 1 or width < 1:
            raise SemblanceError(
                f"a snowflake of {layers} layers, {width} wide: give 1 or more of each (2 and 20 are usual)"
            )
        ends = [1, *[width] * (layers - 1), 1]
        self.psi = psi
        self.a = _weights([(width, before) for before in ends[:-1]], generator)
        self.b = _weights([(after, width) for after in ends[1:]], generator)
        self.c = _weights([(1, KINDS[psi])] * layers, generator)
        self.exponents = nn.Parameter(torch.zeros(layers, 2))
        self.p = nn.Parameter(torch.tensor(float(p)), requires_grad=learn_p)

    def forward(self, t: Tensor) -> Tensor:
        """[...] -> [...]."""
        u = t.unsqueeze(-1)
        for a, b, c, exponents in zip(self.a, self.b, self.c, self.exponents.sigmoid(), strict=True):
            bent = self._bent(u @ a.abs().T, exponents)  # [..., width, 1 or 3]
            u = (bent @ c.abs().T).squeeze(-1) @ b.abs().T
        return _power(u.squeeze(-1), 1 + self.p.abs())

    def _bent(self, u: Tensor, exponents: Tensor) -> Tensor:
        """psi of every number."""
        if self.psi == "stable":
            return torch.where(u < 1, _power(u, exponents[0]), _power(u, exponents[1])).unsqueeze(-1)
        return torch.stack([-torch.expm1(-u), _power(u, exponents[0]), _power(u.log1p(), exponents[1])], -1)


class Snowflaked(nn.Module):
    """Flat space with the distance f(|x - y|): a manifold (`manifolds.py`) that learns."""

    def __init__(self, width: int, f: Snowflake):
        super().__init__()
        self.flat, self.width, self.f = Flat(width), width, f

    def bring(self, vectors: Tensor) -> Tensor:
        """As they are."""
        return vectors

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """[..., width], [..., width] -> [...]."""
        bent: Tensor = self.f(self.flat.distance(x, y))
        return bent

    forward = distance

    def descend(self, x: Tensor, gradient: Tensor, rate: float) -> Tensor:
        """Straight on."""
        return self.flat.descend(x, gradient, rate)


def _power(u: Tensor, exponent: Tensor) -> Tensor:
    """u^exponent; 0, with gradient 0, where u is 0 (the slope of a root has no end there)."""
    above = u > 0
    return torch.where(above, torch.where(above, u, 1.0).pow(exponent), 0.0)


def _weights(shapes: list[tuple[int, int]], generator: torch.Generator | None) -> nn.ParameterList:
    # On average a layer then takes means, and f starts near the size of its argument.
    return nn.ParameterList(torch.rand(shape, generator=generator) * 2 / shape[1] for shape in shapes)
