"""Deconvnet: one activation of a convolutional net carried back to pixels, and what changes when pixels do.

    reconstruction   one unit at one place, all others zero, back through switches, rectified signals, transposed kernels:
                     the rule `deconvnet` of `backward_rules`, times the activation; zero outside the receptive field
    receptive field  the rectangle of pixels that a place of a map looks at, from kernels, strides and paddings
    strongest        the pictures that drive a unit most, each with its patch
    change           |f(T x) - f(x)| / |f(x)| under a shift, a scale or a turn T
    correspondence   e_i = f(x_i) - f(x_i without a part); how often the signs of e_i and e_j differ, over pairs of pictures
    diagnosis        first-layer filters that are dead, or that alias

Reference: Zeiler & Fergus 2013, Visualizing and Understanding Convolutional Networks, arXiv:1311.2901.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.analysis.saliency import gradient
from semblance.errors import SemblanceError

Layers = Callable[[Tensor], Tensor]
ROOT_MEAN_SQUARE = 0.1  # of a first-layer kernel, at most


class Field(NamedTuple):
    """Rows and columns of pixels, the ends one beyond; cut off at the picture's border."""

    top: int
    left: int
    bottom: int
    right: int


def pooled(x: Tensor, side: int, stride: int | None = None) -> tuple[Tensor, Tensor]:
    """[N, C, H, W] -> the largest of every window, and the switches: where each stood."""
    found: tuple[Tensor, Tensor] = F.max_pool2d(x, side, stride or side, return_indices=True)
    return found


def unpooled(y: Tensor, switches: Tensor, size: tuple[int, int]) -> Tensor:
    """[N, C, h, w] -> [N, C, H, W]: each value at its switch, zero elsewhere (one chosen by two windows stands once)."""
    flat = torch.zeros(*y.shape[:2], size[0] * size[1], dtype=y.dtype)
    return flat.scatter(2, switches.flatten(2), y.flatten(2)).view(*y.shape[:2], *size)


def reconstruction(upto: Layers, x: Tensor, unit: int, place: tuple[int, int], rule: str = "deconvnet") -> Tensor:
    """[1, C, H, W] -> [C, H, W]: what of the picture this activation saw. `upto` computes the map [1, units, h, w]; where
    it has no ReLU, the result is the gradient times the activation."""

    def activation(x: Tensor) -> Tensor:
        return upto(x)[:, unit, place[0], place[1]]

    with torch.no_grad():
        seed = activation(x)
    return (seed[:, None, None, None] * gradient(activation, x, rule))[0]


