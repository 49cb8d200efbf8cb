"""PCA whitening: coordinates along the principal axes of the training items, each divided by its deviation.

    z = (x - mean) V diag(1 / sqrt(variance + eps)),    V: the `dim` eigenvectors of the covariance with the most of it

Distances between whitened items are Mahalanobis distances in the space of the kept axes. Nothing is trained: the
covariance is summed over the training items in blocks, and one eigendecomposition gives the map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from semblance.data.dataset import Shape
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Euclidean, Sphere
from semblance.recipes import Recipe, Stage, recipe


class Whitened(nn.Module):
    """z = (x - mean) axes. Mean [d] and axes [d, dim] are solved for, not trained, and kept in the model's file."""

    def __init__(self, inputs: int, dim: int, cosine: bool):
        super().__init__()
        self.dim, self.geometry = dim, Sphere() if cosine else Euclidean()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("axes", torch.eye(inputs)[:, :dim])

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """x [N, d] -> [N, dim]."""
        return (batch["x"] - self.mean) @ self.axes

    def embed(self, batch: dict[str, Any]) -> Tensor:
        """x [N, d] -> [N, dim]."""
        return self.forward(batch)


@dataclass(frozen=True)
class SolveWhitening:
    """The rule: one pass over the training items, then an eigendecomposition, in float64."""

    eps: float
    epochs: int = 1

    def run(self, parts: Any, data: Any, budget: Any) -> Iterator[dict[str, float]]:
        """Yields once: the share of the variance that the kept axes hold."""
        encoder = parts.network.to(data.device).encoder
        count, total, squares = 0, 0.0, 0.0
        for batch in data.in_order():
            x = batch["x"].double()
            count, total, squares = count + len(x), total + x.sum(0), squares + x.T @ x
        mean = total / count
        variance, axes = torch.linalg.eigh(squares / count - torch.outer(mean, mean))  # ascending
        kept = slice(len(variance) - encoder.dim, None)
        scale = (variance[kept].clamp_min(0) + self.eps * variance.clamp_min(0).max()).rsqrt()
        # An eigenvector's sign is free: the largest entry of each is made positive, so that machines agree.
        signs = axes[:, kept].gather(0, axes[:, kept].abs().argmax(0, keepdim=True)).sign()
        encoder.mean.copy_(mean)
        encoder.axes.copy_(axes[:, kept] * signs * scale)
        yield {"epoch": 1.0, "variance": float(variance[kept].sum() / variance.sum())}


@recipe(entry=None, paper="Hotelling 1933, Analysis of a complex of statistical variables", domains="vectors")
def pca_whitening(dim: int = 32, eps: float = 1e-3, cosine: bool = True) -> Recipe:
    """semblance fit vectors.npy --recipe pca-whitening    # eps: of the largest variance, added to every axis' own"""
    if dim < 1 or eps <= 0:
        raise SemblanceError(f"dim is {dim} and eps {eps}: give 1 or more axes, and a number above 0")

    def encoder(shape: Shape) -> Whitened:
        return Whitened(shape.item[0], min(dim, shape.item[0]), cosine)

    return Recipe(encoder=encoder, stages=(Stage(rule=SolveWhitening(eps)),), standardise=False)
