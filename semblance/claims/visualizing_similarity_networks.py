"""Similarity maps: where in two pictures their similarity comes from, and that it is the thing they share.

twodigits: 56 x 56, digits of two classes, each moved into one of four quadrants, strokes as clutter, one of six tints.
Small net without the last stride, a map of 14 x 14; cosine triplets mined in batches of 32, scenes alike that share a digit
class; 3 epochs. The second network learns scenes of one tint to be near.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.analysis.attribution import pooled_cells, region_vectors, share_inside, similarity_maps
from semblance.claims.ledger import Run, at_least, at_most, claim
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.data.scenes import TwoDigits, two_digits
from semblance.encoders.vision.stagenet import stage_net
from semblance.recipes.attribution import similarity_maps as recipe
from semblance.space.model import Model
from semblance.space.training import train

DIGITS = 10_000
SCENES, TEST, PAIRS, EPOCHS = 5_000, 1_000, 300, 3


@claim(
    "visualizing-similarity-networks",
    parts={
        "(a) exact: sum of a map against the cosine, 200 pairs": at_most(1e-6),
        "(b) positive mass in the shared digit's box": at_least(0.6),
        "(b) the same above the untrained net": at_least(0.2),
        "(c) precision at 10 by region above whole picture": at_least(0.2),
        "(d) mass in the box after learning the tint, share of (b)": at_most(0.5),
    },
    data=("mnist", "synthetic: twodigits"),
    seeds=(0,),
    broken="the digit classes of the training scenes are shuffled",
    files=(
        "analysis/attribution.py",
        "data/scenes.py",
        "data/mining.py",
        "objectives/triplets.py",
        "recipes/attribution.py",
    ),
    minutes=4.0,
    calibrated={
        "(b) positive mass in the shared digit's box": {
            "catalogue": "at least 0.6 after 3 epochs (untested; scenes, mining and rate are left open)",
            "used": "at least 0.6 after 3 epochs of 5,000 scenes, all triples of batches of 32, Adam 3e-3, margin 0.3",
            "why": "seed 100, 3 epochs of 3,000 scenes: 0.577 with all triples, 0.299 with semi-hard ones at margin 0.2",
        }
    },
)
def visualizing_similarity_networks(run: Run) -> None:
    """The similarity of two pooled maps is a sum over their places, and these places are what the two pictures share."""
    run.report("(a) exact: sum of a map against the cosine, 200 pairs", exact_error())
    inside, gain, precision, tint = [], [], [], []
    for seed in run.seeds:
        scenes, test = drawn(seed, SCENES), drawn(seed + 1000, TEST, test=True)
        several = classes(scenes)
        if run.broken:
            several = several[np.random.default_rng(seed).permutation(SCENES)]
        made = recipe(epochs=EPOCHS, least=SCENES)
        model = train(dataset(scenes, several), made, seed=seed)
        run.progress(f"seed {seed}: triples in order {model.history[-1]['ordered']:.3f}")
        fresh = train(dataset(scenes, several), made, seed=seed, epochs=0)
        cells, before = (cells_of(m, test.x) for m in (model, fresh))
        pairs = sharing_pairs(test, seed)
        inside.append(mass(cells, test, pairs))
        untrained = mass(before, test, pairs)
        gain.append(inside[-1] - untrained)
        region, whole = precision_at_10(cells, test)
        precision.append(region - whole)
        run.progress(
            f"seed {seed}: mass {inside[-1]:.3f}, untrained {untrained:.3f}; p@10 {region:.3f}, whole {whole:.3f}"
        )
        run.baseline(f"positive mass of the untrained net, seed {seed}", untrained)
        run.baseline(f"precision at 10 by the whole picture, seed {seed}", whole)
        run.baseline(f"precision at 10 by the region, seed {seed}", region)
        of_tint = train(dataset(scenes, np.eye(6, dtype=bool)[scenes.tint]), recipe(epochs=1, least=SCENES), seed=seed)
        run.progress(f"seed {seed}: tints in order {of_tint.history[-1]['ordered']:.3f}")
        found = mass(cells_of(of_tint, test.x), test, pairs)
        run.baseline(f"positive mass after learning the tint, seed {seed}", found)
        tint.append(found / inside[-1])
    run.report("(b) positive mass in the shared digit's box", inside)
    run.report("(b) the same above the untrained net", gain)
    run.report("(c) precision at 10 by region above whole picture", precision)
    run.report("(d) mass in the box after learning the tint, share of (b)", tint)


def drawn(seed: int, count: int, test: bool = False) -> TwoDigits:
    """Scenes of training digits, or of test digits."""
    digits = load("mnist")
    rows = digits.splits["test" if test else "train"][:DIGITS]
    return two_digits(digits.x[rows], np.asarray(digits.targets["labels"])[rows], count, seed)


def classes(scenes: TwoDigits) -> np.ndarray:
    """[N, 10] bool."""
    found: np.ndarray = np.eye(10, dtype=bool)[scenes.digits].any(1)
    return found


def dataset(scenes: TwoDigits, several: np.ndarray) -> ArrayDataset:
    """Scenes as data with several classes each."""
    rows = np.arange(len(scenes.x))
    return ArrayDataset(
        domain="images",
        x=scenes.x,
        ids=[str(row) for row in rows],
        targets={"labels": several},
        attributes=pa.table({"row": rows}),
        splits={"train": rows},
        fingerprint=f"twodigits {len(rows)} {scenes.x[:8].sum()} {several[:, 0].sum()}",
        classes=tuple(str(k) for k in range(several.shape[1])),
    )


@dataclass(frozen=True)
class Pairs:
    """Positions [n, 2] of scenes, and the quadrants [n, 2] in which either has the class that they share."""

    rows: np.ndarray
    boxes: np.ndarray


def sharing_pairs(test: TwoDigits, seed: int) -> Pairs:
    """Pairs of scenes that share exactly one class."""
    rng = np.random.default_rng([seed, PAIRS])
    rows = rng.integers(0, TEST, (40 * PAIRS, 2))
    same = test.digits[rows[:, 0]][:, :, None] == test.digits[rows[:, 1]][:, None]  # [n, 2, 2]
    one = (same.sum((1, 2)) == 1) & (rows[:, 0] != rows[:, 1])
    rows, same = rows[one][:PAIRS], same[one][:PAIRS]
    which = np.stack([same.any(2).argmax(1), same.any(1).argmax(1)], 1)
    return Pairs(rows, test.quadrants[rows, which])


def quadrant(boxes: np.ndarray, grid: tuple[int, int]) -> Tensor:
    """Quadrants [n] -> cells [n, P] that lie in them."""
    down, right = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    of = 2 * (down >= grid[0] // 2) + (right >= grid[1] // 2)
    return torch.from_numpy(of[None] == boxes[:, None])


Cells = tuple[Tensor, tuple[int, int]]


@torch.no_grad()
def cells_of(model: Model, x: np.ndarray) -> Cells:
    """[N, P, d] and the grid."""
    model.network.eval()
    parts = []
    for part in torch.from_numpy(x).split(250):
        pooled = pooled_cells(model.network.encoder, {"x": model.prepare(part)})
        assert pooled is not None
        parts.append(pooled[0])
    return torch.cat(parts), pooled[1]


def mass(cells: Cells, test: TwoDigits, pairs: Pairs) -> float:
    """Share of the positive mass in the box of what is shared, mean over both pictures of all pairs."""
    k, grid = cells
    found = []
    for side in range(2):
        mine, other = pairs.rows[:, side], pairs.rows[:, 1 - side]
        maps = torch.cat([similarity_maps(k[m], k[o].sum(1)) for m, o in batches(mine, other)])
        found.append(share_inside(maps, quadrant(pairs.boxes[:, side], grid).float()))
    return float(torch.cat(found).mean())


def batches(*arrays: np.ndarray) -> list[tuple[Tensor, ...]]:
    """Fifty positions at a time."""
    return list(zip(*(torch.from_numpy(a).split(50) for a in arrays), strict=True))


def precision_at_10(cells: Cells, test: TwoDigits) -> tuple[float, float]:
    """How many of the ten nearest other scenes hold the left digit's class: searched by its box, and by the whole."""
    k, grid = cells
    left = (test.quadrants % 2).argmin(1)  # of two in one column, the first
    rows = np.arange(len(left))
    inside = quadrant(test.quadrants[rows, left], grid)
    whole = F.normalize(k.sum(1), dim=1)
    has = classes(test)[:, test.digits[rows, left]].T  # [query, scene]
    found = []
    for query in (F.normalize(region_vectors(k, inside), dim=1), whole):
        near = (query @ whole.T).fill_diagonal_(-2).topk(10, dim=1).indices.numpy()
        found.append(float(np.take_along_axis(has, near, 1).mean()))
    return found[0], found[1]


def exact_error() -> float:
    """Over mean and max pooling, with and without a linear layer: the largest difference, in float64."""
    x = torch.randn(200, 3, 24, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    worst = 0.0
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for readout in ("mean", "max"):
            for dim in (None, 16):
                net = stage_net("half", readout=readout, dim=dim, strides=(2, 2, 1, 1)).double().eval()
                pooled = pooled_cells(net, {"x": x})
                assert pooled is not None
                z = net.embed({"x": x})
                maps = similarity_maps(pooled[0], z.roll(1, 0))
                worst = max(worst, float((maps.sum(1) - F.cosine_similarity(z, z.roll(1, 0))).abs().max()))
    return worst
