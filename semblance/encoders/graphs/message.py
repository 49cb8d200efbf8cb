"""Message passing with messages linear in their source: what a node takes from its neighbours, what it makes of it.

    Convolution   x' = f( A x W^T + b ),          A the (weighted) adjacency with self-loops, normalised    GCN
    Sum           x' = update( (1 + epsilon) x_v + aggregate of x_u )                                      GIN
    Sage          x' = W_1 aggregate of x_u + b + W_2 x_v                                                  GraphSAGE

Axes: normalisation (symmetric | mean | none), self-loops, edge weights; aggregator (`aggregators.py`); update (any
module; a single linear map is applied before or after the sum, whichever moves fewer numbers); epsilon given or
learned; whether a node is pooled together with its neighbours. Every layer is layer(x [V, f], graph) -> [V, out]; x
may be a torch.sparse_csr bag of words; a directed edge carries its source's message to its target. `activation` is
applied by the layer itself. References: Kipf & Welling 2017, arXiv:1609.02907; Xu et al. 2019, arXiv:1810.00826;
Hamilton et al. 2017, arXiv:1706.02216.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.encoders.graphs.aggregators import activation_named, aggregate, scales
from semblance.encoders.graphs.fused import propagated
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.products import Factors, fits, spread

NORMALISATIONS = ("symmetric", "mean", "none")
Adjacency = tuple[Graph, Tensor | None, Tensor | None, Tensor | None, Tensor | None]


class Convolution(nn.Module):
    """GCN's layer. `normalise` symmetric: D^-1/2 A D^-1/2 with the degrees of targets (in-degrees); mean: D^-1 A;
    none: A.

    loops: every node without a self-loop gets one of weight 1. weighted: edge weights count where the graph has them.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: bool = True,
        normalise: str = "symmetric",
        loops: bool = True,
        weighted: bool = True,
        activation: str | None = None,
    ):
        super().__init__()
        if normalise not in NORMALISATIONS:
            raise unknown("normalisation", normalise, NORMALISATIONS)
        self.map = linear(inputs, outputs, bias)
        self.normalise, self.loops, self.weighted, self.activation = normalise, loops, weighted, activation
        self.dim = outputs

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """x: [V, f] -> [V, outputs]."""
        inner, weight, left, right, own = factors(
            graph, self.normalise, self.loops, self.weighted, self.map.weight.dtype
        )
        return propagate(inner, x, self.map, self.activation, weight, left, right, own)


class Sum(nn.Module):
    """GIN's layer around an `update`; `epsilon` is learned from its value where `learn_epsilon`.

    pooled: a node joins its neighbours' multiset (the mean and maximum of GIN's study) instead of being added to the
    result.
    """

    epsilon: Tensor

    def __init__(
        self,
        update: nn.Module,
        epsilon: float = 0.0,
        learn_epsilon: bool = False,
        aggregator: str = "sum",
        pooled: bool = False,
        dim: int | None = None,
        activation: str | None = None,
    ):
        super().__init__()
        if aggregator not in ("sum", "mean", "max"):
            raise unknown("aggregator of a node and its neighbours", aggregator, ("sum", "mean", "max"))
        self.update, self.aggregator, self.pooled, self.activation = update, aggregator, pooled, activation
        self.dim = dim if dim is not None else outputs_of(update)
        value = torch.tensor(float(epsilon))
        if learn_epsilon:
            self.epsilon = nn.Parameter(value)
        else:
            self.register_buffer("epsilon", value)

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """x: [V, f] -> [V, dim]."""
        own = 1 + self.epsilon
        joined = self.pooled and self.aggregator != "sum"
        if isinstance(self.update, nn.Linear) and self.aggregator == "sum":
            return propagate(graph, x, self.update, self.activation, own=own)
        if joined:
            states = self._joined(x, graph)
        elif self.aggregator == "sum":
            states = spread(graph.rows(), graph.columns(), x, own=own)
        else:
            states = own * x + aggregate(graph, x, names=(self.aggregator,))[0]
        out: Tensor = activation_named(self.activation)(self.update(states))
        return out

    def _joined(self, x: Tensor, graph: Graph) -> Tensor:
        """The mean or maximum over a node and its neighbours."""
        if self.aggregator == "max":
            alone = torch.from_numpy(graph.rows().degree == 0)[:, None]
            around = aggregate(graph, x, names=("max",))[0]
            return torch.maximum(x, torch.where(alone, x, around))
        degree = torch.from_numpy(graph.rows().degree).to(x)
        return spread(graph.rows(), graph.columns(), x, left=1 / (degree + 1), own=1.0)


