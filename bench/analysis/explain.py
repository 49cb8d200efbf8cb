"""How long an explanation takes: an image pair at 128 pixels, by the cells of a pooled map and by integrated gradients,
with and without the curve that checks it.

    python bench/analysis/explain.py --rounds 3                # goal: the image pair under 1 s

`gap` is what the shares' sum misses the similarity by. Another domain joins with an arm of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.harness import bench, times

SIZE = 128


def images(backbone: str, method: str, curve: bool) -> Callable[[], dict[str, float]]:
    """Two noisy pictures, embedded by a network as it was drawn: weights do not change the time."""

    def run() -> dict[str, float]:
        from semblance.analysis.explain import Asked, explain
        from semblance.encoders.vision.stagenet import stage_net

        torch.manual_seed(0)
        encoder, x = stage_net(backbone).eval(), torch.randn(2, 3, SIZE, SIZE)
        for parameter in encoder.parameters():
            if parameter.ndim == 1:  # a norm as it was drawn sends the neutral picture to 0, which has no cosine
                parameter.data += 0.1 * torch.randn_like(parameter)
        stored = (128 + 40 * x).clamp(0, 255).to(torch.uint8)
        asked = Asked(encoder, {"x": x}, ("a", "b"), method=method, stored=stored, curve=curve)
        found: list = []
        measured = times(lambda: found.append(explain("images", asked)), 3)
        return {**measured, "gap": float(found[-1].gap or 0)}

    return run


ARMS = {
    "image pair, cells": images("small", "cells", False),
    "image pair, cells and curve": images("small", "cells", True),
    "image pair, integrated": images("small", "integrated", False),
    "image pair, resnet18, cells": images("resnet18", "cells", False),
    "image pair, resnet18, cells and curve": images("resnet18", "cells", True),
}

if __name__ == "__main__":
    bench(
        __file__,
        ARMS,
        baseline="image pair, cells",
        targets={"an image pair at 128 pixels under 1 s": ("image pair, cells and curve", 1.0)},
    )
