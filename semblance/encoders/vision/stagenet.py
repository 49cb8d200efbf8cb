"""The stage net: a stem, stages of equal blocks that halve the image and widen the channels, and a read-out.

    z = readout(stage_S(... stage_1(stem(x))))

Every classical backbone is a row of `rows`; here it becomes a network. `forward` gives the maps of all stages
(detection and segmentation want them), `embed` the read-out of the last. What varies between the papers are the axes of
`rows.Row`, and the references stand there. Convolutions start as in He et al. 2015 (arXiv:1502.01852): normal, with
variance 2 / fan-out.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.dataset import Shape
from semblance.encoders.vision.blocks import BlockSpec, Norm, Unnormed, block, convolution, norm_named
from semblance.encoders.vision.rows import Row, Stem, row_named
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Geometry, Sphere


class StageNet(nn.Module):
    """The network of a row on images of `channels` channels; a flattened read-out needs their `size` (H, W) too."""

    def __init__(
        self, row: Row, channels: int = 3, size: tuple[int, int] | None = None, geometry: Geometry | None = None
    ):
        super().__init__()
        norm = norm_named(row.norm)
        self.stem = stem(row.stem, channels, norm)
        width = channels if row.stem is None else row.stem.width
        stages = []
        for i in range(len(row.widths)):
            stages.append(stage(row, i, width, norm))
            width = row.widths[i] * row.layout.expansion
        self.stages = nn.ModuleList(stages)
        # Pre-activation blocks leave their sum bare, so the last one's is normed here.
        self.last = norm(width, True) if row.layout.before else nn.Identity()
        self.readout, self.widths = row.readout, tuple(w * row.layout.expansion for w in row.widths)
        pooled = width * places(row, size) if row.readout == "flatten" else width
        self.project = nn.Identity() if row.dim is None else nn.Linear(pooled, row.dim)
        self.dim = pooled if row.dim is None else row.dim
        self.geometry = Sphere() if geometry is None else geometry
        self.apply(he_initialise)

    def forward(self, batch: Batch) -> list[Tensor]:
        """x [N, C, H, W] -> the maps of all stages, [N, width, H', W'] each, finest first."""
        y = self.stem(batch["x"])
        maps = []
        for part in self.stages:
            y = part(y)
            maps.append(y)
        maps[-1] = self.last(y)
        return maps

    def embed(self, batch: Batch) -> Tensor:
        """x [N, C, H, W] -> [N, dim]."""
        return self.project(pool(self.forward(batch)[-1], self.readout))


def pool(maps: Tensor, how: str = "mean") -> Tensor:
    """[N, C, H, W] -> [N, C] by `mean` or `max` over places, or [N, C * H * W] by `flatten`."""
    if how == "flatten":
        return maps.flatten(1)
    return maps.mean((2, 3)) if how == "mean" else maps.amax((2, 3))


def stem(spec: Stem | None, channels: int, norm: Norm) -> nn.Module:
    """What stands before the stages; nothing where a row has no stem."""
    if spec is None:
        return nn.Identity()
    bias = norm is Unnormed
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv=convolution(channels, spec.width, spec.kernel, spec.stride, bias=bias)
    )
    if spec.norm:
        parts["norm"] = norm(spec.width, True)
    if spec.pool:
        parts["pool"] = nn.MaxPool2d(3, 2, 1)
    return nn.Sequential(parts)


def stage(row: Row, i: int, width_in: int, norm: Norm) -> nn.Sequential:
    """Stage i of a row: its blocks, the first of which changes the shape, and its pooling where the row pools."""
    pooled = row.down == "pool"
    width_out = row.widths[i] * row.layout.expansion
    blocks: list[nn.Module] = []
    for j in range(row.depths[i]):
        spec = BlockSpec(
            layout=row.layout,
            width_in=width_in if j == 0 else width_out,
            inner=int(row.widths[i] * row.inner),
            width_out=width_out,
            stride=row.strides[i] if j == 0 and not pooled else 1,
            dilation=row.dilations[i],
            cardinality=row.cardinality,
            stride_in_first=row.stride_in_first,
            shortcut=row.shortcut,
        )
        blocks.append(block(spec, norm))
    if pooled and row.strides[i] > 1:
        blocks.append(nn.MaxPool2d(row.strides[i]))
    return nn.Sequential(*blocks)


def places(row: Row, size: tuple[int, int] | None) -> int:
    """How many pixels the last map has on images of this size; an image that would vanish is refused."""
    if size is None:
        raise SemblanceError("a flattened read-out needs the images' size: give size=(height, width)")
    height, width = size
    shrinks = list(row.strides)
    if row.stem is not None:
        shrinks = [row.stem.stride, *([2] if row.stem.pool else []), *shrinks]
    for step, factor in enumerate(shrinks):
        rounded = row.down == "pool" and step >= len(shrinks) - len(row.strides)
        # A padded, strided convolution rounds up; a 2x2 pooling without padding rounds down.
        height, width = (s // factor if rounded else -(-s // factor) for s in (height, width))
    if height < 1 or width < 1:
        raise SemblanceError(
            f"images of {size[0]} by {size[1]} pixels are too small for strides {row.strides}: "
            "enlarge them (size=) or take another backbone, such as 'small'"
        )
    return height * width


def he_initialise(module: nn.Module) -> None:
    """Normal weights of variance 2 / fan-out for convolutions, zero for their biases; others keep their own."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def stage_net(row: str, *, channels: int = 3, size: tuple[int, int] | None = None, **axes: Any) -> StageNet:
    """The backbone of this name; `axes` replace its row's (see `rows.Row`, and `width` for the first stage's width).

    >>> stage_net("resnet18-small-image", width=32).dim
    256
    """
    geometry = axes.pop("geometry", None)
    return StageNet(row_named(row, **axes), channels, size, geometry)


def on_images(row: str, **axes: Any) -> Callable[[Shape], StageNet]:
    """The backbone as a lazy part: channels and size come from the data."""

    def build(shape: Shape) -> StageNet:
        if len(shape.item) != 3:
            raise SemblanceError(
                f"backbone {row!r} reads images, but an item of this data has shape {shape.item}: "
                "take a recipe for vectors, or --domain images"
            )
        channels, height, width = shape.item
        return stage_net(row, channels=channels, size=(height, width), **axes)

    return build


def multiply_adds(net: nn.Module, size: tuple[int, int], channels: int = 3) -> int:
    """Multiply-adds of convolutions and linear layers for one image of this size; nothing is computed or allocated."""
    counted = copy.deepcopy(net).to("meta").eval()
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        # Each output number is a sum over one filter, or over one row of a linear map.
        total += output.numel() * module.weight[0].numel()  # type: ignore[index]

    for module in counted.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    batch = {"x": torch.empty(1, channels, *size, device="meta")}
    counted(batch) if not isinstance(counted, StageNet) else counted.embed(batch)
    return total
