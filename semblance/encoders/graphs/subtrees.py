"""Subtree features: a graph as the counts of its nodes' neighbourhood trees. Nothing is learned, and any graph embeds.

    c_0(v) = hash of v's features,   c_r+1(v) = hash( c_r(v), sum over neighbours u of hash c_r(u) )
    z = sqrt of the number of nodes whose c_r falls into each of `dim` buckets, for r = 0 .. rounds side by side

The product of two such rows is the Weisfeiler-Lehman subtree kernel of counts' roots, but for trees that share a bucket.
The same tree has the same hash in every graph, unlike the numbers of `refinement.py`.
Reference: Shervashidze et al. 2011, Weisfeiler-Lehman Graph Kernels, JMLR 12.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.inputs import features_of
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Geometry, Sphere


class Subtrees(nn.Module):
    """graphs -> [n, dim]; `dim` is split evenly over the rounds 0 .. rounds."""

    def __init__(self, rounds: int = 3, dim: int = 512, geometry: Geometry | None = None):
        super().__init__()
        if rounds < 0 or dim < rounds + 1:
            raise SemblanceError(f"{rounds} rounds in {dim} buckets: give rounds from 0 and a bucket for each at least")
        self.rounds, self.buckets = rounds, dim // (rounds + 1)
        self.dim = self.buckets * (rounds + 1)
        self.geometry = Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> uint64 hashes as int64 [V, rounds + 1]: a node's tree of every depth. Nodes without features start alike."""
        graph = batch["graph"]
        x = features_of(batch) if "x" in batch else torch.zeros(graph.num_nodes, 1)
        x = x.to_dense() if x.layout != torch.strided else x
        rows = graph.rows()
        words = np.ascontiguousarray(x.detach().float().cpu().numpy()).view(np.uint32)
        now = _first(words)
        found = [now]
        for _ in range(self.rounds):
            now = _deeper(rows.start, rows.index, now)
            found.append(now)
        return torch.from_numpy(np.stack(found, 1).view(np.int64))

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim] of the graphs, or of the nodes where there is one graph: then a node is its own trees."""
        graph = batch["graph"]
        hashes = self.forward(batch).numpy().view(np.uint64)
        place = (hashes % np.uint64(self.buckets)).astype(np.int64) + np.arange(self.rounds + 1) * self.buckets
        several = graph.member is not None
        owner = graph.member.numpy() if several else np.arange(graph.num_nodes)
        units = graph.num_graphs if several else graph.num_nodes
        counts = np.bincount((owner[:, None] * self.dim + place).ravel(), minlength=units * self.dim)
        z = torch.from_numpy(np.sqrt(counts.reshape(units, self.dim)).astype(np.float32))
        return z if several or "nodes" not in batch else z[batch["nodes"]]


@njit(cache=True, nogil=True, inline="always")
def _mix(z):  # type: ignore[no-untyped-def]
    # The finish of splitmix64: plain sums of colours would collide.
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _first(words):  # type: ignore[no-untyped-def]
    out = np.empty(len(words), np.uint64)
    for v in range(len(words)):
        z = np.uint64(0x9E3779B97F4A7C15)
        for k in range(words.shape[1]):
            z = _mix(z + np.uint64(words[v, k]))
        out[v] = z
    return out


@njit(cache=True, nogil=True)
def _deeper(start, index, now):  # type: ignore[no-untyped-def]
    out = np.empty(len(now), np.uint64)
    for v in range(len(now)):
        total = np.uint64(0)
        for p in range(start[v], start[v + 1]):
            total += _mix(now[index[p]] + np.uint64(0xD1B54A32D192ED03))
        out[v] = _mix(_mix(now[v]) + total)
    return out
