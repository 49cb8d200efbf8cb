"""A small denoising autoencoder of rows: pictures as rows, or what one layer of a large network says of its inputs.

    z = E(x),   x' = D(z),   loss = mean |D(E(x + noise)) - x|^2,     E, D perceptrons with one hidden layer

A bounded last layer (sigmoid, for x in 0..1) keeps the codes of D and E, applied in turn, from running away; rows of other
ranges are standardised and the last layer is linear. Axes: width of the code, noise, weight decay, steps.
Reference: Vincent et al. 2008 "Extracting and Composing Robust Features with Denoising Autoencoders".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.analysis.fine_tuning import drawn_module
from semblance.analysis.fitted import fitted
from semblance.errors import SemblanceError
from semblance.learning.parts import NOISE, torch_chance
from semblance.objectives.projector import perceptron


class Autoencoder(nn.Module):
    """`encode` [N, p] -> [N, code], `decode` back."""

    shift: Tensor
    scale: Tensor

    def __init__(self, width: int, code: int = 16, hidden: int = 256, bounded: bool = True):
        super().__init__()
        self.encoder = perceptron((width, hidden, code), hidden_norm=False)
        self.decoder = perceptron((code, hidden, width), hidden_norm=False)
        self.bounded = bounded
        self.register_buffer("shift", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def encode(self, x: Tensor) -> Tensor:
        """[N, p] -> [N, code]"""
        codes: Tensor = self.encoder((x - self.shift) / self.scale)
        return codes

    def decode(self, z: Tensor) -> Tensor:
        """[N, code] -> [N, p]"""
        x: Tensor = self.decoder(z)
        return (torch.sigmoid(x) if self.bounded else x) * self.scale + self.shift

    def forward(self, z: Tensor) -> Tensor:
        """One step of the codes: E(D(z))."""
        return self.encode(self.decode(z))


def fit_autoencoder(
    x: Tensor,
    code: int = 16,
    hidden: int = 256,
    noise: float = 0.3,
    steps: int = 1500,
    batch: int = 128,
    lr: float = 1e-3,
    decay: float = 1e-4,
    seed: int = 0,
) -> Autoencoder:
    """Rows [n, p] -> the trained autoencoder. noise: its deviation, in units of x
    where x lies in 0..1, else of a column."""
    if x.ndim != 2 or not len(x) or not bool(x.isfinite().all()):
        raise SemblanceError(f"give finite rows [items, numbers]: x has shape {tuple(x.shape)}")
    bounded = bool(x.min() >= 0) and bool(x.max() <= 1)
    net = drawn_module(lambda: Autoencoder(x.shape[1], code, hidden, bounded), seed)
    assert isinstance(net, Autoencoder)
    if not bounded:
        net.shift, net.scale = x.mean(0), x.std(0).clamp_min(1e-6)
    chance = torch_chance(seed, NOISE)

    def loss(rows: Tensor) -> Tensor:
        clean = x[rows]
        noisy = clean + noise * net.scale * torch.randn(clean.shape, generator=chance)
        return ((net.decode(net.encode(noisy)) - clean) / net.scale).square().mean()

    fitted(net, loss, len(x), steps, seed, batch, lr, decay)
    return net
