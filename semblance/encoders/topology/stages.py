"""Stages: messages of a hypergraph passed from node to hyperedge and back, or along a graph that it expands to.

    stage      y_t = aggregate over sources s of t of m(s, t)
                   shared     m = W x_s                                  one state a node (hyperedge-consistent)
                   own        m = relu( W x_s + U x_t )                  a state a membership (hyperedge-dependent)
               fixed          sum, mean, max
               attention      softmax over s of a . W x_s                whoever asks gets the same
               aware          softmax over s of a . W x_s + b . U' x_t   the target is seen

    TwoStage   h_e = f( stage(x_v) over v in e ),   x_v' = g( stage(h_e) over e with v ) [+ own part]
    OneStage   x' = stage(x) + W x + b,  along any graph

f and g: nothing but the aggregation, a bend (HNHN), or a perceptron with layer norm (AllSet). The two stages may weigh by
degree: `exponents` (a, b) give node v's message |v|^a and hyperedge e's |e|^b, divided by their sum over what is pooled; or
"symmetric" (UniGCN): sum over e of h_e / sqrt(d_v d_e), d_e the mean degree of e's members. Memberships count wholly.
Chien et al. 2022, arXiv:2106.13264; Huang & Yang 2021, arXiv:2105.00956; Dong et al. 2020, arXiv:2006.12278; the survey of
these choices: Kim et al. 2024, arXiv:2404.01039.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.encoders.graphs.aggregators import aggregate
from semblance.encoders.graphs.attention import softmax
from semblance.encoders.graphs.message import linear, mapped
from semblance.encoders.topology.expanded import of_hyperedges
from semblance.encoders.topology.hypergraph import as_hypergraph
from semblance.errors import SemblanceError, unknown
from semblance.geometry.expansions import inward, outward, with_singletons
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph
from semblance.geometry.products import spread

AGGREGATIONS = ("sum", "mean", "max", "attention", "aware")
STATES = ("shared", "own")
UPDATES = ("plain", "bend", "perceptron")
SLOPE = 0.2


class Stage(nn.Module):
    """One aggregation from sources to targets. targets: width of the targets' states, where they are seen."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        aggregation: str = "mean",
        states: str = "shared",
        targets: int = 0,
        heads: int = 1,
        perceptron: bool = False,
    ):
        super().__init__()
        if aggregation not in AGGREGATIONS:
            raise unknown("aggregation", aggregation, AGGREGATIONS)
        if states not in STATES:
            raise unknown("states of a hyperedge", states, STATES)
        if heads < 1 or outputs % heads:
            raise SemblanceError(f"{outputs} channels do not part into {heads} heads: give a number that divides them")
        self.aggregation, self.heads, self.dim = aggregation, heads, outputs
        self.map = linear(inputs, outputs)
        self.more = nn.Sequential(nn.ReLU(), nn.Linear(outputs, outputs)) if perceptron else nn.Identity()
        self.of_target = linear(targets, outputs, False) if states == "own" else None
        attends = aggregation in ("attention", "aware")
        self.score = nn.Parameter(torch.randn(heads, outputs // heads) * (heads / outputs) ** 0.5) if attends else None
        self.ask = linear(targets, heads, False) if aggregation == "aware" else None

    def forward(
        self, x: Tensor, target: Tensor, graph: Graph, weight: tuple[Tensor | None, Tensor | None] = (None, None)
    ) -> Tensor:
        """x: [S, inputs], target: [T, targets]; graph leads from sources to targets, both counted from 0 -> [T, outputs].
        weight: factors of sources [S] and of targets [T] of a sum."""
        count = len(target)
        h = _to(self.more(mapped(x, self.map.weight, self.map.bias)), graph.num_nodes)
        seen = None if self.of_target is None else _to(self.of_target(target), graph.num_nodes)
        of_source, at_target = (None if w is None else _to(w[:, None], graph.num_nodes)[:, 0] for w in weight)
        if self.score is not None:
            y = self._attended(h, seen, target, graph)
        elif of_source is not None or at_target is not None:
            y = spread(graph.rows(), graph.columns(), h, left=at_target, right=of_source)
        else:
            bend = None if seen is None else "relu"
            y = aggregate(graph, h, seen, activation=bend, names=(self.aggregation,))[0]
        return y[:count]

    def _attended(self, h: Tensor, seen: Tensor | None, target: Tensor, graph: Graph) -> Tensor:
        assert self.score is not None
        source, at = graph.edge_index
        raw = (h.view(len(h), self.heads, -1) * self.score).sum(2)[source]  # [E, heads]
        if self.ask is not None:
            raw = raw + _to(self.ask(target), graph.num_nodes)[at]
        # Without a bend what the target adds would fall out of the softmax over its sources.
        alpha = softmax(F.leaky_relu(raw, SLOPE), graph)
        if seen is None:
            return spread(graph.rows(), graph.columns(), h, weight=alpha)
        messages = F.relu(h[source] + seen[at]).view(len(source), self.heads, -1)
        return torch.zeros_like(h).index_add(0, at, (alpha[:, :, None] * messages).flatten(1))


class OneStage(nn.Module):
    """A layer over any graph."""

    def __init__(self, inputs: int, outputs: int, aggregation: str = "mean", states: str = "shared", heads: int = 1):
        super().__init__()
        self.stage = Stage(inputs, outputs, aggregation, states, inputs, heads)
        self.itself, self.dim = linear(inputs, outputs, False), outputs

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, inputs] -> [V, outputs]."""
        return self.stage(x, x, graph) + self.itself(x)


class TwoStage(nn.Module):
    """A layer over a hypergraph (a graph is read as that of its neighbourhoods).

    to_edges, to_nodes: aggregations. update: what follows each of them. own: whether a node's own state goes on: "" (no),
    "map" (a linear map of it is added), "residual" (it is added itself where widths agree). weigh: "", "symmetric", or
    "cardinality" with `exponents`. singletons: every node is in one more hyperedge, alone.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        to_edges: str = "mean",
        to_nodes: str = "mean",
        states: str = "shared",
        update: str = "plain",
        own: str = "map",
        weigh: str = "",
        exponents: tuple[float, float] = (-0.5, -0.5),
        heads: int = 1,
        singletons: bool = False,
    ):
        super().__init__()
        if update not in UPDATES:
            raise unknown("update", update, UPDATES)
        if own not in ("", "map", "residual"):
            raise unknown("own part of a node", own, ("map", "residual"))
        if weigh not in ("", "symmetric", "cardinality"):
            raise unknown("weighing by degree", weigh, ("symmetric", "cardinality"))
        if weigh and ("sum" not in (to_edges, to_nodes) or states == "own"):
            raise SemblanceError(f"weighing by {weigh} scales sums of shared states: aggregate by sum, states=shared")
        deep = update == "perceptron"
        self.to_edges = Stage(inputs, outputs, to_edges, states, inputs, heads, deep)
        self.to_nodes = Stage(outputs, outputs, to_nodes, states, inputs, heads, deep)
        self.itself = linear(inputs, outputs, False) if own == "map" else None
        self.norms = nn.ModuleList(nn.LayerNorm(outputs) for _ in range(2 if deep else 0))
        self.update, self.residual, self.dim = update, own == "residual", outputs
        self.weigh, self.exponents, self.singletons = weigh, exponents, singletons

    def forward(self, x: Tensor, graph: Hypergraph | Graph) -> Tensor:
        """[V, inputs] -> [V, outputs]."""
        hypergraph = as_hypergraph(graph)
        hypergraph = with_singletons(hypergraph) if self.singletons else hypergraph
        states = self.hyperedges(x, hypergraph)
        out = self.to_nodes(states, x, outward(hypergraph), self._weights(hypergraph, False, x.dtype))
        if self.itself is not None:
            out = out + self.itself(x)
        elif self.residual and out.shape == x.shape:
            out = out + x
        return self.norms[1](out) if self.norms else out

    def hyperedges(self, x: Tensor, hypergraph: Hypergraph) -> Tensor:
        """[V, inputs] -> the hyperedges' states [M, outputs]."""
        h = self.to_edges(x, of_hyperedges(x, hypergraph), inward(hypergraph), self._weights(hypergraph, True, x.dtype))
        if self.update == "plain":
            return h
        return F.relu(self.norms[0](h) if self.norms else h)

    def _weights(self, hypergraph: Hypergraph, into: bool, dtype: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
        """Factors of sources and of targets of one stage."""
        if not self.weigh or (self.to_edges if into else self.to_nodes).aggregation != "sum":
            return None, None
        if self.weigh == "symmetric":
            key, make = ("symmetric", dtype), lambda: _symmetric(hypergraph, dtype)
            return (None, None) if into else hypergraph.once(key, make)
        power = self.exponents[0 if into else 1]
        return hypergraph.once(("cardinality", power, into, dtype), lambda: _cardinal(hypergraph, power, into, dtype))


def _symmetric(hypergraph: Hypergraph, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """d_e^-1/2 [M] and d_v^-1/2 [V]."""
    degree = torch.from_numpy(hypergraph.by_node().degree).to(dtype)
    of_edges = of_hyperedges(degree[:, None], hypergraph)[:, 0]
    return of_edges.clamp(min=1).rsqrt(), degree.clamp(min=1).rsqrt()


def _cardinal(hypergraph: Hypergraph, power: float, into: bool, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Degrees of the sources to this power, and one over their sum at every target."""
    sides = (hypergraph.by_node(), hypergraph.by_edge())
    degree = torch.from_numpy((sides[0] if into else sides[1]).degree).to(dtype)
    raised = torch.where(degree > 0, degree.clamp(min=1) ** power, 0)
    of_source, of_target = (hypergraph.node, hypergraph.edge) if into else (hypergraph.edge, hypergraph.node)
    count = hypergraph.num_edges if into else hypergraph.num_nodes
    total = raised.new_zeros(count).index_add(0, of_target, raised[of_source])
    return raised, torch.where(total > 0, 1 / total.clamp(min=1e-12), 0)


def _to(x: Tensor, count: int) -> Tensor:
    """[n, c] -> [count, c], zeros added below."""
    return x if len(x) == count else F.pad(x, (0, 0, 0, count - len(x)))
