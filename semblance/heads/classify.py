"""Classify: scores per class from an embedding, and predictions averaged over crops and sizes of one image.

Linear            logits = W z + b
predict_crops     p(y|x) = mean over crops c of softmax(f(c))      ten crops: Krizhevsky et al. 2012; several sizes:
                                                                   He et al. 2016, arXiv:1512.03385
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError


class Linear(nn.Module):
    """A linear classifier; `names` are the classes in order, which `decode` then answers with."""

    def __init__(self, dim: int, classes: int, names: Sequence[str] = ()):
        super().__init__()
        if classes < 1:
            raise SemblanceError(
                f"a classifier of {classes} classes: label the data (--label COLUMN, or class folders)"
            )
        self.map, self.names = nn.Linear(dim, classes), tuple(names)

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """[N, d] -> logits [N, K]."""
        logits: Tensor = self.map(z)
        return logits

    def decode(self, logits: Tensor) -> list[str] | list[int]:
        """[N, K] -> the best class of each item: its name, or its number where no names are known."""
        return named(logits.argmax(1).tolist(), self.names)


def named(best: list[int], names: Sequence[str]) -> list[str] | list[int]:
    """Class numbers as names, where there are names."""
    return [names[k] for k in best] if names else best


def ten_crops(x: Tensor, size: tuple[int, int]) -> Iterator[Tensor]:
    """[N, C, H, W] -> ten times [N, C, h, w]: the corners and the centre, each as it is and mirrored."""
    (height, width), (h, w) = x.shape[2:], size
    if h > height or w > width:
        raise SemblanceError(f"crops of {h} by {w} do not fit into images of {height} by {width}: enlarge or crop less")
    corners = [(0, 0), (0, width - w), (height - h, 0), (height - h, width - w), ((height - h) // 2, (width - w) // 2)]
    for top, left in corners:
        crop = x[:, :, top : top + h, left : left + w]
        yield crop
        yield crop.flip(3)


@torch.no_grad()
def predict_crops(
    network: Callable[[Batch], Tensor],
    x: Tensor,
    crop: tuple[int, int] | None = None,
    scales: Sequence[int] = (),
) -> Tensor:
    """[N, C, H, W] -> class probabilities [N, K], averaged over ten crops (or, without `crop`, over the image and its
    mirror) at every scale; a scale is the shorter side in pixels. A net with a pooled read-out takes any size."""
    chances = []
    for scale in scales or (None,):
        seen = x if scale is None else shorter_side(x, scale)
        chances += [network({"x": c}).float().softmax(1) for c in ten_crops(seen, crop or tuple(seen.shape[2:]))]
    return torch.stack(chances).mean(0)


def shorter_side(x: Tensor, scale: int) -> Tensor:
    """[N, C, H, W] resampled so that the shorter of H and W is `scale`."""
    height, width = x.shape[2:]
    factor = scale / min(height, width)
    size = (round(height * factor), round(width * factor))
    return F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)
