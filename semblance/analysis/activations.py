"""Activations: what the layers of any torch module say of the same inputs, layers by name or pattern.

    activations(net, batches, ["layer*.1"])  ->  {"layer1.1": [n, p], ...}

An item's activation is its layer's output, flattened; channels may be averaged over positions, or every position counted
as a sample of its own, as comparisons of units do (Li et al. 2015 "Convergent Learning"). The module runs in evaluation
mode and is left as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semblance.errors import SemblanceError, unknown

UNITS = ("flat", "mean", "position")


def layers_named(module: nn.Module, patterns: Sequence[str]) -> list[str]:
    """The names of layers that match a name or a pattern (`*`, `?`), in the order of the module."""
    names = [name for name, _ in module.named_modules() if name]
    found: dict[str, None] = {}
    for pattern in patterns:
        some = [name for name in names if fnmatchcase(name, pattern)]
        if not some:
            raise unknown("layer", pattern, names)
        found |= dict.fromkeys(some)
    return [name for name in names if name in found]


@torch.no_grad()
def activations(
    module: nn.Module,
    batches: Iterable[Any],
    layers: Sequence[str],
    unit: str = "flat",
    call: Callable[[Any], Any] | None = None,
) -> dict[str, np.ndarray]:
    """Batches are what the module is called on: a tensor, a tuple of arguments whose first counts (inputs, labels), or a
    mapping of keywords; `call` runs the module on a batch where it wants something else. unit: flat [n, everything]; mean
    [n, channels], over positions; position [n positions, channels]. Of layers that only a pattern names, those that are
    never called (lists of layers) or give no tensor of a row an item are left out.
    """
    if unit not in UNITS:
        raise unknown("unit", unit, UNITS)
    names, parts = layers_named(module, layers), dict[str, list[np.ndarray | None]]()
    held = dict(module.named_modules())
    hooks = [
        held[name].register_forward_hook(partial(_keep, parts.setdefault(name, []), name, unit, name in layers))
        for name in names
    ]
    was = module.training
    module.eval()
    try:
        for batch in batches:
            if call is not None:
                call(batch)
            elif isinstance(batch, Mapping):
                module(**batch)
            else:
                module(batch[0] if isinstance(batch, tuple | list) else batch)
    finally:
        module.train(was)
        for hook in hooks:
            hook.remove()
    silent = [name for name in names if not parts[name] and name in layers]
    found = {name: [part for part in parts[name] if part is not None] for name in names}
    found = {name: kept for name, kept in found.items() if kept and len(kept) == len(parts[name])}
    if silent or not found:
        raise SemblanceError(
            f"the layer {(silent or names)[0]} was never called: name one that the inputs pass, and give one batch or more"
        )
    return {name: np.concatenate(kept) for name, kept in found.items()}


def _keep(
    parts: list[np.ndarray | None], name: str, unit: str, named: bool, _: nn.Module, __: Any, output: Any
) -> None:
    output = output[0] if isinstance(output, tuple | list) else output
    if not isinstance(output, Tensor) or output.ndim < 2:
        if not named:
            parts.append(None)
            return
        raise SemblanceError(
            f"the layer {name} gives {type(output).__name__}, not a tensor of a row an item: name another"
        )
    z = output.detach().float().cpu()
    if unit == "mean" and z.ndim > 2:
        z = z.flatten(2).mean(2)
    elif unit == "position" and z.ndim > 2:
        z = z.flatten(2).transpose(1, 2).flatten(0, 1)
    parts.append(z.flatten(1).numpy().copy())
