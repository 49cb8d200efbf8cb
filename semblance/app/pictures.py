"""Pictures: neighbours of held-out items, the loss of a run, the first filters of a network.

Right and wrong are told by colour, by line and by sign, since one in twelve men does not see red from green.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from semblance.errors import Failed, SemblanceError

RIGHT, WRONG, PLAIN = "#00795A", "#C8371B", "0.55"


def neighbours(space: Any, path: Path, queries: int = 10, k: int = 8, seed: int = 0) -> Path:
    """A row per query: a held-out item, then its k nearest training items, each framed by whether its label agrees."""
    if space.manifest["domain"] != "images":
        raise SemblanceError(
            f"--neighbours draws images, and this space holds {space.manifest['domain']}: leave it out"
        )
    table = space.attributes()
    labels = table.column("label").to_pylist() if "label" in table.column_names else None
    split = np.array(table.column("split").to_pylist())
    asked = _spread(np.flatnonzero(split == "test"), labels, queries, seed)
    if not len(asked) or not (split == "train").any():
        raise SemblanceError("this space has no held-out items to draw neighbours of: fit it on more items")
    ids, of = space.ids, None if labels is None else dict(zip(space.ids, labels, strict=True))
    figure, axes = _grid(len(asked), k + 1)
    right = judged = 0
    for row, position in enumerate(asked):
        name = ids[position]
        found = space.search(name, k=k, where="split = 'train'").ids
        _tile(axes[row][0], space, name, "" if of is None else str(of[name]), "#000000", "-")
        for place, other in enumerate(found, start=1):
            if of is None or of[name] is None or of[other] is None:
                _tile(axes[row][place], space, other, "", PLAIN, "-")
                continue
            same = of[name] == of[other]
            right, judged = right + same, judged + 1
            sign, colour, line = ("\u2713", RIGHT, "-") if same else ("\u2717", WRONG, (0, (1.6, 1.6)))
            _tile(axes[row][place], space, other, f"{sign} {of[other]}", colour, line)
    axes[0][0].set_title("query", fontsize=10, pad=6)
    axes[0][1].set_title("nearest training items \u2192", fontsize=10, pad=6, loc="left")
    if judged:
        figure.suptitle(f"{right} of {judged} neighbours have the query's label", fontsize=11)
    return save(figure, path)


def losses(log: Path, path: Path) -> Path:
    """The loss of every epoch of a run's log.jsonl, a line per stage."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    stages: dict[int, tuple[list[float], list[float]]] = {}
    for text in log.read_text().splitlines():
        line = json.loads(text)
        if "loss" in line:
            epochs, values = stages.setdefault(int(line.get("stage", 0)), ([], []))
            epochs.append(line["epoch"])
            values.append(line["loss"])
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
    for number, (stage, (epochs, values)) in enumerate(sorted(stages.items())):
        name = f"stage {stage + 1}" if len(stages) > 1 else "loss"
        style = ("-", "--", ":", "-.")[number % 4]
        axes.plot(epochs, values, style, color=colours[number % 4], marker="." if len(values) < 40 else "", label=name)
        axes.annotate(f"{values[-1]:.3f}", (epochs[-1], values[-1]), (5, 0), textcoords="offset points", fontsize=8)
    if len(stages) > 1:
        axes.legend(frameon=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return save(figure, path)


def filters(network: Any, path: Path, columns: int = 16) -> Path:
    """The filters of a network's first convolution, as it stands in the module: in colour for three channels, else the mean
    over channels in grey. Each filter has its own scale; a weight of 0 is middle grey."""
    from matplotlib.figure import Figure
    from torch import nn

    first = next((part for part in network.modules() if isinstance(part, nn.Conv2d)), None)
    if first is None:
        raise SemblanceError(
            f"{type(network).__name__} has no convolution, whose filters could be drawn: give one that has"
        )
    image = mosaic(first.weight.detach().cpu().float().numpy(), columns)
    figure = Figure(figsize=(image.shape[1] / 12 + 0.3, image.shape[0] / 12 + 0.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(image, interpolation="nearest")
    axes.set_title(f"{len(first.weight)} filters of the first convolution", fontsize=9)
    axes.axis("off")
    return save(figure, path)


def mosaic(weights: np.ndarray, columns: int = 16) -> np.ndarray:
    """[O, C, h, w] -> [H, W, 3] in 0..1: the filters row by row, a white pixel between them."""
    seen = weights if weights.shape[1] == 3 else weights.mean(1, keepdims=True).repeat(3, 1)
    largest = np.abs(seen).max((1, 2, 3), keepdims=True)
    seen = np.moveaxis(0.5 + 0.5 * seen / np.maximum(largest, np.finfo(np.float32).tiny), 1, 3)  # [O, h, w, 3]
    count, height, width, _ = seen.shape
    columns = min(columns, count)
    tiles = np.ones((-(-count // columns) * columns, height + 1, width + 1, 3), np.float32)
    tiles[:count, :height, :width] = seen
    rows = tiles.reshape(-1, columns, height + 1, width + 1, 3).swapaxes(1, 2)
    return rows.reshape(-1, columns * (width + 1), 3)[:-1, :-1]


def _spread(rows: np.ndarray, labels: list[Any] | None, count: int, seed: int) -> list[int]:
    """`count` of these rows, drawn by chance, with the labels taking turns."""
    drawn = np.random.default_rng(seed).permutation(rows)
    if labels is None:
        return [int(r) for r in drawn[:count]]
    turns: dict[Any, int] = {}
    order = []
    for row in drawn:
        turn = turns[labels[row]] = turns.get(labels[row], -1) + 1
        order.append((turn, str(labels[row]), int(row)))
    return [row for _, _, row in sorted(order)[:count]]


def _grid(rows: int, columns: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.95 * columns + 0.3, 1.12 * rows + 0.7), layout="constrained")
    widths = [1.0, *[0.92] * (columns - 1)]
    axes = figure.subplots(rows, columns, squeeze=False, width_ratios=widths)
    for axis in axes.flat:
        axis.axis("off")
    return figure, axes


def _tile(axis: Any, space: Any, name: str, text: str, colour: str, line: Any) -> None:
    from PIL import Image

    stored = space.store.thumbnail(name)
    if stored is None:
        axis.text(0.5, 0.5, name, ha="center", va="center", fontsize=6, wrap=True)
        return
    image = np.asarray(Image.open(BytesIO(stored)).convert("RGB"))
    _frame(axis, image, text, colour, line)


def _frame(axis: Any, image: np.ndarray, text: str, colour: str, line: Any) -> None:
    axis.axis("on")
    axis.imshow(image, cmap="gray", interpolation="nearest" if max(image.shape[:2]) < 64 else "antialiased")
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=3.2, linestyle=line, capstyle="butt" if colour == WRONG else "projecting")
        spine.set_position(("outward", 1.6))
    if text:
        axis.set_xlabel(text if len(text) <= 14 else text[:13] + "\u2026", fontsize=10, color=colour, labelpad=3)


def save(figure: Any, path: Path) -> Path:
    """Write a figure; a path that cannot be written is said in one line."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        raise Failed(
            f"the picture {path} could not be written ({error}): give a .png in a folder you can write"
        ) from error
    return path
