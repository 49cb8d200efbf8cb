"""Attribute votes: probabilities that a classifier knows, of attributes or of seen classes, vote for a described class.

    direct     a logistic classifier per attribute; score = sum_m log p(a_m = c_km | x) - log p(a_m = c_km)         DAP
    indirect   the same, with p(a_m | x) = sum_s p(s | x) c_sm from a classifier of the seen classes s              IAP
    mixed      the point of code space that the likeliest seen classes make, sum_s p(s | x) c_s; the class whose code
               points most nearly its way                                                                          ConSE

Attributes are yes or no for the first two: a code is cut at the mean of the seen classes. One that is the same for all
seen classes tells nothing and has no vote.

References: Lampert et al. 2009, 2014 (DAP, IAP); Norouzi et al. 2014, arXiv:1312.5650 (ConSE).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.errors import SemblanceError
from semblance.heads.prototypes.compatible import Answer

LEAST = 1e-6  # of a probability whose logarithm is taken


def direct(x: Tensor, y: Tensor, codes: Tensor, shrink: float = 1e-3) -> Answer:
    """DAP."""
    cut, told, yes = _cut(codes)
    weight, bias = logistic(x, yes[y], shrink)
    return lambda items, others: _votes((items @ weight + bias).sigmoid(), _said(others, cut, told), yes[y].mean(0))


def indirect(x: Tensor, y: Tensor, codes: Tensor, shrink: float = 1e-3) -> Answer:
    """IAP."""
    cut, told, yes = _cut(codes)
    weight, bias = logistic(x, F.one_hot(y, len(codes)).to(x), shrink, several=False)
    prior = yes[y].mean(0)
    return lambda items, others: _votes((items @ weight + bias).softmax(1) @ yes, _said(others, cut, told), prior)


def mixed(x: Tensor, y: Tensor, codes: Tensor, shrink: float = 1e-3, top: int = 10) -> Answer:
    """ConSE, of the `top` likeliest seen classes."""
    if top < 1:
        raise SemblanceError(f"top is {top}, but so many seen classes are mixed: give 1 or more")
    weight, bias = logistic(x, F.one_hot(y, len(codes)).to(x), shrink, several=False)
    middle = codes.mean(0)

    def answer(items: Tensor, others: Tensor) -> Tensor:
        share, who = (items @ weight + bias).softmax(1).topk(min(top, len(codes)))
        share = share / share.sum(1, keepdim=True)
        point = torch.einsum("nt,ntm->nm", share, (codes - middle)[who])
        return F.normalize(point, dim=1) @ F.normalize(others - middle, dim=1).T

    return answer


def logistic(
    x: Tensor, target: Tensor, shrink: float, several: bool = True, rounds: int = 100
) -> tuple[Tensor, Tensor]:
    """[N, d], targets [N, M] in 0..1 -> weight [d, M], bias [M] of least mean cross-entropy + shrink |weight|^2 / 2, by
    L-BFGS. `several`: each column is a question of its own; else rows are distributions over the columns."""
    weight = torch.zeros(x.shape[1], target.shape[1], dtype=x.dtype, device=x.device, requires_grad=True)
    bias = torch.zeros(target.shape[1], dtype=x.dtype, device=x.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=rounds, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = x @ weight + bias
        if several:
            error = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
        else:
            error = F.cross_entropy(logits, target, reduction="sum")
        loss: Tensor = error / len(x) + shrink / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def _cut(codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where codes are cut [m], which of them differ among these classes, and the differing ones as 0 and 1 [S, kept]."""
    cut = codes.mean(0)
    above = codes > cut
    told = above.any(0) & ~above.all(0)
    if not bool(told.any()):
        raise SemblanceError("every attribute is the same for all seen classes: describe what differs between them")
    return cut, told, above[:, told].to(codes)


def _said(codes: Tensor, cut: Tensor, told: Tensor) -> Tensor:
    return (codes > cut)[:, told].to(codes)


def _votes(chance: Tensor, codes: Tensor, prior: Tensor) -> Tensor:
    """p(a = 1 | x) [N, m], codes of 0 and 1 [K, m], p(a = 1) [m] -> [N, K]."""
    for_one, for_none = (
        p.clamp(LEAST, 1).log() - q.clamp(LEAST, 1).log() for p, q in ((chance, prior), (1 - chance, 1 - prior))
    )
    return for_one @ codes.T + for_none @ (1 - codes).T
