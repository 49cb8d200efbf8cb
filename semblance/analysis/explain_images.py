"""Why two pictures are near: cells of either, by how the model is asked.

cells       the pooled map taken apart, exact, with the matrix of pairs     models that pool a map
integrated  integrated gradients of each picture, the other held fast       models with gradients
gradient    |gradient|, no decomposition                                    models with gradients
occlusion   the similarity less what it is with a cell made neutral         any model
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from semblance.analysis.attribution import pair_matrix, pooled_cells
from semblance.analysis.explain import Asked, cosine, refuse_without_gradients
from semblance.analysis.explanation import Explanation, Parts, cell_names
from semblance.analysis.faithfulness import curve
from semblance.analysis.saliency import AT_ONCE, cells, gradient, integrated, occluded, places, strength
from semblance.errors import SemblanceError

METHODS = ("cells", "integrated", "gradient", "occlusion")
FINEST = 14  # cells a side, where the model has none of its own
SAME = 1e-3  # what the cells' sum may miss the model's own embedding by


def explain(asked: Asked) -> Explanation:
    """The two pictures of the batch."""
    x = asked.batch["x"]
    with torch.no_grad():
        z = asked.encoder.embed({"x": x})
        pooled = _cells_of(asked, z)
    method = asked.method or _first(asked, pooled is not None)
    if method == "cells" and pooled is None:
        raise SemblanceError("this model pools no map whose cells could be told apart: use method integrated")
    size = (x.shape[2], x.shape[3])
    grid = pooled[1] if method == "cells" and pooled is not None else (min(size[0], FINEST), min(size[1], FINEST))
    similarity = float(cosine(z[:1], z[1:])[0])
    pairs, references = None, (0.0, 0.0)
    if method == "cells" and pooled is not None:
        pairs = pair_matrix(*pooled[0]).numpy()
        shares = [pairs.sum(1), pairs.sum(0)]
    else:
        shares, references = _by_pixels(asked, method, z, grid, similarity)
    sides = tuple(
        Parts(
            name,
            "cells",
            cell_names(grid),
            share,
            None if method in ("gradient", "occlusion") else reference,
            grid,
            picture,
        )
        for name, share, reference, picture in zip(asked.names, shares, references, pictures(asked.stored), strict=True)
    )
    found = curve(_value(asked, grid, z), np.concatenate(shares), asked.seed) if asked.curve else None
    return Explanation(
        asked.names, similarity, sides, method, without="the mean colour", pairs=pairs, curve=found, notes=asked.notes
    )


def _first(asked: Asked, has_cells: bool) -> str:
    """The most telling method that works."""
    if has_cells:
        return "cells"
    x = asked.batch["x"][:1].detach().clone().requires_grad_()
    return "integrated" if asked.encoder.embed({"x": x}).requires_grad else "occlusion"


def _cells_of(asked: Asked, z: Tensor) -> tuple[Tensor, tuple[int, int]] | None:
    """The cells, if they sum to the embeddings [2, d] (an encoder may do more after its pooling)."""
    pooled = pooled_cells(asked.encoder, asked.batch)
    if pooled is None or pooled[0].shape[2] != z.shape[1]:
        return None
    error = (pooled[0].sum(1) - z).norm(dim=1) / z.norm(dim=1).clamp_min(torch.finfo(z.dtype).tiny)
    return pooled if float(error.max()) < SAME else None


def _by_pixels(
    asked: Asked, method: str, z: Tensor, grid: tuple[int, int], similarity: float
) -> tuple[list[np.ndarray], tuple[float, float]]:
    """Shares of either picture's cells with the other held fast, and what is left where a picture is neutral."""
    x, shares, references = asked.batch["x"], [], []
    for i in range(2):
        one, other = x[i : i + 1], z[1 - i : 2 - i].detach()

        def target(x: Tensor, other: Tensor = other) -> Tensor:
            return cosine(asked.encoder.embed({"x": x}), other.expand(len(x), -1))

        if method == "occlusion":
            where = places((x.shape[2], x.shape[3]), grid)
            hidden = where == torch.arange(grid[0] * grid[1])[:, None, None]
            shares.append((similarity - occluded(target, one, hidden, asked.neutral))[0].numpy())
            references.append(0.0)
            continue
        with torch.enable_grad():
            refuse_without_gradients(target(one.detach().clone().requires_grad_()), method, "occlusion")
        neutral = torch.as_tensor(asked.neutral, dtype=x.dtype).expand_as(one)
        with torch.no_grad():
            references.append(float(target(neutral)[0]))
        if method == "gradient":
            shares.append(cells(strength(gradient(target, one)), grid)[0].numpy())
        else:
            shares.append(cells(integrated(target, one, neutral, asked.steps).sum(1), grid)[0].numpy())
    return shares, (references[0], references[1])


def _value(asked: Asked, grid: tuple[int, int], z: Tensor) -> Callable[[np.ndarray], np.ndarray]:
    """Which cells of both pictures are kept [n, 2 P] -> the mean of two similarities [n]: of what is left of either picture
    with the whole other one. With nothing left of both they would be alike again."""
    x = asked.batch["x"]
    where = places((x.shape[2], x.shape[3]), grid)

    @torch.no_grad()
    def value(kept: np.ndarray) -> np.ndarray:
        sides = torch.from_numpy(kept).view(len(kept), 2, -1).unbind(1)
        total = torch.zeros(len(kept))
        for picture, side, other in zip(x, sides, z.flip(0), strict=True):
            for rows in torch.arange(len(kept)).split(AT_ONCE):
                seen = torch.where(side[rows][:, where][:, None], picture[None], asked.neutral)
                total[rows] += cosine(asked.encoder.embed({"x": seen}), other.expand(len(rows), -1)) / 2
        found: np.ndarray = total.numpy()
        return found

    return value


def pictures(stored: Tensor) -> list[np.ndarray]:
    """uint8 [n, C, H, W] -> [H, W] or [H, W, 3] in 0..1 each."""
    found = []
    for picture in np.asarray(stored):
        shown = picture[0] if len(picture) != 3 else np.moveaxis(picture, 0, 2)
        found.append(shown.astype(np.float64) / 255)
    return found
