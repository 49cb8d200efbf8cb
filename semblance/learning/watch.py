"""Watching while training: have all items come to nearly one direction, or to a few?

spread           mean over coordinates of std(z / |z|), times sqrt(d): 1 when directions are uniform, 0 when all are one
effective rank   exp(entropy of the normalised singular values of centred z / |z|), from 1 to d   (Roy & Vetterli 2007)
alignment        mean |z1 - z2|^2 of two views of an item, directions; uniformity: log mean exp(-2 |z_i - z_j|^2), where
                 the batch has views                                       (Wang & Isola 2020, arXiv:2005.10242)
projected        spread and effective rank of what branches compare, behind their projector: there they collapse first, and
                 an encoder before it may look well for long
agreement        share of items whose nearest neighbour in the batch has their label, where there are labels
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semblance.contracts import Batch
from semblance.learning.parts import Network
from semblance.objectives.branches import Branches, cross_correlation, variance_covariance

COLLAPSED_SPREAD = 0.05
COLLAPSED_PROJECTION = 0.1  # SimSiam without stop-gradient 0.03, with it never below 0.77
COLLAPSED_RANK = 1.5

BY_COORDINATES = (cross_correlation, variance_covariance)  # keep these up themselves, wherever their mean lies


def spread(z: Tensor) -> dict[str, float]:
    """[N, d] -> {"spread", "effective_rank"}; needs two items or more."""
    z = F.normalize(z.detach().float(), dim=1)
    singular = torch.linalg.svdvals(z - z.mean(0))
    share = singular / singular.sum().clamp_min(torch.finfo(z.dtype).tiny)
    entropy = -(share * share.clamp_min(1e-12).log()).sum()
    return {
        "spread": float(z.std(0).mean() * z.shape[1] ** 0.5),
        "effective_rank": float(entropy.exp()) if float(singular.sum()) > 0 else 1.0,
    }


def watch(network: Network, batch: Batch, objective: nn.Module | None = None) -> dict[str, float]:
    """What a batch's embeddings say in eval mode; leaves the network, and the objective, in training mode."""
    network.eval()
    with torch.no_grad():
        z = network.embed(batch)
        measured = spread(z)
        if isinstance(objective, Branches) and objective.compare not in BY_COORDINATES:
            projected = spread(objective.projector.eval()(z))
            objective.projector.train()
            measured |= {f"projected_{name}": value for name, value in projected.items()}
        views = batch.get("views", ())
        if len(views) > 1 and views[0].keys() == {"x"} == views[1].keys():
            measured |= of_views(z, network.embed(views[1]))
        labels = batch.get("labels")
        if isinstance(labels, Tensor) and labels.ndim == 1 and labels.dtype == torch.int64 and len(labels) == len(z):
            measured |= agreement(z, labels)
    network.train()
    return measured


def of_views(z1: Tensor, z2: Tensor) -> dict[str, float]:
    """Two views of each item, [N, d] -> {"alignment", "uniformity"}."""
    z1, z2 = (F.normalize(z.float(), dim=1) for z in (z1, z2))
    apart = torch.pdist(z1).square()
    return {
        "alignment": float((z1 - z2).square().sum(1).mean()),
        "uniformity": float(apart.mul(-2).exp().mean().log()) if len(apart) else 0.0,
    }


def agreement(z: Tensor, labels: Tensor) -> dict[str, float]:
    """[N, d], [N] -> {"agreement"} over the labelled items; nothing where fewer than two are."""
    known = labels >= 0
    z, labels = F.normalize(z[known].float(), dim=1), labels[known]
    if len(z) < 2:
        return {}
    nearest = (z @ z.T).fill_diagonal_(-2).argmax(1)
    return {"agreement": float((labels[nearest] == labels).float().mean())}


def warning(metrics: dict[str, float]) -> str | None:
    """One line when an epoch's metrics show collapse, else None."""
    rank = metrics.get("effective_rank", float("inf"))
    if metrics.get("spread", 1.0) < COLLAPSED_SPREAD:
        return (
            f"collapse: embeddings point in nearly one direction (spread {metrics['spread']:.3f}, effective rank "
            f"{rank:.1f}); usual remedies: a lower learning rate, stop-gradient and predictor kept, "
            "or an objective with negatives (simclr)"
        )
    projected, lines = metrics.get("projected_spread", 1.0), metrics.get("projected_effective_rank", float("inf"))
    if projected < COLLAPSED_PROJECTION or lines < COLLAPSED_RANK:
        return (
            f"collapse: all that the branches compare is nearly one (behind the projector spread {projected:.3f}, "
            f"effective rank {lines:.1f}); usual remedies: stop-gradient and predictor kept, a lower learning rate, or an "
            "objective that keeps coordinates apart (vicreg)"
        )
    # Two classes that are told apart lie on a line rightly, so labels that agree excuse it.
    if rank < COLLAPSED_RANK and metrics.get("agreement", 0.0) < 0.8:
        return (
            f"collapse to a line: embeddings use {rank:.1f} of their dimensions; usual remedies: batch norm in the "
            "projector, larger batches, or an objective that keeps coordinates apart (vicreg, barlow-twins)"
        )
    return None
