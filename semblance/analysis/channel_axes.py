"""Channel axes: which tensors of a network share an axis of channels, read off the traced network (torch.fx).

Linear and convolution layers begin an axis and read one, norms and elementwise layers hand it on, a residual sum joins the
axes of its sides, a flattened map gives every channel its places. What reaches the output, comes from the input, or passes
through a layer that mixes channels in a way not known here stays as it is (`fixed`).
References: Ainsworth et al. 2023 "Git Re-Basin" (the table); He et al. 2016 (axes joined by residual sums).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from semblance.analysis.channels import CONVOLUTIONS, NORMS, Axis, Slot
from semblance.errors import SemblanceError

SAME = (
    *(
        nn.ReLU,
        nn.ReLU6,
        nn.LeakyReLU,
        nn.ELU,
        nn.GELU,
        nn.SiLU,
        nn.Mish,
        nn.Tanh,
        nn.Sigmoid,
        nn.Softplus,
        nn.Hardtanh,
    ),
    *(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
)
"""Layers that treat every channel alike and none with another."""
SAME_CALLS = {
    *(torch.relu, torch.tanh, torch.sigmoid, F.relu, F.leaky_relu, F.gelu, F.silu, F.elu, F.softplus, F.dropout),
    *(F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d),
    *("relu", "relu_", "tanh", "sigmoid", "contiguous", "clone"),
}
SUMS = {operator.add, operator.iadd, torch.add, "add", "add_"}


@dataclass(frozen=True)
class _Carried:
    """What a value in the network holds: axis, dimension and block of its channels."""

    axis: int
    dim: int
    block: int = 1


class _Leaves(fx.Tracer):
    """Traces down to torch's own layers; norms are leaves with what else they do (ours add a shortcut)."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, NORMS) or super().is_leaf_module(m, module_qualified_name)


class _Tracing:
    """Axes as they are met, joined by residual sums."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sizes: list[int] = []
        self.fixed: list[bool] = []
        self.slots: list[list[Slot]] = []
        self.parent: list[int] = []
        self.met: set[str] = set()

    def begin(self, name: str, size: int, slots: Iterable[Slot]) -> int:
        self.names.append(name)
        self.sizes.append(size)
        self.fixed.append(False)
        self.slots.append(list(slots))
        self.parent.append(len(self.parent))
        return len(self.parent) - 1

    def root(self, axis: int) -> int:
        while self.parent[axis] != axis:
            axis = self.parent[axis]
        return axis

    def join(self, a: int, b: int) -> int:
        """The earlier of two axes, which becomes both."""
        first, second = sorted((self.root(a), self.root(b)))
        if first != second:
            self.parent[second] = first
            self.slots[first] += self.slots[second]
            self.fixed[first] |= self.fixed[second]
        return first

    def fix(self, carried: Iterable[_Carried | None]) -> None:
        for one in carried:
            if one is not None:
                self.fixed[self.root(one.axis)] = True

    def fix_layer(self, name: str) -> None:
        """Whatever axis this layer's tensors carry."""
        for axis in range(len(self.parent)):
            if any(slot.tensor.rpartition(".")[0] == name for slot in self.slots[axis]):
                self.fixed[self.root(axis)] = True

    def found(self) -> list[Axis]:
        roots = [i for i in range(len(self.parent)) if self.parent[i] == i]
        return [Axis(self.names[i], self.sizes[i], tuple(self.slots[i]), self.fixed[i]) for i in roots]


def channel_axes(module: nn.Module, inputs: Any) -> list[Axis]:
    """Every axis of channels, in the order of the network. inputs: what the module is called on (a tensor, a batch)."""
    was = module.training
    module.eval()
    try:
        traced = fx.GraphModule(module, _Leaves().trace(module))
        with torch.no_grad():
            ShapeProp(traced).propagate(inputs)
    except (fx.proxy.TraceError, TypeError, NameError) as error:
        reason = str(error).split("\n")[0]
        raise SemblanceError(
            f"a {type(module).__name__} cannot be traced ({reason}): give `axes`, a list of Axis, yourself"
        ) from error
    finally:
        module.train(was)
    axes, carried = _Tracing(), dict[fx.Node, _Carried | None]()
    layers = dict(module.named_modules())
    for node in traced.graph.nodes:
        carried[node] = _carried_by(axes, node, carried, layers)
    return axes.found()


