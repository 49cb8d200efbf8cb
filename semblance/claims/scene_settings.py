"""What the claims about looking into networks share: a small convolutional net on drawn scenes, and how it is trained.

SceneNet   three 5 x 5 convolutions with ReLU and 2 x 2 max pooling, then a linear layer on the map or on its largest values
taught     Adam 2e-3 with a falling rate, batches of 64, every batch of the given pictures in random order
near       whether a place lies within two pixels of a mask
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor, nn

WITHIN = 2


class SceneNet(nn.Module):
    """Pictures [N, C, size, size] -> logits; `maps` gives the layer's map before its pooling. activation: any module."""

    def __init__(
        self,
        classes: int,
        widths: Sequence[int] = (16, 32, 32),
        channels: int = 3,
        size: int = 32,
        read: str = "flatten",
        kernel: int = 5,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ):
        super().__init__()
        parts: list[nn.Module] = []
        for width_in, width in zip((channels, *widths), widths, strict=False):
            parts += [nn.Conv2d(width_in, width, kernel, padding=kernel // 2), activation(), nn.MaxPool2d(2)]
        self.layers, self.read = nn.Sequential(*parts), read
        places = (size // 2 ** len(widths)) ** 2 if read == "flatten" else 1
        self.last = nn.Linear(widths[-1] * places, classes)

    def upto(self, layer: int) -> nn.Sequential:
        """What computes the map of layer 1, 2, 3 before its pooling."""
        return self.layers[: 3 * layer - 1]

    def maps(self, x: Tensor, layer: int) -> Tensor:
        """[N, width, H, W] of layer 1, 2, 3, rectified, before its pooling."""
        found: Tensor = self.upto(layer)(x)
        return found

    def features(self, x: Tensor) -> Tensor:
        """What the linear layer reads."""
        y = self.layers(x)
        return y.flatten(1) if self.read == "flatten" else y.amax((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.features(x))
        return found


def made(seed: int, classes: int, **axes: object) -> SceneNet:
    """A net drawn from the seed; the global generator is given back as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SceneNet(classes, **axes)  # type: ignore[arg-type]


def taught(
    net: nn.Module,
    x: np.ndarray | Tensor,
    y: np.ndarray | Tensor,
    seed: int,
    epochs: float = 4,
    batch: int = 64,
    lr: float = 2e-3,
    parameters: Sequence[nn.Parameter] | None = None,
) -> nn.Module:
    """The same net, trained to tell y from x."""
    x, y = torch.as_tensor(x).float(), torch.as_tensor(y)
    rng = np.random.default_rng([seed, len(x)])
    steps = max(1, int(epochs * len(x) / batch))
    optimiser = torch.optim.Adam(net.parameters() if parameters is None else parameters, lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    order = np.concatenate([rng.permutation(len(x)) for _ in range(int(np.ceil(epochs)) + 1)])
    net.train()
    for step in range(steps):
        rows = torch.from_numpy(order[step * batch : (step + 1) * batch])
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(net(x[rows]), y[rows]).backward()
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def logits(net: nn.Module, x: np.ndarray | Tensor) -> Tensor:
    """[N, K], 250 pictures at a time."""
    return torch.cat([net(part) for part in torch.as_tensor(x).float().split(250)])


def accuracy(net: nn.Module, x: np.ndarray | Tensor, y: np.ndarray | Tensor) -> float:
    """Share of right answers."""
    return float((logits(net, x).argmax(1) == torch.as_tensor(y)).float().mean())


def widened(masks: np.ndarray, by: int = WITHIN) -> np.ndarray:
    """bool [N, H, W] -> the same with everything within so many pixels (in either direction)."""
    return np.stack([ndimage.binary_dilation(mask, np.ones((2 * by + 1, 2 * by + 1))) for mask in masks])


def near(places: Tensor, masks: np.ndarray) -> float:
    """Maps [N, H, W]: share whose largest value lies within two pixels of its mask."""
    wide = torch.from_numpy(widened(masks)).flatten(1)
    at = places.flatten(1).argmax(1, keepdim=True)
    return float(wide.gather(1, at).float().mean())
