"""What a node of a hypergraph is told by at first: the sum of a linear map of each of these.

    given         the features that come with the data, dense or bags of words
    constant      1
    degree        log of 1 + the number of its hyperedges
    sizes         the shares of its hyperedges that have 1, 2, 3, 4, 5 to 8, 9 to 16, ... nodes
    eigenvectors  its coordinates in the first eigenvectors of the hypergraph's Laplacian, scaled to mean square 1; their
                  signs are those that make their largest entries positive
    walks         how often a walk node - hyperedge - node is back after 1, 2, ..., 8 steps
    identity      a vector of its own, which is learned

All but the first and the last are read off the structure, once. Kim et al. 2024, arXiv:2404.01039.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.dataset import Shape
from semblance.encoders.graphs.inputs import InputLinear
from semblance.encoders.graphs.stack import embedded
from semblance.encoders.topology.hypergraph import as_hypergraph
from semblance.errors import SemblanceError, unknown
from semblance.geometry.hypergraph import Hypergraph
from semblance.geometry.laplacians import hypergraph_laplacian

SIZES, VECTORS, STEPS = 8, 8, 8
BLOCK = 512
"""Nodes whose walks are followed at a time."""


class Told(nn.Module):
    """An encoder whose x is what `initial` makes of the batch."""

    def __init__(self, initial: nn.Module, encoder: nn.Module):
        super().__init__()
        self.initial = initial
        self.encoder: Any = encoder
        self.dim, self.geometry = self.encoder.dim, self.encoder.geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim], all nodes."""
        states: Tensor = self.encoder({**batch, "x": self.initial(batch)})
        return states

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim], the nodes asked for."""
        return embedded(self.forward(batch), batch, "mean")


class HypergraphFeatures(nn.Module):
    """batch -> [V, dim]. kinds: one or several of FEATURES; auto: given where the data has some,
    else degree and sizes."""

    def __init__(self, kinds: Sequence[str], shape: Shape, dim: int, dropout: float = 0.0):
        super().__init__()
        if tuple(kinds) == ("auto",):
            kinds = ("given",) if shape.item[0] else ("degree", "sizes")
        wrong = [kind for kind in kinds if kind not in FEATURES]
        if wrong or not kinds:
            raise unknown("features of a hypergraph's nodes", wrong[0] if wrong else "", FEATURES)
        if "given" in kinds and not shape.item[0]:
            raise SemblanceError("the nodes have no features that are given: take degree, sizes, walks or identity")
        self.kinds, self.dim = tuple(kinds), dim
        widths = {"given": shape.item[0], **WIDTHS}
        self.maps = nn.ModuleDict(
            {kind: InputLinear(widths[kind], dim, dropout=dropout) for kind in kinds if kind != "identity"}
        )
        nodes = int(shape.facts.get("nodes", 0))
        self.own = nn.Parameter(torch.randn(nodes, dim) / dim**0.5) if "identity" in kinds else None

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim]."""
        hypergraph = as_hypergraph(batch["graph"])
        total: Tensor | None = self.own
        if total is not None and len(total) != hypergraph.num_nodes:
            raise SemblanceError(
                f"the model holds a vector for each of {len(total):,} nodes and the data has {hypergraph.num_nodes:,}: fit "
                "it anew, or take features=degree"
            )
        for kind, map in self.maps.items():
            x = batch["x"] if kind == "given" else structural(hypergraph, kind)
            part = map(x.to(map.weight.dtype))
            total = part if total is None else total + part
        assert total is not None
        return total


def structural(hypergraph: Hypergraph, kind: str) -> Tensor:
    """float32 [V, width], kept with the hypergraph."""
    return hypergraph.once(
        ("features", kind), lambda: torch.from_numpy(STRUCTURAL[kind](hypergraph).astype(np.float32))
    )


def sizes(hypergraph: Hypergraph) -> np.ndarray:
    """[V, 8]"""
    size = hypergraph.by_edge().degree[hypergraph.edge.numpy()]
    place = np.where(size <= 4, size - 1, 2 + np.ceil(np.log2(np.maximum(size, 1)))).clip(0, SIZES - 1).astype(np.int64)
    count = np.zeros((hypergraph.num_nodes, SIZES))
    np.add.at(count, (hypergraph.node.numpy(), place), 1)
    return count / np.maximum(count.sum(1, keepdims=True), 1)


def eigenvectors(hypergraph: Hypergraph) -> np.ndarray:
    """[V, 8], zeros where there are fewer."""
    _, vectors = hypergraph_laplacian(hypergraph).spectrum(min(VECTORS, hypergraph.num_nodes))
    largest = vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])]
    vectors = vectors * np.where(largest < 0, -1, 1) * hypergraph.num_nodes**0.5
    return np.pad(vectors, ((0, 0), (0, VECTORS - vectors.shape[1])))


def walks(hypergraph: Hypergraph) -> np.ndarray:
    """[V, 8]; block by block of start nodes, so that memory is a block's."""
    node, edge = hypergraph.node.numpy(), hypergraph.edge.numpy()
    shape = (hypergraph.num_nodes, hypergraph.num_edges)
    incidence = sparse.csr_array((np.ones(len(node)), (node, edge)), shape=shape)
    to_edges = sparse.csr_array(sparse.diags_array(1 / np.maximum(hypergraph.by_node().degree, 1)) @ incidence)
    to_nodes = sparse.csr_array(sparse.diags_array(1 / np.maximum(hypergraph.by_edge().degree, 1)) @ incidence.T)
    back = np.zeros((shape[0], STEPS))
    for first in range(0, shape[0], BLOCK):
        own = np.arange(first, min(first + BLOCK, shape[0]))
        at = sparse.csr_array((np.ones(len(own)), (np.arange(len(own)), own)), shape=(len(own), shape[0])).toarray()
        for step in range(STEPS):
            at = (at @ to_edges) @ to_nodes
            back[own, step] = at[np.arange(len(own)), own]
    return back


STRUCTURAL: dict[str, Callable[[Hypergraph], np.ndarray]] = {
    "constant": lambda hypergraph: np.ones((hypergraph.num_nodes, 1)),
    "degree": lambda hypergraph: np.log1p(hypergraph.by_node().degree)[:, None],
    "sizes": sizes,
    "eigenvectors": eigenvectors,
    "walks": walks,
}
WIDTHS = {"constant": 1, "degree": 1, "sizes": SIZES, "eigenvectors": VECTORS, "walks": STEPS}
FEATURES = ("given", *STRUCTURAL, "identity")
