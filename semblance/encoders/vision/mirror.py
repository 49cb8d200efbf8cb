"""Mirror: a stage net backwards, from its read-out to pictures.

    z [N, dim] -> W z as the net's last map -> a transposed convolution for every stage, last to first -> [N, C, H, W]

Each step has the width and size that the net had there, batch norm and ReLU but for the last, and costs what the stage's
first convolution costs. Masci et al. 2011 (convolutional autoencoders).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from semblance.encoders.vision.stagenet import StageNet, he_initialise
from semblance.errors import SemblanceError


class Mirror(nn.Module):
    """Of a net (which may lie on the meta device) that reads pictures of the shape `item` (C, H, W)."""

    def __init__(self, net: StageNet, item: tuple[int, ...]):
        super().__init__()
        if not isinstance(net, StageNet) or len(item) != 3:
            raise SemblanceError(f"items of shape {item} have no stage net to mirror: give pictures, and a stage net")
        with torch.no_grad():
            maps = net.to("meta").eval()({"x": torch.empty(1, *item, device="meta")})
        self.shapes = [tuple(item), *(tuple(level.shape[1:]) for level in maps)]
        self.last = nn.Linear(net.dim, math.prod(self.shapes[-1]))
        self.steps = nn.ModuleList()
        for (outside, height, _), (inside, low, _) in zip(self.shapes[-2::-1], self.shapes[:0:-1], strict=True):
            self.steps.append(nn.ConvTranspose2d(inside, outside, 3, -(-height // low), 1))
        self.norms = nn.ModuleList([nn.BatchNorm2d(shape[0]) for shape in self.shapes[:0:-1]])
        self.apply(he_initialise)

    def forward(self, z: Tensor) -> Tensor:
        """[N, dim] -> [N, C, H, W]."""
        y = self.last(z).unflatten(1, self.shapes[-1])
        for norm, step, shape in zip(self.norms, self.steps, self.shapes[-2::-1], strict=True):
            y = step(norm(y).relu(), output_size=list(shape[1:]))
        return y
