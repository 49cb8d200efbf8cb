"""Clustering by rate reduction: features end in one subspace a cluster without falling into points, and the least coding
length tells how many clusters there are.

Synthetic: 5 random subspaces of 4 dimensions in R^64, 200 unit points in each, noise 0.05. scikit-learn's digits: 64 pixels
of length 1, 300 steps of 1,500 scans. Feature and cluster head of 64 numbers, hidden layers of 256. Width (the catalogue:
32 to 64) and warm-up were chosen on seed 100: accuracy on digits is 0.763, 0.763 and 0.787 with 32 numbers and a warm-up of
20, 100 and 200 steps, 0.761 with 48 and 200, 0.879 and 0.883 with 64 and 100 and 200.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans

from semblance.analysis.coding import bits, groups, number
from semblance.analysis.uniformity import effective_rank
from semblance.claims.ledger import Run, at_least, at_most, claim, within
from semblance.claims.settings import digits
from semblance.claims.staged import staged
from semblance.data.load import load
from semblance.objectives.coding_rate import RateReduction, parts_of, rate, rate_of_parts
from semblance.recipes.coding_rate import cpp as recipe
from semblance.space.training import train

STEPS, POINTS, BATCH = 300, 200, 1500


@claim(
    "cpp-rate-reduction",
    parts={
        "(a) accuracy on subspaces": at_least(0.99),
        "(a) number of clusters by least coding length, 2 to 10": within(5, 0),
        "(a) mean |cosine| of items of different clusters": at_most(0.15),
        "(a) least effective rank of a cluster": at_least(2.0),
        "(b) accuracy on digits above k-means with 10 restarts": at_least(0.03),
        "(b) number of clusters by least coding length, off 8 to 13": at_most(0.0),
        "(c) rows and columns of the affinity off 1 after 5 rounds": at_most(1e-2),
        "(c) rows and columns of the affinity off 1 after 200 rounds": at_most(1e-6),
        "(c) change of the rate by a rotation": at_most(1e-6),
        "(c) rate of hard parts against the mean of the parts' own": at_most(1e-6),
    },
    seeds=(0, 1, 2),
    calibrated={
        "(b) accuracy on digits above k-means with 10 restarts": {
            "catalogue": "32 to 64 numbers, some hundred steps of warm-up (untested)",
            "used": "64 numbers, 200 of the 300 steps; threshold as it stands",
            "why": "seed 100: 0.763 to 0.787 with 32 numbers, 0.761 with 48, 0.879 and 0.883 with 64",
        }
    },
    broken="parts are dealt out at random instead of by the affinity",
    files=("objectives/coding_rate.py", "analysis/coding.py", "recipes/coding_rate.py"),
    minutes=4.0,
)
def cpp_rate_reduction(run: Run) -> None:
    """Spreading all features while keeping each cluster's few-dimensional gives clusters that k-means does not find, and
    says how many there are."""
    exact(run)
    z, y = subspaces()
    features, affinity = fitted(run, z, 0)
    found = groups(affinity, 5)
    run.report("(a) accuracy on subspaces", accuracy(found, y))
    run.report("(a) number of clusters by least coding length, 2 to 10", number(bits(features, affinity, range(2, 11))))
    run.baseline(
        "number of clusters, coding length of the points as they came", number(bits(z, affinity, range(2, 11)))
    )
    alike = y[:, None] == y
    run.report("(a) mean |cosine| of items of different clusters", float(np.abs(features @ features.T)[~alike].mean()))
    run.report("(a) least effective rank of a cluster", min(float(effective_rank(features[y == k])) for k in range(5)))

    x, labels = digits()
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    plain = accuracy(KMeans(10, n_init=10, random_state=0).fit_predict(x), labels)
    run.baseline("k-means on pixels, 10 restarts", plain)
    gains, off = [], []
    for seed in run.seeds[:1] if run.broken else run.seeds:
        features, affinity = fitted(run, x, seed)
        gains.append(accuracy(groups(affinity, 10, seed), labels) - plain)
        least = number(bits(features, affinity, range(4, 19), seed=seed))
        off.append(float(max(8 - least, least - 13, 0)))
        run.progress(f"seed {seed}: accuracy {gains[-1] + plain:.4f}, fewest bits at {least} clusters")
    run.report("(b) accuracy on digits above k-means with 10 restarts", gains)
    run.report("(b) number of clusters by least coding length, off 8 to 13", off)


def subspaces() -> tuple[np.ndarray, np.ndarray]:
    """1,000 unit points on 5 subspaces, noise 0.05 in length, and whose they are."""
    rng = np.random.default_rng(353)
    parts = []
    for _ in range(5):
        basis = np.linalg.qr(rng.normal(size=(64, 4)))[0]
        inside = rng.normal(size=(POINTS, 4)) @ basis.T
        inside /= np.linalg.norm(inside, axis=1, keepdims=True)
        noise = rng.normal(size=inside.shape)
        parts.append(inside + 0.05 * noise / np.linalg.norm(noise, axis=1, keepdims=True))
    z = np.concatenate(parts)
    return (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32), np.repeat(np.arange(5), POINTS)


class Dealt(RateReduction):
    """The sabotaged objective: a random affinity in place of the one that is learned."""

    def forward(self, model, batch):  # type: ignore[no-untyped-def]
        with torch.no_grad():
            self.cluster.weight.normal_()
        answer: tuple[torch.Tensor, dict[str, float]] = super().forward(model, batch)
        return answer


def dealt(objective: RateReduction) -> Dealt:
    """The same head under the sabotage, without a warm-up."""
    return Dealt(objective.cluster, warm=0)


def fitted(run: Run, x: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit features and affinity of all items after `STEPS` steps."""
    data = load(x.astype(np.float32), domain="vectors")
    made = staged(recipe(batch=min(BATCH, len(x))), dealt if run.broken else None)
    model = train(data, made, seed=seed, epochs=STEPS // 15 if run.broken else STEPS)
    assert isinstance(model.objective, RateReduction)
    batch = {"x": torch.from_numpy(x.astype(np.float32))}
    with torch.no_grad():
        z = F.normalize(model.network.embed(batch), dim=1)
        affinity = model.objective.eval().affinity(model.network, batch)
    last = model.history[-1]
    run.progress(f"seed {seed}: R {last['rate']:.3f}, R_c {last['parts']:.3f}")
    return z.numpy(), affinity.numpy()


def accuracy(found: np.ndarray, y: np.ndarray) -> float:
    """Under the best matching of clusters and classes."""
    table = np.zeros((int(found.max()) + 1, int(y.max()) + 1))
    np.add.at(table, (found, y), 1)
    return float(table[linear_sum_assignment(-table)].sum() / len(y))


def exact(run: Run) -> None:
    """On random unit features in float64."""
    generator = torch.Generator().manual_seed(0)
    z = F.normalize(torch.randn(200, 16, generator=generator).double(), dim=1)
    for rounds in (5, 200):
        off = max(float((parts_of(z, rounds=rounds).sum(along) - 1).abs().max()) for along in (0, 1))
        run.report(f"(c) rows and columns of the affinity off 1 after {rounds} rounds", off)
    turn = torch.linalg.qr(torch.randn(16, 16, generator=generator).double())[0]
    run.report("(c) change of the rate by a rotation", float((rate(z @ turn) - rate(z)).abs()))
    labels = torch.arange(200) % 7
    own = sum(float((labels == k).sum() / 200 * rate(z[labels == k])) for k in range(7))
    blocks = (labels[:, None] == labels).double()
    parts = rate_of_parts(z, blocks / blocks.sum(0))
    run.report("(c) rate of hard parts against the mean of the parts' own", abs(float(parts) - own))
