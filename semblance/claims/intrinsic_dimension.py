"""Claim of intrinsic dimension: networks of very different size need about as many random directions, easier tasks fewer.

scikit-learn's digits, 1,200 to learn from and 597 to be asked; 600 steps of Adam in batches of 128, at 1e-3 for full
networks and at LR within a subspace. The convolutional net has 12 and 16 filters of 3x3, a pooling between (D = 4,434).
Pole balancing: a policy of 97 numbers, evolution strategies with a population of 40 over 50 generations of 6 episodes each
(chosen on runs 100 to 109), ten runs side by side; a policy's return is its mean over 50 new episodes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.analysis.cart_pole import SIZE, evolved, returns, starts
from semblance.analysis.intrinsic_dimension import IntrinsicDimension, intrinsic_dimension, searched
from semblance.analysis.projections import PROJECTIONS, Dense, projection
from semblance.analysis.subspace import Make, Subspace, restored, save, train_within
from semblance.claims.ledger import Run, above, at_least, at_most, below, claim, exactly
from semblance.claims.settings import digits, digits_split
from semblance.objectives.projector import perceptron

DIMS = (60, 80, 100, 120, 140, 170, 200)
LR, STEPS = 0.1, 600
WIDTHS = ((64, 50, 10), (64, 400, 10), (64, 200, 200, 10))
KINDS, BESIDE = ("dense", "sparse", "fastfood"), (80, 120)
POLES, SOLVED = (2, 3, 4, 5, 6, 8), 180.0
RUNS, GENERATIONS, EPISODES = 10, 50, 6


@claim(
    "intrinsic-dimension",
    parts={
        "(a) residual with 8 directions": above(0.1),
        "(a) residual with 9 directions": above(0.1),
        "(a) residual with 10 directions": below(1e-8),
        "(b) largest over smallest d_int90 of three perceptrons": at_most(1.6),
        "(c) d_int90 of the convolutional net over the smallest of these": below(1),
        "(c) d_int90 with shuffled pixels over that without": at_least(1.08),
        "(d) directions in which pole balancing is solved, least 3": at_least(3),
        "(d) directions in which pole balancing is solved, most 8": at_most(8),
        "(d) digits need so many times more": at_least(10),
        "(e) projections at 80 and 120 directions: largest difference, points of relative accuracy": at_most(6),
        "(f) restored networks whose outputs and weights are not the same bits": exactly(0),
        "(f) bytes of the file": below(2000),
    },
    data=("digits", "synthetic: block-sum constraints, cart-pole"),
    broken="the directions are the first parameters instead of random ones",
    seeds=(0, 1),
    files=(
        "analysis/cart_pole.py",
        "analysis/fitted.py",
        "analysis/intrinsic_dimension.py",
        "analysis/projections.py",
        "analysis/subspace.py",
    ),
    minutes=4.0,
)
def intrinsic_dimension_claim(run: Run) -> None:
    """Trained along random directions only, networks whose size differs by 15 need nearly as many of them; convolutions
    need fewer, pole balancing a handful; a solution is a seed and d numbers."""
    for dim in (8, 9, 10):
        run.report(f"(a) residual with {dim} directions", [residual(run, dim, seed) for seed in run.seeds])
    data = Digits()
    found = {widths: searched_digits(run, data, net_of(widths)) for widths in (WIDTHS[:1] if run.broken else WIDTHS)}
    for widths, one in found.items():
        told(run, f"(b) {'-'.join(map(str, widths))}", one)
    values = [one.value for one in found.values()]
    run.report("(b) largest over smallest d_int90 of three perceptrons", max(values) / min(values))
    conv, shuffled = (searched_digits(run, part, convolutional) for part in (data, Digits(shuffled=True)))
    told(run, "(c) convolutional net", conv)
    told(run, "(c) convolutional net, shuffled pixels", shuffled)
    run.report("(c) d_int90 of the convolutional net over the smallest of these", conv.value / min(values))
    run.report("(c) d_int90 with shuffled pixels over that without", shuffled.value / conv.value)
    poles = balanced(run)
    run.report("(d) directions in which pole balancing is solved, least 3", poles)
    run.report("(d) directions in which pole balancing is solved, most 8", poles)
    run.report("(d) digits need so many times more", min(values) / poles)
    beside(run, data)
    kept(run)


class Digits:
    """The digits, their pixels in another order if so asked."""

    def __init__(self, shuffled: bool = False):
        x, y = digits()
        x = x[:, np.random.default_rng(155).permutation(64)] if shuffled else x
        self.parts = [(torch.from_numpy(x[rows]), torch.from_numpy(y[rows])) for rows in digits_split()]
        self.items = len(self.parts[0][0])

    def loss(self, net: nn.Module, rows: Tensor) -> Tensor:
        x, y = self.parts[0]
        return F.cross_entropy(net(x[rows]), y[rows])

    @torch.no_grad()
    def accuracy(self, net: nn.Module) -> float:
        x, y = self.parts[1]
        return float((net(x).argmax(1) == y).float().mean())


def net_of(widths: tuple[int, ...]) -> Make:
    """A perceptron."""
    return lambda: perceptron(widths, hidden_norm=False)


def convolutional() -> nn.Module:
    """4,434 parameters."""
    return nn.Sequential(
        *(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)),
    )


class First(Dense):
    """Of the sabotaged twin: the first parameters, one by one."""

    def __init__(self, size: int, dim: int, seed: int):
        self.matrix = torch.eye(size, dim)


def steps(run: Run) -> int:
    """Fewer in the sabotaged twin, which is not to be waited for."""
    return STEPS // 4 if run.broken else STEPS


def kind_of(run: Run) -> str:
    """Dense, or what stands in for it in the sabotaged twin."""
    PROJECTIONS["first"] = First
    return "first" if run.broken else "dense"


def residual(run: Run, dim: int, seed: int) -> float:
    """1,000 numbers in ten blocks, the sum of block i is to be i: what is missed at the best point of a subspace."""
    sums = torch.eye(10).repeat_interleave(100, 1).double()
    start = torch.randn(1000, generator=torch.Generator().manual_seed(seed)).double()
    missing = torch.arange(10).double() - sums @ start
    change = sums @ projection(kind_of(run), 1000, dim, seed)(torch.eye(dim)).double()
    best = torch.linalg.lstsq(change, missing, driver="gelsd").solution
    return float((change @ best - missing).norm())


def searched_digits(run: Run, data: Digits, make: Make) -> IntrinsicDimension:
    """Over all DIMS and seeds."""
    found = intrinsic_dimension(
        make, data.loss, data.accuracy, data.items, DIMS, steps(run), run.seeds, kind_of(run), lr=LR
    )
    run.progress(str(found))
    return found


def told(run: Run, name: str, found: IntrinsicDimension) -> None:
    """What decides nothing."""
    run.baseline(f"{name}: d_int90", found.value)
    run.baseline(f"{name}: parameters", found.size)
    run.baseline(f"{name}: full accuracy", found.baseline.tolist())


def balanced(run: Run) -> float:
    """(d)"""
    seeds = [10 * seed + i for seed in run.seeds for i in range(RUNS // len(run.seeds))]

    def scores(dims: tuple[int, ...], seed: int) -> list[float]:
        return [mean_return(run, seeds, dim) for dim in dims]

    found = searched(scores, {run.seeds[0]: 200.0}, POLES, SIZE, SOLVED / 200.0)
    for dim, score in zip(found.dims, found.scores[0], strict=True):
        run.baseline(f"(d) mean steps in {dim} directions, {len(seeds)} seeds", float(score))
    return found.value


def policy() -> nn.Module:
    """97 parameters, started as torch starts linear layers."""
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))


def mean_return(run: Run, seeds: list[int], dim: int) -> float:
    """Of one policy a seed, each in its own directions."""
    spaces = [Subspace(policy, dim, kind_of(run), seed) for seed in seeds]
    start = np.stack([space.start.double().numpy() for space in spaces])
    ways = np.stack([space.project(torch.eye(dim)).double().numpy() for space in spaces])  # [seeds, 97, dim]

    def reward(t: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        theta = start[:, None] + np.einsum("rDd,rpd->rpD", ways, t)
        return returns(theta.reshape(-1, SIZE), starts(EPISODES, chance)).reshape(t.shape[:2])

    chance = np.random.default_rng([155, *seeds, dim])
    t = evolved(reward, dim, len(seeds), GENERATIONS, chance)
    return float(returns(start + np.einsum("rDd,rd->rD", ways, t), starts(50, chance)).mean())


def beside(run: Run, data: Digits) -> None:
    """(e)"""
    found = {
        kind: intrinsic_dimension(
            net_of(WIDTHS[0]), data.loss, data.accuracy, data.items, BESIDE, steps(run), run.seeds, kind, lr=LR
        )
        for kind in (kind_of(run), *KINDS[1:])
    }
    relative = {kind: 100 * (one.scores / one.baseline[:, None]).mean(0) for kind, one in found.items()}
    for kind, values in relative.items():
        for dim, value in zip(BESIDE, values, strict=True):
            run.baseline(f"(e) {kind}, {dim} directions: relative accuracy, percent", float(value))
    table = np.stack(list(relative.values()))
    name = "(e) projections at 80 and 120 directions: largest difference, points of relative accuracy"
    run.report(name, float(np.ptp(table, axis=0).max()))


def kept(run: Run) -> None:
    """(f)"""
    data, other, size = Digits(), [], []
    x = data.parts[1][0]
    for seed in run.seeds:
        make = net_of(WIDTHS[1])
        space = Subspace(make, 150, "dense", seed)
        t = train_within(space, data.loss, data.items, 50, lr=LR)[:, 0]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.safetensors"
            save(space, t, path)
            size.append(path.stat().st_size)
            again = restored(path, make)
        net = space.at(t)
        with torch.no_grad():
            same = torch.equal(again(x), net(x))
        same &= all(torch.equal(a, b) for a, b in zip(again.parameters(), net.parameters(), strict=True))
        other.append(float(not same))
    run.report("(f) restored networks whose outputs and weights are not the same bits", sum(other))
    run.report("(f) bytes of the file", size)
