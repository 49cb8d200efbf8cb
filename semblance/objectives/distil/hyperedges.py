"""Reliable hyperedges: the student agrees with the teacher on groups of nodes, where noise does not sway the teacher.

    h_v = entropy of the teacher's answer at v,     h_e = mean of h_v over hyperedge e;    h_e' the same from noisy features
    rho_e = 1 - |h_e' - h_e| / max over hyperedges                                          reliability
    loss = mean over e drawn with probability rho_e of KL( mean of p_v over e || mean of q_v over e )

Noisy features are x (1 + normal noise) * level. A graph is read as the hypergraph of its neighbourhoods. Reference: Feng et
al. 2024, LightHGNN: Distilling Hypergraph Neural Networks into MLPs for 100x Faster Inference.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.geometry.hypergraph import Hypergraph
from semblance.geometry.products import spread
from semblance.objectives.distil.structure import answered, checked


class ReliableHyperedges(nn.Module):
    """hypergraph: from a batch's structure to the hypergraph that groups its nodes. noise: its level."""

    p: Tensor | None
    reliability: Tensor | None

    def __init__(self, hypergraph: Any, temperature: float = 1.0, noise: float = 1.0):
        super().__init__()
        self.hypergraph, self.temperature, self.noise = hypergraph, checked(temperature), noise
        self.register_buffer("p", None)
        self.register_buffer("reliability", None)

    def ask(self, teacher: nn.Module, batch: Batch) -> None:
        """Keep the teacher's mean answer on every hyperedge [M, K], and how reliable each is [M]."""
        hypergraph = self.hypergraph(batch["graph"])
        p = (teacher(batch) / self.temperature).softmax(1)
        noisy = teacher({**batch, "x": disturbed(batch["x"], self.noise)}).softmax(1)
        calm, moved = (mean_over(hypergraph, entropy(q)[:, None])[:, 0] for q in (teacher(batch).softmax(1), noisy))
        change = (moved - calm).abs()
        self.p = mean_over(hypergraph, p)
        self.reliability = 1 - change / change.max().clamp_min(torch.finfo(change.dtype).tiny)

    def forward(self, states: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """states [V, d], logits [V, K] of the student -> scalar, in nats; in eval mode over all hyperedges."""
        p, reliability = answered(self.p), answered(self.reliability)
        q = mean_over(self.hypergraph(batch["graph"]), (logits / self.temperature).softmax(1))
        each = (torch.xlogy(p, p) - p * q.clamp_min(torch.finfo(q.dtype).tiny).log()).sum(1)
        drawn = torch.rand(len(each), device=each.device) < reliability if self.training else torch.ones_like(each)
        return (each * drawn).sum() / drawn.sum().clamp_min(1)


def mean_over(hypergraph: Hypergraph, x: Tensor) -> Tensor:
    """[V, c] -> [M, c], the mean over the nodes of every hyperedge; 0 for one without nodes."""
    size = torch.from_numpy(hypergraph.by_edge().degree).clamp(min=1)
    return spread(hypergraph.by_edge(), hypergraph.by_node(), x, left=1 / size.to(x))


def entropy(p: Tensor) -> Tensor:
    """[V, K] -> [V], in nats."""
    return -torch.xlogy(p, p).sum(1)


def disturbed(x: Tensor, level: float) -> Tensor:
    """x (1 + noise) * level, dense or sparse_csr, whose zeros stay zeros."""
    if x.layout == torch.strided:
        return x * (1 + torch.randn_like(x)) * level
    values = x.values() * (1 + torch.randn_like(x.values())) * level
    return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)
