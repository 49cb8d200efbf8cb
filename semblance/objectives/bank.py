"""Banks: candidates that outlive the batch. One stored unit vector per training item, or a queue of the latest keys.

    P(i|v) = exp(v_i . v / temperature) / Z,    Z = sum over all n items j of exp(v_j . v / temperature)

    full softmax  -log P(i|v): the contrast of `contrast.py` with every stored vector as candidate
    NCE           -log h(i) - sum over m noise items k of log(1 - h(k)),    h = P / (P + m/n)
    proximal      + weight |v - v_i|^2, against the swing of a target that is visited once an epoch
    after a step  v_i <- normalise(keep v_i + (1 - keep) v)

Where Z comes from decides whether NCE learns. The authors' own program sets it once, from the first batch, when the
stored vectors are random and every score is small: Z is about 2.2 n at temperature 0.07 and width 128. That is also its
value when the features are spread evenly, which is why one constant may serve at the end. In between, the stored vectors
follow the features of a young network, which all point one way, exp(cos / 0.07) passes 10^5, every h is 1 and the loss
explodes; a small data set gets there within an epoch, ImageNet's large one has spread its features before. (The authors
use the full softmax for CIFAR-10 and later replaced NCE by it throughout.) So `normaliser="tracked"` keeps a running mean
of Z, from the noise drawn anyway; `"first"` is the published form.

    instance discrimination    Wu et al. 2018, arXiv:1805.01978
    a queue of momentum keys   He et al. 2020, arXiv:1911.05722
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError, unknown
from semblance.objectives.contrast import Contrast
from semblance.objectives.kernels import Cosine
from semblance.objectives.neighbours import own_point

NORMALISERS = ("tracked", "first")


class Bank(nn.Module):
    """One unit vector per training item, [n, dim]; at first random, even over the sphere."""

    def __init__(self, units: int, dim: int, keep: float = 0.5):
        super().__init__()
        if not 0 <= keep < 1:
            raise SemblanceError(
                f"keep is {keep}, but it is the share of the old vector: give 0 to below 1 (0.5 is usual)"
            )
        self.keep = keep
        self.vectors: Tensor
        self.register_buffer("vectors", F.normalize(torch.randn(units, dim), dim=1))

    @torch.no_grad()
    def update(self, index: Tensor, z: Tensor) -> None:
        """Mix the new embeddings z [N, dim] of items `index` [N] into their stored vectors."""
        fresh = F.normalize(z.to(self.vectors), dim=1)
        mixed = self.keep * self.vectors[index] + (1 - self.keep) * fresh
        self.vectors[index] = F.normalize(mixed, dim=1)


def stored(z: Tensor, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """All items as candidates: the stored vectors [n, dim] that `batch["bank"]` holds."""
    return batch["bank"].to(z.dtype), None


class Queue(nn.Module):
    """A row's own key, and the latest `size` keys of earlier batches: what a momentum encoder leaves behind.

    `batch["keys"]` [N, dim] holds this batch's keys; row i's own is candidate i (`neighbours.itself`), and those of its
    batch mates are not allowed.
    """

    def __init__(self, size: int, dim: int):
        super().__init__()
        self.keys: Tensor
        self.register_buffer("keys", F.normalize(torch.randn(size, dim), dim=1))

    def forward(self, z: Tensor, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """-> points [N + size, dim], allowed [N, N + size]."""
        own = torch.eye(len(z), dtype=torch.bool, device=z.device)
        allowed = torch.cat([own, own.new_ones(len(z), len(self.keys))], dim=1)
        return torch.cat([batch["keys"].detach(), self.keys.to(z.dtype)]), allowed

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """The newest first; the oldest fall out."""
        self.keys = torch.cat([F.normalize(keys, dim=1).to(self.keys), self.keys])[: len(self.keys)]


class NoiseContrast(nn.Module):
    """NCE over a bank: is this the item's own vector, or one of `negatives` drawn evenly from all n?"""

    def __init__(self, temperature: float = 0.07, negatives: int = 4096, normaliser: str = "tracked"):
        super().__init__()
        if normaliser not in NORMALISERS:
            raise unknown("normaliser", normaliser, NORMALISERS)
        if negatives < 1:
            raise SemblanceError(f"negatives is {negatives}, but an item is told from noise: give at least 1")
        self.kernel, self.negatives, self.normaliser = Cosine(temperature), negatives, normaliser
        # log Z and the number of batches it was seen in.
        self.log_z: Tensor
        self.seen: Tensor
        self.register_buffer("log_z", torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, z: Tensor, batch: Batch, noise: Tensor | None = None) -> Tensor:
        """z [N, dim], stored vectors `bank` [n, dim] in the batch, `noise` [N, m] items (drawn if not given) -> scalar."""
        vectors, own = batch["bank"], batch["index"]
        if noise is None:
            noise = torch.randint(len(vectors), (len(z), self.negatives), device=z.device)
        # One thin product with the whole bank costs less than gathering N x m vectors while m is a fair share of n.
        scores = self.kernel(z, vectors)  # [N, n]
        of_noise = scores.gather(1, noise)  # [N, m]
        self._measure(of_noise.detach(), len(vectors))
        # log(P / (m/n)): the odds of being data rather than noise.
        shift = self.log_z + math.log(noise.shape[1] / len(vectors))
        own_odds = scores.gather(1, own[:, None]) - shift  # [N, 1]
        return F.softplus(-own_odds).mean() + F.softplus(of_noise - shift).sum(1).mean()

    @torch.no_grad()
    def _measure(self, scores: Tensor, units: int) -> None:
        """Scores [N, m] of evenly drawn items -> log Z, kept from the first batch or followed over the latest ten."""
        if not self.training or (self.normaliser == "first" and self.seen > 0):
            return
        now = scores.flatten().logsumexp(0) - math.log(scores.numel()) + math.log(units)
        share = 1 / min(int(self.seen) + 1, 10)
        self.log_z += share * (now - self.log_z)
        self.seen += 1


