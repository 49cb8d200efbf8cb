"""Analyses of networks, each on a made-up one whose answer is known: feature-complexity, latent-dynamics.

On yours: the functions of `semblance.analysis` that these call.
"""

from __future__ import annotations

import numpy as np
import torch

from semblance.analysis.channel_axes import channel_axes
from semblance.analysis.channels import axis_named
from semblance.analysis.fine_tuning import drawn_module
from semblance.analysis.latent_dynamics import linear_denoiser, orbits
from semblance.analysis.merging import feature_complexity as complexity
from semblance.analysis.merging import split_channels
from semblance.objectives.projector import perceptron
from semblance.recipes.registry import Recipe, recipe
from semblance.recipes.theory import no_encoder
from semblance.reports import TableReport


@recipe(
    entry="feature-complexity",
    paper="Chen et al. 2023, Going Beyond Neural Network Feature Similarity",
    domains=(),
    makes="report",
)
def feature_complexity(width: int = 30, split: int = 10, seed: int = 0) -> Recipe:
    """semblance reproduce feature-complexity    # channels left of a net with some split in two or three"""

    def report() -> TableReport:
        chance = np.random.default_rng(seed)
        net = drawn_module(lambda: perceptron((20, width, width, 5), hidden_norm=False), seed)
        x = torch.zeros(2, 20)
        for layer in ("0", "2"):
            copies = np.ones(width, np.int64)
            copies[chance.choice(width, split, replace=False)] = chance.integers(2, 4, split)
            net = split_channels(net, axis_named(channel_axes(net, x), layer), copies)
        return complexity(net, x, least=0)

    return Recipe(encoder=no_encoder("feature-complexity"), makes="report", report=report)


@recipe(
    entry="latent-dynamics",
    paper="Fumero et al. 2025, Navigating the Latent Space Dynamics of Neural Models",
    domains=(),
    makes="report",
)
def latent_dynamics(directions: int = 12, noise: float = 0.1) -> Recipe:
    """semblance reproduce latent-dynamics    # how fast the best linear denoiser pulls in, by the variance of the data"""

    def report() -> TableReport:
        variance = torch.logspace(-2, 0, directions, dtype=torch.float64)
        map_ = linear_denoiser(variance.diag(), noise)
        found = orbits(lambda z: z @ map_.T, torch.eye(directions, dtype=torch.float64), most=40)
        rate = variance / (variance + noise)
        rows = tuple(
            {"variance": v, "rate": r, "measured": m}
            for v, r, m in zip(variance.tolist(), rate.tolist(), found.late.tolist(), strict=True)
        )
        said = f"noise of variance {noise:g} is taken off by a factor {rate[0]:.2f} to {rate[-1]:.2f} a step"
        return TableReport("Latent dynamics of a linear denoiser", said, rows, "variance", ("rate", "measured"))

    return Recipe(encoder=no_encoder("latent-dynamics"), makes="report", report=report)
