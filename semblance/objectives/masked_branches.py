"""Masked branches: views with hidden patches, rebuilt from the patches that are seen, and told apart by their means.

    loss = contrast * InfoNCE(z_a, z_b; bank) + pixels * sum over rebuilt views of |pixels - guess| on hidden patches

z is the projected mean of the visible tokens. A view of mask ratio 0 is seen whole and not rebuilt. What varies:

    ratios     one for each view
    contrast   its weight, 0: none; against a bank of earlier z_b, whose network is the same or a slow copy (`teacher`)
    pixels     the weight of rebuilding, 0: no decoder
    cross      the last view is rebuilt with an eye on the first one's tokens (cross-attention), else from its own
    error      L1 or L2, on pixels as they are or brought to mean 0 and deviation 1 in every patch (`normalised`)

    mae        one view, ratio 0.75, L2, normalised                      He et al. 2022, arXiv:2111.06377
    macrl      two views, 0.75 and 0.375, contrast and L1                Yao et al. 2022
    cropmae    a crop seen whole, one inside it of which 1.5% is seen, cross, L2       Eymael et al. 2024, arXiv:2403.17823

The encoder is one that reads visible tokens only (`encoders.vision.patches`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.encoders.sequences.transformer import Block
from semblance.encoders.vision.patches import positions
from semblance.errors import SemblanceError, unknown
from semblance.objectives.branches import Copied, precise, spread_of
from semblance.objectives.codes import Queued
from semblance.objectives.masks import places

ERRORS = {"l1": F.l1_loss, "l2": F.mse_loss}


class Decoder(nn.Module):
    """Tokens of what is seen, a learned token wherever something is hidden -> the pixels of all patches."""

    def __init__(self, dim: int, pixels: int, width: int = 48, blocks: int = 2, heads: int = 4, cross: bool = False):
        super().__init__()
        self.narrow, self.wide = nn.Linear(dim, width), nn.Linear(width, pixels)
        self.hidden = nn.Parameter(torch.randn(width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads, 4 * width) for _ in range(blocks))
        self.other = nn.ModuleList(Glance(width, heads) for _ in range(blocks if cross else 0))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, seen: Tensor, grid: tuple[int, int], reference: Tensor | None = None) -> Tensor:
        """tokens [N, k, d] of the places `seen` [N, k], tokens of another view [N, T', d] -> [N, T, pixels]."""
        given = self.narrow(tokens)
        count, width = grid[0] * grid[1], given.shape[2]
        h = self.hidden.to(given).expand(len(given), count, width)
        h = h.scatter(1, seen[..., None].expand(-1, -1, width), given) + positions(*grid, width, given)
        everyone = torch.ones(h.shape[:2], dtype=torch.bool, device=h.device)
        aside = None
        if reference is not None:
            side = round(reference.shape[1] ** 0.5)
            aside = self.narrow(reference)
            if side * side == reference.shape[1]:
                aside = aside + positions(side, side, width, aside)
        for number, block in enumerate(self.blocks):
            h = block(h, everyone)
            if aside is not None and self.other:
                h = self.other[number](h, aside)
        out: Tensor = self.wide(self.norm(h))
        return out


class Glance(nn.Module):
    """Every token looks at the tokens of another view: h + attention(norm(h) -> reference)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.ask, self.read, self.write = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)

    def forward(self, h: Tensor, reference: Tensor) -> Tensor:
        """h [N, T, d], reference [N, T', d] -> [N, T, d]."""
        q = self.ask(self.norm(h)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.read(reference).unflatten(-1, (2, self.heads, -1)).movedim(-3, 0).transpose(-3, -2)
        mixed = F.scaled_dot_product_attention(q, k, v)
        written: Tensor = self.write(mixed.transpose(1, 2).flatten(2))
        return h + written


class MaskedBranches(nn.Module):
    """Decoder, projector, bank and teacher are dropped after training."""

    needs = frozenset({"views"})

    def __init__(
        self,
        ratios: Sequence[float] = (0.75,),
        *,
        decoder: Decoder | None = None,
        projector: nn.Module | None = None,
        contrast: float = 0.0,
        pixels: float = 1.0,
        bank: Queued | None = None,
        teacher: Copied | None = None,
        error: str = "l2",
        normalised: bool = True,
        mask: str = "scattered",
    ):
        super().__init__()
        if error not in ERRORS:
            raise unknown("error of pixels", error, ERRORS)
        if contrast and (bank is None or projector is None or len(ratios) < 2):
            raise SemblanceError(
                "views are told apart by their projections against a bank: give two views, projector and bank"
            )
        if pixels and decoder is None:
            raise SemblanceError("pixels are rebuilt by a decoder: give one, or set pixels to 0")
        if not (contrast or pixels):
            raise SemblanceError(
                "contrast and pixels are both 0, and nothing is asked of the network: give one a weight"
            )
        self.ratios, self.contrast, self.pixels, self.mask = tuple(ratios), contrast, pixels, mask
        self.decoder, self.bank, self.teacher = decoder, bank, teacher
        self.projector = nn.Identity() if projector is None else projector
        self.error, self.normalised = error, normalised
        self._keys: list[Tensor] = []

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """views: as many as ratios -> scalar, {loss, pixels: the error on hidden patches, std, rank of the last view}."""
        encoder: Any = getattr(model, "encoder", model)
        views = [view["x"] for view in batch["views"]]
        if len(views) != len(self.ratios):
            raise SemblanceError(f"there are {len(views)} views and {len(self.ratios)} mask ratios: give one for each")
        grids = [(x.shape[2] // encoder.patch, x.shape[3] // encoder.patch) for x in views]
        masks = [
            places(len(x), grid, ratio, self.mask, x) for x, grid, ratio in zip(views, grids, self.ratios, strict=True)
        ]
        whole = bool(self.contrast) or (self.decoder is not None and len(self.decoder.other) > 0)
        tokens = [
            # A view that is seen whole and that nobody looks at is not encoded.
            encoder.visible(x, seen if len(gone[0]) else None) if whole or len(gone[0]) else None
            for x, (seen, gone) in zip(views, masks, strict=True)
        ]
        pooled = [precise(encoder.pooled(each)) for each in tokens if each is not None]
        loss, told = views[0].new_zeros(()), dict(spread_of(pooled[-1].detach()) if pooled else {})
        if self.pixels:
            errors = self._rebuilt(encoder, views, grids, masks, tokens)
            loss = loss + self.pixels * torch.stack(errors).sum()
            told["pixels"] = float(torch.stack(errors).mean().detach())
        if self.contrast:
            loss = loss + self.contrast * self._contrast(model, batch, pooled, masks)
        return loss, {"loss": float(loss.detach()), **told}

    def _rebuilt(self, encoder: Any, views: list[Tensor], grids: Any, masks: Any, tokens: Any) -> list[Tensor]:
        """The error of every view that is not seen whole."""
        assert self.decoder is not None
        errors = []
        for number, (x, grid, (seen, gone)) in enumerate(zip(views, grids, masks, strict=True)):
            if not len(gone[0]):
                continue
            last = number == len(views) - 1 and number > 0 and len(self.decoder.other) > 0
            patches = tokens[number][:, -seen.shape[1] :]  # without a class token
            guess = self.decoder(patches, seen, grid, tokens[0] if last else None)
            errors.append(ERRORS[self.error](at(guess, gone), at(self.wanted(encoder.cut(x)), gone)))
        if not errors:
            raise SemblanceError(f"mask ratios {self.ratios} hide nothing, and pixels are rebuilt: give one above 0")
        return errors

    def wanted(self, patches: Tensor) -> Tensor:
        """[N, T, p] -> what is to be rebuilt."""
        patches = precise(patches)
        if not self.normalised:
            return patches
        return (patches - patches.mean(2, keepdim=True)) / (patches.var(2, keepdim=True) + 1e-6).sqrt()

    def _contrast(self, model: Encoder, batch: Batch, pooled: list[Tensor], masks: Any) -> Tensor:
        assert self.bank is not None
        a, b = (precise(self.projector(each)) for each in pooled[:2])
        if self.teacher is None:
            self._keys = [b.detach()]
            return (self.bank(a, b) + self.bank(b, a)) / 2
        view = {"x": batch["views"][1]["x"], "places": masks[1][0]}
        self._keys = self.teacher(self._online(model), [], {"views": [view]})
        return self.bank(a, self._keys[0])

    def after_step(self, model: Encoder, batch: Batch) -> None:
        """Past keys join the bank, and the teacher follows."""
        if self.bank is not None and self._keys:
            self.bank.after_step(self._keys)
        if self.teacher is not None:
            self.teacher.after_step(self._online(model), [], batch)
        self._keys = []

    def _online(self, model: Encoder) -> nn.ModuleList:
        encoder: Any = getattr(model, "encoder", model)
        return nn.ModuleList([encoder, self.projector])


def at(patches: Tensor, where: Tensor) -> Tensor:
    """[N, T, p], [N, k] -> [N, k, p]."""
    return patches.gather(1, where[..., None].expand(-1, -1, patches.shape[2]))
