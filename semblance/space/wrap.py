"""wrap: a network of the user's own, trained elsewhere, as a Semblance model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from semblance.data.dataset import Shape
from semblance.data.prepare import Prepare
from semblance.encoders.wrapped import Wrapped
from semblance.learning.parts import Network
from semblance.space.model import Model


def wrap(
    module: nn.Module,
    transform: Callable[[Tensor], Tensor] | None = None,
    *,
    domain: str = "images",
    item: Sequence[int] = (3, 224, 224),
) -> Model:
    """A model of your own as a Semblance model: `sb.fit(data, recipe=sb.wrap(module, transform))` makes a space of it.

    `transform` takes the stored items (images uint8 [n, C, H, W] of size `item`, vectors float32 [n, d]) and returns
    what the module wants; without it images are divided by 255. The module answers [n, d] or maps [n, d, H, W],
    which are averaged over H and W.
    """
    shape = Shape(domain, tuple(item), 0, 0, mean=(0.0,) * item[0], std=(1.0,) * item[0])
    encoder = Wrapped(module)
    prepare = transform or Prepare(shape, True)
    with torch.inference_mode():
        probe = torch.zeros(1, *item, dtype=torch.uint8 if domain == "images" else torch.float32)
        encoder.eval()
        encoder.embed({"x": prepare(probe)})  # learns its width, and fails here rather than in the middle of a fit
    return Model(Network(encoder), shape, prepare)
