"""Lazy propagation: personalised PageRank whose steps are spread over the iterations of training, forward and backward.

    forward     Z = (1 - beta) M_z + beta X;    steps times:  Z = (1 - restart) S Z + restart X;        M_z = Z
    backward    G = (1 - gamma) M_g + gamma dZ; steps times:  G = (1 - restart) S^T G + restart dZ;     M_g = G

G is handed back as the gradient of X. A row that has no memory yet starts from X, or dZ. With frozen weights and beta =
gamma = 0 both memories run to restart (I - (1 - restart) S)^-1 X and to the true gradient, whatever `steps` is: a far look
at the price of a short one. In eval mode nothing is remembered, and `depth` steps are made.

With a `block` in the batch (data/graph_blocks.py) only its nodes and their neighbours are computed: memory is read of all
of them, written of the block's, and the gradient of the others is 0.
Reference: Xue et al. 2023, LazyGNN: Large-Scale Graph Neural Networks via Lazy Propagation, arXiv:2302.01503.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from semblance.contracts import Batch
from semblance.encoders.graphs.inputs import features_of, read_rows
from semblance.encoders.graphs.operators import Operator, operator_of
from semblance.encoders.graphs.propagate import Filter, Propagation, Weights, geometric
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph, grouped


class Memory(nn.Module):
    """One row a node from the last iteration [V, C], and which rows were ever written."""

    rows: Tensor
    written: Tensor

    def __init__(self, nodes: int, channels: int):
        super().__init__()
        self.register_buffer("rows", torch.zeros(nodes, channels))
        self.register_buffer("written", torch.zeros(nodes, 1, dtype=torch.bool))

    def start(self, now: Tensor, share: float, place: Tensor | None) -> Tensor:
        """(1 - share) of what is remembered of these nodes and share of what is there now [n, C]."""
        rows, written = (self.rows, self.written) if place is None else (self.rows[place], self.written[place])
        return torch.where(written, torch.lerp(rows.to(now.dtype), now, share), now)

    def write(self, values: Tensor, place: Tensor | None) -> None:
        """Remember these rows."""
        at = slice(None) if place is None else place
        self.rows[at], self.written[at] = values.to(self.rows.dtype), True


class Lazy(nn.Module):
    """The layer: x [V, C], graph -> [V, C]. `renew` is beta, `renew_gradient` gamma: the share of what is new."""

    def __init__(
        self,
        nodes: int,
        channels: int,
        steps: int = 1,
        restart: float = 0.1,
        renew: float = 0.5,
        renew_gradient: float = 0.5,
        depth: int = 10,
        operator: str = "symmetric-loops",
    ):
        super().__init__()
        for name, share in (("renew", renew), ("renew_gradient", renew_gradient)):
            if not 0 <= share <= 1:
                raise SemblanceError(f"{name} is {share}, but it is the share of what is new: give 0 to 1")
        if steps < 1:
            raise SemblanceError(f"steps is {steps}: take 1 or more in every iteration")
        self.steps, self.restart, self.operator = steps, restart, operator
        self.renew, self.renew_gradient = renew, renew_gradient
        self.states, self.gradients = Memory(nodes, channels), Memory(nodes, channels)
        self.whole = Filter(depth, Weights(geometric(depth, restart)), operator=operator)

    def forward(self, x: Tensor, graph: Graph, place: Tensor | None = None, inside: int = 0) -> Tensor:
        """x: [V, C], or [n, C] of the nodes at `place` in the graph, the first `inside` of which are remembered."""
        if not (self.training and torch.is_grad_enabled()):
            z: Tensor = self.whole(x, graph)
            return z
        if graph.num_nodes != len(self.states.rows):
            raise SemblanceError(
                f"the graph has {graph.num_nodes} nodes and the memory {len(self.states.rows)} rows, one for each node: "
                "train on the graph it was made for"
            )
        operator = operator_of(graph, self.operator)
        operator = operator if place is None else between(operator, place)
        lazily: Tensor = _Lazily.apply(x, operator, self, place, inside)
        return lazily

    def propagated(self, now: Tensor, fixed: Tensor, operator: Operator) -> Tensor:
        """`steps` steps of personalised PageRank from `now` towards `fixed`."""
        for _ in range(self.steps):
            now = operator(now).lerp_(fixed, self.restart)
        return now


class _Lazily(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x: Tensor, operator: Operator, layer: Lazy, place: Tensor | None, inside: int
    ) -> Tensor:
        ctx.operator, ctx.layer, ctx.place, ctx.inside = operator, layer, place, inside
        z = layer.propagated(layer.states.start(x, layer.renew, place), x, operator)
        layer.states.write(*((z, None) if place is None else (z[:inside], place[:inside])))
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        layer, place, inside = ctx.layer, ctx.place, ctx.inside
        g = layer.propagated(layer.gradients.start(grad, layer.renew_gradient, place), grad, ctx.operator.T)
        if place is None:
            layer.gradients.write(g, None)
        else:
            layer.gradients.write(g[:inside], place[:inside])
            g[inside:] = 0
        return g, None, None, None, None


def between(operator: Operator, place: Tensor) -> Operator:
    """The rows and columns of an operator at these nodes [n]: the factors stay those of the whole graph."""
    at = place.numpy()
    part = operator.matrix()[at][:, at].tocoo()
    row, column = (torch.from_numpy(part.coords[i].astype(np.int64)) for i in (0, 1))
    rows, columns = grouped(column, row, len(at)), grouped(row, column, len(at))
    return Operator(rows, columns, None, None, part.data, None, operator.symmetric)


def surroundings(operator: Operator, block: Tensor) -> Tensor:
    """int64: the nodes of a block, then those whose state their next step reads."""
    found = np.unique(operator.matrix()[block.numpy()].indices)
    return torch.cat([block, torch.from_numpy(np.setdiff1d(found, block.numpy()).astype(np.int64))])


class LazyPropagation(Propagation):
    """A propagation whose filter is lazy; while it learns, a batch with a `block` costs what the block and its neighbours
    cost."""

    def _states(self, batch: Batch, nodes: Tensor | None) -> Tensor:
        """[V, C] or [n, C]."""
        block: Tensor | None = batch.get("block")
        if block is None or not self.training or not torch.is_grad_enabled():
            return super()._states(batch, nodes)
        assert self.before is not None and nodes is not None
        graph: Graph = batch["graph"]
        layer: Any = self.filter
        place = surroundings(operator_of(graph, layer.operator), block)
        z: Tensor = layer(self.before(read_rows(features_of(batch), place)), graph, place, len(block))
        position = torch.full((graph.num_nodes,), -1)
        position[place] = torch.arange(len(place))
        return z[position[nodes]]
