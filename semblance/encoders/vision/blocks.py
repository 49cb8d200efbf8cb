"""Blocks: a few convolutions and the way around them.

    post-activation   y = relu(shortcut(x) + norm(conv(... relu(norm(conv(x))))))
    pre-activation    y = shortcut(x) + conv(relu(norm(... conv(relu(norm(x))))))

A block is a `Layout`, the kernels of its convolutions and how much the last of them widens; what the papers call blocks
are layouts:
    conv         (3), no shortcut           one convolution, the plain net's step
    basic        (3, 3)                     He et al. 2016, arXiv:1512.03385
    bottleneck   (1, 3, 1), widens by 4     the same; grouped in the middle: Xie et al. 2017, arXiv:1611.05431
    preactivation (3, 3), norm first        Zagoruyko & Komodakis 2016, arXiv:1605.07146
    preactivation-bottleneck (1, 3, 1)      He et al. 2016, arXiv:1603.05027
The shortcut is `none` (a plain net), A (strided identity, new channels are zero), B (1x1 projection where the shape
changes) or C (projection everywhere).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from semblance.encoders.vision.norm import BatchNormAct
from semblance.errors import SemblanceError, unknown

Norm = Callable[[int, bool], nn.Module]  # (channels, with the ReLU) -> module of (x, shortcut or None)
SHORTCUTS = ("none", "A", "B", "C")


@dataclass(frozen=True)
class Layout:
    """Kernel sizes in order, the last convolution's widening, and whether norm and ReLU come before convolutions."""

    kernels: tuple[int, ...]
    expansion: int = 1
    before: bool = False


LAYOUTS = {
    "conv": Layout((3,)),
    "basic": Layout((3, 3)),
    "bottleneck": Layout((1, 3, 1), expansion=4),
    "preactivation": Layout((3, 3), before=True),
    "preactivation-bottleneck": Layout((1, 3, 1), expansion=4, before=True),
}


class Unnormed(nn.Module):
    """The norm slot left empty: the sum and the ReLU only."""

    def __init__(self, channels: int, activation: bool = True):
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """[N, C, H, W] -> the same."""
        y = x if shortcut is None else x + shortcut
        return F.relu(y) if self.activation else y


NORMS: dict[str, Norm] = {"batch": BatchNormAct, "none": Unnormed}


def norm_named(norm: str | Norm) -> Norm:
    """A norm slot by name, or the user's own."""
    if callable(norm):
        return norm
    if norm not in NORMS:
        raise unknown("norm", norm, NORMS)
    return NORMS[norm]


def convolution(
    width_in: int,
    width_out: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """A convolution that keeps H and W at stride 1. Its bias is left out where a norm would cancel it."""
    padding = dilation * (kernel // 2)
    return nn.Conv2d(width_in, width_out, kernel, stride, padding, dilation, groups, bias=bias)


class ZeroPadded(nn.Module):
    """Shortcut A: every stride-th pixel, and zeros for the channels that are new."""

    def __init__(self, width_in: int, width_out: int, stride: int):
        super().__init__()
        self.new, self.stride = width_out - width_in, stride

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C + new, H/stride, W/stride]."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new))


class Projected(nn.Module):
    """Shortcuts B and C: a strided 1x1 convolution, normed in post-activation blocks."""

    def __init__(self, width_in: int, width_out: int, stride: int, norm: Norm | None):
        super().__init__()
        self.conv = convolution(width_in, width_out, 1, stride, bias=norm is Unnormed)
        self.norm = norm(width_out, False) if norm is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H/stride, W/stride]."""
        y = self.conv(x)
        return y if self.norm is None else self.norm(y)


def shortcut_of(kind: str, width_in: int, width_out: int, stride: int, norm: Norm | None) -> nn.Module | None:
    """The way around a block, or None where nothing goes around it."""
    if kind not in SHORTCUTS:
        raise unknown("shortcut", kind, SHORTCUTS)
    changes = stride != 1 or width_in != width_out
    if kind == "none":
        return None
    if kind == "C" or (kind == "B" and changes):
        return Projected(width_in, width_out, stride, norm)
    if not changes:
        return nn.Identity()
    if width_out < width_in:
        raise SemblanceError(f"shortcut A cannot narrow {width_in} channels to {width_out}: take shortcut B")
    return ZeroPadded(width_in, width_out, stride)


@dataclass(frozen=True)
class BlockSpec:
    """All numbers of one block. `inner` is the width of all its convolutions but the last."""

    layout: Layout
    width_in: int
    inner: int
    width_out: int
    stride: int = 1
    dilation: int = 1
    cardinality: int = 1
    stride_in_first: bool = True
    shortcut: str = "B"

    def convolutions(self, bias: bool) -> list[nn.Conv2d]:
        """The convolutions in order, from `width_in` to `width_out`."""
        kernels = self.layout.kernels
        if self.cardinality > 1 and len(kernels) < 3:
            raise SemblanceError(
                f"cardinality {self.cardinality} needs a block of three convolutions: with {len(kernels)} the branches "
                "add up to one wider block; take block 'bottleneck'"
            )
        wide = [i for i, kernel in enumerate(kernels) if kernel > 1]
        strided = 0 if self.stride_in_first or not wide else wide[0]
        widths = [self.width_in, *[self.inner] * (len(kernels) - 1), self.width_out]
        return [
            convolution(
                widths[i],
                widths[i + 1],
                kernel,
                stride=self.stride if i == strided else 1,
                dilation=self.dilation if kernel > 1 else 1,
                groups=self.cardinality if 0 < i < len(kernels) - 1 and kernel > 1 else 1,
                bias=bias,
            )
            for i, kernel in enumerate(kernels)
        ]


class PostActivation(nn.Module):
    """Norm after each convolution; the last norm adds the shortcut and takes the ReLU of the sum in one pass."""

    def __init__(self, spec: BlockSpec, norm: Norm):
        super().__init__()
        convs = spec.convolutions(bias=norm is Unnormed)
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleList([norm(conv.out_channels, True) for conv in convs])
        self.shortcut = shortcut_of(spec.shortcut, spec.width_in, spec.width_out, spec.stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H/stride, W/stride]."""
        y = x
        for conv, norm in zip(self.convs[:-1], self.norms[:-1], strict=True):
            y = norm(conv(y))
        y = self.convs[-1](y)
        return self.norms[-1](y) if self.shortcut is None else self.norms[-1](y, self.shortcut(x))


class PreActivation(nn.Module):
    """Norm and ReLU before each convolution; nothing stands on the identity, a projection sees the activated input."""

    def __init__(self, spec: BlockSpec, norm: Norm):
        super().__init__()
        convs = spec.convolutions(bias=norm is Unnormed)
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleList([norm(conv.in_channels, True) for conv in convs])
        self.shortcut = shortcut_of(spec.shortcut, spec.width_in, spec.width_out, spec.stride, None)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H/stride, W/stride]."""
        activated = self.norms[0](x)
        y = self.convs[0](activated)
        for conv, norm in zip(self.convs[1:], self.norms[1:], strict=True):
            y = conv(norm(y))
        if self.shortcut is None:
            return y
        return y + self.shortcut(activated if isinstance(self.shortcut, Projected) else x)


def block(spec: BlockSpec, norm: Norm) -> nn.Module:
    """The block of this spec."""
    return PreActivation(spec, norm) if spec.layout.before else PostActivation(spec, norm)
