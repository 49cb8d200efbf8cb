"""Colours: a grey picture is seen, and the colour of every place is to be told, as a distribution over bins.

    target = the soft code of the place's mean (a, b) of Lab over the five nearest bins, exp(-distance^2 / 2 sigma^2)
    loss = mean over places of w * CE(answer, target),    w = that of the target's nearest bin,
    w proportional to 1 / ((1 - mix) p + mix / Q), sum p w = 1,    p = how often each of the Q bins comes, as far as seen

Without the weights w grey would be the best answer nearly everywhere. The bins are the points of a grid of spacing 10 that
some colour of a screen comes near, the Q ones nearest to grey.

Zhang, Isola & Efros 2016, arXiv:1603.08511; as one of several tasks with fewer bins Doersch & Zisserman 2017."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Metrics
from semblance.data.dataset import Shape
from semblance.data.prepare import Prepare
from semblance.data.views import LUMINANCE
from semblance.errors import SemblanceError
from semblance.objectives.pretexts.asked import Posed

SPACING, NEAREST, SIGMA = 10.0, 5, 5.0


class Shown(nn.Module):
    """From pictures as encoders get them to colours 0..1 and back."""

    mean: Tensor
    std: Tensor

    def __init__(self, shape: Shape):
        super().__init__()
        mean, std = Prepare(shape).moments
        self.register_buffer("mean", mean[:, None, None])
        self.register_buffer("std", std[:, None, None])

    def colours(self, x: Tensor) -> Tensor:
        """[..., C, H, W] -> the same in 0..1."""
        return (x * self.std + self.mean).clamp(0, 1)

    def grey(self, x: Tensor) -> Tensor:
        """[..., C, H, W] -> its brightness on every channel; pictures that have no three channels as they are."""
        if x.shape[-3] != 3:
            return x
        bright = (self.colours(x) * LUMINANCE.to(x)[:, None, None]).sum(-3, keepdim=True)
        return (bright - self.mean) / self.std


class Uncoloured(nn.Module):
    """Grey pictures; the target is the mean colour (a, b) of each place of the map."""

    def __init__(self, shape: Shape, grid: tuple[int, int]):
        super().__init__()
        if shape.item[0] != 3:
            raise SemblanceError(
                f"colours are asked, but these pictures have {shape.item[0]} channel: take a task that needs none"
            )
        self.shown, self.grid = Shown(shape), grid

    def forward(self, x: Tensor) -> Posed:
        """[N, 3, H, W] -> grey [N, 3, H, W], target [N, 2, h, w]."""
        return Posed(self.shown.grey(x), F.adaptive_avg_pool2d(lab(self.shown.colours(x))[:, 1:], self.grid))


class ColourBins(nn.Module):
    """The score of answers about bins. `seen` [Q] counts how often each bin came."""

    points: Tensor  # [Q, 2]
    seen: Tensor

    def __init__(self, bins: int = 32, mix: float = 0.5, balanced: bool = True):
        super().__init__()
        if not 0 < mix <= 1:
            raise SemblanceError(f"mix is {mix}, but it is the share of equal weights: give above 0 up to 1")
        self.mix, self.balanced = mix, balanced
        self.register_buffer("points", bins_near_grey(bins))
        self.register_buffer("seen", torch.zeros(bins))

    def soft(self, ab: Tensor) -> Tensor:
        """[N, 2, h, w] -> [N, Q, h, w], each place a distribution over its nearest bins."""
        far = torch.cdist(ab.movedim(1, -1).flatten(0, -2), self.points)  # [N h w, Q]
        near, which = far.topk(min(NEAREST, far.shape[1]), largest=False)
        # Relative to the nearest, so that a colour far from all bins is not lost.
        weight = torch.exp((near[:, :1].square() - near.square()) / (2 * SIGMA**2))
        code = torch.zeros_like(far).scatter_(1, which, weight / weight.sum(1, keepdim=True))
        return code.view(ab.shape[0], *ab.shape[2:], -1).movedim(-1, 1)

    def weights(self) -> Tensor:
        """[Q], those of the bins; their mean over what was seen is 1."""
        p = self.seen / self.seen.sum().clamp_min(1)
        w = 1 / ((1 - self.mix) * p + self.mix / len(p))
        return w / (p * w).sum() if float(self.seen.sum()) else torch.ones_like(w)

    def forward(self, answer: Tensor, target: Tensor) -> tuple[Tensor, Metrics]:
        """Logits [N, Q, h, w], colours [N, 2, h, w] -> scalar, {accuracy: of the nearest bins}."""
        code = self.soft(target)
        nearest = code.argmax(1)
        if self.training:
            self.seen += nearest.flatten().bincount(minlength=len(self.seen))
        loss = -(code * answer.float().log_softmax(1)).sum(1)
        if self.balanced:
            loss = loss * self.weights()[nearest]
        return loss.mean(), {"accuracy": float((answer.argmax(1) == nearest).float().mean())}


def lab(x: Tensor) -> Tensor:
    """sRGB 0..1 [N, 3, H, W] -> L, a, b of CIE 1976 under daylight."""
    from kornia.color import rgb_to_lab  # takes a second to import

    found: Tensor = rgb_to_lab(x)
    return found


@lru_cache(maxsize=8)
def bins_near_grey(count: int) -> Tensor:
    """[count, 2]: grid points (a, b) to which some colour of a screen rounds, the nearest to grey first."""
    level = torch.linspace(0, 1, 48)
    cube = torch.stack(torch.meshgrid(level, level, level, indexing="ij")).reshape(1, 3, -1, 48)
    points = (lab(cube)[0, 1:].flatten(1).T / SPACING).round().unique(dim=0)
    if not 2 <= count <= len(points):
        raise SemblanceError(f"bins is {count}: give 2 to {len(points)}, as many as a screen has colours")
    points = points[(points.square().sum(1) + 1e-3 * torch.atan2(points[:, 1], points[:, 0])).argsort()]
    return points[:count] * SPACING
