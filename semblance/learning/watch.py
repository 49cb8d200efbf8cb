"""Watching for collapse while training: all items mapped to nearly one direction, or to a few.

spread           mean over coordinates of std(z / |z|), times sqrt(d): 1 when directions are uniform, 0 when all are one
effective rank   exp(entropy of the normalised singular values of centred z / |z|), from 1 to d   (Roy & Vetterli 2007)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from semblance.contracts import Batch
from semblance.learning.parts import Network

COLLAPSED_SPREAD = 0.05


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


def watch(network: Network, batch: Batch) -> dict[str, float]:
    """The spread of a batch's embeddings in eval mode; leaves the network in training mode."""
    network.eval()
    with torch.no_grad():
        measured = spread(network.embed(batch))
    network.train()
    return measured


def warning(metrics: dict[str, float]) -> str | None:
    """One line when an epoch's metrics show collapse, else None."""
    if metrics.get("spread", 1.0) >= COLLAPSED_SPREAD:
        return None
    return (
        f"collapse: embeddings point in nearly one direction (spread {metrics['spread']:.3f}, effective rank "
        f"{metrics['effective_rank']:.1f}); usual remedies: a lower learning rate, stop-gradient and predictor kept, "
        "or an objective with negatives (simclr)"
    )
