"""Units: what a channel of a network stands for, and what becomes of the network's work without it.

    dissection   t_u with P(a_u > t_u) = 0.01 over all places and pictures;  IoU of {a_u > t_u}, upsampled, with a concept's
                 mask, summed over the set; the best concept above 0.04 names the unit
    importance   fall of a class's balanced accuracy (it against the rest) when the unit is zeroed
    editing      units set to a value in a region while the rest of the network runs: zero removes objects from generated
                 pictures, their mean level inside a concept puts some in
    attack       min_d |d|^2 + c max(0, max_k!=t l_k - l_t + margin)        Carlini & Wagner 2017, arXiv:1608.04644

Everything works from outside, by hooks on a layer. Reference: Bau et al. 2020, Understanding the Role of Individual Units
in a Deep Neural Network, arXiv:2009.05041.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.errors import SemblanceError
from semblance.reports import report_html, write_page

SHARE, NAMED = 0.01, 0.04
RESERVOIR = 50_000


class Quantile:
    """A running quantile of many columns: a uniform sample of the rows seen, of at most `size`."""

    def __init__(self, rng: np.random.Generator, size: int = RESERVOIR):
        self.rng, self.size, self.seen = rng, size, 0
        self.kept: np.ndarray | None = None

    def add(self, rows: np.ndarray) -> None:
        """[n, columns]."""
        if self.kept is None:
            self.kept = np.empty((0, rows.shape[1]), rows.dtype)
        free = self.size - len(self.kept)
        self.kept = np.concatenate([self.kept, rows[:free]])
        later, count = rows[free:], self.seen + min(free, len(rows))
        # The i-th row ever seen enters with chance size / i, in the place of a random one.
        place = (self.rng.random(len(later)) * (count + 1 + np.arange(len(later)))).astype(np.int64)
        enters = place < self.size
        self.kept[place[enters]] = later[enters]
        self.seen += len(rows)

    def value(self, share_above: float) -> np.ndarray:
        """[columns], exceeded by this share of the rows."""
        if self.kept is None or not len(self.kept):
            raise SemblanceError("no activation was seen: give at least one picture")
        found: np.ndarray = np.quantile(self.kept, 1 - share_above, axis=0)
        return found


@dataclass(frozen=True)
class Dissection:
    """iou [units, concepts]; threshold [units]; concepts named; shuffled: how many units masks in random order name."""

    iou: np.ndarray
    threshold: np.ndarray
    concepts: tuple[str, ...]
    shuffled: int
    least: float = NAMED

    @property
    def named(self) -> np.ndarray:
        """[units], the best concept of each, -1 where none is good enough."""
        return np.where(self.iou.max(1) > self.least, self.iou.argmax(1), -1)

    @property
    def count(self) -> dict[str, int]:
        """Units a concept."""
        return {name: int((self.named == k).sum()) for k, name in enumerate(self.concepts)}

    def best(self, concept: int, k: int) -> list[int]:
        """The k units with the largest IoU, largest first."""
        return np.argsort(-self.iou[:, concept], kind="stable")[:k].tolist()

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in self.count.items())
        found = int((self.named >= 0).sum())
        by_chance = f"{self.shuffled} with masks in random order"
        return f"{found} of {len(self.iou)} units stand for a concept ({counts}), {by_chance}"

    def rows(self) -> list[dict[str, Any]]:
        """One row a unit: its concept (None below the least IoU), the IoU, the threshold."""
        return [
            {
                "unit": unit,
                "concept": None if k < 0 else self.concepts[k],
                "iou": float(self.iou[unit].max()),
                "threshold": float(self.threshold[unit]),
            }
            for unit, k in enumerate(self.named.tolist())
        ]

    def to_dict(self) -> dict[str, Any]:
        """{units: [...], count, shuffled, sentence}."""
        return {"units": self.rows(), "count": self.count, "shuffled": self.shuffled, "sentence": str(self)}

    def table(self) -> Any:
        """The same as an Arrow table."""
        import pyarrow as pa

        return pa.Table.from_pylist(self.rows())

    def plot(self) -> Any:
        """A matplotlib figure: every unit's best IoU, in its concept's colour."""
        from semblance.figures import Drawn

        figure = Drawn(figsize=(6.5, 3.2), layout="constrained")
        axes = figure.subplots()
        order = np.argsort(-self.iou.max(1), kind="stable")
        for k, name in [*enumerate(self.concepts), (-1, "none")]:
            at = np.flatnonzero(self.named[order] == k)
            colour = "0.75" if k < 0 else COLOURS[k % len(COLOURS)]
            axes.bar(at, self.iou.max(1)[order][at], color=colour, label=f"{name} ({len(at)})", width=1.0)
        axes.axhline(self.least, color="black", linewidth=0.6, linestyle=":")
        axes.set(xlabel="unit, by its best IoU", ylabel="IoU")
        axes.legend(frameon=False, fontsize=8)
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, table and picture."""
        write_page(path, "Units and concepts", f"{self}.", self.plot(), self.rows())

    def _repr_html_(self) -> str:
        return report_html("Units and concepts", f"{self}.", self.plot(), self.rows())


COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000")