def strongest(maps: Tensor, unit: int, k: int = 9) -> list[tuple[int, int, int]]:
    """Maps [N, units, h, w] -> the k pictures with the largest activation of a unit: (picture, row, column), one each."""
    best, at = maps[:, unit].flatten(1).max(1)
    order = best.topk(min(k, len(best))).indices
    width = maps.shape[3]
    return [(int(i), int(at[i]) // width, int(at[i]) % width) for i in order]


def receptive_field(layers: Iterable[nn.Module], place: tuple[int, int], size: tuple[int, int]) -> Field:
    """Convolutions and poolings in order, a place of the last map, the picture's size -> the pixels it looks at."""
    spans = [(place[0], place[0]), (place[1], place[1])]
    for layer in reversed(list(layers)):
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            spans = [_seen(layer, axis, *span) for axis, span in enumerate(spans)]
        elif list(layer.children()):
            raise SemblanceError(f"a {type(layer).__name__} has parts of its own: give the plain layers in order")
    ends = [(max(low, 0), min(high + 1, s)) for (low, high), s in zip(spans, size, strict=True)]
    return Field(ends[0][0], ends[1][0], ends[0][1], ends[1][1])


def _seen(layer: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d, axis: int, low: int, high: int) -> tuple[int, int]:
    def of(value: object) -> int:
        number = value[axis] if isinstance(value, tuple) else value
        assert isinstance(number, int), f"padding {number!r} is no number"
        return number

    kernel, stride, padding = of(layer.kernel_size), of(layer.stride), of(layer.padding)
    reach = of(getattr(layer, "dilation", 1)) * (kernel - 1)
    return low * stride - padding, high * stride - padding + reach


def energy_window(picture: Tensor, side: int) -> tuple[int, int]:
    """[C, H, W] -> top left corner of the square with the most energy (sum of squares)."""
    energy = F.avg_pool2d(picture.square().sum(0)[None, None], side, 1)[0, 0]
    return divmod(int(energy.argmax()), energy.shape[1])


def relative_change(f: Layers, x: Tensor, moved: Tensor) -> Tensor:
    """[N, ...], the same transformed -> [N], |f(moved) - f(x)| / |f(x)|."""
    with torch.no_grad():
        before, after = f(x).flatten(1), f(moved).flatten(1)
    return (after - before).norm(dim=1) / before.norm(dim=1).clamp_min(torch.finfo(before.dtype).tiny)


def transformed(
    x: Tensor, shift: tuple[float, float] = (0.0, 0.0), scale: float = 1.0, turn: float = 0.0, border: str = "zeros"
) -> Tensor:
    """[N, C, H, W] moved by so many pixels down and right, scaled and turned (degrees, clockwise) about its middle."""
    angle, (height, width) = math.radians(turn), x.shape[2:]
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    ratio = height / width
    away = torch.tensor([[cosine, sine * ratio], [-sine / ratio, cosine]], dtype=x.dtype)
    back = torch.tensor([2 * shift[1] / width, 2 * shift[0] / height], dtype=x.dtype)
    maps = torch.cat([away, -(away @ back)[:, None]], 1).expand(len(x), 2, 3)
    grid = F.affine_grid(maps, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=border, align_corners=False)


def correspondence(f: Layers, x: Tensor, without: Tensor) -> float:
    """Pictures [N, ...], the same without one part each -> the mean share of features, over pairs of pictures, whose change
    has different signs: small where the net ties the part to one thing in all of them."""
    with torch.no_grad():
        sign = (f(x) - f(without)).flatten(1).sign()
    n = len(sign)
    if n < 2:
        raise SemblanceError(f"{n} picture(s) make no pair: give two or more")
    # Signs are -1, 0, 1: two are equal where their product is 1, or both are 0.
    none = (sign == 0).to(sign.dtype)
    plus, minus = (sign > 0).to(sign.dtype), (sign < 0).to(sign.dtype)
    equal = plus @ plus.T + minus @ minus.T + none @ none.T
    differ = 1 - equal / sign.shape[1]
    return float(differ.sum() / (n * (n - 1)))  # the diagonal is 0


class Diagnosis(NamedTuple):
    """Of first-layer filters: the share whose output never leaves zero; the share of a filter's energy at frequencies that
    the stride cannot carry (mean); root mean squares [units]."""

    dead: float
    aliased: float
    size: Tensor


def diagnose(first: nn.Conv2d, x: Tensor) -> Diagnosis:
    """The first convolution on pictures [N, C, H, W]."""
    with torch.no_grad():
        alive = first(x).amax((0, 2, 3)) > 0
        spectrum = torch.fft.fft2(first.weight, s=(32, 32)).abs().square().sum(1)  # [units, 32, 32]
        frequency = torch.fft.fftfreq(32).abs()
        limit = 0.5 / torch.tensor(first.stride, dtype=frequency.dtype)
        high = (frequency[:, None] > limit[0]) | (frequency[None] > limit[1])
        share = (spectrum * high).sum((1, 2)) / spectrum.sum((1, 2)).clamp_min(torch.finfo(spectrum.dtype).tiny)
    return Diagnosis(float((~alive).float().mean()), float(share.mean()), root_mean_square(first))


def root_mean_square(conv: nn.Conv2d) -> Tensor:
    """[units] of their kernels."""
    return conv.weight.detach().square().mean((1, 2, 3)).sqrt()


@torch.no_grad()
def renormalise(conv: nn.Conv2d, most: float = ROOT_MEAN_SQUARE) -> None:
    """Kernels whose root mean square exceeds `most` are brought back to it; called after a step of training."""
    size = root_mean_square(conv)
    conv.weight.mul_((most / size.clamp_min(torch.finfo(size.dtype).tiny)).clamp_max(1)[:, None, None, None])
