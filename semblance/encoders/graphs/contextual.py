"""Contextual messages: what a neighbour says depends on who listens, by a map with a bend between its two linear
parts.

    x_u' = W_R  aggregate over v in N(u) of sigma( W_Q x_u + W_K x_v [+ W_E e_uv] )   [+ W_S x_u]

W_R is linear and comes after the sum, so an edge costs an addition and sigma. Axes: sigma, aggregator (sum | mean |
symmetric-mean | max), edge features, self term, and modules in place of the linear maps. With sigma the identity and
W_Q = 0 it is GCN's layer (`as_convolution`); GIN's sum over linear messages with the node itself added is `as_sum`.
Reference: Lim, Goh & Lim (SIR-GCN) 2024, arXiv:2403.12529.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.encoders.graphs.aggregators import activation_named, aggregate
from semblance.encoders.graphs.message import Convolution, Sum, linear, outputs_of
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


class Contextual(nn.Module):
    """hidden: the width of a message. query, key, result: modules in place of the linear maps; `edges`: width of
    edge_x."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: int | None = None,
        sigma: str | None = "relu",
        aggregator: str = "sum",
        edges: int = 0,
        itself: bool = False,
        bias: bool = True,
        query: nn.Module | None = None,
        key: nn.Module | None = None,
        result: nn.Module | None = None,
        activation: str | None = None,
    ):
        super().__init__()
        hidden = outputs if hidden is None else hidden
        self.query = linear(inputs, hidden, bias) if query is None else query
        self.key = linear(inputs, hidden, False) if key is None else key
        self.result = linear(hidden, outputs, bias) if result is None else result
        self.edge = linear(edges, hidden, False) if edges else None
        self.itself = linear(inputs, outputs, False) if itself else None
        self.sigma, self.aggregator, self.activation = sigma, aggregator, activation
        self.dim = outputs if result is None else outputs_of(result)

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """x: [V, f] -> [V, dim]."""
        edge = None
        if self.edge is not None:
            if graph.edge_x is None:
                raise SemblanceError("the layer reads edge features and the graph has none: give edge_x, or edges=0")
            edge = self.edge(graph.edge_x.to(x.dtype))
        summary = aggregate(graph, self.key(x), self.query(x), edge, self.sigma, (self.aggregator,))[0]
        out = self.result(summary)
        if self.itself is not None:
            out = out + self.itself(x)
        answer: Tensor = activation_named(self.activation)(out)
        return answer


@torch.no_grad()
def as_convolution(layer: Convolution) -> Contextual:
    """The contextual layer that equals GCN's, on graphs where every node has one self-loop (`with_loops`)."""
    made = _plain(layer.map, "symmetric-mean")
    made.activation = layer.activation
    if layer.normalise != "symmetric" or not layer.loops:
        raise SemblanceError(
            f"normalise={layer.normalise!r}, loops={layer.loops}: only the symmetric layer with loops is one"
        )
    return made


@torch.no_grad()
def as_sum(layer: Sum) -> Contextual:
    """The contextual layer that equals GIN's with a linear update and sum: the node's own part is the self term."""
    if not isinstance(layer.update, nn.Linear) or layer.aggregator != "sum":
        raise SemblanceError(
            "only GIN with a single linear map and sum is a setting: put the rest of its update behind"
        )
    made = _plain(layer.update, "sum", itself=True)
    assert made.itself is not None
    made.itself.weight.copy_((1 + layer.epsilon) * layer.update.weight)
    made.activation = layer.activation
    return made


def _plain(map: nn.Linear, aggregator: str, itself: bool = False) -> Contextual:
    """sigma the identity, W_Q = 0, W_K = identity, W_R = the map."""
    width = map.in_features
    made = Contextual(width, map.out_features, width, None, aggregator, itself=itself).to(map.weight)
    query, key, result = made.query, made.key, made.result
    assert isinstance(query, nn.Linear) and isinstance(key, nn.Linear) and isinstance(result, nn.Linear)
    nn.init.zeros_(query.weight)
    nn.init.zeros_(query.bias)
    nn.init.eye_(key.weight)
    result.weight.copy_(map.weight)
    nn.init.zeros_(result.bias) if map.bias is None else result.bias.copy_(map.bias)
    return made
