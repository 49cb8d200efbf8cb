"""CropMAE: a crop rebuilt from two of its 64 patches and another crop of the same photograph.

BSDS500 subset, the middle 128 by 128 pixels of 80 training photographs, views of 64 by 64, patches of 8, transformer of
width 64 and 4 blocks, decoder of 2 blocks with cross-attention, 1,000 steps of 32 pairs; pixels not normalised per patch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.claims.ledger import Run, at_least, at_most, claim, exactly
from semblance.claims.settings import untrained
from semblance.claims.staged import staged
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.data.named import arrays
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import Several, Views
from semblance.encoders.vision.patches import Patches
from semblance.objectives.masked_branches import MaskedBranches, at
from semblance.objectives.masks import places
from semblance.recipes.masked import cropmae as recipe
from semblance.recipes.registry import Recipe
from semblance.space.model import Model
from semblance.space.training import train

EPOCHS, SHOWN, BATCH, RATIO, SIDE = 10, 3200, 32, 62 / 64, 128
NEAREST, TEMPERATURE, RADIUS = 7, 0.7, 3


@claim(
    "cropmae",
    parts={
        "(a) masked error, times that with another photograph as reference": at_most(0.8),
        "(a) masked error, times that of a plain MAE of equal ratio": at_most(0.9),
        "(b) points of mean overlap of propagated segmentations above the untrained encoder": at_least(3.0),
        "(c) visible patches of 64": exactly(2.0),
        "(c) change of the loss with the visible patches' own pixels": exactly(0.0),
    },
    data=("bsds500-subset",),
    seeds=(0,),
    broken="the reference is a crop of another photograph while training, too",
    files=(
        "objectives/masked_branches.py",
        "objectives/masks.py",
        "encoders/vision/patches.py",
        "encoders/sequences/transformer.py",
        "recipes/masked.py",
        "data/views.py",
    ),
    minutes=4.0,
)
def cropmae(run: Run) -> None:
    """A second crop of a still picture is reference enough to rebuild a crop of which almost nothing is seen, and learning
    to do so gives patch features that carry a segmentation from one crop to another."""
    seen, ignored = exact()
    run.report("(c) visible patches of 64", seen)
    run.report("(c) change of the loss with the visible patches' own pixels", ignored)
    data, epochs = photographs(), EPOCHS // 10 if run.broken else EPOCHS
    other, plain, gained = [], [], []
    for seed in run.seeds:
        model = train(data, made(broken=run.broken), seed=seed, epochs=epochs)
        alone = train(data, made(reference=False), seed=seed, epochs=epochs)
        error, wrong = (masked_error(model, data, stranger) for stranger in (False, True))
        without = masked_error(alone, data, False)
        run.progress(f"seed {seed}: error {error:.4f}, with another's crop {wrong:.4f}, plain MAE {without:.4f}")
        other.append(error / wrong)
        plain.append(error / without)
        overlap, before = (propagated(each, data) for each in (model, untrained(data, made(), seed)))
        run.progress(f"seed {seed}: overlap {overlap:.2f}, untrained {before:.2f}")
        gained.append(overlap - before)
    run.report("(a) masked error, times that with another photograph as reference", other)
    run.report("(a) masked error, times that of a plain MAE of equal ratio", plain)
    run.report("(b) points of mean overlap of propagated segmentations above the untrained encoder", gained)


def photographs() -> ArrayDataset:
    """The middle 128 by 128 pixels of every photograph; 80 to train on, 30 to test. Photographs fill their canvas from its
    first corner on, 192 by 128 or 128 by 192."""
    held = arrays("bsds500-subset")
    middle = [
        x[(h - SIDE) // 2 :, (w - SIDE) // 2 :][:SIDE, :SIDE]
        for x, (h, w) in zip(held["x"], held["image_hw"], strict=True)
    ]
    data = load(np.ascontiguousarray(np.stack(middle).transpose(0, 3, 1, 2)), domain="images")
    assert isinstance(data, ArrayDataset) and data.x.shape[1:] == (3, SIDE, SIDE)
    names = [str(name) for name in held["split_names"]]
    rows = {name: np.flatnonzero(held["split"] == k) for k, name in enumerate(names)}
    return replace(data, splits={"train": rows["train"], "test": rows["test"]})


def made(reference: bool = True, broken: bool = False) -> Recipe:
    """The recipe with views of half the side, 100 steps an epoch."""
    plain = recipe(patch=8, ratio=RATIO, reference=reference, normalised=False, batch=BATCH, epochs=EPOCHS)
    large = Views(scale=(0.5, 1.0), jitter=0.0, grey=0.0, shrink=2)
    small = Views(scale=(0.3, 0.6), flip=False, jitter=0.0, grey=0.0, shrink=2)
    return staged(
        plain,
        Strangers if broken else None,
        batches=Repeated(Shuffled(BATCH), SHOWN),
        views=Several((large, small), nested=True),
    )


class Strangers(nn.Module):
    """The sabotaged objective: every reference is another photograph's."""

    needs = frozenset({"views"})

    def __init__(self, inner: MaskedBranches):
        super().__init__()
        self.inner = inner

    def forward(self, model, batch):  # type: ignore[no-untyped-def]
        """As the objective, on exchanged references."""
        first, second = batch["views"]
        return self.inner(model, {**batch, "views": [{"x": first["x"].roll(1, 0)}, second]})