def _carried_by(
    axes: _Tracing, node: fx.Node, carried: dict[fx.Node, _Carried | None], layers: dict[str, nn.Module]
) -> _Carried | None:
    """What this node's value holds; axes begin, grow and are joined on the way."""
    sources = [carried[source] for source in node.all_input_nodes]
    first = sources[0] if sources else None
    if node.op == "call_module":
        layer, name = layers[str(node.target)], str(node.target)
        if isinstance(layer, SAME):
            return first
        if isinstance(layer, nn.Flatten):
            return _flattened(axes, first, node, layer.start_dim, layer.end_dim)
        if name in axes.met:  # a layer that is called again reads what it made, or two things: too much for one table
            axes.fix_layer(name)
            axes.fix(sources)
            return None
        axes.met.add(name)
        if isinstance(layer, NORMS) and first is not None and first.block == 1:
            _norm(axes, first, layer, name)
            return _summed(axes, node, sources) if len(sources) > 1 else first
        if isinstance(layer, (nn.Linear, *CONVOLUTIONS)):
            return _weighted(axes, first, node, layer, name)
    elif node.op in ("call_function", "call_method"):
        if node.target in SAME_CALLS:
            return first
        if node.target in (torch.flatten, "flatten"):
            start = node.args[1] if len(node.args) > 1 else node.kwargs.get("start_dim", 0)
            end = node.args[2] if len(node.args) > 2 else node.kwargs.get("end_dim", -1)
            return _flattened(axes, first, node, start, end)
        if node.target in (torch.mean, "mean", torch.amax, "amax") and _over_places(node, first):
            return first
        if node.target in SUMS and len(sources) == 2:
            return _summed(axes, node, sources)
    axes.fix(sources)
    return None


def _shape(node: fx.Node) -> tuple[int, ...] | None:
    meta = node.meta.get("tensor_meta")
    return tuple(meta.shape) if hasattr(meta, "shape") else None


def _summed(axes: _Tracing, node: fx.Node, sources: list[_Carried | None]) -> _Carried | None:
    """Two values of one shape become one, and so do their axes."""
    a, b = sources
    alike = all(_shape(source) == _shape(node) for source in node.all_input_nodes)
    if a is None or b is None or (a.dim, a.block) != (b.dim, b.block) or not alike:
        axes.fix(sources)
        return None
    return _Carried(axes.join(a.axis, b.axis), a.dim, a.block)


def _norm(axes: _Tracing, first: _Carried, layer: Any, name: str) -> None:
    held = ("weight", "bias", "running_mean", "running_var")
    slots = [Slot(f"{name}.{one}", 0) for one in held if getattr(layer, one) is not None]
    axes.slots[axes.root(first.axis)] += slots


def _weighted(axes: _Tracing, first: _Carried | None, node: fx.Node, layer: Any, name: str) -> _Carried | None:
    """A linear layer or a convolution reads an axis and begins one; a depthwise convolution hands its own on."""
    groups, out, shape = getattr(layer, "groups", 1), layer.weight.shape[0], _shape(node)
    dim = len(shape or ()) - 1 if isinstance(layer, nn.Linear) else 1
    made = [Slot(f"{name}.weight", 0), *([Slot(f"{name}.bias", 0)] if layer.bias is not None else [])]
    if groups > 1:
        if first is not None and groups == out == layer.in_channels and first.dim == 1:
            axes.slots[axes.root(first.axis)] += made
            return first
        axes.fix([first])
        return None
    if first is not None and first.dim == dim:
        axes.slots[axes.root(first.axis)].append(Slot(f"{name}.weight", 1, True, first.block))
    else:
        axes.fix([first])
    return _Carried(axes.begin(name, out, made), dim)


def _flattened(axes: _Tracing, first: _Carried | None, node: fx.Node, start: Any, end: Any) -> _Carried | None:
    before = _shape(node.all_input_nodes[0])
    if first is None or before is None:
        return None
    if (start, first.dim) == (1, 1) and end in (-1, len(before) - 1):
        return _Carried(first.axis, 1, first.block * int(torch.Size(before[2:]).numel()))
    axes.fix([first])
    return None


def _over_places(node: fx.Node, first: _Carried | None) -> bool:
    """Whether a mean leaves channels alone: all its dimensions come after theirs."""
    dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    before = _shape(node.all_input_nodes[0])
    if first is None or before is None or dims is None:
        return False
    each = dims if isinstance(dims, tuple | list) else (dims,)
    return all(isinstance(d, int) and d % len(before) > first.dim for d in each)
