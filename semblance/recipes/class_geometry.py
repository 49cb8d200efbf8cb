"""What classes come to in the last layers, foretold without data: neural-collapse. Of embeddings with labels:
`semblance.analysis.neural_collapse`, or `semblance report SPACE collapse`."""

from __future__ import annotations

import numpy as np

from semblance.analysis.unconstrained_features import collapse_by_size
from semblance.recipes.registry import Recipe, recipe
from semblance.recipes.theory import no_encoder


@recipe(
    entry="neural-collapse",
    paper="Dang et al. 2023, Neural Collapse in Deep Linear Networks",
    domains=(),
    makes="report",
)
def neural_collapse(
    classes: int = 10,
    most: int = 1000,
    least: int = 10,
    layers: int = 1,
    decay: float = 0.003,
    feature_decay: float = 0.003,
) -> Recipe:
    """semblance reproduce neural-collapse    # lengths of rows and class means by class size; small classes vanish"""
    counts = np.geomspace(most, least, classes).round().astype(int)
    return Recipe(
        encoder=no_encoder("neural-collapse"),
        makes="report",
        report=lambda: collapse_by_size(counts.tolist(), [decay] * layers, feature_decay),
    )