@torch.no_grad()
def masked_error(model: Model, data: ArrayDataset, stranger: bool) -> float:
    """Mean squared error on the hidden patches of the test photographs' crops, ten fixed draws of each; `stranger`: the
    reference is another photograph's."""
    objective: Any = model.objective
    objective = getattr(objective, "inner", objective).eval()
    encoder = model.network.eval().encoder
    views = made().stages[0].views
    x = torch.from_numpy(np.ascontiguousarray(data.x[data.splits["test"]]))
    total = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(41)
        for draw in range(10):
            chances = [torch.Generator().manual_seed(100 * draw + k) for k in range(2)]
            first, second = views.all(x, chances, model.prepare)
            first = first.roll(1, 0) if stranger else first
            seen, gone = places(len(x), (8, 8), RATIO)
            cross = encoder.visible(first) if len(objective.decoder.other) else None
            guess = objective.decoder(encoder.visible(second, seen), seen, (8, 8), cross)
            total += float((at(guess, gone) - at(encoder.cut(second), gone)).square().mean())
    return total / 10


@torch.no_grad()
def propagated(model: Model, data: ArrayDataset) -> float:
    """Percent: mean overlap, over segments and test photographs, of the segmentation carried from a crop of 96 pixels to a
    shifted one, 1.3 times as large in the picture, with that crop's own."""
    encoder = model.network.eval().encoder
    held = arrays("bsds500-subset")
    starts, segments, sizes = held["seg_ptr"], held["seg"], held["image_hw"]
    generator = np.random.default_rng(41)
    overlaps = []
    for i in data.splits["test"]:
        h, w = sizes[i]
        human = segments[starts[i]][(h - SIDE) // 2 :, (w - SIDE) // 2 :][:SIDE, :SIDE]
        size = round(96 / 1.3)
        top, left = generator.integers(0, SIDE - 96 + 1, 2)
        shift = generator.integers(0, 96 - size + 1, 2)
        boxes = [(top, left, 96), (top + shift[0], left + shift[1], size)]
        features, labels = [], []
        for a, b, side in boxes:
            x = torch.from_numpy(np.ascontiguousarray(data.x[i : i + 1, :, a : a + side, b : b + side]))
            view = F.interpolate(model.prepare(x), (64, 64), mode="bilinear", antialias=True, align_corners=False)
            features.append(F.normalize(encoder.visible(view)[0], dim=1))
            labels.append(by_patch(human[a : a + side, b : b + side]))
        overlaps.append(overlap(carried(*features, labels[0]), labels[1]))
    return 100 * float(np.mean(overlaps))


def by_patch(labels: np.ndarray) -> np.ndarray:
    """[side, side] -> [64], the most frequent label of each of 8 by 8 patches."""
    edges = np.linspace(0, len(labels), 9).round().astype(int)
    return np.array(
        [
            np.bincount(labels[edges[a] : edges[a + 1], edges[b] : edges[b + 1]].ravel()).argmax()
            for a in range(8)
            for b in range(8)
        ]
    )


def carried(source: Tensor, target: Tensor, labels: np.ndarray) -> np.ndarray:
    """Features of patches [64, d] of two crops and the first one's labels -> the second one's: the 7 most similar patches
    within a radius vote."""
    place = torch.stack(torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij"), -1).view(64, 2)
    # A patch of the zoomed crop stands nearer the middle of the other one.
    far = (place[:, None] - place).abs().amax(-1) > RADIUS
    cosines = (target @ source.T).masked_fill(far, -torch.inf)
    top = cosines.topk(NEAREST, dim=1)
    votes = torch.zeros(64, int(labels.max()) + 1)
    votes.scatter_add_(1, torch.from_numpy(labels)[top.indices], (top.values / TEMPERATURE).softmax(1))
    return votes.argmax(1).numpy()


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the segments of `truth` of intersection over union."""
    return float(
        np.mean([((found == k) & (truth == k)).sum() / ((found == k) | (truth == k)).sum() for k in np.unique(truth)])
    )


class Constant(nn.Module):
    """A decoder that guesses 0 whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.ModuleList()

    def forward(self, tokens: Tensor, seen: Tensor, grid: tuple[int, int], reference: Tensor | None = None) -> Tensor:
        """-> [N, T, 64]."""
        return tokens.new_zeros(len(tokens), grid[0] * grid[1], 64)


def exact() -> tuple[float, float]:
    """How many of 64 patches are visible, and how much the loss changes when their own pixels do (the guess held still)."""
    torch.manual_seed(0)
    encoder = Patches(1, patch=8, width=16, blocks=1, heads=2)
    seen, _ = places(4, (8, 8), RATIO)
    objective = MaskedBranches((0.0, RATIO), decoder=Constant(), normalised=False)  # type: ignore[arg-type]
    x, losses = torch.randn(4, 1, 64, 64), []
    for change in (0.0, 9.0):
        torch.manual_seed(1)
        places(4, (8, 8), 0.0)  # the reference's draw
        visible, _ = places(4, (8, 8), RATIO)
        cover = torch.zeros(4, 64, 64).scatter(1, visible[..., None].expand(-1, -1, 64), change)
        torch.manual_seed(1)
        view = x + F.fold(cover.transpose(1, 2), (64, 64), 8, stride=8)
        losses.append(float(objective(encoder, {"views": [{"x": x}, {"x": view}]})[0].detach()))
    return float(seen.shape[1]), abs(losses[0] - losses[1])
