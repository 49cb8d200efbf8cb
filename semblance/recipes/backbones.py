"""What recipes for pictures share: a backbone by name, and the width that objectives and heads will meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from semblance.data.dataset import Shape
from semblance.encoders.vision.stagenet import on_images

# Items an epoch shows at least: a set of some hundred items gets as many steps as one of some thousand.
LEAST = 4096


def backbone_of(backbone: str, width: int = 0, **axes: object) -> Callable[[Shape], nn.Module]:
    """The named row of the stage net for the data's pictures; `width` 0 leaves its own."""
    return on_images(backbone, **({"width": width} if width else {}), **axes)


def width_of(encoder: Callable[[Shape], Any], shape: Shape) -> int:
    """Width of the embedding that a lazy encoder will give; nothing is allocated and no random number drawn."""
    with torch.device("meta"):
        return int(encoder(shape).dim)
