"""Branches: several views of an item, one of which has to be told from another in feature space.

    loss = mean over ordered pairs of views (i, j), i != j, of D(h(z_i), stop(t_j)),    z_i = g(f(view i))

f is the encoder, g the projector, h the predictor, t_j the target that view j sets. What varies:

    predictor      trained, fixed (`frozen`), or None: h is the identity
    stop_gradient  whether targets are constants; without it, or without a predictor, plain cosine collapses
    symmetric      all ordered pairs, or only the first view predicting the others
    targets        None: t_j = z_j; `Copied`: z_j from a copy that follows slowly (BYOL) or every k steps (k steps of
                   the alternation per renewal of eta, SimSiam's EM reading); `Stored`: one eta per item, a running mean
    pooled         the target of view i is the mean over the other views' directions instead of each of them in turn
    compare        D: `negative_cosine`, `softmax_cross_entropy`, or one that needs neither predictor nor stop-gradient
                   because it bounds (co)variances: `variance_covariance` (VICReg), `cross_correlation` (Barlow Twins)

    simsiam   trained predictor, stop-gradient          Chen & He 2020, arXiv:2011.10566
    byol      the same with Copied(momentum=0.99)       Grill et al. 2020, arXiv:2006.07733
    vicreg    compare=variance_covariance               Bardes et al. 2021, arXiv:2105.04906
    barlow    compare=cross_correlation                 Zbontar et al. 2021, arXiv:2103.03230
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError

Compare = Callable[[Tensor, Tensor], Tensor]


def negative_cosine(p: Tensor, target: Tensor) -> Tensor:
    """[N, d], [N, d] -> scalar in [-1, 1], -1 where all directions agree."""
    return -F.cosine_similarity(p, target, dim=1).mean()


def softmax_cross_entropy(p: Tensor, target: Tensor) -> Tensor:
    """[N, d], [N, d] -> scalar in nats: both read as logits of d classes that nobody named."""
    return -(target.softmax(1) * p.log_softmax(1)).sum(1).mean()


def variance_covariance(
    z1: Tensor, z2: Tensor, *, agreement: float = 25.0, variance: float = 25.0, covariance: float = 1.0
) -> Tensor:
    """[N, d], [N, d] -> scalar: squared distance between branches; within each, a hinge that keeps every coordinate's
    deviation at 1 or more, and the squared covariances between coordinates."""
    loss = agreement * F.mse_loss(z1, z2)
    for z in (z1, z2):
        z = z - z.mean(0)
        cov = z.T @ z / (len(z) - 1)  # [d, d]
        spread = (1 - (cov.diagonal() + 1e-4).sqrt()).relu().mean()
        off_diagonal = (cov.square().sum() - cov.diagonal().square().sum()) / z.shape[1]
        loss = loss + variance / 2 * spread + covariance * off_diagonal
    return loss


def cross_correlation(z1: Tensor, z2: Tensor, *, off_diagonal: float = 0.005) -> Tensor:
    """[N, d], [N, d] -> scalar: how far the correlations between the branches' coordinates are from the identity."""
    z1, z2 = ((z - z.mean(0)) / z.std(0, unbiased=False).clamp_min(1e-6) for z in (z1, z2))
    c = z1.T @ z2 / len(z1)  # [d, d]
    on = (1 - c.diagonal()).square().sum()
    return on + off_diagonal * (c.square().sum() - c.diagonal().square().sum())


def frozen(module: nn.Module) -> nn.Module:
    """The module with its weights as they were drawn, for good."""
    return module.requires_grad_(False)


class Copied(nn.Module):
    """Targets from a second network of the same shape that follows the first: w <- momentum w + (1 - momentum) online,
    every `every` steps.

    momentum 0 with `every` = k is SimSiam's alternation with k steps between two renewals of the targets (k = 1:
    SimSiam itself); computing them when they are needed from the weights that were kept gives what storing them would.
    `encoder` and `projector` only lend their architecture: the first batch fills them from the network in training.
    """

    encoder: Any  # a module with `embed`
    steps: Tensor

    def __init__(self, encoder: nn.Module, projector: nn.Module | None, momentum: float = 0.99, every: int = 1):
        super().__init__()
        if not 0 <= momentum < 1:
            raise SemblanceError(f"momentum is {momentum}, but the copy keeps this share: give 0 up to below 1")
        if every < 1:
            raise SemblanceError(f"every is {every}, but it counts steps between renewals: give 1 or more")
        self.encoder, self.projector = frozen(encoder), frozen(projector if projector is not None else nn.Identity())
        self.momentum, self.every = momentum, every
        self.register_buffer("steps", torch.tensor(-1))  # -1: nothing copied yet

    @torch.no_grad()
    def forward(self, online: nn.ModuleList, z: list[Tensor], batch: Batch) -> list[Tensor]:
        """online (encoder, projector), z of the views -> targets, [N, d] each."""
        if int(self.steps) < 0:
            self.load(online, 0.0)
            for mine, theirs in zip(self._held().buffers(), online.buffers(), strict=True):
                mine.copy_(theirs)
            self.steps.zero_()
        return [precise(self.projector(self.encoder.embed(view))) for view in batch["views"]]

    def after_step(self, online: nn.ModuleList, z: list[Tensor], batch: Batch) -> None:
        """Follow the network, when it is time."""
        self.steps += 1
        if int(self.steps) % self.every == 0:
            self.load(online, self.momentum)

    @torch.no_grad()
    def load(self, online: nn.ModuleList, keep: float) -> None:
        """w <- keep w + (1 - keep) online. Batch norm's running statistics are the copy's own."""
        for mine, theirs in zip(self._held().parameters(), online.parameters(), strict=True):
            mine.lerp_(theirs, 1 - keep)

    def _held(self) -> nn.ModuleList:
        return nn.ModuleList([self.encoder, self.projector])


