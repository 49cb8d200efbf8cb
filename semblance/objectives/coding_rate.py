"""Coding rate: how many nats it takes to write features down to a distortion, altogether and by parts.

    R(Z) = 1/2 logdet(I + d/(n e) Z'Z),    R_c(Z, P) = sum_j n_j/n 1/2 logdet(I + d/(n_j e) Z' diag(P_j) Z),  n_j = sum P_j

Features that spread over many dimensions are dear together; parts that lie in few dimensions each are cheap by themselves.
So one asks for a large R - R_c: parts that are orthogonal subspaces, not points. What varies:

    P     hard clusters [n, K], or a doubly stochastic affinity [n, n] of cluster logits: every item's own part
    e     the squared distortion

`parts_of` makes the affinity, Sinkhorn's scaling of exp(|cos| / temperature); `coding_length` says in bits what a
clustering costs, whose least value over numbers of clusters is the number to take.

Yu et al. 2020, arXiv:2006.08558 (rate reduction); Ma et al. 2007 (coding length); Chu et al. 2023, arXiv:2306.05272 (CPP).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError
from semblance.objectives.branches import precise

DISTORTION, TEMPERATURE = 0.1, 0.175


def rate(z: Tensor, distortion: float = DISTORTION) -> Tensor:
    """[n, d] -> scalar in nats."""
    n, d = z.shape
    return torch.logdet(torch.eye(d).to(z) + d / (n * distortion) * (z.T @ z)) / 2


def rate_of_parts(z: Tensor, parts: Tensor, distortion: float = DISTORTION) -> Tensor:
    """[n, d], how much of every item each part has [n, K] -> scalar in nats. An empty part costs nothing."""
    n, d = z.shape
    size = parts.sum(0)  # [K]
    row, column = torch.triu_indices(d, d, device=z.device)
    half = parts.T @ (z[:, row] * z[:, column]) / size.clamp_min(1e-12)[:, None]  # [K, d (d + 1) / 2]
    place = torch.empty(d, d, dtype=torch.int64, device=z.device)
    place[row, column] = place[column, row] = torch.arange(len(row), device=z.device)
    grams = half[:, place.flatten()].unflatten(1, (d, d))  # symmetric, so one half was enough
    return (torch.logdet(torch.eye(d).to(z) + d / distortion * grams) * size).sum() / (2 * n)


def parts_of(c: Tensor, temperature: float = TEMPERATURE, rounds: int = 5) -> Tensor:
    """Unit cluster logits [n, d] -> [n, n], doubly stochastic up to what the rounds leave over."""
    # At most 1, and 1 on the diagonal: sums cannot vanish, and two vectors of factors do without logarithms.
    kernel = (((c @ c.T).abs() - 1) / temperature).exp()
    down = kernel.new_ones(len(c))
    across = down
    for _ in range(rounds):
        across = 1 / (kernel @ down)
        down = 1 / (kernel.T @ across)
    return across[:, None] * kernel * down


def coding_length(z: Tensor, labels: Tensor, distortion: float = DISTORTION) -> float:
    """Bits of unit features [n, d] written cluster by cluster: sum_j (n_j + d) R(Z_j) + n_j log(n / n_j)."""
    total, n = 0.0, len(z)
    for k in labels.unique():
        part = z[labels == k]
        total += float((len(part) + z.shape[1]) * rate(part, distortion)) + len(part) * math.log(n / len(part))
    return total / math.log(2)


def layers_of(model: Encoder) -> Any:
    """The stack of an encoder of vectors, the last of which is the feature head."""
    encoder: Any = getattr(model, "encoder", model)
    return encoder.layers


class RateReduction(nn.Module):
    """Unit features by the network, cluster logits by a head of the objective's own, R - R_c large.

    For `warm` steps R alone is made large; then `cluster` takes over the weights of the network's last layer, of the same
    shape, so that the affinity starts from the features. The encoder is a stack of `layers` (`encoders.vectors.Flat`): the
    last one is the feature head, and what comes before it both heads read.
    """

    needs: frozenset[str] = frozenset()
    steps: Tensor

    def __init__(
        self,
        cluster: nn.Linear,
        warm: int = 200,
        distortion: float = DISTORTION,
        temperature: float = TEMPERATURE,
        weight: float = 0.05,
        rounds: int = 5,
    ):
        super().__init__()
        if distortion <= 0 or temperature <= 0:
            raise SemblanceError(f"distortion is {distortion} and temperature {temperature}: give more than 0")
        self.cluster, self.warm, self.distortion = cluster, warm, distortion
        self.temperature, self.weight, self.rounds = temperature, weight, rounds
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x [N, ...] -> scalar, {loss, rate: R, parts: R_c}."""
        layers = layers_of(model)
        hidden = precise(layers[:-1](batch["x"].flatten(1)))
        z = F.normalize(layers[-1](hidden), dim=1)
        whole = rate(z, self.distortion)
        if int(self.steps) < self.warm:
            return -whole, {"loss": float(-whole.detach()), "rate": float(whole.detach()), "parts": 0.0}
        affinity = parts_of(F.normalize(self.cluster(hidden), dim=1), self.temperature, self.rounds)
        parts = rate_of_parts(z, affinity, self.distortion)
        loss = parts - whole + self.weight / 2 * affinity.square().sum()
        return loss, {"loss": float(loss.detach()), "rate": float(whole.detach()), "parts": float(parts.detach())}

    def after_step(self, model: Encoder, batch: Batch) -> None:
        """When it is warm, the cluster head starts as the feature head."""
        self.steps += 1
        if int(self.steps) == self.warm:
            layers = layers_of(model)
            self.cluster.load_state_dict(layers[-1].state_dict())

    def affinity(self, model: Encoder, batch: Batch, rounds: int = 200) -> Tensor:
        """x [n, ...] -> [n, n], how much items share their part."""
        layers = layers_of(model)
        hidden = precise(layers[:-1](batch["x"].flatten(1)))
        return parts_of(F.normalize(self.cluster(hidden), dim=1), self.temperature, rounds)
