"""Digits as most trial figures of the vision catalogue used them: pixels in [-1, 1], split 1,200 / 597 by one fixed
permutation. Other claims use `settings.digits`, which are stratified and run from 0 to 1."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pyarrow as pa
from sklearn.datasets import load_digits
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.dataset import ArrayDataset, Shape
from semblance.geometry.spaces import Geometry
from semblance.recipes.registry import Recipe

PERMUTATION_SEED = 0


@lru_cache(maxsize=1)
def signed_digits() -> ArrayDataset:
    """The 1,797 scans as pictures [1, 8, 8] of the values 0 to 16; `signed` brings a recipe to see them in [-1, 1]."""
    pixels, labels = load_digits(return_X_y=True)
    x = pixels.astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = labels.astype(np.int64)
    order = np.random.default_rng(PERMUTATION_SEED).permutation(len(x))
    return ArrayDataset(
        domain="images",
        x=x,
        ids=[str(i) for i in range(len(x))],
        targets={"labels": labels},
        attributes=pa.table({"label": labels}),
        splits={"train": order[:1200], "test": order[1200:]},
        fingerprint=hashlib.blake2b(x.tobytes() + labels.tobytes(), digest_size=16).hexdigest(),
        classes=tuple(str(k) for k in range(10)),
        name="signed-digits",
        source="digits",
    )


class Signed(nn.Module):
    """An encoder that sees 2 x / 16 - 1 of the stored values x."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder
        self.dim: int = encoder.dim  # type: ignore[assignment]
        self.geometry: Geometry = encoder.geometry  # type: ignore[assignment]

    def forward(self, batch: Batch) -> list[Tensor]:
        """-> the maps of all stages."""
        maps: list[Tensor] = self.encoder(self._shown(batch))
        return maps

    def embed(self, batch: Batch) -> Tensor:
        """-> [N, dim]."""
        z: Tensor = self.encoder.embed(self._shown(batch))  # type: ignore[operator]
        return z

    def _shown(self, batch: Batch) -> Batch:
        # Pictures come divided by 255, whatever their values.
        return {**batch, "x": batch["x"] * (255 / 8) - 1}


def signed(recipe: Recipe) -> Recipe:
    """The recipe on signed digits."""
    encoder: Callable[[Shape], nn.Module] = recipe.encoder
    return replace(recipe, encoder=lambda shape: Signed(encoder(shape)), standardise=False)
