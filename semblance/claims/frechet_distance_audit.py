"""Claim of the audit of the Frechet distance: in a classifier's space it falls far when made items are only weighted, by
class or for the distance, while an independent space sees little of it.

Real: the 10,000 test digits of MNIST. Made: 10,000 training digits after the first 22,400, from which the classifier
learned, blurred by a Gaussian of 0.65 pixels, class k as often as 0.2 + 0.8 k / 9. Classifier space: the 64 features
before the last layer of a digit net. Independent space: the 64 numbers of an autoencoder (784, 256, 64) of real digits.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from scipy.ndimage import gaussian_filter
from torch import nn

from semblance.analysis.frechet import between, frechet, of_moments
from semblance.analysis.frechet_audit import DIRECT, SHUFFLED, Weighted, weighted
from semblance.claims.digit_nets import digit_net, digits_given
from semblance.claims.ledger import Run, at_least, at_most, claim
from semblance.learning.parts import chance, torch_chance

ITEMS, BLUR, STEPS, BATCH = 10_000, 0.65, 1_000, 128


@claim(
    "frechet-distance-audit",
    parts={
        "(a) direct weights: fall of the classifier distance": at_least(0.9),
        "(a) direct weights: fall of the independent distance": at_most(0.3),
        "(b) top-1 alignment: fall of the classifier distance": at_least(0.3),
        "(b) random weights: change of the classifier distance": at_most(0.05),
        "(c) 50,000 samples of known Gaussians, relative error": at_most(0.02),
        "(c) a set and itself": at_most(1e-8),
        "(c) one rotation of both sets, relative change": at_most(1e-6),
    },
    data=("mnist",),
    broken="the classifier's answers on the made items are given to other ones",
    files=("analysis/frechet.py", "analysis/frechet_audit.py", "claims/digit_nets.py"),
    minutes=3.0,
    calibrated={
        "(a) direct weights: fall of the independent distance": {
            "catalogue": "at most 0.3; blurred digits, the blur not said",
            "used": "at most 0.3; a blur of 0.65 pixels",
            "why": "on seed 100 it falls by 0.50 with 0.5 pixels, where little but the class shares is wrong with the "
            "digits, and rises by 0.69 with 1 pixel",
        },
        "(b) top-1 alignment: fall of the classifier distance": {
            "catalogue": "at least 0.3; blurred digits, the blur not said",
            "used": "at least 0.3; a blur of 0.65 pixels",
            "why": "on seed 100 it is 0.83 with 0.5 pixels and 0.27 with 1 pixel, where blur outweighs classes",
        },
    },
)
def frechet_distance_audit(run: Run) -> None:
    """The Frechet distance in a classifier's features looks at classes: weights alone lower it, with no change of an image
    and hardly one of the distance in a space that knows no classes."""
    found: dict[str, list[float]] = {name: [] for name in run.parts}
    for seed in run.seeds:
        audit = audited(seed, run.broken)
        for part, how, space in (
            ("(a) direct weights: fall of the classifier distance", DIRECT, "classifier"),
            ("(a) direct weights: fall of the independent distance", DIRECT, "codes"),
            ("(b) top-1 alignment: fall of the classifier distance", "top-1 classes", "classifier"),
        ):
            found[part].append(audit.fall(how, space))
        found["(b) random weights: change of the classifier distance"].append(abs(audit.fall(SHUFFLED, "classifier")))
        run.baseline(f"seed {seed}: classifier distance", audit.distances[0, 0])
        run.baseline(
            f"seed {seed}: top-1 alignment, fall of the independent distance", audit.fall("top-1 classes", "codes")
        )
        for name, value in exact(seed).items():
            found[name].append(value)
        run.progress(f"seed {seed}: {audit.distances.round(3).tolist()}")
    for name, values in found.items():
        run.report(name, values)


def audited(seed: int, broken: bool) -> Weighted:
    """(a) and (b) for the nets and the made digits of one seed."""
    data, rng = digits_given(), chance(seed, 354)
    train, test = data.splits["train"], data.splits["test"][:ITEMS]
    later = np.setdiff1d(np.arange(60_000), train)
    labels = data.targets["labels"][later]
    share = (0.2 + 0.8 * np.arange(10) / 9)[labels] / np.bincount(labels)[labels]
    rows = rng.choice(later, ITEMS, replace=False, p=share / share.sum())
    sides = [data.x[test], np.stack([gaussian_filter(x, (0, BLUR, BLUR)) for x in data.x[rows]])]

    model, coder = digit_net(seed), autoencoder(data.x[train], seed)
    seen, scores, codes = [], [], []
    with torch.inference_mode():
        for x in sides:
            parts = torch.from_numpy(np.ascontiguousarray(x)).split(1_000)
            z = torch.cat([model.network.encoder.embed({"x": model.prepare(part)}) for part in parts])
            seen.append(z.numpy())
            scores.append(model.network.head(z, {}).numpy())
            codes.append(torch.cat([coder(flat(part)) for part in parts]).numpy())
    if broken:
        scores[1] = scores[1][rng.permutation(ITEMS)]
    real, made = ({"classifier": z, "codes": code} for z, code in zip(seen, codes, strict=True))
    return weighted(real, made, "classifier", (scores[0], scores[1]), seed=seed)


def flat(x: torch.Tensor) -> torch.Tensor:
    """Bytes [n, 1, 28, 28] -> [n, 784] in 0..1."""
    return x.flatten(1).float() / 255


def autoencoder(x: np.ndarray, seed: int) -> nn.Module:
    """The encoder of an autoencoder fitted to these digits: 1,000 steps of 128."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(chance(seed, 355).integers(2**63)))
        coder = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 64))
        decoder = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 784), nn.Sigmoid())
    rule = torch.optim.Adam([*coder.parameters(), *decoder.parameters()], lr=1e-3)
    draws, given = torch_chance(seed, 356), flat(torch.from_numpy(np.ascontiguousarray(x)))
    for _ in range(STEPS):
        batch = given[torch.randint(len(given), (BATCH,), generator=draws)]
        loss = nn.functional.binary_cross_entropy(decoder(coder(batch)), batch)
        rule.zero_grad()
        loss.backward()
        rule.step()
    return coder.eval()


def exact(seed: int, d: int = 16, samples: int = 50_000) -> dict[str, float]:
    """(c)"""
    rng = chance(seed, 357)
    mean, mix, other = rng.normal(size=d), rng.normal(size=(d, d)), rng.normal(size=(d, d))
    known = between(of_moments(np.zeros(d), mix.T @ mix), of_moments(mean, other.T @ other))
    x, y = rng.normal(size=(samples, d)) @ mix, rng.normal(size=(samples, d)) @ other + mean
    drawn = frechet(x, y)
    turn = stats.ortho_group.rvs(d, random_state=rng)
    return {
        "(c) 50,000 samples of known Gaussians, relative error": abs(drawn / known - 1),
        "(c) a set and itself": abs(frechet(x, x)),
        "(c) one rotation of both sets, relative change": abs(frechet(x @ turn, y @ turn) / drawn - 1),
    }
