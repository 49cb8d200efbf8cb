"""Diffusion: states flow along a Laplacian's edges until what the maps make comparable agrees.

    convolution   Y = s( (1 - L) (1 x B) X A )                             Hansen & Gebhart 2020, arXiv:2012.06333
    residual      Y = (1 + tanh e) X - s( L (1 x W1) X W2 )                Bodnar et al. 2022, arXiv:2202.04579

X: [V, d f], a stalk of d coordinates with f channels at every node. B, W1 [d, d] mix the stalk, A, W2 [f, f'] the
channels, e [d] is one number a stalk coordinate. L is whatever has `apply`: a sparse Laplacian (given sheaves, graphs,
hypergraphs), or the blocks of a learned sheaf. With the constant sheaf, d = 1 and the augmented L the first form is graph
convolution.

What varies: the form, where L comes from (`sheaf.py`: an operator of its own in every layer, one for all layers, a fixed
one), the mixing on either side, the activation. Odd activations keep what a change of a stalk's basis by a sign does. A
further form (descent of an energy) is one more entry of FORMS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.inputs import InputLinear, features_of, linear_of
from semblance.encoders.graphs.readout import READOUTS
from semblance.encoders.graphs.stack import embedded
from semblance.encoders.topology.fused import GIVEN, Form, residual_step
from semblance.encoders.topology.sheaf import SheafLearner
from semblance.errors import SemblanceError, unknown
from semblance.geometry.blocks import Blocks, check_stalks, is_compiled
from semblance.geometry.graph import Graph
from semblance.geometry.laplacians import Laplacian
from semblance.geometry.pairs import pairs_of
from semblance.geometry.spaces import Geometry, Sphere

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": F.elu,
    "tanh": torch.tanh,
    "relu": F.relu,
    "none": lambda x: x,
}


class Diffusion(nn.Module):
    """One layer: [V, d f] -> [V, d out].

    operator: a module (x, graph) -> L, or None where the caller hands L in. left, right: whether W1 and W2 (B and A) mix;
    learn_gain: whether e is learned (it starts at 0). out differs from f in a convolution only. Ragged stalks (d = 0): x is
    [sum of sizes, f], and nothing mixes them (left = False). dropout falls on what flows, not on what stays.
    """

    def __init__(
        self,
        operator: nn.Module | None,
        d: int,
        f: int,
        out: int | None = None,
        form: str = "residual",
        activation: str = "elu",
        left: bool = True,
        right: bool = True,
        learn_gain: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        out = f if out is None else out
        if form not in FORMS:
            raise unknown("form of diffusion", form, FORMS)
        if activation not in ACTIVATIONS:
            raise unknown("activation", activation, ACTIVATIONS)
        if out != f and (form == "residual" or not right):
            raise SemblanceError(f"{f} channels cannot become {out} where the input is added or nothing mixes channels")
        if left and d < 1:
            raise SemblanceError("stalks of unequal sizes cannot be mixed by one matrix: left=False")
        self.operator, self.d, self.f, self.form, self.activation = operator, d, f, form, activation
        self.dropout, self.dim = dropout, d * out
        self.left = nn.Parameter(torch.eye(d)) if left else None
        self.right = nn.Parameter(torch.empty(out, f)) if right else None
        if self.right is not None:
            (nn.init.orthogonal_ if form == "residual" else nn.init.xavier_uniform_)(self.right)
        self.gain = nn.Parameter(torch.zeros(d)) if learn_gain and form == "residual" and d else None

    def forward(self, x: Tensor, graph: Graph, operator: Blocks | Laplacian | None = None) -> Tensor:
        """operator: L, where it is shared with other layers."""
        if self.d:
            check_stalks(x, self.d)
        sparse = x.layout != torch.strided
        inner = F.dropout(x, self.dropout, self.training) if self.dropout and not sparse else x
        if operator is None and self.operator is None:
            raise SemblanceError("this layer has no operator of its own: hand one in")
        form = self._compiled(x, operator)
        if form is not None:
            return self._step(x, inner, graph, operator, form)
        if operator is None:
            operator = self.operator(inner, graph)
        return FORMS[self.form](self, x, inner, operator)

    def mixed(self, x: Tensor) -> Tensor:
        """[V, d f] -> [V, d, out]: (1 x B) X A. Bags of words stay sparse: stalks of one coordinate."""
        if x.layout != torch.strided and self.right is not None:
            return linear_of(x, self.right, None, self.dropout if self.training else 0.0)[:, None]
        stalks = x.view(len(x), -1, self.f) if self.d else x[:, None]
        v = stalks if self.right is None else stalks @ self.right.t()
        return v if self.left is None else self.left @ v

    def kept(self) -> Tensor:
        """[d]: 1 + tanh e."""
        return torch.ones(self.d) if self.gain is None else 1 + torch.tanh(self.gain)

    def _compiled(self, x: Tensor, operator: Blocks | Laplacian | None) -> Form | None:
        """What the whole layer as one step is set for, where that is the same."""
        residual = self.form == "residual" and self.activation == "elu" and x.layout == torch.strided
        if not residual or not is_compiled(x, self.d, self.f):
            return None
        if operator is None:
            return self.operator.compiled_form() if isinstance(self.operator, SheafLearner) else None
        fixed = isinstance(operator, Blocks) and operator.scale is None and operator.cross.ndim == 3
        if not fixed or operator.cross.requires_grad or operator.cross.dtype != torch.float32:
            return None
        return Form(GIVEN, self.d, self.f, 0.0, -1.0)

    def _step(self, x: Tensor, inner: Tensor, graph: Graph, operator: Blocks | None, form: Form) -> Tensor:
        left = torch.eye(self.d) if self.left is None else self.left
        right = torch.eye(self.f) if self.right is None else self.right
        weight, bias = torch.kron(left, right), x.new_zeros(self.d * self.f)
        if operator is None:
            weight, bias = torch.cat([weight, self.operator.weight()]), torch.cat([bias, self.operator.bias()])
        pairs = pairs_of(graph) if operator is None else operator.pairs
        return residual_step(pairs, x, None if inner is x else inner, weight, bias, self.kept(), form, operator)


def flowed(operator: Blocks | Laplacian, v: Tensor) -> Tensor:
    """L v of the same shape [V, d, f]. The Laplacian of a graph flows through every stalk coordinate alike."""
    if isinstance(operator, Laplacian):
        return operator.apply(v.reshape(operator.matrix.shape[0], -1)).view(v.shape)
    return operator.apply(v)


def convolution(layer: Diffusion, x: Tensor, inner: Tensor, operator: Blocks | Laplacian) -> Tensor:
    """s((1 - L) v)"""
    v = layer.mixed(inner)
    return ACTIVATIONS[layer.activation](v - flowed(operator, v)).flatten(1)


def residual(layer: Diffusion, x: Tensor, inner: Tensor, operator: Blocks | Laplacian) -> Tensor:
    """gain x - s(L v)"""
    moved = ACTIVATIONS[layer.activation](flowed(operator, layer.mixed(inner)))
    if not layer.d:
        return x - moved.flatten(1)
    return (layer.kept()[:, None] * x.view(moved.shape) - moved).flatten(1)


FORMS: dict[str, Callable[[Diffusion, Tensor, Tensor, Any], Tensor]] = {
    "convolution": convolution,
    "residual": residual,
}


class DiffusionNetwork(nn.Module):
    """Features lifted into stalks, then diffusion: an encoder of nodes (or graphs, pooled).

        x_0 = s(lift(features)),   x_l = layer_l(x_l-1, graph)

    shared: a module (x, graph) -> L for all layers; where it `needs_input` it sees the features themselves, else the
    lifted states. lift: False takes the features as they are: d f columns. dropout: of the lifted states.
    """

    def __init__(
        self,
        features: int,
        layers: Sequence[Diffusion],
        shared: nn.Module | None = None,
        lift: bool = True,
        activation: str = "elu",
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        readout: str = "mean",
        geometry: Geometry | None = None,
    ):
        super().__init__()
        if readout not in READOUTS:
            raise unknown("readout", readout, READOUTS)
        first = layers[0]
        self.lift = InputLinear(features, first.d * first.f, dropout=input_dropout) if lift else None
        self.layers, self.shared = nn.ModuleList(layers), shared
        self.activation, self.dropout = activation, dropout
        self.readout, self.dim = readout, int(layers[-1].dim)
        self.geometry = Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> states of all nodes [V, dim]."""
        return self.states(batch)[-1]

    def states(self, batch: Batch) -> list[Tensor]:
        """The states before every layer and after the last."""
        return [x for x, _ in self._passes(batch)]

    @torch.no_grad()
    def energies(self, batch: Batch) -> list[float]:
        """Of the states before every layer, the Dirichlet energy x^T L x / |x|^2 by that layer's L: 0 where all that the
        maps compare agrees, at most 2 where L is normalised."""
        passes, found = self._passes(batch), []
        for layer, (x, operator) in zip(self.layers, passes, strict=False):
            operator = layer.operator(x, batch["graph"]) if operator is None else operator
            stalks = x.view(len(x), layer.d, -1)
            found.append(float((stalks * flowed(operator, stalks)).sum() / x.square().sum().clamp_min(1e-30)))
        return found

    def _passes(self, batch: Batch) -> list[tuple[Tensor, Blocks | Laplacian | None]]:
        """The states before every layer with the operator that all share, and the last states."""
        features, graph = features_of(batch), batch["graph"]
        x = features
        if self.lift is not None:
            x = ACTIVATIONS[self.activation](self.lift(features.to(self.lift.weight.dtype)))
            x = F.dropout(x, self.dropout, self.training) if self.dropout else x
        operator = None
        if self.shared is not None:
            operator = self.shared(features if getattr(self.shared, "needs_input", False) else x, graph)
        found = [(x, operator)]
        for layer in self.layers:
            x = layer(x, graph, operator)
            found.append((x, operator))
        return found

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]: the states of `nodes` (absent: all), or of every graph where the graph has members."""
        return embedded(self.forward(batch), batch, self.readout)
