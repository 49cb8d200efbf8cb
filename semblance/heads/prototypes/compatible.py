"""Compatibility: how well an item goes with a described class, by one matrix between features and codes of classes.

    score(x, k) = x' W c_k,    W [d, m]

What varies is who chooses W, and what a code is:

    squared    closed form: x' W c_k shall be 1 for the own class and -1 for others, both sides shrunk. ESZSL
               W = (X'X + g I)^-1 X'Y C (C'C + l I)^-1
    ranked     gradient: the own class shall lead every other by a margin. Of the others that do not trail by it count
                 all       their sum                                              DeViSE
                 rank      their mean, weighed by 1 + 1/2 + .. + 1/rank           ALE
                 worst     the one that is nearest                                SJE
    codes      as given, or (`likened`) how like the class is to the seen ones, softmax of -distance^2 / width: then the
               columns of W are classifiers of phantom classes, of which every other is synthesised

References: Romera-Paredes & Torr 2015 (ESZSL); Frome et al. 2013 (DeViSE); Akata et al. 2013 (ALE), 2015 (SJE); Changpinyo
et al. 2016 (synthesised classifiers; theirs are trained by a hinge, here by squares in closed form).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.errors import SemblanceError, unknown

Answer = Callable[[Tensor, Tensor], Tensor]
"""(items [N, d], codes [K, m]) -> scores [N, K], the best class highest."""
COUNTS = ("all", "rank", "worst")


def class_sums(x: Tensor, y: Tensor, classes: int) -> Tensor:
    """[N, d], labels [N] in 0..K-1 -> [K, d]."""
    return torch.zeros(classes, x.shape[1], dtype=x.dtype, device=x.device).index_add(0, y, x)


def ridge(gram: Tensor, right: Tensor, shrink: float) -> Tensor:
    """(G + shrink I)^-1 R."""
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    solved: Tensor = torch.linalg.solve(gram + shrink * eye, right)
    return solved


def compatibility(x: Tensor, y: Tensor, codes: Tensor, gamma: float, lam: float) -> Tensor:
    """[N, d], labels [N], codes [S, m] -> W [d, m], the least of

    |X W C' - Y|^2 + gamma |W C'|^2 + lam |X W|^2 + gamma lam |W|^2,    Y = 1 for the own class, -1 for others.
    """
    if min(gamma, lam) <= 0:
        raise SemblanceError(
            f"gamma is {gamma} and lam {lam}, but matrices are made invertible by them: give more than 0"
        )
    own = class_sums(x, y, len(codes))
    signed = 2 * own.T - x.sum(0)[:, None]  # X'Y [d, S], without a row per item
    left = ridge(x.T @ x, signed @ codes, gamma)  # [d, m]
    return ridge(codes.T @ codes, left.T, lam).T


def squared(x: Tensor, y: Tensor, codes: Tensor, gamma: float = 10.0, lam: float = 1.0) -> Answer:
    """ESZSL."""
    w = compatibility(x, y, codes, gamma, lam)
    return lambda items, others: items @ w @ others.T


def synthesised(
    x: Tensor, y: Tensor, codes: Tensor, gamma: float = 10.0, lam: float = 0.01, width: float = 0.0
) -> Answer:
    """Classifiers of seen classes, mixed as the codes are alike. `width` 0: the mean squared distance of a code to its
    nearest other."""
    found = width or float(nearest_apart(codes))
    w = compatibility(x, y, likened(codes, codes, found), gamma, lam)
    return lambda items, others: items @ w @ likened(others, codes, found).T


def nearest_apart(codes: Tensor) -> Tensor:
    """The mean over codes of the squared distance to the nearest code that differs; 1 where none does."""
    apart = torch.cdist(codes, codes).square()
    apart = apart.masked_fill(apart < 1e-12, torch.inf).min(1).values
    apart = apart[apart.isfinite()]
    return apart.mean() if len(apart) else torch.ones(())


def likened(codes: Tensor, seen: Tensor, width: float) -> Tensor:
    """[K, m], [S, m] -> [K, S], rows sum to 1."""
    return (-torch.cdist(codes, seen).square() / width).softmax(1)


def ranked(
    x: Tensor,
    y: Tensor,
    codes: Tensor,
    count: str = "all",
    margin: float = 0.1,
    steps: int = 400,
    batch: int = 256,
    lr: float = 2e-3,
    decay: float = 1e-3,
    seed: int = 0,
) -> Answer:
    """DeViSE, ALE or SJE, by Adam; items and codes count by their directions."""
    if count not in COUNTS:
        raise unknown("count of classes within the margin", count, COUNTS)
    chance = torch.Generator().manual_seed(seed)
    items, points = F.normalize(x, dim=1), F.normalize(codes, dim=1)
    w = torch.zeros(x.shape[1], codes.shape[1], dtype=x.dtype, device=x.device, requires_grad=True)
    optimizer = torch.optim.Adam([w], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (batch,), generator=chance).to(x.device)
        loss = overtaken(items[rows] @ w @ points.T, y[rows], count, margin) + decay * w.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    learned = w.detach()
    return lambda asked, others: F.normalize(asked, dim=1) @ learned @ F.normalize(others, dim=1).T


def overtaken(scores: Tensor, y: Tensor, count: str, margin: float) -> Tensor:
    """[N, S], labels [N] -> the mean over items of what other classes have over the own one less the margin."""
    over = (margin + scores - scores.gather(1, y[:, None])).relu().scatter(1, y[:, None], 0.0)
    if count == "worst":
        return over.amax(1).mean()  # of equals each has its share, so that the order of classes does not matter
    if count == "all":
        return over.sum(1).mean()
    rank = (over > 0).sum(1)
    weights = F.pad(1 / torch.arange(1, scores.shape[1] + 1, dtype=scores.dtype, device=scores.device), (1, 0)).cumsum(
        0
    )
    return (weights[rank] / rank.clamp_min(1) * over.sum(1)).mean()