class Sage(nn.Module):
    """GraphSAGE's layer: neighbours and the node itself have maps of their own."""

    def __init__(
        self, inputs: int, outputs: int, aggregator: str = "mean", bias: bool = True, activation: str | None = None
    ):
        super().__init__()
        self.neighbours, self.itself = linear(inputs, outputs, bias), linear(inputs, outputs, False)
        self.aggregator, self.activation, self.dim = aggregator, activation, outputs

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """x: [V, f] -> [V, outputs]."""
        if self.aggregator in ("sum", "mean", "symmetric-mean"):
            left, right = scales(graph, self.aggregator, self.itself.weight.dtype)
            around = propagate(graph, x, self.neighbours, None, None, left, right)
        else:
            around = self.neighbours(aggregate(graph, x, names=(self.aggregator,))[0])
        return activation_named(self.activation)(around + mapped(x, self.itself.weight, None))


def propagate(
    graph: Graph,
    x: Tensor,
    map: nn.Linear,
    activation: str | None = None,
    weight: Tensor | None = None,
    left: Tensor | None = None,
    right: Tensor | None = None,
    own: Tensor | float | None = None,
) -> Tensor:
    """f( A x W^T + b ) with A as in `spread`: A first where x is narrower than the result, W first otherwise."""
    rows, columns = graph.rows(), graph.columns()
    constant = [v for v in (weight, left, right, own) if isinstance(v, Tensor)]
    if fits(x, map.weight, *constant) and not any(v.requires_grad for v in constant):
        bend = activation == "relu"
        out = propagated(rows, columns, x, map.weight, map.bias, Factors(weight, left, right, own), bend)
        return out if bend else activation_named(activation)(out)
    if map.in_features < map.out_features and x.layout == torch.strided:
        out = F.linear(spread(rows, columns, x, weight, left, right, own), map.weight, map.bias)
    else:
        out = spread(rows, columns, mapped(x, map.weight, None), weight, left, right, own)
        out = out if map.bias is None else out + map.bias
    return activation_named(activation)(out)


def factors(graph: Graph, normalise: str, loops: bool, weighted: bool, dtype: torch.dtype) -> Adjacency:
    """(graph, weight, left, right, own) of a normalised adjacency, for `spread`; computed once per graph."""

    def make() -> Adjacency:
        inner, own = graph, None
        if loops:
            inner = graph.without_loops()
            own = torch.ones(graph.num_nodes, dtype=dtype)
            if weighted and graph.weight is not None:
                itself = graph.edge_index[0] == graph.edge_index[1]
                own[graph.edge_index[0][itself]] = graph.weight[itself].to(dtype)
        weight = None if inner.weight is None or not weighted else inner.weight.to(dtype)
        if normalise == "none":
            return inner, weight, None, None, own
        mass = torch.ones(inner.num_edges, dtype=dtype) if weight is None else weight
        degree = torch.zeros(graph.num_nodes, dtype=dtype).index_add(0, inner.edge_index[1], mass)
        degree = degree if own is None else degree + own
        if len(degree) and float(degree.min()) < 0:
            worst = int(degree.argmin())
            raise SemblanceError(
                f"the weights of node {worst}'s edges add up to {float(degree[worst]):g}, which has no root to "
                'normalise by: give weights of 0 or more, or normalise="none"'
            )
        there = degree > 0
        if normalise == "mean":
            return inner, weight, torch.where(there, 1 / degree, 0.0), None, own
        root = torch.where(there, degree.rsqrt(), 0.0)
        return inner, weight, root, root, own

    return graph.once(("factors", normalise, loops, weighted, dtype), make)


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """A linear map that starts as Glorot and Bengio's uniform, its bias 0: what these papers' code does."""
    map = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(map.weight)
    if bias:
        nn.init.zeros_(map.bias)
    return map


def mapped(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W^T + b, [V, f] -> [V, out]; x dense or sparse_csr."""
    if x.layout == torch.strided:
        return F.linear(x, weight, bias)
    out = torch.sparse.mm(x, weight.T)
    return out if bias is None else out + bias


def outputs_of(update: nn.Module) -> int:
    """The width of a module's answer: that of its last linear map."""
    widths = [module.out_features for module in update.modules() if isinstance(module, nn.Linear)]
    if not widths:
        raise SemblanceError("an update without a linear map does not tell its width: give dim=")
    return widths[-1]
