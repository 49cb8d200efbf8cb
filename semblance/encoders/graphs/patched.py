"""Patched: a graph as tokens, one a patch, that are mixed as those of an image.

    x_v = given + position of v;   in every patch  x = x + relu(norm(layer(x))),  a node that is in several the mean of them
    token = W mean over the patch + position of the patch,   mixed,   z = mean over tokens

Tokens are as many for every graph, those that are not there masked, so the cost beside the patches does not grow with the
graph, and what is far away is one layer off. A node's state is the token of the patch in whose block it is.

Reference: He et al. 2023, A Generalization of ViT/MLP-Mixer to Graphs, arXiv:2212.13350.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.mixing import returns
from semblance.encoders.graphs.readout import pool
from semblance.encoders.graphs.substructures import Pieces, patches
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.spaces import Geometry, Sphere


class Patched(nn.Module):
    """layers: of message passing within patches, of one width; mixers: of tokens. steps: of the walk over patches that
    tells where a patch is, 0 for none. drop: of the edges over which patches grow in training.
    """

    # Paper: how near two patches are is the number of shared nodes. Here that over its row's sum, so that the size of
    # patches does not scale what they hear.

    def __init__(
        self,
        initial: nn.Module,
        layers: Sequence[nn.Module],
        mixers: Sequence[nn.Module],
        count: int = 32,
        hops: int = 1,
        drop: float = 0.05,
        steps: int = 16,
        dropout: float = 0.0,
        seed: int = 0,
        geometry: Geometry | None = None,
    ):
        super().__init__()
        if count < 1 or hops < 0 or not 0 <= drop < 1:
            raise SemblanceError(
                f"{count} patches of {hops} hops without {drop} of the edges: give 1 or more, 0 or more, a share below 1"
            )
        self.initial, self.layers, self.mixers = initial, nn.ModuleList(layers), nn.ModuleList(mixers)
        self.dim = int(initial.dim)  # type: ignore[arg-type]
        self.norms = nn.ModuleList(nn.BatchNorm1d(self.dim) for _ in layers)
        self.token = nn.Linear(self.dim, self.dim)
        self.where = nn.Linear(steps, self.dim) if steps else None
        self.count, self.hops, self.steps, self.drop = count, hops, steps, drop
        self.dropout, self.seed, self.norm = dropout, seed, nn.LayerNorm(self.dim)
        self.geometry = Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> states of all nodes [V, dim]."""
        tokens, _, pieces = self.tokens(batch)
        return tokens[pieces.owner, pieces.place][pieces.home]

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]."""
        tokens, there, _ = self.tokens(batch)
        return tokens.sum(1) / there.sum(1, keepdim=True).clamp(min=1)

    def tokens(self, batch: Batch) -> tuple[Tensor, Tensor, Pieces]:
        """-> tokens [n, P, dim], which of them are there, bool [n, P], and what they stand for."""
        pieces, graphs = self.cut(batch["graph"])
        x = self._within(self.initial(batch), pieces)
        of_piece = self.token(pool(x, pieces.graph.member, pieces.count, "mean"))  # type: ignore[arg-type]
        there = torch.zeros(graphs, self.count, dtype=torch.bool).index_put(
            (pieces.owner, pieces.place), torch.tensor(True)
        )
        tokens = x.new_zeros(graphs, self.count, self.dim).index_put((pieces.owner, pieces.place), of_piece)
        shared = pieces.overlaps(graphs, self.count).to(x)
        if self.where is not None:
            between = shared * (1 - torch.eye(self.count, dtype=x.dtype))
            tokens = tokens + self.where(returns(_stochastic(between), self.steps)) * there[:, :, None]
        near = _stochastic(shared)
        for mixer in self.mixers:
            tokens = mixer(tokens, there, near)
        return self.norm(tokens) * there[:, :, None], there, pieces

    def cut(self, graph: Graph) -> tuple[Pieces, int]:
        """The patches, in training drawn anew."""
        if self.training:
            return patches(graph, self.count, self.hops, anew=True, drop=self.drop)
        return graph.once(
            ("patches", self.count, self.hops, self.seed), lambda: patches(graph, self.count, self.hops, seed=self.seed)
        )

    def _within(self, x: Tensor, pieces: Pieces) -> Tensor:
        """States of nodes [V, d] -> states of the patches' rows [R, d]."""
        x = x[pieces.node]
        for layer, norm in zip(self.layers, self.norms, strict=True):
            out = F.dropout(F.relu(norm(layer(x, pieces.graph))), self.dropout, self.training)
            x = pieces.shared(x + out)
        return x


def _stochastic(weight: Tensor) -> Tensor:
    """[n, P, P] with rows of sum 1, or 0."""
    total = weight.sum(2, keepdim=True)
    return weight / total.where(total > 0, torch.ones(()).to(weight))
