"""Convolution along random walks over cells: what a cell meets before and after it, as a sequence that a 1-D network reads.

    walk      cells w_0, w_1, ... of one dimension, each sharing a face or a coface with the one before
    row i     [ state of w_i || state of the face or coface crossed || for j = 1 .. window: is w_i = w_{i-j}, do the two
              share a face, do they share a coface ]
    h'_w      h_w + MLP( mean over the visits of w of the network's output there )

The network is two convolutions without padding that see window + 1 rows together, each with batch norm and ReLU; its output
belongs to the row in the middle. Dimensions speak to each other through the cells crossed alone. The flags are what message
passing lacks: a walk that closes says how long the way round is. What varies: walks a cell, their length, the window, the
law of a step (a thing shared first, or all neighbours alike: geometry/crossings.py), plain or depthwise convolutions. In
training every pass draws new walks, of a share of the cells; else a cell's walks have streams of chance of their own, and
more or longer ones lower the variance.

Frantzen & Schaub 2024, SCRaWl, arXiv:2404.03434; on graphs: Tonshoff et al. 2021, arXiv:2102.08786.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from semblance.errors import SemblanceError
from semblance.geometry.cells import CellComplex
from semblance.geometry.crossings import Crossings, cross, of_cells


class WalkConvolution(nn.Module):
    """One layer over all `dimensions`, whose states all have this width. walks, length: of a cell, where something is asked
    (training: one walk of this length for `share` of the cells)."""

    def __init__(
        self,
        width: int,
        dimensions: int,
        length: int = 16,
        window: int = 4,
        walks: int = 4,
        share: float = 1.0,
        law: str = "over",
        depthwise: bool = False,
        seed: int = 0,
    ):
        super().__init__()
        if window < 2 or window % 2 or length <= window:
            raise SemblanceError(
                f"walks of {length} cells under a window of {window}: give an even window, and walks longer than it"
            )
        if walks < 1 or not 0 < share <= 1:
            raise SemblanceError(f"{walks} walks of a share {share} of the cells: give 1 or more, and above 0 to 1")
        self.length, self.window, self.walks, self.share = length, window, walks, share
        self.law, self.seed, self.dims = law, seed, [width] * dimensions
        half = window // 2 + 1
        rows = 2 * width + 3 * window
        self.networks = nn.ModuleList(
            nn.Sequential(
                *convolution(rows, width, half, depthwise),
                *convolution(width, width, half, depthwise),
            )
            for _ in range(dimensions)
        )
        self.maps = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)) for _ in range(dimensions)
        )

    def forward(self, x: list[Tensor], complex_: CellComplex) -> list[Tensor]:
        """[n_k, width] for every k -> the same."""
        seed = int(torch.randint(2**62, ())) if self.training else self.seed
        return [self._walked(x, complex_, k, seed + k) for k in range(len(x))]

    def _walked(self, x: list[Tensor], complex_: CellComplex, k: int, seed: int) -> Tensor:
        through = of_cells(complex_, k, self.law)
        # A cell that shares nothing is met by no walk.
        begin = np.flatnonzero(np.diff(through.start) > 0)
        if self.training and self.share < 1:
            begin = begin[torch.randperm(len(begin))[: max(1, round(self.share * len(begin)))].numpy()]
        each = 1 if self.training else self.walks
        numbers = places(complex_, k)[begin].repeat(each) * each + np.tile(np.arange(each), len(begin))
        walked, crossed = cross(through, begin.repeat(each), self.length, seed=seed, numbers=numbers)
        going = walked[:, 1] >= 0
        walked, crossed = walked[going], crossed[going]
        met = x[k].new_zeros(x[k].shape)
        if len(walked):
            found = self.networks[k](self._rows(x, through, k, walked, crossed))  # [W, width, length - window]
            low = self.window // 2
            middle = torch.from_numpy(walked[:, low : low + found.shape[2]].astype(np.int64)).reshape(-1)
            visits = torch.bincount(middle, minlength=len(met)).clamp(min=1)
            met = met.index_add(0, middle, found.transpose(1, 2).reshape(-1, met.shape[1])) / visits[:, None]
        out: Tensor = x[k] + self.maps[k](met)
        return out

    def _rows(self, x: list[Tensor], through: Crossings, k: int, walked: np.ndarray, crossed: np.ndarray) -> Tensor:
        """[W, channels, length], what the network reads."""
        none = x[k].new_zeros(1, x[k].shape[1])
        faces = x[k - 1] if k else none[:0]
        beside = torch.cat([faces, *x[k + 1 : k + 2], none])  # the last: nothing was crossed
        states = x[k][torch.from_numpy(walked.astype(np.int64))]
        between = beside[torch.from_numpy(crossed.astype(np.int64))]
        told = flags(through, len(faces), walked, self.window)
        return torch.cat([states, between, torch.from_numpy(told).to(states)], 2).transpose(1, 2)


def convolution(inputs: int, outputs: int, size: int, depthwise: bool) -> list[nn.Module]:
    """A convolution without padding, plain or as one of each channel and a mix of channels; batch norm, ReLU."""
    made: list[nn.Module] = [nn.Conv1d(inputs, outputs, size, bias=False)]
    if depthwise:
        made = [nn.Conv1d(inputs, inputs, size, groups=inputs), nn.Conv1d(inputs, outputs, 1, bias=False)]
    return [*made, nn.BatchNorm1d(outputs), nn.ReLU()]


def flags(through: Crossings, faces: int, walked: np.ndarray, window: int) -> np.ndarray:
    """float32 [W, length, 3 window]: is it the cell of j steps before, do the two share a face (a thing of a number below
    `faces`), do they share a coface; for j = 1 .. window each, 0 before the start. No walk ends at -1."""
    out = np.zeros((*walked.shape, 3 * window), np.float32)
    _flags(through.start, through.over, faces, walked, window, out)
    return out


@njit(cache=True, nogil=True)
def _flags(start, over, faces, walked, window, out):  # type: ignore[no-untyped-def]
    for w in range(walked.shape[0]):
        for i in range(walked.shape[1]):
            a = walked[w, i]
            for j in range(1, min(window, i) + 1):
                b = walked[w, i - j]
                if a == b:
                    out[w, i, j - 1] = 1
                    continue
                p, q = start[a], start[b]
                while p < start[a + 1] and q < start[b + 1]:
                    if over[p] == over[q]:
                        out[w, i, (window if over[p] < faces else 2 * window) + j - 1] = 1
                        p, q = p + 1, q + 1
                    elif over[p] < over[q]:
                        p += 1
                    else:
                        q += 1


def places(complex_: CellComplex, k: int) -> np.ndarray:
    """int64 [n_k]: every cell's place among those of its dimension in its own complex."""

    def look() -> np.ndarray:
        number = np.arange(complex_.size(k))
        if complex_.member is None or k > complex_.dim:
            return number
        member = complex_.member[k].cpu().numpy()
        return number - np.searchsorted(member, member)

    return complex_.once(("places", k), look)
