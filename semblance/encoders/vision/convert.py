"""Convert: pretrained ResNets under the names that torchvision and timm share -> the same network as a `StageNet`.

    conv1, bn1                 -> stem.conv, stem.norm
    layer3.0.conv2             -> stages.2.0.convs.1          layers and convolutions count from 1, blocks from 0
    layer3.0.downsample.0      -> stages.2.0.shortcut.conv
    fc                         -> left out: it is the classifier of another data set's classes

The outputs are equal up to rounding. What the weights cannot tell is where a strided bottleneck strides: both libraries
stride in its 3x3 (v1.5), the paper in its first 1x1, so `pretrained` takes the former unless told otherwise. Nets of
other families (deep stems, squeeze-and-excitation, anti-aliasing) have names that are not in the table and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from semblance.encoders.vision.rows import row_named
from semblance.encoders.vision.stagenet import StageNet
from semblance.errors import SemblanceError

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
"""The moments that both libraries' ResNets expect, on the scale 0..1."""

RENAMES: tuple[tuple[str, Callable[..., str]], ...] = (
    (r"conv1", lambda: "stem.conv"),
    (r"bn1", lambda: "stem.norm"),
    (r"layer(\d+)\.(\d+)\.conv(\d+)", lambda layer, block, k: f"stages.{layer - 1}.{block}.convs.{k - 1}"),
    (r"layer(\d+)\.(\d+)\.bn(\d+)", lambda layer, block, k: f"stages.{layer - 1}.{block}.norms.{k - 1}"),
    (r"layer(\d+)\.(\d+)\.downsample\.0", lambda layer, block: f"stages.{layer - 1}.{block}.shortcut.conv"),
    (r"layer(\d+)\.(\d+)\.downsample\.1", lambda layer, block: f"stages.{layer - 1}.{block}.shortcut.norm"),
)
LEFT_OUT = ("fc",)
WRAPPERS = ("module.", "model.", "backbone.", "encoder.", "_orig_mod.")
"""What trainers put before every name."""


def pretrained(tensors: Mapping[str, Tensor], row: str, what: str = "the checkpoint", **axes: Any) -> StageNet:
    """The backbone of this row (`resnet18`, `resnet50`, `wrn-50-2`, ...) filled with these weights, in eval mode.

    tensors: a state dict under torchvision's and timm's names, or under ours. axes replace the row's own, as in
    `stage_net`. Every weight of the net has to be there in its shape; what else there is has to be the classifier.
    """
    ready = renamed(tensors, what)
    first = ready.get("stem.conv.weight")
    if first is None or first.ndim != 4:
        raise SemblanceError(f"{what} has no first convolution (conv1.weight): it is no ResNet's state dict")
    net = StageNet(row_named(row, **{"stride_in_first": False, **axes}), channels=first.shape[1])
    wanted = net.state_dict()
    for name, tensor in ready.items():
        if name not in wanted:
            raise SemblanceError(f"{what} holds {name} {list(tensor.shape)}, and {row} has no such weight: {HINT}")
        if wanted[name].shape != tensor.shape:
            raise SemblanceError(
                f"{what} holds {name} as {list(tensor.shape)}, and {row} has {list(wanted[name].shape)}: {HINT}"
            )
    # Old files do not count batches; nothing depends on that count after training.
    missing = [name for name in wanted if name not in ready and not name.endswith("num_batches_tracked")]
    if missing:
        raise SemblanceError(f"{what} lacks {len(missing)} weights of {row} (first {missing[0]}): {HINT}")
    net.load_state_dict({**wanted, **ready})
    return net.eval()


HINT = "name the row it was trained as (backbone=...)"


def renamed(tensors: Mapping[str, Tensor], what: str = "the checkpoint") -> dict[str, Tensor]:
    """The tensors under our names, the classifier's left out; unknown names are refused."""
    found, strange = {}, []
    for name, tensor in unwrapped(tensors).items():
        owner, _, leaf = name.rpartition(".")
        ours = name if name.startswith(("stem.", "stages.")) else _ours(owner, leaf)
        if ours is not None:
            found[ours] = tensor
        elif owner not in LEFT_OUT:
            strange.append(name)
    if strange:
        raise SemblanceError(
            f"{what} holds {len(strange)} weights that a plain ResNet has not (first {strange[0]}): "
            "load it by its own library and give the module to sb.wrap"
        )
    return found


def unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefixes that wrap a whole network."""
    found = dict(tensors)
    while found and (prefix := next((w for w in WRAPPERS if all(name.startswith(w) for name in found)), None)):
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def _ours(owner: str, leaf: str) -> str | None:
    for pattern, ours in RENAMES:
        match = re.fullmatch(pattern, owner)
        if match is not None:
            return f"{ours(*map(int, match.groups()))}.{leaf}"
    return None
