"""Attention over neighbours: how much a node takes from each is scored from both.

    alpha_ij = softmax over j in N(i) of e_ij,     x_i' = f( sum_j alpha_ij W x_j )      heads concatenated or averaged
    static     e_ij = leaky_relu( a_s . W x_j + a_t . W x_i )        Velickovic et al. 2018, arXiv:1710.10903
    dynamic    e_ij = a . leaky_relu( W x_j + W_t x_i )               Brody et al. 2022, arXiv:2105.14491
    constant   alpha_ij = 1 / number of neighbours                    the baseline of the first

The static score splits by node, so memory is edges times heads. In it the order of e_ij over j is the same for every
i, which the dynamic one removes. A node attends to itself (`loops`): existing self-loops are replaced by one. Edge
weights are not used. Dropout falls on the coefficients; `layer.weights(x, graph)` gives them for a look.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.encoders.graphs.aggregators import activation_named
from semblance.encoders.graphs.attending import WIDEST, attended
from semblance.encoders.graphs.message import linear, mapped
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.products import fits, spread

SCORES = ("static", "dynamic", "constant")


class Attention(nn.Module):
    """`outputs` is the width of a head; the layer's is heads * outputs where they are concatenated, outputs where
    averaged."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        heads: int = 1,
        concatenate: bool = True,
        score: str = "static",
        slope: float = 0.2,
        dropout: float = 0.0,
        loops: bool = True,
        bias: bool = True,
        activation: str | None = None,
    ):
        super().__init__()
        if score not in SCORES:
            raise unknown("score", score, SCORES)
        if heads < 1:
            raise SemblanceError(f"heads is {heads}, but somebody must attend: give 1 or more")
        self.map = linear(inputs, heads * outputs, False)
        self.other = linear(inputs, heads * outputs, False) if score == "dynamic" else None
        self.of_source = _vector(heads, outputs) if score != "constant" else None
        self.of_target = _vector(heads, outputs) if score == "static" else None
        self.dim = heads * outputs if concatenate else outputs
        self.bias = nn.Parameter(torch.zeros(self.dim)) if bias else None
        self.heads, self.outputs, self.concatenate, self.score = heads, outputs, concatenate, score
        self.slope, self.dropout, self.loops, self.activation = slope, dropout, loops, activation

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """x: [V, f] -> [V, dim]."""
        graph = self._seen(graph)
        if self.score == "static" and self.outputs <= WIDEST and fits(x, self.map.weight):
            return self._fused(x, graph)
        h = mapped(x, self.map.weight, None)
        alpha = F.dropout(self._alpha(x, h, graph), self.dropout, self.training)
        out = spread(graph.rows(), graph.columns(), h, weight=alpha)
        if not self.concatenate:
            out = out.view(-1, self.heads, self.outputs).mean(1)
        out = out if self.bias is None else out + self.bias
        return activation_named(self.activation)(out)

    def _fused(self, x: Tensor, graph: Graph) -> Tensor:
        """The same in one compiled step, where the heads are concatenated with bias and ReLU."""
        whole, bend = self.concatenate or self.heads == 1, self.activation == "relu"
        assert self.of_source is not None and self.of_target is not None
        by_head = self.map.weight.view(self.heads, self.outputs, -1)
        scores = [torch.einsum("ho,hof->hf", vector, by_head) for vector in (self.of_source, self.of_target)]
        weight, dropout = torch.cat([self.map.weight, *scores]), self.dropout if self.training else 0.0
        bias, slope = self.bias if whole else None, self.slope
        out = attended(graph, x, weight, bias, self.heads, slope, dropout, whole and bend)
        if not whole:
            out = out.view(-1, self.heads, self.outputs).mean(1)
            out = out if self.bias is None else out + self.bias
        return out if whole and bend else activation_named(self.activation)(out)

    @torch.no_grad()
    def weights(self, x: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """Who looks at whom, and how much: (source and target [2, E'], alpha [E', heads]); E' counts the
        self-loops."""
        graph = self._seen(graph)
        return graph.edge_index, self._alpha(x, mapped(x, self.map.weight, None), graph)

    def _seen(self, graph: Graph) -> Graph:
        """The graph that is attended over: the same nodes, a self-loop each."""
        return graph.once("with loops", lambda: _with_loops(graph)) if self.loops else graph

    def _alpha(self, x: Tensor, h: Tensor, graph: Graph) -> Tensor:
        """[E', heads], in the order of edge_index."""
        source, target = graph.edge_index
        h = h.view(len(h), self.heads, self.outputs)
        if self.of_source is None:
            raw = h.new_zeros(len(source), self.heads)
        elif self.other is not None:
            mine = mapped(x, self.other.weight, None).view(h.shape)
            raw = (F.leaky_relu(h[source] + mine[target], self.slope) * self.of_source).sum(2)
        else:
            raw = (h * self.of_source).sum(2)[source] + (h * self.of_target).sum(2)[target]
            raw = F.leaky_relu(raw, self.slope)
        return softmax(raw, graph)


def softmax(raw: Tensor, graph: Graph) -> Tensor:
    """[E, heads] -> the same, every target's positive and of sum 1; both in the order of edge_index."""
    target = graph.edge_index[1]
    wide = target[:, None].expand_as(raw)
    with torch.no_grad():
        best = raw.new_full((graph.num_nodes, raw.shape[1]), -torch.inf).scatter_reduce(0, wide, raw, "amax")
    power = (raw - best[target]).exp()
    total = raw.new_zeros(graph.num_nodes, raw.shape[1]).index_add(0, target, power)
    return power / total[target]


def _with_loops(graph: Graph) -> Graph:
    bare = graph.without_loops()
    itself = torch.arange(graph.num_nodes).expand(2, -1)
    return Graph(torch.cat([bare.edge_index, itself], 1), graph.num_nodes, directed=graph.directed)


def _vector(heads: int, outputs: int) -> nn.Parameter:
    """[heads, outputs], Glorot and Bengio's uniform."""
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, heads, outputs))[0])
