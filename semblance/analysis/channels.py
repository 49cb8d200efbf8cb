"""Channels: a network whose axis of channels is permuted, merged, split or thinned.

    makes   rows into a channel (weights and biases of what computes it, norm parameters and statistics)
    reads   columns out of it (weights of what comes next; several in a row where maps were flattened)

    P on `makes`, Q on `reads`:   W_makes <- P W_makes,   W_reads <- W_reads Q^T,     P, Q  [new channels, channels]
    a permutation, P = Q          leaves the function as it was
    a merge, rows of P means, rows of Q sums, of equal channels    so does
    a choice, P = Q rows of the identity                           is what pruning does

Which tensors share an axis is read off the network by `channel_axes`.
Reference: Ainsworth et al. 2023 "Git Re-Basin: Merging Models modulo Permutation Symmetries".
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from semblance.errors import SemblanceError, unknown

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Slot:
    """Where a tensor carries an axis: dimension `dim`, `block` consecutive entries a channel."""

    tensor: str
    dim: int
    reads: bool = False
    block: int = 1


@dataclass(frozen=True)
class Axis:
    """Channels that several tensors share; `name` is the layer that makes them first."""

    name: str
    size: int
    slots: tuple[Slot, ...]
    fixed: bool = False


def axis_named(axes: Iterable[Axis], name: str) -> Axis:
    """The axis that the layer of this name makes."""
    known = {axis.name: axis for axis in axes}
    if name not in known:
        raise unknown("axis of channels", name, known)
    return known[name]


def slices(module: nn.Module, axis: Axis, where: Callable[[Slot], bool] = lambda slot: True) -> Tensor:
    """float64 [channels, numbers]: all that the tensors of an axis hold of every channel."""
    held = _tensors(module)
    parts = [_rows(held[slot.tensor].detach().double(), slot, axis.size) for slot in axis.slots if where(slot)]
    return torch.cat(parts, 1) if parts else torch.zeros(axis.size, 0, dtype=torch.float64)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers())}


def _rows(tensor: Tensor, slot: Slot, size: int) -> Tensor:
    """[channels, rest]"""
    return tensor.movedim(slot.dim, 0).reshape(size, -1)


@torch.no_grad()
def with_channels(module: nn.Module, axis: Axis, makes: Tensor, reads: Tensor) -> nn.Module:
    """A copy whose axis has the channels that `makes` and `reads` [new, old] say; an ordinary module of new widths."""
    if axis.fixed:
        raise SemblanceError(
            f"the channels of {axis.name} are the network's input or output, or mixed unseen: they stay"
        )
    made = copy.deepcopy(module)
    layers, held = dict(made.named_modules()), _tensors(made)
    for slot in axis.slots:
        tensor, change = held[slot.tensor], reads if slot.reads else makes
        moved = tensor.movedim(slot.dim, 0)
        rows = change.to(tensor.dtype) @ moved.reshape(axis.size, -1)
        new = rows.reshape(len(change) * slot.block, *moved.shape[1:]).movedim(0, slot.dim).contiguous()
        owner, _, name = slot.tensor.rpartition(".")
        if name in layers[owner]._parameters:
            setattr(layers[owner], name, nn.Parameter(new, requires_grad=tensor.requires_grad))
        else:
            layers[owner]._buffers[name] = new
        held[slot.tensor] = getattr(layers[owner], name)
        _counted(layers[owner])
    return made


def _counted(layer: Any) -> None:
    """The widths that a layer says it has, as its tensors have them."""
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, CONVOLUTIONS):
        layer.out_channels = layer.weight.shape[0]
        layer.groups = layer.groups if layer.groups == 1 else layer.out_channels
        layer.in_channels = layer.weight.shape[1] * layer.groups
    elif isinstance(layer, NORMS):
        held = next((t for t in (layer.weight, layer.running_mean) if t is not None), None)
        layer.num_features = layer.num_features if held is None else len(held)


def permuted(module: nn.Module, axis: Axis, order: Tensor) -> nn.Module:
    """The same function with an axis in another order (int64 [channels])."""
    change = torch.eye(axis.size, dtype=torch.float64)[order]
    return with_channels(module, axis, change, change)
