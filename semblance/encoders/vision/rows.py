"""Rows: every classical backbone as one row of a table, read by `stagenet`.

A row says what changes from net to net: the stem, and per stage how deep, how wide, at what stride. A new backbone of
this family is a new row; a variant is a row with an axis replaced: `stage_net("resnet50", stride_in_first=False)`.
    small, half             the small nets of our claims
    conv4                   Snell et al. 2017, arXiv:1703.05175
    offshelf4               four pooled convolutions, flattened
    resnet18 .. resnet152   He et al. 2016, arXiv:1512.03385, for ImageNet
    resnet8 .. resnet1202   the same for CIFAR; plain8 .. plain1202 without the sums
    resnext*                Xie et al. 2017, arXiv:1611.05431
    wrn-D-K                 Zagoruyko & Komodakis 2016, arXiv:1605.07146
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from semblance.encoders.vision.blocks import LAYOUTS, Layout, Norm
from semblance.errors import SemblanceError, unknown


@dataclass(frozen=True)
class Stem:
    """What comes before the stages: one convolution, then (ImageNet) a max-pool of 3 at stride 2."""

    width: int
    kernel: int = 3
    stride: int = 1
    pool: bool = False
    norm: bool = True


@dataclass(frozen=True)
class Row:
    """One backbone. Tuples have a number per stage.

    widths           what a stage puts out, before the block's widening
    down             how a stage shrinks: `stride` in its first block, or a 2x2 max-`pool` after it
    inner            width of a block's middle in units of `widths`
    stride_in_first  a strided block strides in its first convolution (the 1x1 of a bottleneck, the paper's place) or,
                     if not, in its first larger one (the later v1.5)
    readout          `mean` or `max` over places, or `flatten`; `dim` adds a linear map of the read-out
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    strides: tuple[int, ...]
    stem: Stem | None = None
    block: str | Layout = "basic"
    shortcut: str = "B"
    down: str = "stride"
    dilations: tuple[int, ...] = ()
    cardinality: int = 1
    inner: float = 1.0
    stride_in_first: bool = True
    norm: str | Norm = "batch"
    readout: str = "mean"
    dim: int | None = None

    @property
    def layout(self) -> Layout:
        """The block's layout, by name or as given."""
        if isinstance(self.block, Layout):
            return self.block
        if self.block not in LAYOUTS:
            raise unknown("block", self.block, LAYOUTS)
        return LAYOUTS[self.block]


IMAGENET_STEM = Stem(64, kernel=7, stride=2, pool=True)
IMAGENET = Row(widths=(64, 128, 256, 512), depths=(2, 2, 2, 2), strides=(1, 2, 2, 2), stem=IMAGENET_STEM)
CIFAR = Row(widths=(16, 32, 64), depths=(3, 3, 3), strides=(1, 2, 2), stem=Stem(16), shortcut="A")
CONVOLUTIONS = Row(widths=(32, 64, 128, 128), depths=(1, 1, 1, 1), strides=(2, 2, 2, 1), block="conv", shortcut="none")
POOLED = replace(CONVOLUTIONS, strides=(2, 2, 2, 2), down="pool", readout="flatten")


def _cifar(depth: int, shortcut: str = "A") -> Row:
    return replace(CIFAR, depths=((depth - 2) // 6,) * 3, shortcut=shortcut)


def _wide(depth: int, factor: int) -> Row:
    widths = (16 * factor, 32 * factor, 64 * factor)
    stem = Stem(16, norm=False)
    return replace(CIFAR, widths=widths, depths=((depth - 4) // 6,) * 3, stem=stem, block="preactivation", shortcut="B")


def _aggregated(depths: tuple[int, ...], cardinality: int, inner: float) -> Row:
    return replace(
        IMAGENET, depths=depths, block="bottleneck", cardinality=cardinality, inner=inner, stride_in_first=False
    )


_SMALL_AGGREGATED = replace(
    CIFAR, widths=(64, 128, 256), stem=Stem(64), block="bottleneck", shortcut="B", inner=8, stride_in_first=False
)
_SIXES = (8, 20, 32, 44, 56, 110, 1202)
_WIDE = ((16, 2), (16, 4), (16, 8), (16, 10), (22, 8), (28, 10), (28, 12), (40, 1), (40, 2), (40, 4), (46, 1), (172, 1))

ROWS: dict[str, Row] = {
    "small": CONVOLUTIONS,
    "half": replace(CONVOLUTIONS, widths=(16, 32, 64, 64)),
    "offshelf4": replace(POOLED, norm="none"),
    "conv4": replace(POOLED, widths=(64, 64, 64, 64)),
    "resnet18": IMAGENET,
    "resnet34": replace(IMAGENET, depths=(3, 4, 6, 3)),
    "resnet50": replace(IMAGENET, depths=(3, 4, 6, 3), block="bottleneck"),
    "resnet101": replace(IMAGENET, depths=(3, 4, 23, 3), block="bottleneck"),
    "resnet152": replace(IMAGENET, depths=(3, 8, 36, 3), block="bottleneck"),
    "resnet18-small-image": replace(IMAGENET, stem=Stem(64)),
    "resnext50-32x4d": _aggregated((3, 4, 6, 3), cardinality=32, inner=2),
    "resnext101-32x4d": _aggregated((3, 4, 23, 3), cardinality=32, inner=2),
    "resnext101-64x4d": _aggregated((3, 4, 23, 3), cardinality=64, inner=4),
    "resnext29-8x64d": replace(_SMALL_AGGREGATED, cardinality=8),
    "resnext29-16x64d": replace(_SMALL_AGGREGATED, cardinality=16, inner=16),
    "wrn-50-2": replace(IMAGENET, depths=(3, 4, 6, 3), block="bottleneck", inner=2, stride_in_first=False),
    **{f"resnet{depth}": _cifar(depth) for depth in _SIXES},
    **{f"plain{depth}": _cifar(depth, shortcut="none") for depth in _SIXES},
    **{f"wrn-{depth}-{factor}": _wide(depth, factor) for depth, factor in _WIDE},
}


def row_named(name: str, **axes: Any) -> Row:
    """The row of this name with axes replaced; the axis `width` is the first stage's width and scales all others."""
    if name not in ROWS:
        raise unknown("backbone", name, ROWS)
    row = ROWS[name]
    width = axes.pop("width", None)
    known = [f.name for f in fields(Row)]
    for axis in axes:
        if axis not in known:
            raise unknown(f"axis of backbone {name}", axis, ["width", *known])
    row = replace(row, **axes)
    return _checked(name, row if width is None else _scaled(row, width))


def _scaled(row: Row, width: object) -> Row:
    if not isinstance(width, int) or width < 1:
        raise SemblanceError(f"width is {width!r}, but it counts the channels of the first stage: give 1 or more")
    first = row.widths[0]
    widths = tuple(max(1, w * width // first) for w in row.widths)
    stem = None if row.stem is None else replace(row.stem, width=max(1, row.stem.width * width // first))
    return replace(row, widths=widths, stem=stem)


def _checked(name: str, row: Row) -> Row:
    stages = len(row.widths)
    for axis in ("depths", "strides", "dilations"):
        given = getattr(row, axis)
        if len(given) != stages and not (axis == "dilations" and not given):
            raise SemblanceError(
                f"{axis} of backbone {name} are {given}, but it has {stages} stages: give {stages} numbers"
            )
    for axis, known in (("down", ("stride", "pool")), ("readout", ("mean", "max", "flatten"))):
        if getattr(row, axis) not in known:
            raise unknown(axis, getattr(row, axis), known)
    return replace(row, dilations=row.dilations or (1,) * stages)