def dissect(
    maps: Callable[[Tensor], Tensor],
    batches: Sequence[Tensor],
    masks: Sequence[np.ndarray],
    concepts: Sequence[str],
    share: float = SHARE,
    seed: int = 0,
) -> Dissection:
    """maps: pictures [n, ...] -> a layer [n, units, h, w]. batches of pictures, twice walked; masks bool [n, K, H, W] of
    each batch, from people or from any segmenter. The count for masks in random order says what chance names."""
    if len(batches) != len(masks):
        raise SemblanceError(f"there are {len(batches)} batches of pictures and {len(masks)} of masks: give one each")
    rng = np.random.default_rng([seed, len(concepts)])
    sketch = Quantile(rng)
    with torch.no_grad():
        for x in batches:
            y = maps(x)
            sketch.add(y.permute(0, 2, 3, 1).reshape(-1, y.shape[1]).numpy())
        threshold = torch.from_numpy(sketch.value(share))
        true, dealt = (_Overlaps() for _ in range(2))
        for x, mask in zip(batches, masks, strict=True):
            size = (mask.shape[2], mask.shape[3])
            y = F.interpolate(maps(x), size=size, mode="bilinear", align_corners=False)
            on = (y > threshold[:, None, None]).flatten(2).float()
            for into, order in ((true, slice(None)), (dealt, rng.permutation(len(mask)))):
                into.add(on, torch.from_numpy(mask[order]).flatten(2).float())
    return Dissection(true.iou(), threshold.numpy(), tuple(concepts), int((dealt.iou().max(1) > NAMED).sum()))


class _Overlaps:
    """Sums over pictures of intersections and areas."""

    def __init__(self) -> None:
        self.both: Any = 0
        self.units: Any = 0
        self.masks: Any = 0

    def add(self, on: Tensor, mask: Tensor) -> None:
        """[n, units, P], [n, K, P]."""
        self.both = self.both + torch.einsum("nup,nkp->uk", on, mask).double()
        self.units = self.units + on.sum((0, 2)).double()
        self.masks = self.masks + mask.sum((0, 2)).double()

    def iou(self) -> np.ndarray:
        """[units, K]; 0 where both are empty."""
        either = self.units[:, None] + self.masks[None] - self.both
        found: np.ndarray = (self.both / either.clamp_min(1)).numpy()
        return found


@contextmanager
def edited(
    layer: nn.Module, units: Sequence[int], value: Tensor | float = 0.0, where: Tensor | None = None
) -> Iterator[None]:
    """A block in which these channels of a layer's answer are set: to `value` (a number, or one a unit), everywhere or
    where [h, w] or [n, 1, h, w] says so. The brush of an editor, and, with 0, the removal of units."""
    chosen = torch.as_tensor(list(units), dtype=torch.long)
    level = torch.as_tensor(value, dtype=torch.float32).view(-1, 1, 1)

    def change(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        new = output.clone()
        target = level.to(output.dtype).expand(len(chosen), *output.shape[2:])
        new[:, chosen] = target if where is None else torch.where(where.bool(), target, output[:, chosen])
        return new

    hook = layer.register_forward_hook(change)
    try:
        yield
    finally:
        hook.remove()


def balanced_accuracy(answers: Tensor, y: Tensor, c: int) -> float:
    """Of telling class c from the rest: the mean of both sides' accuracies."""
    said, own = answers == c, y == c
    return float((said[own].float().mean() + (~said[~own]).float().mean()) / 2)


@torch.no_grad()
def importance(net: nn.Module, layer: nn.Module, units: int, x: Tensor, y: Tensor, classes: int) -> Tensor:
    """[units, classes]: how much of a class's balanced accuracy on these pictures each unit is worth."""
    found = torch.empty(units, classes)
    before = _answers(net, x)
    whole = [balanced_accuracy(before, y, c) for c in range(classes)]
    for unit in range(units):
        with edited(layer, [unit]):
            answers = _answers(net, x)
        for c in range(classes):
            found[unit, c] = whole[c] - balanced_accuracy(answers, y, c)
    return found


@torch.no_grad()
def accuracy_without(net: nn.Module, layer: nn.Module, units: Sequence[int], x: Tensor, y: Tensor, c: int) -> float:
    """The class's balanced accuracy with these units zeroed."""
    with edited(layer, units):
        return balanced_accuracy(_answers(net, x), y, c)


def _answers(net: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([net(part).argmax(1) for part in x.split(250)])


def attack(
    logits: Callable[[Tensor], Tensor],
    x: Tensor,
    target: Tensor,
    c: float = 1.0,
    margin: float = 1.0,
    steps: int = 100,
    lr: float = 0.02,
) -> Tensor:
    """Pictures [n, ...] and classes [n] -> pictures near them that the network takes for these, by Adam on the change."""
    change = torch.zeros_like(x, requires_grad=True)
    optimiser = torch.optim.Adam([change], lr=lr)
    rows = torch.arange(len(x))
    for _ in range(steps):
        answer = logits(x + change)
        wanted = answer[rows, target]
        other = answer.index_put((rows, target), torch.tensor(-torch.inf)).amax(1)
        loss = change.square().sum() + c * (other - wanted + margin).clamp_min(0).sum()
        (change.grad,) = torch.autograd.grad(loss, change)
        optimiser.step()
    return (x + change).detach()
