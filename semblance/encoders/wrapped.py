"""Wrapped: encoders around encoders. The inner module computes, the outer one says what the embedding is.

Wrapped   any module of the user's: its answer [N, d], or maps [N, d, H, W] averaged over places
AtStage   an encoder whose embedding is read from the maps of an earlier stage
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from semblance.contracts import Batch, Encoder
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Geometry, Sphere


class Wrapped(nn.Module):
    """A module of the user's as an encoder. Its width is learned from its first answer, and must then stay."""

    def __init__(self, module: nn.Module, geometry: Geometry | None = None):
        super().__init__()
        self.module, self.geometry = module, Sphere() if geometry is None else geometry
        self._dim: int | None = None

    @property
    def dim(self) -> int:
        """Width of an embedding; known once something was embedded."""
        if self._dim is None:
            raise SemblanceError("the wrapped module's width is not known yet: embed one item first")
        return self._dim

    def forward(self, batch: Batch) -> Any:
        """x as the module takes it -> whatever the module answers."""
        return self.module(batch["x"])

    def embed(self, batch: Batch) -> Tensor:
        """x [N, ...] -> [N, dim]; an answer of another form is refused."""
        z = self.forward(batch)
        items = batch["x"].shape[0]  # len() would make a number of it, and bind an export to one batch size
        if isinstance(z, Tensor) and z.ndim == 4:
            z = z.mean((2, 3))
        if not isinstance(z, Tensor) or z.ndim != 2 or z.shape[0] != items:
            answer = f"a tensor of shape {tuple(z.shape)}" if isinstance(z, Tensor) else f"a {type(z).__name__}"
            raise SemblanceError(
                f"the wrapped module answered {items} items with {answer}: "
                "it has to give vectors [N, d] or maps [N, d, H, W]"
            )
        if self._dim is not None and z.shape[1] != self._dim:
            raise SemblanceError(
                f"the wrapped module gave {z.shape[1]} columns after {self._dim} before: "
                "feed it images of one size, or pool over places inside it"
            )
        self._dim = z.shape[1]
        return z


def encoder_of(module: nn.Module) -> Any:
    """A module as an encoder: itself where it is one (it has `embed`, `dim` and `geometry`), else wrapped."""
    return module if isinstance(module, Encoder) else Wrapped(module)


class AtStage(nn.Module):
    """An encoder read at stage `stage` (0 is the first) of its maps, averaged over places; `encoder.embed` stays the
    trunk's own read-out, for objectives that train the whole of it."""

    def __init__(self, encoder: nn.Module, stage: int):
        super().__init__()
        widths: tuple[int, ...] = encoder.widths  # type: ignore[assignment]
        if not 0 <= stage < len(widths):
            raise SemblanceError(f"stage is {stage}, but this encoder has stages 0 to {len(widths) - 1}")
        self.encoder, self.stage = encoder, stage
        self.dim, self.geometry = widths[stage], encoder.geometry

    def forward(self, batch: Batch) -> list[Tensor]:
        """-> the maps of all stages."""
        maps: list[Tensor] = self.encoder(batch)
        return maps

    def embed(self, batch: Batch) -> Tensor:
        """-> [N, dim]."""
        return self.forward(batch)[self.stage].mean((2, 3))
