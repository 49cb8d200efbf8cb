"""Convolution on hypergraphs: nodes speak to their hyperedges, hyperedges to their nodes.

    X' = f( Dv^-1/2 H W De^-1 H^T Dv^-1/2 X Theta + b )     symmetric    Feng et al. 2019, arXiv:1809.09401
    X' = f( Dv^-1 H W De^-1 H^T X Theta + b )               mean         Bai et al. 2021, arXiv:1901.08150

H [V, M] holds the memberships (1, or how strongly a node belongs), W the hyperedges' weights (given, ones, or learned on
top), De the sums of H's columns, Dv those of its rows, weighted. It runs as two sparse products over the memberships and
never forms a V x V matrix; that matrix as an object, I - Theta_H, with its eigenvectors for spectral clustering, is
`geometry.laplacians.hypergraph_laplacian`. The two stages are functions of their own (`to_hyperedges`, `to_nodes`). A graph
is read as the hypergraph of its neighbourhoods.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.encoders.graphs.aggregators import activation_named
from semblance.encoders.graphs.message import linear, mapped
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph
from semblance.geometry.products import spread

NORMALISATIONS = ("symmetric", "mean")


class HypergraphConvolution(nn.Module):
    """learn_weights: the number M of hyperedges whose weights are learned (0: none); they are exp of the parameters, so
    they start as 1 and stay positive. keep_isolated: a node in no hyperedge keeps its own value, as if it were alone in
    one; otherwise it gets 0."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        normalise: str = "symmetric",
        learn_weights: int = 0,
        keep_isolated: bool = True,
        bias: bool = True,
        activation: str | None = None,
    ):
        super().__init__()
        if normalise not in NORMALISATIONS:
            raise unknown("normalisation", normalise, NORMALISATIONS)
        self.map = linear(inputs, outputs, bias)
        self.log_weight = nn.Parameter(torch.zeros(learn_weights)) if learn_weights else None
        self.normalise, self.keep_isolated, self.activation, self.dim = normalise, keep_isolated, activation, outputs

    def forward(self, x: Tensor, graph: Hypergraph | Graph) -> Tensor:
        """x: [V, f], dense or sparse_csr -> [V, outputs]."""
        hypergraph = as_hypergraph(graph)
        first = self.map.in_features < self.map.out_features and x.layout == torch.strided
        h = self.smooth(x if first else mapped(x, self.map.weight, None), hypergraph)
        h = F.linear(h, self.map.weight) if first else h
        return activation_named(self.activation)(h if self.map.bias is None else h + self.map.bias)

    def smooth(self, x: Tensor, hypergraph: Hypergraph) -> Tensor:
        """Theta_H x: [V, c] -> [V, c]."""
        middle, root = self._scales(hypergraph, x.dtype)
        states = to_hyperedges(x, hypergraph, left=middle, right=root if self.normalise == "symmetric" else None)
        out = to_nodes(states, hypergraph, left=root if self.normalise == "symmetric" else root**2)
        if not self.keep_isolated:
            return out
        alone = hypergraph.once("alone", lambda: torch.from_numpy(hypergraph.by_node().degree == 0))
        return torch.where(alone[:, None], x, out) if bool(alone.any()) else out

    def _scales(self, hypergraph: Hypergraph, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """W De^-1 [M] and Dv^-1/2 [V]."""
        if self.log_weight is None:
            return hypergraph.once(("scales", dtype), lambda: scales(hypergraph, None, dtype))
        if len(self.log_weight) != hypergraph.num_edges:
            raise SemblanceError(
                f"weights of {len(self.log_weight)} hyperedges were learned, and there are {hypergraph.num_edges}: append "
                "nodes, not hyperedges, or learn_weights=0"
            )
        return scales(hypergraph, self.log_weight.exp().to(dtype), dtype)


def scales(hypergraph: Hypergraph, factor: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """w / De [M] and Dv^-1/2 [V], 0 where there is nothing to divide by; `factor` [M] multiplies the given weights."""
    node, edge = hypergraph.node, hypergraph.edge
    share = torch.ones(len(node), dtype=dtype) if hypergraph.membership is None else hypergraph.membership.to(dtype)
    weight = torch.ones(hypergraph.num_edges, dtype=dtype) if hypergraph.weight is None else hypergraph.weight.to(dtype)
    if len(weight) and float(weight.min()) < 0:
        raise SemblanceError(
            f"hyperedge {int(weight.argmin())} weighs {float(weight.min()):g}: give weights of 0 or more"
        )
    weight = weight if factor is None else weight * factor
    size = share.new_zeros(hypergraph.num_edges).index_add(0, edge, share)
    degree = share.new_zeros(hypergraph.num_nodes).index_add(0, node, share * weight[edge])
    filled, linked = size > 0, degree > 0
    middle = torch.where(filled, weight / torch.where(filled, size, 1), 0)
    return middle, torch.where(linked, torch.where(linked, degree, 1).rsqrt(), 0)


def to_hyperedges(x: Tensor, hypergraph: Hypergraph, left: Tensor | None = None, right: Tensor | None = None) -> Tensor:
    """diag(left) H^T diag(right) x: [V, c] -> [M, c]."""
    return spread(hypergraph.by_edge(), hypergraph.by_node(), x, hypergraph.membership, left, right)


def to_nodes(states: Tensor, hypergraph: Hypergraph, left: Tensor | None = None, right: Tensor | None = None) -> Tensor:
    """diag(left) H diag(right) states: [M, c] -> [V, c]."""
    return spread(hypergraph.by_node(), hypergraph.by_edge(), states, hypergraph.membership, left, right)


def as_hypergraph(graph: Hypergraph | Graph) -> Hypergraph:
    """A hypergraph as it is; a graph's neighbourhoods, made once."""
    if isinstance(graph, Hypergraph):
        return graph
    return graph.once("neighbourhoods", lambda: Hypergraph.of_neighbourhoods(graph))
