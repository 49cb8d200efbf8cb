"""Patches: a picture as a row of small squares, each a token of a transformer.

    tokens = W patch + position,    h = norm(blocks(tokens)),    z = the mean token, or that of a learned extra one

Tokens that are masked are not computed at all: `visible` encodes only those it is given the places of, so that their
number, and nothing else of the hidden ones, is seen. Positions are sines and cosines of row and column: pictures of any
size are read, smaller crops among them.

Dosovitskiy et al. 2021, arXiv:2010.11929; visible tokens only: He et al. 2022, arXiv:2111.06377.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.dataset import Shape
from semblance.encoders.sequences.transformer import Transformer, sinusoidal
from semblance.errors import SemblanceError, unknown
from semblance.geometry.spaces import Geometry, Sphere

READOUTS = ("mean", "class")


class Patches(nn.Module):
    """A transformer on the patches of pictures of `channels` channels."""

    def __init__(
        self,
        channels: int = 3,
        patch: int = 4,
        width: int = 64,
        blocks: int = 4,
        heads: int = 4,
        feedforward: int | None = None,
        readout: str = "mean",
        geometry: Geometry | None = None,
    ):
        super().__init__()
        if readout not in READOUTS:
            raise unknown("read-out", readout, READOUTS)
        if width % 4:
            raise SemblanceError(
                f"width is {width}, but half of it tells the row and half the column: give a multiple of 4"
            )
        self.patch, self.channels, self.readout, self.dim = patch, channels, readout, width
        self.geometry = Sphere() if geometry is None else geometry
        self.embedding = nn.Linear(channels * patch * patch, width)
        self.blocks = Transformer(width, blocks, heads, feedforward)
        self.norm = nn.LayerNorm(width)
        self.first = nn.Parameter(torch.randn(width) * 0.02) if readout == "class" else None

    def cut(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, T, C patch^2], row by row."""
        height, width = x.shape[2:]
        if height % self.patch or width % self.patch:
            raise SemblanceError(
                f"pictures of {height} by {width} pixels do not divide into patches of {self.patch}: scale them (size=) "
                "or take another patch"
            )
        return F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)

    def visible(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        """x [N, C, H, W], the places [N, k] that are seen (None: all) -> their tokens [N, k, d]; with a class token it
        stands before them, [N, 1 + k, d]."""
        patches = self.cut(x)
        where = positions(x.shape[2] // self.patch, x.shape[3] // self.patch, self.dim, x)
        if places is None:
            h = self.embedding(patches) + where
        else:
            # Hidden patches are left out before anything is computed of them.
            h = self.embedding(patches.gather(1, places[..., None].expand(-1, -1, patches.shape[2]))) + where[places]
        if self.first is not None:
            h = torch.cat([self.first.to(h).expand(len(h), 1, -1), h], 1)
        out: Tensor = self.norm(self.blocks(h, torch.ones(h.shape[:2], dtype=torch.bool, device=h.device)))
        return out

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """x [N, C, H, W] -> the patches' tokens [N, T, d] and who is there, [N, T] bool: all are."""
        tokens = self.visible(batch["x"])
        tokens = tokens if self.first is None else tokens[:, 1:]
        return tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)

    def embed(self, batch: Batch) -> Tensor:
        """x [N, C, H, W], and maybe `places` [N, k], the only patches that are seen -> [N, d]."""
        return self.pooled(self.visible(batch["x"], batch.get("places")))

    def pooled(self, tokens: Tensor) -> Tensor:
        """What `visible` gives -> [N, d]."""
        return tokens.mean(1) if self.first is None else tokens[:, 0]


def positions(height: int, width: int, dim: int, like: Tensor) -> Tensor:
    """[height * width, dim]: half of it of the row, half of the column."""
    rows, columns = (sinusoidal(size, dim // 2, like) for size in (height, width))
    return torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], 2).flatten(0, 1)


def patches_of(patch: int = 0, **axes: object) -> Callable[[Shape], Patches]:
    """The transformer as a lazy part; `patch` 0: four under 40 pixels, else a sixteenth of the side, two under 16."""

    def build(shape: Shape) -> Patches:
        if len(shape.item) != 3:
            raise SemblanceError(
                f"patches are cut from images, but an item of this data has shape {shape.item}: take a recipe for it"
            )
        channels, height, width = shape.item
        side = min(height, width)
        chosen = patch or (2 if side < 16 else 4 if side < 40 else max(4, side // 16))
        if height % chosen or width % chosen:
            if patch:
                raise SemblanceError(f"pictures of {height} by {width} pixels do not divide into patches of {patch}")
            chosen = next((p for p in range(chosen, 0, -1) if height % p == 0 == width % p), 1)
        return Patches(channels, chosen, **axes)  # type: ignore[arg-type]

    return build
