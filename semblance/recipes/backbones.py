"""What recipes for pictures share: a backbone by name, and the width that objectives and heads will meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from semblance.data.dataset import Shape
from semblance.encoders.vision.patches import patches_of
from semblance.encoders.vision.stagenet import on_images
from semblance.errors import SemblanceError

# Items an epoch shows at least: a set of some hundred items gets as many steps as one of some thousand.
LEAST = 4096
SMALL = ("small", "half")


def backbone_of(backbone: str, width: int = 0, **axes: object) -> Callable[[Shape], nn.Module]:
    """The named row of the stage net for the data's pictures, or `patches`, a transformer; `width` 0 leaves its own.

    The small net's first stage keeps the size of pictures under 16 pixels: halved thrice, 8 by 8 would leave one place.
    """

    def build(shape: Shape) -> nn.Module:
        given: dict[str, object] = dict(axes)
        if width:
            given["width"] = width
        if backbone == "patches":
            if "dim" in given:
                raise SemblanceError(
                    "the transformer on patches has the width of its tokens: set width, or take a stage net"
                )
            return patches_of(**given)(shape)  # type: ignore[arg-type]
        if backbone in SMALL and min(shape.item[1:], default=16) < 16:
            given.setdefault("strides", (1, 2, 2, 1))
        return on_images(backbone, **given)(shape)

    return build


def width_of(encoder: Callable[[Shape], Any], shape: Shape) -> int:
    """Width of the embedding that a lazy encoder will give; nothing is allocated and no random number drawn."""
    with torch.device("meta"):
        return int(encoder(shape).dim)
