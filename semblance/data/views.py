"""Views: one item as it might also have looked.

    view(p) = standardise( clamp( M x(A p) + b ) )

Cropping, flipping, turning, zooming and shifting are one affine map A of coordinates; brightness, contrast, saturation,
hue and greyscale one affine map (M, b) of colours. Each is drawn per picture and applied in a single pass (`warp.py`),
where a pipeline of operations would walk the batch ten times. What that changes: hue is a rotation about the grey axis
rather than a shift of an HSV angle, contrast is taken about a fixed `pivot` rather than each picture's mean, and values
are clamped once, at the end. Blur is no map of colours and costs a pass of its own where it is asked for.

    SimCLR     two crops, jitter, greyscale, blur on large pictures    Chen et al. 2020, arXiv:2002.05709
    crop boxes, ten tries and then the whole picture                   Szegedy et al. 2015, arXiv:1409.4842
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.contracts import Dataset
from semblance.data.dataset import Shape
from semblance.data.prepare import Prepare
from semblance.errors import SemblanceError, unknown

BORDERS = ("edge", "zero")
LUMINANCE = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601, as in television grey
TINY = 32  # pictures with a side below this are cropped gently; up to this they are not blurred


class Maps(NamedTuple):
    """What was drawn for n pictures.

    coordinates [n, 2, 3]: a pixel centre of the view -> where to look in the picture, both in pixels, (0, 0) being the
    outer corner of the first pixel. colours [n, K, K + 1]: colours 0..1 -> colours, K = 3 or, for other pictures, one
    map for every channel. blur [n]: deviation in pixels, 0 for none; None where no picture is blurred.
    """

    coordinates: Tensor
    colours: Tensor
    blur: Tensor | None = None


@dataclass(frozen=True)
class Views:
    """How the views of a picture are drawn; all draws are uniform and independent per picture.

    count: views per item. scale: the crop's share of the area (None: the whole picture), ratio: its width over height.
    flip: mirrored left to right with probability 1/2. turn: up to so many degrees either way. zoom: the content's size
    relative to the picture's. shift: up to so many pixels either way per axis. brightness, contrast, saturation:
    factors 1 - s to 1 + s; hue: up to this part of a full turn; all four with probability `jitter`. grey: probability
    of greyscale. pivot: the value that contrast leaves as it is (0 keeps a black ground black). blur: probability of a
    Gaussian blur of deviation 0.1 to 2 at 224 pixels, in proportion at others. border: what is seen outside the
    picture.
    shrink: the view has this many times fewer pixels on a side, each the mean of a square (small crops).
    One-channel pictures know no saturation, hue or grey; pictures with neither 1 nor 3 channels keep their colours.
    """

    count: int = 2
    scale: tuple[float, float] | None = (0.2, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    turn: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    jitter: float = 0.8
    grey: float = 0.2
    pivot: float = 0.5
    blur: float = 0.0
    border: str = "edge"
    shrink: int = 1

    def __post_init__(self) -> None:
        if self.border not in BORDERS:
            raise unknown("border", self.border, BORDERS)
        if self.shrink < 1:
            raise SemblanceError(f"shrink is {self.shrink}, but views are made smaller by it: give 1 or more")
        if self.count < 1:
            raise SemblanceError(f"count is {self.count}, but an item needs at least one view: give 1 or more")
        for name in ("scale", "ratio", "zoom"):
            span = getattr(self, name)
            if span is not None and not 0 < span[0] <= span[1]:
                raise SemblanceError(
                    f"{name} is {span}, but it is drawn between two positive numbers: give (low, high)"
                )
        if self.scale is not None and self.scale[1] > 1:
            raise SemblanceError(f"scale is {self.scale}, but a crop is at most the whole picture: give shares up to 1")
        for name in ("jitter", "grey", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise SemblanceError(f"{name} is {getattr(self, name)}, but it is a probability: give 0 to 1")
        for name in ("turn", "shift", "brightness", "contrast", "saturation", "hue"):
            if getattr(self, name) < 0:
                raise SemblanceError(f"{name} is {getattr(self, name)}, but it is a strength: give 0 or more")

    def draw(self, n: int, item: tuple[int, ...], generator: torch.Generator) -> Maps:
        """The maps of n pictures of shape item (C, H, W)."""
        channels, height, width = item
        blur = None
        coordinates = self._coordinates(n, height, width, generator)
        colours = self._colours(n, channels, generator)
        if self.blur > 0:
            deviation = _between(n, 0.1, 2.0, generator) * min(height, width) / 224
            blur = torch.where(torch.rand(n, generator=generator) < self.blur, deviation, 0.0)
        return Maps(coordinates, colours, blur)

    def __call__(
        self, x: Tensor, generator: torch.Generator, prepare: Prepare, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """One view of each: x as stored, uint8 [n, C, H, W] -> dtype [n, C, H, W] in channels_last memory."""
        if x.ndim != 4:
            raise SemblanceError(
                f"views show pictures anew, but these units have shape {tuple(x.shape[1:])}: use a recipe without views"
            )
        return self.show(x, self.draw(len(x), tuple(x.shape[1:]), generator), prepare).to(dtype)

    def show(self, x: Tensor, maps: Maps, prepare: Prepare) -> Tensor:
        """The pictures as these maps show them, in the size of views."""
        seen = apply(x, maps, prepare, self.border)
        if self.shrink == 1:
            return seen
        return F.avg_pool2d(seen, self.shrink).contiguous(memory_format=torch.channels_last)

    def _coordinates(self, n: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """-> [n, 2, 3]: crop and flip, then turn, zoom and shift about the crop's centre."""
        box_width, box_height, x0, y0 = self._boxes(n, height, width, generator)
        mirror = torch.rand(n, generator=generator) < 0.5 if self.flip else torch.zeros(n, dtype=torch.bool)
        angle = _between(n, -self.turn, self.turn, generator) * (math.pi / 180)
        zoom = _between(n, *self.zoom, generator)
        shift_x, shift_y = (_between(n, -self.shift, self.shift, generator) for _ in range(2))
        across = torch.where(mirror, -box_width, box_width) / (width * zoom)
        down = box_height / (height * zoom)
        cos, sin = torch.cos(angle), torch.sin(angle)
        linear = torch.stack([cos * across, sin * down, -sin * across, cos * down], 1).view(n, 2, 2)
        centre = torch.stack([x0 + box_width / 2, y0 + box_height / 2], 1)
        # The view's own centre, moved by the shift, looks at the centre of the crop.
        moved = torch.stack([width / 2 + shift_x, height / 2 + shift_y], 1)
        return torch.cat([linear, (centre - (linear @ moved[:, :, None])[:, :, 0])[:, :, None]], 2)

    def _boxes(self, n: int, height: int, width: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """-> width, height, left and top of n crops: the first of ten tries that fits, else the whole picture."""
        if self.scale is None:
            return torch.full((n,), float(width)), torch.full((n,), float(height)), torch.zeros(n), torch.zeros(n)
        area = _between((n, 10), *self.scale, generator) * (height * width)
        ratio = torch.exp(_between((n, 10), math.log(self.ratio[0]), math.log(self.ratio[1]), generator))
        w, h = torch.sqrt(area * ratio), torch.sqrt(area / ratio)
        fits = (w <= width) & (h <= height)
        first = fits.int().argmax(1, keepdim=True)
        w = torch.where(fits.any(1), w.gather(1, first)[:, 0], float(width))
        h = torch.where(fits.any(1), h.gather(1, first)[:, 0], float(height))
        return w, h, torch.rand(n, generator=generator) * (width - w), torch.rand(n, generator=generator) * (height - h)

    def _colours(self, n: int, channels: int, generator: torch.Generator) -> Tensor:
        """-> [n, K, K + 1]: hue and saturation about the luminance, then brightness, then contrast about the pivot."""
        jittered = torch.rand(n, generator=generator) < self.jitter

        def factor(strength: float) -> Tensor:
            drawn = _between(n, max(0.0, 1 - strength), 1 + strength, generator)
            return torch.where(jittered, drawn, 1.0)

        bright, contrast = factor(self.brightness), factor(self.contrast)
        gain, offset = (bright * contrast)[:, None, None], ((1 - contrast) * self.pivot)[:, None, None]
        if channels == 1:
            return torch.cat([gain, offset], 2)
        if channels != 3:
            return torch.tensor([[[1.0, 0.0]]]).repeat(n, 1, 1)
        saturation = factor(self.saturation)
        saturation = torch.where(torch.rand(n, generator=generator) < self.grey, 0.0, saturation)[:, None, None]
        angle = torch.where(jittered, _between(n, -self.hue, self.hue, generator), 0.0) * (2 * math.pi)
        luminance = LUMINANCE.expand(3, 3)
        mixed = luminance + saturation * (_about_grey(angle) @ (torch.eye(3) - luminance))
        return torch.cat([gain * mixed, offset.expand(n, 3, 1)], 2)


@dataclass(frozen=True)
class ByShape:
    """Views that are chosen when the pictures' shape (C, H, W) is known."""

    choose: Callable[[tuple[int, ...]], Views]
    count: int = 2

    def __call__(
        self, x: Tensor, generator: torch.Generator, prepare: Prepare, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """As `Views`."""
        return self.choose(tuple(x.shape[1:]))(x, generator, prepare, dtype)


@dataclass(frozen=True)
class Several:
    """Views of different kinds, one of each: two large crops and small ones, or one strongly and one weakly changed.

    nested: every view but the first is drawn within what the first one shows of the picture (a crop inside a crop), its
    colours from the picture itself. turned: handed on in reverse order, the crop inside first.
    """

    each: tuple[Views | ByShape, ...]
    nested: bool = False
    turned: bool = False

    @property
    def count(self) -> int:
        """How many views an item has."""
        return len(self.each)

    def all(self, x: Tensor, generators: list[torch.Generator], prepare: Prepare) -> list[Tensor]:
        """x as stored, uint8 [n, C, H, W], and chance for every view -> the views, [n, C, h, w] each."""
        item = tuple(x.shape[1:])
        kinds = [kind.choose(item) if isinstance(kind, ByShape) else kind for kind in self.each]
        maps = [kind.draw(len(x), item, chance) for kind, chance in zip(kinds, generators, strict=True)]
        if self.nested:
            maps = [
                maps[0],
                *(inner._replace(coordinates=inside(maps[0].coordinates, inner.coordinates)) for inner in maps[1:]),
            ]
        views = [kind.show(x, drawn, prepare) for kind, drawn in zip(kinds, maps, strict=True)]
        return views[::-1] if self.turned else views

    def __call__(
        self, x: Tensor, generator: torch.Generator, prepare: Prepare, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """One view, of the first kind."""
        return self.each[0](x, generator, prepare, dtype)


def inside(outer: Tensor, inner: Tensor) -> Tensor:
    """Maps of coordinates [n, 2, 3] -> that of a view (inner) of a view (outer) of the picture."""
    linear, shift = outer[:, :, :2], outer[:, :, 2:]
    return torch.cat([linear @ inner[:, :, :2], linear @ inner[:, :, 2:] + shift], 2)


def apply(x: Tensor, maps: Maps, prepare: Prepare, border: str = "edge") -> Tensor:
    """The pictures as these maps show them: uint8 [n, C, H, W] -> float32 [n, C, H, W], channels_last memory."""
    from semblance.data.warp import warp  # numba takes half a second to import and is not needed to draw

    mean, std = prepare.moments
    out = warp(
        np.ascontiguousarray(x.numpy()),
        maps.coordinates.numpy(),
        maps.colours.numpy(),
        mean.numpy(),
        std.numpy(),
        border == "zero",
        torch.get_num_threads(),
    )
    seen = torch.from_numpy(out).permute(0, 3, 1, 2)
    return seen if maps.blur is None else _blurred(seen, maps.blur)


def cifar_views(count: int = 2) -> Views:
    """Small colour pictures: the objectives catalogue's views of CIFAR-10."""
    return Views(count=count, scale=(0.3, 1.0))


def digit_views(count: int = 2, side: int = 28) -> Views:
    """White on black: the objectives catalogue's views of moved MNIST, the shift in proportion to the side."""
    return Views(
        count=count,
        scale=None,
        flip=False,
        turn=30.0,
        zoom=(0.8, 1.25),
        shift=4.0 * side / 28,
        brightness=0.0,
        contrast=0.4,
        jitter=1.0,
        grey=0.0,
        pivot=0.0,
        border="zero",
    )


def default_views(shape: Shape | tuple[int, ...]) -> Views:
    """What suits pictures of this shape: drawings are turned, small pictures cropped gently, large ones blurred too."""
    channels, height, width = shape.item if isinstance(shape, Shape) else shape
    side = min(height, width)
    if channels == 1 and side < TINY:
        drawn = digit_views(side=side)
        # Drawings stand upright and in the middle where nobody moved them: half the catalogue's turns and shifts keep
        # more of what tells them apart. Under 16 pixels this made no difference.
        return drawn if side < 16 else replace(drawn, turn=15.0, zoom=(0.9, 1.1), shift=2.0 * side / 28)
    if side <= TINY:
        return cifar_views()
    return Views(blur=0.5)


def two_crops(count: int = 2) -> ByShape:
    """SimCLR's views, suited to the pictures they meet (`default_views`)."""
    return ByShape(lambda item: replace(default_views(item), count=count), count)


def views_picture(
    dataset: Dataset, views: Views | ByShape | Several, seed: int = 0, items: int = 10, columns: int = 6
) -> Any:
    """A matplotlib figure: `items` pictures, each followed by views of it, drawn with this seed."""
    from matplotlib.figure import Figure

    if dataset.domain != "images":
        raise SemblanceError(f"views are drawn of pictures, but this data is of the domain {dataset.domain!r}")
    rows = np.sort(np.random.default_rng(seed).permutation(len(dataset))[:items])
    x = torch.from_numpy(np.ascontiguousarray(dataset.read(rows)["x"]))
    prepare = Prepare(Shape("images", tuple(x.shape[1:]), 0, len(x)), standardise=False)
    generator = torch.Generator().manual_seed(seed)
    if isinstance(views, Several):
        rounds = max(1, columns // views.count)
        drawn = [view for _ in range(rounds) for view in views.all(x, [generator] * views.count, prepare)]
    else:
        drawn = [views(x, generator, prepare) for _ in range(columns)]
    shown = [prepare(x), *drawn]
    figure = Figure(figsize=(1.1 * len(shown), 1.1 * len(x)), layout="constrained")
    grid = figure.subplots(len(x), len(shown), squeeze=False)
    for column, pictures in enumerate(shown):
        for row, picture in enumerate(pictures):
            axes = grid[row][column]
            axes.imshow(
                picture[:3].permute(1, 2, 0).clamp(0, 1).numpy() if len(picture) >= 3 else picture[0].numpy(),
                cmap="gray",
                vmin=0,
                vmax=1,
            )
            axes.set_axis_off()
    grid[0][0].set_title("as it is", fontsize=8)
    grid[0][1].set_title("views", fontsize=8)
    return figure


def _between(size: int | tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(size, generator=generator)


def _about_grey(angle: Tensor) -> Tensor:
    """[n] radians -> [n, 3, 3], rotations about the axis of greys (1, 1, 1)."""
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    return cos * torch.eye(3) + sin * cross + (1 - cos) / 3


def _blurred(x: Tensor, deviation: Tensor) -> Tensor:
    """[n, C, H, W], [n] pixels -> [n, C, H, W]: a Gaussian per picture, rows then columns, edges repeated."""
    n, channels, height, width = x.shape
    radius = max(1, math.ceil(3 * float(deviation.max())))
    steps = torch.arange(-radius, radius + 1.0)
    weights = torch.exp(-0.5 * (steps / deviation.clamp_min(1e-3)[:, None]) ** 2)  # a deviation of 0 keeps the centre
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None, None]
    y = x.reshape(1, n * channels, height, width)
    y = F.conv2d(F.pad(y, (radius, radius, 0, 0), mode="replicate"), weights, groups=n * channels)
    y = F.conv2d(F.pad(y, (0, 0, radius, radius), mode="replicate"), weights.mT.contiguous(), groups=n * channels)
    return y.view(n, channels, height, width).contiguous(memory_format=torch.channels_last)
