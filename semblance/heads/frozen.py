"""Frozen features: a trained encoder is taken as it is, and a linear machine learns the new task from its features.

    z = l2( power(features) ),   power(u) = sign(u) |u|^p,   f_k(z) = w_k . z + b_k,   answer argmax_k f_k
    w_k, b_k: squared-hinge support vector machine, class k against all others, C by cross-validation

That features of a net trained for something else are a strong start is Sharif Razavian et al. 2014, arXiv:1403.6382.
What varies: the stage that is read, the power, and whether each picture is shown in `samples` (crops and turns, all
scored, scores averaged). Retrieval by parts of pictures is in `patches`, a sweep over stages in `layer_sweep`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder
from semblance.errors import SemblanceError
from semblance.heads.classify import named

COSTS = (0.1, 1.0, 10.0)
FOLDS = 3


class FrozenSVM(nn.Module):
    """A linear SVM on normalised embeddings. It is solved, not trained; what it learned are three buffers.

    costs: the C to choose from by cross-validation. power: below 1 it evens out large features.
    """

    weight: Tensor
    bias: Tensor
    cost: Tensor

    def __init__(
        self,
        dim: int,
        classes: int,
        costs: Sequence[float] = COSTS,
        power: float = 1.0,
        names: Sequence[str] = (),
    ):
        super().__init__()
        if not costs or min(costs) <= 0:
            raise SemblanceError(f"C is {tuple(costs)}, but it weighs errors: give positive numbers")
        if power <= 0:
            raise SemblanceError(
                f"power is {power}, but features are raised to it: give a positive number, 0.5 is usual"
            )
        self.costs, self.power, self.names = tuple(costs), power, tuple(names)
        self.register_buffer("weight", torch.zeros(classes, dim))
        # A class that was never shown has the lowest score there is, and is never answered.
        self.register_buffer("bias", torch.full((classes,), torch.finfo(torch.float32).min))
        self.register_buffer("cost", torch.zeros(()))

    def features(self, z: Tensor) -> Tensor:
        """[N, d] -> [N, d] of unit length, after the power transform."""
        if self.power != 1:
            z = z.sign() * z.abs() ** self.power
        return F.normalize(z, dim=1)

    def solve(self, z: Tensor, labels: Tensor) -> dict[str, float]:
        """z: [N, d], labels: [N] class numbers -> {C, accuracy: cross-validated (nan where a class is too small)}."""
        from sklearn.svm import LinearSVC

        x = self.features(z.float()).cpu().numpy()
        y = labels.cpu().numpy()
        present = np.unique(y)
        if len(present) < 2:
            raise SemblanceError(f"the labelled items show {len(present)} class: a classifier needs two or more")
        cost, accuracy = choose_cost(x, y, self.costs)
        machine = LinearSVC(C=cost, random_state=0, max_iter=5000).fit(x, y)
        weight, bias = machine.coef_, machine.intercept_
        if len(present) == 2:  # scikit-learn keeps one row for two classes
            weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
        rows = torch.from_numpy(present).to(self.weight.device)
        self.weight.zero_()
        self.bias.fill_(torch.finfo(torch.float32).min)
        self.weight[rows] = torch.from_numpy(weight).to(self.weight)
        self.bias[rows] = torch.from_numpy(bias).to(self.bias)
        self.cost.fill_(cost)
        return {"C": float(cost), "accuracy": accuracy}

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """[N, d] -> scores [N, K], positive on the side of the class."""
        return F.linear(self.features(z.float()), self.weight, self.bias)

    def decode(self, scores: Tensor) -> list[str] | list[int]:
        """[N, K] -> the best class of each item."""
        return named(scores.argmax(1).tolist(), self.names)


def choose_cost(x: np.ndarray, y: np.ndarray, costs: Sequence[float]) -> tuple[float, float]:
    """The C of best cross-validated accuracy (the smallest of equals), and that accuracy; with a class of one item
    nothing can be held out, and the middle C is taken."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.svm import LinearSVC

    folds = min(FOLDS, int(np.unique(y, return_counts=True)[1].min()))
    if folds < 2:
        return sorted(costs)[len(costs) // 2], math.nan
    split = StratifiedKFold(folds, shuffle=True, random_state=0)
    ordered = sorted(costs)
    scores = [cross_val_score(LinearSVC(C=c, random_state=0, max_iter=5000), x, y, cv=split).mean() for c in ordered]
    best = int(np.argmax(scores))
    return ordered[best], float(scores[best])


@torch.no_grad()
def features(encoder: Encoder, x: Tensor, stage: int | None = None, block: int = 512) -> Tensor:
    """Prepared items [N, ...] -> [N, d]: the encoder's embedding, or its maps of a stage averaged over places."""
    found = []
    for part in x.split(block):
        if stage is None:
            found.append(encoder.embed({"x": part}).float())
        else:
            found.append(encoder.forward({"x": part})[stage].float().mean((2, 3)))
    return torch.cat(found)


def samples(x: Tensor, degrees: float = 30.0, share: float = 4 / 9, mirror: bool = True) -> Iterator[Tensor]:
    """Pictures [N, C, H, W] as the paper shows them, one sample at a time, each of the picture's size: whole, five crops
    of a `share` of the area, two turns; and all of these mirrored, which writing does without."""
    side = math.sqrt(share)
    edge = 1 - side
    views = [(0.0, 1.0, 0.0, 0.0)]
    views += [(0.0, side, dx * edge, dy * edge) for dx, dy in ((-1, -1), (1, -1), (-1, 1), (1, 1), (0, 0))]
    views += [(angle, 1.0, 0.0, 0.0) for angle in (degrees, -degrees)]
    for angle, scale, dx, dy in views:
        cos, sin = scale * math.cos(math.radians(angle)), scale * math.sin(math.radians(angle))
        # affine_grid measures both axes from -1 to 1, so a turn of an oblong picture takes its proportions in.
        ratio = x.shape[3] / x.shape[2]
        theta = x.new_tensor([[cos, -sin / ratio, dx], [sin * ratio, cos, dy]]).expand(len(x), 2, 3)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        seen = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
        yield seen
        if mirror:
            yield seen.flip(3)


class OffTheShelf:
    """The whole pipeline on prepared pictures: a frozen encoder, a stage, and a linear SVM, with `augment` on samples.

    >>> pipeline = OffTheShelf(encoder, classes=20, stage=2).fit(x, labels)       # doctest: +SKIP
    >>> pipeline.predict(new)                                                     # doctest: +SKIP
    """

    def __init__(
        self,
        encoder: Encoder,
        classes: int,
        stage: int | None = None,
        costs: Sequence[float] = COSTS,
        power: float = 1.0,
        augment: Callable[[Tensor], Iterator[Tensor]] | None = None,
    ):
        self.encoder, self.classes, self.stage = encoder, classes, stage
        self.costs, self.power, self.augment = costs, power, augment
        self.head: FrozenSVM | None = None

    def fit(self, x: Tensor, labels: Tensor) -> OffTheShelf:
        """x: [N, C, H, W], labels: [N]. With `augment`, every sample of an item counts as an item of its label."""
        seen = [features(self.encoder, sample, self.stage) for sample in self._shown(x)]
        self.head = FrozenSVM(seen[0].shape[1], self.classes, self.costs, self.power)
        self.head.solve(torch.cat(seen), labels.repeat(len(seen)))
        return self

    def scores(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, K], averaged over the samples of each picture."""
        if self.head is None:
            raise SemblanceError("this pipeline has learned nothing yet: call fit first")
        head = self.head
        each = [head(features(self.encoder, sample, self.stage), {}) for sample in self._shown(x)]
        return torch.stack(each).mean(0)

    def predict(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> class numbers [N]."""
        return self.scores(x).argmax(1)

    def accuracy(self, x: Tensor, labels: Tensor) -> float:
        """Share of right answers."""
        return float((self.predict(x) == labels).float().mean())

    def _shown(self, x: Tensor) -> Iterator[Tensor]:
        return iter((x,)) if self.augment is None else self.augment(x)
