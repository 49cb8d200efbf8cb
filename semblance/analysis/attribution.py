"""Pair attribution: the similarity of two pooled maps as a sum over pairs of their cells, exactly.

    f = sum over cells of k(p),    cos(f_a, f_b) = sum over p, q of k_a(p).k_b(q) / (|f_a| |f_b|)

A cell's vector k(p) is what it gives to the embedding, whatever the pooling:

    mean     K(p) / (H W)
    max      K(p) where it is the channel's largest, shared among equals, else 0
    flatten  K(p) at its own coordinates, else 0
    linear   then W k(p), and each cell its equal part of the bias

Summed over q, the map of picture a: which of its places make it near to b; negative parts say what keeps them apart. The
same sum over cells of one part only is the vector by which a region is searched for. Reference: Stylianou, Souvenir & Pless
2019, Visualizing Deep Similarity Networks, arXiv:1901.00536.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.vision.stagenet import StageNet
from semblance.encoders.wrapped import AtStage, Wrapped
from semblance.errors import SemblanceError, unknown

POOLINGS = ("mean", "max", "flatten")


def cell_vectors(maps: Tensor, pooling: str = "mean", linear: nn.Linear | None = None) -> Tensor:
    """[N, C, H, W] -> [N, P, d], P = H W in reading order, whose sum over cells is the embedding."""
    if pooling not in POOLINGS:
        raise unknown("pooling", pooling, POOLINGS)
    k = maps.flatten(2)  # [N, C, P]
    if pooling == "mean":
        k = k / k.shape[2]
    elif pooling == "max":
        largest = k == k.amax(2, keepdim=True)
        k = k * largest / largest.sum(2, keepdim=True)
    else:
        k = torch.diag_embed(k).flatten(1, 2)  # [N, C P, P], as `flatten` counts
    found = k.mT
    if linear is None:
        return found
    found = F.linear(found, linear.weight)
    return found if linear.bias is None else found + linear.bias / found.shape[1]


def pair_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Cells [P, d], [Q, d] -> [P, Q], which sums to the cosine of the two embeddings; all 0 where one of them is 0."""
    lengths = a.sum(0).norm() * b.sum(0).norm()
    return a @ b.T / lengths.clamp_min(torch.finfo(a.dtype).tiny)


def similarity_maps(a: Tensor, other: Tensor) -> Tensor:
    """Cells [N, P, d] and embeddings [N, d] (or [d]: a mean of several, for one picture against a set) -> [N, P], which
    sum to the cosine."""
    whole = a.sum(1)
    other = other.expand_as(whole)
    lengths = whole.norm(dim=1) * other.norm(dim=1)
    return torch.einsum("npd,nd->np", a, other) / lengths.clamp_min(torch.finfo(a.dtype).tiny)[:, None]


def pooled_cells(encoder: Any, batch: Batch) -> tuple[Tensor, tuple[int, int]] | None:
    """What an encoder's cells give to its embeddings [N, P, d], and the grid; None for encoders that pool no map."""
    if isinstance(encoder, StageNet):
        maps, pooling, linear = encoder(batch)[-1], encoder.readout, encoder.project
    elif isinstance(encoder, AtStage):
        maps, pooling, linear = encoder(batch)[encoder.stage], "mean", None
    elif isinstance(encoder, Wrapped):
        maps, pooling, linear = encoder(batch), "mean", None
        if not isinstance(maps, Tensor) or maps.ndim != 4:
            return None
    else:
        return None
    found = cell_vectors(maps, pooling, linear if isinstance(linear, nn.Linear) else None)
    return found, (maps.shape[2], maps.shape[3])


def region_vectors(cells: Tensor, inside: Tensor) -> Tensor:
    """Cells [N, P, d] and inside [N, P] (bool, or shares from 0 to 1) -> [N, d]: the embedding of these cells alone, by
    which a user's box is searched for."""
    if bool((inside.sum(1) == 0).any()):
        raise SemblanceError("a region holds no cell: draw it larger")
    return torch.einsum("npd,np->nd", cells, inside.to(cells.dtype))


def best_groups(cells: Tensor, query: Tensor, grid: tuple[int, int], side: int) -> Tensor:
    """Cells [N, P, d] of stored pictures and a query [d] -> [N]: the largest cosine that any square of `side` by `side`
    cells has with it."""
    maps = cells.mT.unflatten(2, grid)  # [N, d, H, W]
    side = min(side, *grid)
    groups = F.avg_pool2d(maps, side, stride=1).flatten(2)  # [N, d, G]
    return F.cosine_similarity(groups, query[None, :, None], dim=1).amax(1)


def share_inside(maps: Tensor, inside: Tensor) -> Tensor:
    """Maps [N, P] and inside [N, P] -> [N]: how much of the positive mass lies there; nan where there is none."""
    positive = maps.clamp_min(0)
    return (positive * inside).sum(1) / positive.sum(1)
