"""wrap: a network of the user's own, trained elsewhere, as a Semblance model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from semblance.data.dataset import Shape
from semblance.data.prepare import Prepare
from semblance.encoders.files import read_module
from semblance.encoders.wrapped import encoder_of
from semblance.errors import SemblanceError
from semblance.learning.parts import Network
from semblance.space.model import Model, as_stored

ITEM = (3, 224, 224)


def wrap(
    module: nn.Module | str | Path,
    transform: Callable[[Tensor], Tensor] | None = None,
    *,
    domain: str = "images",
    item: Sequence[int] | None = None,
    backbone: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Model:
    """A model of your own as a Semblance model: `sb.fit(data, recipe=sb.wrap(module, transform))` makes a space of it.

    module: any torch module; or the path of an .onnx graph, of a .safetensors checkpoint whose `backbone` is named
    (`resnet18`: torchvision's and timm's weights fit), of a transformers folder; or `hf://OWNER/NAME`. A space made from
    a path opens by itself; one made from a module in memory is opened by `sb.load(path, module)`.

    `transform` takes the stored items (images uint8 [n, C, H, W] of size `item`, vectors float32 [n, d]) and returns
    what the module wants; without it images are divided by 255, then `mean` and `std` are taken out where given (a path
    often knows them, and its item's size). A transform that treats 0..255 in float32 like bytes gets drawn views
    unrounded. The module answers [n, d] or maps [n, d, H, W], which are averaged over H and W.
    """
    origin: dict[str, Any] = {}
    known: dict[str, Any] = {}
    if isinstance(module, str | Path):
        if backbone is None and (ours := _own(Path(module))) is not None:
            return ours
        module, origin, known = read_module(module, backbone)
    elif backbone is not None:
        raise SemblanceError(f"backbone={backbone!r} names the network of a checkpoint: give its path, or leave it out")
    sizes = tuple(item) if item is not None else known.get("item") or _usual(origin)
    moments = [known.get(name) if given is None else given for name, given in (("mean", mean), ("std", std))]
    for name, values, neutral in zip(("mean", "std"), moments, (0.0, 1.0), strict=True):
        if values is not None and len(values) != sizes[0]:
            raise SemblanceError(f"{name} has {len(values)} numbers for {sizes[0]} channels: give one for each")
        if values is None:
            moments[name == "std"] = (neutral,) * sizes[0]
    shape = Shape(domain, sizes, 0, 0, mean=tuple(moments[0] or ()), std=tuple(moments[1] or ()))
    encoder = encoder_of(module)
    usual = as_stored if origin.get("onnx") == "uint8" else Prepare(shape, True)
    prepare: Callable[[Tensor], Tensor] = transform or usual
    with torch.inference_mode():
        probe = torch.zeros(1, *sizes, dtype=torch.uint8 if domain == "images" else torch.float32)
        encoder.eval()
        try:
            z = encoder.embed(
                {"x": prepare(probe)}
            )  # learns its width, and fails here rather than in the middle of a fit
        except SemblanceError:
            raise
        except Exception as error:  # whatever the user's own module raises
            told = str(error).strip().splitlines() or [type(error).__name__]
            said = "given" if item is not None else "taken, since none was named"
            raise SemblanceError(
                f"the module cannot embed an item of the shape {sizes} ({said}): {told[0]}; give item=(channels, height, "
                "width) as it takes them, or a transform"
            ) from error
    if z.ndim != 2:
        raise SemblanceError(f"the wrapped encoder embedded an item as {list(z.shape)}: it has to give vectors [N, d]")
    return Model(Network(encoder), shape, prepare, origin=origin)


def _usual(origin: dict[str, Any]) -> tuple[int, ...]:
    """The item where nobody names one: ImageNet's."""
    return (int(origin.get("channels", ITEM[0])), *ITEM[1:])


def _own(path: Path) -> Model | None:
    """The model of a file that `Model.save` wrote, None for any other file."""
    if path.suffix.lower() != ".safetensors" or not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            ours = "semblance" in (file.metadata() or {})
    except (OSError, SafetensorError):
        return None  # read_module says what is wrong with it
    return Model.load(path) if ours else None
