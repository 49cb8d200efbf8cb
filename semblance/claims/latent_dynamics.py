"""Claim of latent dynamics: codes of an autoencoder that is applied again and again come to rest, and where they do tells
what it has learned by heart, what it has learned at all, and what it has not met.

Autoencoders 784-256-16-256-784 in batches of 64; orbits in float64, of at most 1,500 steps. Attractors of images: from the
codes of 300 test digits. Dictionary: attractors reached from 600 normal codes of deviation 3 (chosen on seed 100 among 1, 3
and 10, for 40 to 60 of them), at most 60. k-NN: mean distance to the 10 nearest of 6,000 training codes.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from semblance.analysis.autoencoder import Autoencoder, fit_autoencoder
from semblance.analysis.latent_dynamics import (
    Attractors,
    Orbits,
    attractors,
    linear_denoiser,
    novelty,
    orbits,
    pursuit,
    resemblance,
    spectral_radius,
)
from semblance.claims.ledger import Run, at_least, at_most, below, claim
from semblance.claims.perceptrons import mnist_rows
from semblance.data.load import load
from semblance.learning.parts import NOISE, torch_chance

FEW, MANY, ASKED, MOST = 10, 6000, 300, 1500
CODES, DEVIATION, ATOMS = 600, 3.0, 60
STRONG = 0.4
"""Above this rho the late steps are many enough to measure how they shrink."""


@claim(
    "latent-dynamics",
    parts={
        "(a) 10 images: cosine of an orbit's end with the nearest training image, least": at_least(0.99),
        "(a) mean cosine, 10 images less 6,000": at_least(0.08),
        "(a) test error, 6,000 images over 10": at_most(1 / 3),
        "(b) spectral radius of an attractor, largest": below(1),
        "(b) rho above 0.4: share whose late contraction is within 0.1": at_least(0.8),
        "(c) attractors from noise, in the dictionary": at_least(40),
        "(c) error with 5 atoms over that of random codes": at_most(0.92),
        "(c) error with 10 atoms over that of random codes": at_most(0.92),
        "(d) Omniglot: AUROC of the first three steps less k-NN": at_least(0.1),
        "(d) shuffled pixels: AUROC of the first three steps less k-NN": at_least(0.1),
        "(e) linear denoiser: field off noise times score": at_most(1e-8),
    },
    data=("mnist", "omniglot-small", "synthetic: Gaussian rows"),
    broken="the decoder that answers is an untrained one",
    seeds=(0, 1),
    files=(
        "analysis/latent_dynamics.py",
        "analysis/autoencoder.py",
        "analysis/fitted.py",
        "claims/perceptrons.py",
    ),
    minutes=3.0,
)
def latent_dynamics(run: Run) -> None:
    """Autoencoders contract: with few training items every code comes to rest at one of them; with many the resting places
    are a dictionary better than random codes, and the first steps tell foreign pictures better than neighbours do."""
    found: dict[str, list[float]] = {name: [] for name in run.parts}
    beside: dict[str, list[float]] = {}
    for seed in run.seeds:
        for name, value in one(run, seed).items():
            (found if name in found else beside).setdefault(name, []).append(value)
        run.progress(f"seed {seed} done")
    for name, values in beside.items():
        run.baseline(name, values)
    for name, values in found.items():
        run.report(name, values)


def one(run: Run, seed: int) -> dict[str, float]:
    """All parts of one seed."""
    x, asked = mnist_rows("train", MANY)[0], mnist_rows("test", ASKED)[0].double()
    few, many = (trained(run, x[:count], seed) for count in (FEW, MANY))
    chance = torch_chance(seed, NOISE, 1)
    found = memorised(few, many, x.double(), asked)
    found |= dictionary(many, x.double(), asked, chance)
    found |= foreign(many, x.double(), asked, chance)
    return found | scored(chance)


def trained(run: Run, x: Tensor, seed: int, code: int = 16) -> Autoencoder:
    """In float64."""
    net = fit_autoencoder(x, code, batch=64, seed=seed)
    if run.broken:
        net.decoder = fit_autoencoder(x, code, steps=0, seed=seed + 1).decoder
    return net.double()


@torch.no_grad()
def followed(net: Autoencoder, z: Tensor) -> tuple[Orbits, Attractors, Tensor]:
    """Orbits, their attractors, and what all ends decode to."""
    ended = orbits(net, z, MOST)
    return ended, attractors(ended), net.decode(ended.end)


def memorised(few: Autoencoder, many: Autoencoder, x: Tensor, asked: Tensor) -> dict[str, float]:
    """(a) and (b)"""
    like, error, radius, measured, rests = [], [], [], [], []
    for net, known in ((few, x[:FEW]), (many, x)):
        with torch.no_grad():
            z = net.encode(asked)
            error.append(float((net.decode(z) - asked).square().mean()))
        ended, found, decoded = followed(net, z)
        like.append(resemblance(decoded, known))
        rests.append(int(ended.rests.sum()))
        rho = spectral_radius(net, found.points)
        radius.append(rho)
        for at in torch.nonzero(rho > STRONG)[:, 0].tolist():
            measured.append(abs(float(ended.late[found.of == at].nanmedian()) - float(rho[at])) <= 0.1)
    return {
        "(a) 10 images: cosine of an orbit's end with the nearest training image, least": float(like[0].min()),
        "(a) mean cosine, 10 images less 6,000": float(like[0].mean() - like[1].mean()),
        "(a) test error, 6,000 images over 10": error[1] / error[0],
        "(a) attractors of 10 images": len(radius[0]),
        "(a) attractors of 6,000 images": len(radius[1]),
        "(a) orbits of 300 that rest, 6,000 images": rests[1],
        "(a) mean cosine, 6,000 images": float(like[1].mean()),
        "(b) spectral radius of an attractor, largest": float(torch.cat(radius).max()),
        "(b) rho above 0.4: share whose late contraction is within 0.1": float(np.mean(measured))
        if measured
        else np.nan,
        "(b) attractors with rho above 0.4": len(measured),
    }


@torch.no_grad()
def dictionary(net: Autoencoder, x: Tensor, asked: Tensor, chance: torch.Generator) -> dict[str, float]:
    """(c)"""
    z = DEVIATION * torch.randn(CODES, 16, generator=chance).double()
    points = followed(net, z)[1].points[:ATOMS]
    found = {"(c) attractors from noise, in the dictionary": float(len(points))}
    atoms = {"": net.decode(points), "random codes": net.decode(z[: len(points)]), "training images": x[: len(points)]}
    for count in (5, 10):
        error = {
            name: float((pursuit(rows, asked, min(count, len(rows))) - asked).square().mean())
            for name, rows in atoms.items()
        }
        found[f"(c) error with {count} atoms over that of random codes"] = error[""] / error["random codes"]
        found[f"(c) error with {count} atoms over that of training images"] = error[""] / error["training images"]
    return found


@torch.no_grad()
def foreign(net: Autoencoder, x: Tensor, asked: Tensor, chance: torch.Generator) -> dict[str, float]:
    """(d)"""
    omniglot = load("omniglot-small")
    drawn = torch.from_numpy(omniglot.x[omniglot.splits["test"][:ASKED]]).flatten(1).double() / 255
    others = {"Omniglot": drawn, "shuffled pixels": asked[:, torch.randperm(asked.shape[1], generator=chance)]}
    codes = net.encode(x)
    known = followed(net, codes[:ASKED])[1].points

    def scores(rows: Tensor) -> dict[str, Tensor]:
        z = net.encode(rows)
        found = novelty(net, z, known, MOST)
        found["k-NN on codes"] = torch.cdist(z, codes).topk(10, largest=False).values.mean(1)
        found["reconstruction error"] = (net.decode(z) - rows).square().mean(1)
        return found

    own, found = scores(asked), {}
    for name, rows in others.items():
        truth = [0] * len(asked) + [1] * len(rows)
        auroc = {key: float(roc_auc_score(truth, torch.cat([own[key], v]))) for key, v in scores(rows).items()}
        found[f"(d) {name}: AUROC of the first three steps less k-NN"] = auroc["path"] - auroc["k-NN on codes"]
        found |= {f"(d) {name}: AUROC of {TOLD.get(key, key)}": value for key, value in auroc.items()}
    return found


TOLD = {"path": "the first three steps", "field": "the first step", "attractor": "the distance to attractors"}


def scored(chance: torch.Generator) -> dict[str, float]:
    """(e)"""
    mix = torch.randn(8, 8, generator=chance).double()
    covariance, noise = mix @ mix.T, 0.2
    z = torch.randn(100, 8, generator=chance).double().requires_grad_()
    noisy = torch.distributions.MultivariateNormal(torch.zeros(8).double(), covariance + noise * torch.eye(8).double())
    (score,) = torch.autograd.grad(noisy.log_prob(z).sum(), z)
    field = (z @ linear_denoiser(covariance, noise).T - z).detach()
    return {"(e) linear denoiser: field off noise times score": float((field - noise * score).abs().max())}
