"""A run that stops and goes on: weights, optimiser state and the place in the run, in one safetensors file.

The file is written beside its name, synced and renamed, so that a kill leaves the old or the new one. Nothing is
pickled: tensors are tensors, the rest is JSON in the header. Chance is counted (see parts.py) and needs no saving.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from semblance.errors import Failed, SemblanceError


@dataclass
class Place:
    """Where a run stands: `step` batches of `epoch` are done, `done` optimiser steps in all."""

    epoch: int = 0
    step: int = 0
    done: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


def save(path: Path, modules: nn.Module, optimizer: torch.optim.Optimizer, place: Place, signature: str) -> None:
    """Write the state of a run. `signature` says which run it is: recipe, settings, data, seed."""
    tensors = {f"module.{name}": value.detach().cpu().contiguous() for name, value in modules.state_dict().items()}
    plain: dict[str, Any] = {}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor):
                # A copy: some optimisers let several parameters share one step tensor, which safetensors refuses.
                tensors[f"optimizer.{index}.{name}"] = value.detach().cpu().clone().contiguous()
            else:
                plain[f"{index}.{name}"] = value
    header = {"place": json.dumps(asdict(place)), "plain": json.dumps(plain), "signature": signature}
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    try:
        save_file(tensors, beside, metadata=header)
        with open(beside, "rb") as written:
            os.fsync(written.fileno())
        os.replace(beside, path)
    except (OSError, SafetensorError) as error:
        beside.unlink(missing_ok=True)
        raise Failed(
            f"the checkpoint {path} could not be written ({error}): free some space or give another --out"
        ) from error


def restore(path: Path, modules: nn.Module, optimizer: torch.optim.Optimizer, signature: str) -> Place:
    """Bring modules and optimiser to the saved state; returns the place to go on from."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise SemblanceError(f"the checkpoint {path} cannot be read ({error}): fit without --resume") from error
    if header.get("signature") != signature:
        raise SemblanceError(
            f"the checkpoint {path} belongs to another run ({header.get('signature')}; this one is {signature}): "
            "fit without --resume, or with the settings it was started with"
        )
    modules.load_state_dict({k.removeprefix("module."): v for k, v in tensors.items() if k.startswith("module.")})
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    for name, value in json.loads(header["plain"]).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, kept in optimizer.state.items():
        for key, value in kept.items():
            # Fused optimisers walk parameter and state side by side in memory, so both need one layout (channels_last).
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                kept[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    return Place(**json.loads(header["place"]))
