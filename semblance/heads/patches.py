"""Patches: retrieval by parts. A picture is near another where each of its patches has a near one there.

    d(q, r) = sum over patches a of q  min over patches b of r  |phi(a) - phi(b)|
    phi = sqrt_signed( l2( whiten( pca( l2(features) ) ) ) )

Level i cuts i * i patches of side 2 / (i + 1) of the picture's, each overlapping its neighbour by half; levels 1..h are
used together (Sharif Razavian et al. 2014, arXiv:1403.6382, whose spatial search this is).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.errors import SemblanceError


def patches(x: Tensor, level: int) -> Iterator[Tensor]:
    """[N, C, H, W] -> level * level patches, each brought back to [N, C, H, W]."""
    height, width = x.shape[2:]
    h, w = (max(1, round(s * 2 / (level + 1))) for s in (height, width))
    for i in range(level):
        for j in range(level):
            top, left = (round((s - p) * k / max(level - 1, 1)) for s, p, k in ((height, h, i), (width, w, j)))
            patch = x[:, :, top : top + h, left : left + w]
            same = patch.shape == x.shape
            yield patch if same else F.interpolate(patch, (height, width), mode="bilinear", align_corners=False)


class PatchRetrieval(nn.Module):
    """References are held as transformed patch features [R, P, d] with the transform that was learned on them.

    embed: pictures [N, C, H, W] -> features [N, d]. `levels` 1 compares whole pictures.
    """

    mean: Tensor
    components: Tensor
    references: Tensor

    def __init__(self, embed: Callable[[Tensor], Tensor], levels: int = 2, dims: int = 500):
        super().__init__()
        if levels < 1 or dims < 1:
            raise SemblanceError(f"levels is {levels} and dims {dims}, but both count from 1")
        self.embed, self.levels, self.dims = embed, levels, dims
        self.register_buffer("mean", torch.zeros(0))
        self.register_buffer("components", torch.zeros(0, 0))
        self.register_buffer("references", torch.zeros(0, 0, 0))

    def fit(self, x: Tensor) -> PatchRetrieval:
        """References [R, C, H, W]; learns the transform on their patches and keeps them."""
        raw = self._features(x)
        flat = raw.flatten(0, 1)
        self.mean = flat.mean(0)
        _, singular, directions = torch.linalg.svd(flat - self.mean, full_matrices=False)
        # Directions without variance carry rounding only, which whitening would blow up.
        kept = min(self.dims, int((singular > 1e-4 * singular[0]).sum()))
        deviation = singular[:kept] / max(len(flat) - 1, 1) ** 0.5
        self.components = directions[:kept] / deviation[:, None]
        self.references = self._transform(raw)
        return self

    def distances(self, x: Tensor) -> Tensor:
        """Queries [Q, C, H, W] -> [Q, R]."""
        queries = self._transform(self._features(x))
        gallery = self.references.flatten(0, 1)
        rows = []
        for query in queries:  # one query at a time: all pairs of patches would be P^2 times as large
            each = torch.cdist(query, gallery).view(len(query), len(self.references), -1)
            rows.append(each.amin(2).sum(0))
        return torch.stack(rows) if rows else self.references.new_zeros(0, len(self.references))

    @torch.no_grad()
    def _features(self, x: Tensor) -> Tensor:
        """-> [N, P, d] of unit length."""
        found = [self.embed(p) for level in range(1, self.levels + 1) for p in patches(x, level)]
        return F.normalize(torch.stack(found, 1).float(), dim=2)

    def _transform(self, raw: Tensor) -> Tensor:
        z = F.normalize((raw - self.mean) @ self.components.T, dim=2)
        return z.sign() * z.abs().sqrt()