class InstanceDiscrimination(nn.Module):
    """Every item is its own class and its stored vector the class's weight.

    `negatives` 0 takes all items as candidates (full softmax), else NCE with so many. `proximal` is the weight of the
    squared step away from the stored vector.
    """

    def __init__(
        self,
        units: int,
        dim: int,
        *,
        projector: nn.Module | None = None,
        temperature: float = 0.07,
        negatives: int = 0,
        normaliser: str = "tracked",
        proximal: float = 0.0,
        keep: float = 0.5,
    ):
        super().__init__()
        if proximal < 0:
            raise SemblanceError(f"proximal is {proximal}, but it weighs a penalty: give 0 or more (30 for large data)")
        self.bank, self.projector, self.proximal = Bank(units, dim, keep), projector, proximal
        self.needs: frozenset[str] = frozenset()
        self.loss: nn.Module
        if negatives:
            self.loss = NoiseContrast(temperature, negatives, normaliser)
        else:
            # The bank is named once in the state: the loss gets what it holds through the batch.
            self.loss = Contrast(own_point, Cosine(temperature), candidates=stored)
        self._latest: Tensor | None = None

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, metrics."""
        z = model.embed(batch)
        v = F.normalize((z if self.projector is None else self.projector(z)).float(), dim=1)
        loss = self.loss(v, {**batch, "bank": self.bank.vectors})
        if self.proximal:
            loss = loss + self.proximal * (v - self.bank.vectors[batch["index"]]).square().sum(1).mean()
        self._latest = v.detach()
        return loss, {"loss": float(loss.detach())}

    def after_step(self, network: nn.Module, batch: Batch) -> None:
        """The bank takes up what the step's forward pass saw."""
        assert self._latest is not None, "after_step follows a forward pass"
        self.bank.update(batch["index"], self._latest)
        self._latest = None
