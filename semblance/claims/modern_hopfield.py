"""Modern Hopfield networks store exponentially many patterns, retrieve them in one update, and pick what matters in a bag.

(1) random queries, keys and values; 100 random runs of 10 updates. (2) Gaussian patterns brought to norm sqrt(d).
(3) random bits, 6 of 64 flipped; the classical network has the couplings sum x x^T without diagonal and runs bit by bit for
20 sweeps, 9 patterns in 30 draws. (4) centres of norm 8, from which each of 5 patterns is moved by 0.8 in all; every
pattern is a start, updated until it rests. (5) bags of 30 digits, half of them with one 7: 300 to train on and 300
further ones, from other digits, to test on. Both nets read an instance by the same layers; mean pooling is the same
pooling at beta 0.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from semblance.claims.ledger import Run, above, at_least, at_most, below, claim, exactly, within
from semblance.claims.settings import digits, digits_split
from semblance.encoders.sequences.bags import Bags
from semblance.encoders.sequences.hopfield import Hopfield, energy, held_by, retrieve, update, weights

BAGS, ITEMS, EPOCHS = 300, 30, 40
SWEEPS, DRAWS = 20, 30


@claim(
    "modern-hopfield",
    parts={
        "(1) one step against scaled dot-product attention, largest difference": at_most(1e-6),
        "(1) largest rise of the energy in 100 runs": at_most(1e-5),
        "(2) d 64, 10,000 patterns: largest error after one update": below(0.01),
        "(2) d 16, 10 patterns: median error": below(0.001),
        "(2) d 16, 1,000 patterns: median error": above(0.01),
        "(3) 1,000 patterns of 64 bits recovered": at_least(0.99),
        "(3) classical network, 9 patterns recovered": above(0.9),
        "(3) classical network, 100 patterns and more recovered, most": below(0.05),
        "(4) patterns that hold 90% at beta 0.005": above(40),
        "(4) patterns that hold 90% at beta 0.5": within(4.5, 0.5),
        "(4) patterns that hold 90% at beta 50": exactly(1),
        "(5) ROC-AUC of Hopfield pooling above mean pooling": at_least(0.05),
    },
    broken="beta is 0: whatever is stored counts alike",
    files=("encoders/sequences/hopfield.py", "encoders/sequences/bags.py", "claims/settings.py"),
    minutes=2.0,
)
def modern_hopfield(run: Run) -> None:
    """Retrieval by softmax is attention; it stores many more patterns than the classical network, its temperature sets what
    it retrieves, and as a pooling it finds the one instance that decides."""
    beta = 0.0 if run.broken else 1.0
    attention(run, beta)
    sphere(run, beta)
    bits(run, beta)
    clusters(run, beta)
    gains = [bags(run, seed, beta) for seed in run.seeds]
    run.report("(5) ROC-AUC of Hopfield pooling above mean pooling", gains)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def attention(run: Run, beta: float) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = Hopfield(24, 32, 32, heads=4, norm=False, beta=0.0 if beta else (1e-9,) * 4)
    state, stored = normal(3, 7, 24, seed=1), normal(3, 11, 32, seed=2)
    split = [
        part.unflatten(-1, (4, 8)).transpose(1, 2)
        for part in (layer.query(state), layer.key(stored), layer.value(stored))
    ]
    expected = layer.out(F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))
    gap = float((layer(state, stored) - expected).detach().abs().max())
    run.report("(1) one step against scaled dot-product attention, largest difference", gap)
    rises = []
    for number in range(100):
        stored = normal(1, 20, 8, seed=100 + number).double()
        state = 3 * normal(1, 1, 8, seed=300 + number).double()
        strength = float(10 ** normal(1, seed=500 + number))
        path = [float(energy(state, stored, strength)[0, 0])]
        for _ in range(10):
            state = update(state, stored, strength * beta)
            path.append(float(energy(state, stored, strength)[0, 0]))
        rises.append(max(np.diff(path)))
    run.report("(1) largest rise of the energy in 100 runs", max(0.0, *rises))


def sphere(run: Run, beta: float) -> None:
    """(2)"""
    errors = {}
    for d, count in ((64, 10_000), (16, 10), (16, 1000)):
        stored = d**0.5 * F.normalize(normal(count, d, seed=d + count), dim=1)
        moved = stored + 0.3 * d**0.5 * F.normalize(normal(count, d, seed=d + count + 1), dim=1)
        found = torch.cat([update(part, stored, beta) for part in moved.split(1000)])
        errors[d, count] = (found - stored).norm(dim=1)
    run.report("(2) d 64, 10,000 patterns: largest error after one update", float(errors[64, 10_000].max()))
    run.report("(2) d 16, 10 patterns: median error", float(errors[16, 10].median()))
    run.report("(2) d 16, 1,000 patterns: median error", float(errors[16, 1000].median()))


def bits(run: Run, beta: float) -> None:
    """(3)"""

    def flipped(count: int, draw: int) -> tuple[Tensor, Tensor]:
        stored = normal(count, 64, seed=1000 * draw + count).sign()
        order = torch.rand(count, 64, generator=torch.Generator().manual_seed(1000 * draw + count)).argsort(1)
        return stored, torch.where(order < 6, -stored, stored)

    stored, asked = flipped(1000, 0)
    right = (update(asked, stored, beta).sign() == stored).all(1).float().mean()
    run.report("(3) 1,000 patterns of 64 bits recovered", float(right))

    def classical(count: int, draw: int) -> float:
        stored, asked = flipped(count, draw)
        couplings = (stored.T @ stored).fill_diagonal_(0)
        for _ in range(SWEEPS):
            for bit in range(64):
                field = asked @ couplings[:, bit]
                asked[:, bit] = torch.where(field == 0, asked[:, bit], field.sign())
        return float((asked == stored).all(1).float().mean())

    run.report(
        "(3) classical network, 9 patterns recovered", float(np.mean([classical(9, draw) for draw in range(DRAWS)]))
    )
    most = max(classical(count, 0) for count in (100, 200, 500, 1000))
    run.report("(3) classical network, 100 patterns and more recovered, most", most)


def clusters(run: Run, beta: float) -> None:
    """(4)"""
    centres = 8 * F.normalize(normal(10, 1, 64, seed=4), dim=2)
    stored = (centres + 0.8 * F.normalize(normal(10, 5, 64, seed=5), dim=2)).reshape(50, 64)
    for strength in (0.005, 0.5, 50.0):
        rest = retrieve(stored, stored, strength * beta, steps=1000, tolerance=1e-6)
        held = held_by(weights(rest, stored, strength * beta)).float().mean()
        run.report(f"(4) patterns that hold 90% at beta {strength:g}", float(held))


def drawn(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Bags [300, 30, 64] and whether a 7 is in them: 150 with one 7 at a random place, 150 without."""
    sevens, others = np.flatnonzero(y == 7), np.flatnonzero(y != 7)
    rows = rng.choice(others, (BAGS, ITEMS))
    positive = np.arange(BAGS) < BAGS // 2
    rows[positive, rng.integers(0, ITEMS, BAGS // 2)] = rng.choice(sevens, BAGS // 2)
    return torch.from_numpy(x[rows]), torch.from_numpy(positive.astype(np.float32))


def bags(run: Run, seed: int, beta: float) -> float:
    """(5): how far Hopfield pooling's area is above mean pooling's."""
    x, y = digits()
    train, test = digits_split()
    rng = np.random.default_rng([169, seed])
    bag, label = drawn(x[train], y[train], rng)
    other, truth = drawn(x[test], y[test], rng)
    area = {}
    for name, strength in (("Hopfield", beta), ("mean", 0.0)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = Bags(64 * ITEMS, ITEMS, hidden=64, dim=32, heads=4, beta=max(strength, 1e-9))
            head = nn.Linear(32, 1)
        optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=1e-3)
        order = np.random.default_rng([1690, seed])
        for _ in range(EPOCHS):
            for rows in torch.from_numpy(order.permutation(BAGS)).split(32):
                optimiser.zero_grad()
                loss = F.binary_cross_entropy_with_logits(head(encoder({"x": bag[rows]}))[:, 0], label[rows])
                loss.backward()
                optimiser.step()
        with torch.no_grad():
            area[name] = float(roc_auc_score(truth, head(encoder({"x": other}))[:, 0]))
    run.progress(f"(5) seed {seed}: ROC-AUC {area['Hopfield']:.4f}, mean pooling {area['mean']:.4f}")
    return area["Hopfield"] - area["mean"]
