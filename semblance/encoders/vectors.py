"""Vectors, and pictures read as one long vector: no notion of place, only coordinates.

Identity   z = x
Flat       z = W_L relu(norm(... relu(norm(W_1 flatten(x)))))     no widths: z = flatten(x); one: a linear map
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.dataset import Shape
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Geometry, Sphere


class Identity(nn.Module):
    """Embeddings that exist already; compared by direction unless another geometry is given."""

    def __init__(self, dim: int, geometry: Geometry | None = None):
        super().__init__()
        self.dim, self.geometry = dim, Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """x [N, d] -> the same."""
        x: Tensor = batch["x"]
        return x

    def embed(self, batch: Batch) -> Tensor:
        """x [N, d] -> the same."""
        return self.forward(batch)


class Flat(nn.Module):
    """A perceptron on flattened items of `inputs` numbers; `widths` are those of its layers, the last one bare."""

    def __init__(self, inputs: int, widths: Sequence[int] = (), norm: bool = True, geometry: Geometry | None = None):
        super().__init__()
        if any(width < 1 for width in widths):
            raise SemblanceError(f"widths are {tuple(widths)}, but a layer has 1 unit or more")
        layers: list[nn.Module] = []
        every = (inputs, *widths)
        for i, (width_in, width_out) in enumerate(pairwise(every)):
            last = i == len(widths) - 1
            layers.append(nn.Linear(width_in, width_out, bias=last or not norm))
            if not last:
                layers += [nn.BatchNorm1d(width_out), nn.ReLU()] if norm else [nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.dim, self.geometry = every[-1], Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """x [N, ...] -> [N, dim]."""
        z: Tensor = self.layers(batch["x"].flatten(1))
        return z

    def embed(self, batch: Batch) -> Tensor:
        """x [N, ...] -> [N, dim]."""
        return self.forward(batch)


def flat(*widths: int, norm: bool = True, geometry: Geometry | None = None) -> Callable[[Shape], Flat]:
    """`Flat` as a lazy part: the number of inputs comes from the data."""

    def build(shape: Shape) -> Flat:
        return Flat(math.prod(shape.item), widths, norm, geometry)

    return build