class Stored(nn.Module):
    """One target per item, eta_x <- momentum eta_x + (1 - momentum) mean of its views' directions, after every step.

    This is the expectation over views in SimSiam's EM reading, which makes the predictor dispensable. Memory grows with
    the data: units x dim. An item that was never seen takes its views' own directions for this once.
    """

    eta: Tensor

    def __init__(self, units: int, dim: int, momentum: float = 0.8):
        super().__init__()
        if not 0 <= momentum < 1:
            raise SemblanceError(f"momentum is {momentum}, but it is the share of the past: give 0 up to below 1")
        self.momentum = momentum
        self.register_buffer("eta", torch.zeros(units, dim))

    @torch.no_grad()
    def forward(self, online: nn.ModuleList, z: list[Tensor], batch: Batch) -> list[Tensor]:
        """-> targets [N, d], the item's own whichever view asks; other views' directions where there is none yet."""
        eta = self.eta[batch["index"]]
        known = eta.square().sum(1, keepdim=True) > 0
        return [torch.where(known, eta, F.normalize(view.detach(), dim=1)) for view in z]

    @torch.no_grad()
    def after_step(self, online: nn.ModuleList, z: list[Tensor], batch: Batch) -> None:
        """Move the items of this batch."""
        index = batch["index"]
        seen = torch.stack([F.normalize(view, dim=1) for view in z]).mean(0)
        eta = self.eta[index]
        known = eta.square().sum(1, keepdim=True) > 0
        self.eta[index] = torch.where(known, self.momentum * eta + (1 - self.momentum) * seen, seen)


class Branches(nn.Module):
    """Views predict one another. Projector, predictor and targets are dropped after training."""

    needs = frozenset({"views"})

    def __init__(
        self,
        projector: nn.Module | None = None,
        predictor: nn.Module | None = None,
        *,
        compare: Compare = negative_cosine,
        stop_gradient: bool = True,
        symmetric: bool = True,
        pooled: bool = False,
        targets: Copied | Stored | None = None,
    ):
        super().__init__()
        self.projector = nn.Identity() if projector is None else projector
        self.predictor = nn.Identity() if predictor is None else predictor
        self.compare, self.stop_gradient, self.symmetric, self.pooled = compare, stop_gradient, symmetric, pooled
        self.targets = targets
        self._seen: list[Tensor] = []  # z of this step's views, for targets that move after it

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """views: V batches of the same N items -> scalar, {loss, std, rank} (see `spread_of`)."""
        views = batch["views"]
        if len(views) < 2:
            raise SemblanceError(f"each item has {len(views)} view, and views are compared with others: draw 2 or more")
        # Each view passes alone, so that batch norm sees one view of each item, as in the paper.
        z = [precise(self.projector(model.embed(view))) for view in views]  # V of [N, d]
        t = z if self.targets is None else self.targets(self._online(model), z, batch)
        if self.stop_gradient:
            t = [target.detach() for target in t]
        self._seen = [view.detach() for view in z]
        asking = range(len(views)) if self.symmetric else [0]
        p = {i: precise(self.predictor(z[i])) for i in asking}
        terms = [self.compare(p[i], target) for i in asking for target in self._set_for(i, t)]
        loss = torch.stack(terms).mean()
        return loss, {"loss": float(loss.detach()), **spread_of(self._seen[0])}

    def after_step(self, model: Encoder, batch: Batch) -> None:
        """Let the targets follow."""
        if self.targets is not None:
            self.targets.after_step(self._online(model), self._seen, batch)
        self._seen = []

    def _online(self, model: Encoder) -> nn.ModuleList:
        encoder: Any = getattr(model, "encoder", model)
        return nn.ModuleList([encoder, self.projector])

    def _set_for(self, i: int, t: list[Tensor]) -> list[Tensor]:
        others = [t[j] for k, j in permutations(range(len(t)), 2) if k == i]
        if not self.pooled:
            return others
        return [torch.stack([F.normalize(target, dim=1) for target in others]).mean(0)]


def precise(z: Tensor) -> Tensor:
    """Half precision as float32, for what sums over a batch; others as they are."""
    return z.float() if z.dtype in (torch.bfloat16, torch.float16) else z


@torch.no_grad()
def spread_of(z: Tensor) -> Metrics:
    """[N, d] -> how far z is from collapse, twice over.

    std: mean over coordinates of the deviation of z/|z|; 1/sqrt(d) when directions are uniform, 0 when all are one.
    rank: (sum of variances)^2 / sum of squared variances along principal axes, from 1 to d. Under batch norm without
    scale each coordinate keeps its variance even in collapse, and only the rank tells.
    """
    std = F.normalize(z, dim=1).std(0).mean() if len(z) > 1 else torch.zeros(())
    centred = z - z.mean(0)
    gram = centred @ centred.T if len(z) < z.shape[1] else centred.T @ centred  # the same nonzero eigenvalues
    rank = gram.trace().square() / gram.square().sum().clamp_min(torch.finfo(z.dtype).tiny)
    return {"std": float(std), "rank": float(rank)}
