"""Why two rows of numbers are near: by their columns.

integrated  integrated gradients of each row from the columns' means, the other row held fast
occlusion   the similarity less what it is with a column at its mean; any model
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from semblance.analysis.explain import Asked, cosine, refuse_without_gradients
from semblance.analysis.explanation import Explanation, Parts
from semblance.analysis.faithfulness import curve
from semblance.analysis.saliency import integrated, occluded

METHODS = ("integrated", "occlusion")


def explain(asked: Asked) -> Explanation:
    """The two rows of the batch [2, d]."""
    x, method = asked.batch["x"], asked.method or METHODS[0]
    names = tuple(asked.known.get("columns") or (f"column {i}" for i in range(x.shape[1])))
    neutral = torch.as_tensor(asked.neutral, dtype=x.dtype).expand(1, x.shape[1])
    with torch.no_grad():
        z = asked.encoder.embed({"x": x})
    similarity = float(cosine(z[:1], z[1:])[0])
    sides = []
    for i in range(2):
        one, target = x[i : i + 1], _towards(asked, z[1 - i])
        if method == "occlusion":
            every = torch.eye(x.shape[1], dtype=torch.bool)
            share = (similarity - occluded(target, one, every, neutral))[0].numpy()
            reference = None
        else:
            with torch.enable_grad():
                refuse_without_gradients(target(one.detach().clone().requires_grad_()), method, "occlusion")
            share = integrated(target, one, neutral, asked.steps)[0].numpy()
            with torch.no_grad():
                reference = float(target(neutral)[0])
        sides.append(Parts(asked.names[i], "features", names, share, reference))
    found = None
    if asked.curve and x.shape[1] > 1:
        found = curve(_value(asked, neutral, z), np.concatenate([side.share for side in sides]), asked.seed)
    without = "the columns' means"
    return Explanation(asked.names, similarity, tuple(sides), method, without=without, curve=found, notes=asked.notes)


def _towards(asked: Asked, other: Tensor) -> Callable[[Tensor], Tensor]:
    """Rows [n, d] -> their similarities with one embedding."""
    return lambda x: cosine(asked.encoder.embed({"x": x}), other[None].expand(len(x), -1))


def _value(asked: Asked, neutral: Tensor, z: Tensor) -> Callable[[np.ndarray], np.ndarray]:
    """Which columns of both rows are kept [n, 2 d] -> mean similarity [n] of what is left of either with the other."""

    @torch.no_grad()
    def value(kept: np.ndarray) -> np.ndarray:
        sides = torch.from_numpy(kept).view(len(kept), 2, -1).unbind(1)
        total = torch.zeros(len(kept))
        for i, (row, part) in enumerate(zip(asked.batch["x"], sides, strict=True)):
            total += _towards(asked, z[1 - i])(torch.where(part, row, neutral)) / 2
        found: np.ndarray = total.numpy()
        return found

    return value
