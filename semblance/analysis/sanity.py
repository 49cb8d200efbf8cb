"""Sanity of explanations: a map that stays as it was when the network's weights are drawn anew tells of the picture, not of
the network.

    r = rank correlation of |map| before and after every weight was replaced by a draw, mean over inputs
    a method passes where r is below 0.5

`METHODS` are the library's own ways to explain a pair of pictures, as fine as each is; `FAILS` says which do not pass and
why, and a test holds both to what is measured. Reference: Adebayo et al. 2018, Sanity Checks for Saliency Maps,
arXiv:1810.03292.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from semblance.analysis.attribution import pooled_cells, similarity_maps
from semblance.analysis.explain import cosine
from semblance.analysis.saliency import gradient, integrated, occluded, places, strength

GRID = (8, 8)
MOST = 0.5
Method = Callable[[nn.Module, Tensor], Tensor]


def _similarity(encoder: nn.Module, x: Tensor) -> Callable[[Tensor], Tensor]:
    """Pictures beside the one after them: their similarity."""
    with torch.no_grad():
        other = encoder.embed({"x": x}).roll(1, 0)  # type: ignore[operator]
    return lambda part: cosine(encoder.embed({"x": part}), other.repeat(len(part) // len(other), 1))  # type: ignore[operator]


def _by_rule(rule: str) -> Method:
    return lambda encoder, x: strength(gradient(_similarity(encoder, x), x, rule))


def _integrated(encoder: nn.Module, x: Tensor) -> Tensor:
    return integrated(_similarity(encoder, x), x, steps=16).sum(1)


def _occlusion(encoder: nn.Module, x: Tensor) -> Tensor:
    hidden = places((x.shape[2], x.shape[3]), GRID) == torch.arange(GRID[0] * GRID[1])[:, None, None]
    with torch.no_grad():
        z = encoder.embed({"x": x})  # type: ignore[operator]
    found = []
    for one, other in zip(x, z.roll(1, 0), strict=True):
        whole = cosine(encoder.embed({"x": one[None]}), other[None]).detach()  # type: ignore[operator]
        seen = occluded(
            lambda part, o=other: cosine(encoder.embed({"x": part}), o.expand(len(part), -1)), one[None], hidden
        )
        found.append(whole - seen[0])
    return torch.stack(found)


@torch.no_grad()
def _cells(encoder: nn.Module, x: Tensor) -> Tensor:
    pooled = pooled_cells(encoder, {"x": x})
    assert pooled is not None
    return similarity_maps(pooled[0], pooled[0].sum(1).roll(1, 0))


METHODS: dict[str, Method] = {
    "cells": _cells,
    "integrated": _integrated,
    "gradient": _by_rule("gradient"),
    "guided": _by_rule("guided"),
    "deconvnet": _by_rule("deconvnet"),
    "occlusion": _occlusion,
}
FAILS: dict[str, str] = {
    "cells": "rectified maps are large where a picture is busy, whatever the weights are: on one object before noise their "
    "ranks hardly change, so look at the pair matrix and the curve, or compare with the untrained net"
}
"""Methods that do not pass, each with the reason."""


def redrawn(model: nn.Module, seed: int) -> nn.Module:
    """A copy whose every weight is a normal draw of the size it had; norms and their statistics stay as they are."""
    other, rng = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            if parameter.ndim > 1:
                parameter.copy_(parameter.std() * torch.randn(parameter.shape, generator=rng))
    return other.eval()


def randomisation(method: Method, model: nn.Module, x: Tensor, seed: int = 0) -> float:
    """[N, ...] inputs -> r. A map that is constant has no ranks and counts as unchanged."""
    before, after = (np.abs(method(m, x).detach().numpy()) for m in (model.eval(), redrawn(model, seed)))
    found = []
    for one, other in zip(before, after, strict=True):
        still = np.ptp(one) == 0 or np.ptp(other) == 0
        found.append(1.0 if still else float(spearmanr(one.ravel(), other.ravel()).statistic))
    return float(np.mean(found))
