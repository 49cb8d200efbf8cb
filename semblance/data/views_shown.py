"""Views as a person sees them: texts with what is left out dotted, a graph with its dropped links pale. Pictures are
drawn by `views.views_picture`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from semblance.data.dataset import ArrayDataset
from semblance.data.graph_views import GraphViews, pairs
from semblance.data.pieces import PADDING, Pieces
from semblance.data.relational import RelationalDataset, as_tensor
from semblance.data.text_views import TextViews

LETTERS = 90  # of a text are shown
NODES = 120  # of a graph


def _as_it_is(x: Tensor) -> Tensor:
    return x


def text_views(
    dataset: ArrayDataset, pieces: Pieces, views: TextViews, seed: int = 0, items: int = 10, columns: int = 3
) -> list[list[str]]:
    """`items` texts, each followed by `columns` views of it, in which letters that are left out are dots."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(dataset))[:items])
    cut = pieces.cut(dataset).x
    tokens, chance = torch.from_numpy(cut[rows]), torch.Generator().manual_seed(seed)
    drawn = [views(tokens, chance, _as_it_is) for _ in range(columns)]
    told = []
    for number, row in enumerate(rows):
        text = str(cut.texts[row])
        spans = pieces.spans(text)
        told.append([text])
        for view in drawn:
            gone = (view[number] == PADDING)[: len(spans)].tolist()
            letters = list(text)
            for (first, last), left_out in zip(spans, gone, strict=True):
                letters[first:last] = "·" * (last - first) if left_out else letters[first:last]
            told[-1].append("".join(letters))
    return told


def text_views_picture(dataset: ArrayDataset, pieces: Pieces, views: TextViews, seed: int = 0) -> Any:
    """A matplotlib figure of `text_views`."""
    from matplotlib.figure import Figure

    told = text_views(dataset, pieces, views, seed)
    lines = [(line[:LETTERS], place == 0) for text in told for place, line in enumerate(text)]
    figure = Figure(figsize=(10, 0.22 * (len(lines) + len(told))))
    height = 1 - 0.01
    step = 0.98 / (len(lines) + len(told))
    for line, whole in lines:
        height -= step * (2 if whole else 1)
        figure.text(
            0.01 if whole else 0.03, height, line, family="monospace", size=9, color="k" if whole else "#0072b2"
        )
    return figure


def graph_views_picture(dataset: RelationalDataset, views: GraphViews, seed: int = 0, columns: int = 3) -> Any:
    """A matplotlib figure: a part of the graph on a circle, then views of it, what they leave out pale; below how many
    pairs and features each has."""
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    graph = dataset.graph.part(_near_each_other(dataset, seed))
    batch: dict[str, Any] = {"graph": graph}
    if dataset.x is not None:
        batch["x"] = torch.ones(1, as_tensor(dataset.x[:1]).shape[1])
    angle = np.linspace(0, 2 * np.pi, graph.num_nodes, endpoint=False)
    place = np.stack([np.cos(angle), np.sin(angle)], 1)
    _, count = pairs(graph)
    figure = Figure(figsize=(3.2 * (columns + 1), 3.6), layout="constrained")
    chance = torch.Generator().manual_seed(seed)
    for column, axes in enumerate(figure.subplots(1, columns + 1)):
        seen = views.view(batch, chance) if column else batch
        kept, _ = pairs(seen["graph"])
        lines = place[graph.edge_index.T.numpy()]
        axes.add_collection(LineCollection(list(lines), colors="0.85", linewidths=0.6))
        axes.add_collection(
            LineCollection(list(place[seen["graph"].edge_index.T.numpy()]), colors="#0072b2", linewidths=0.6)
        )
        axes.plot(*place.T, ".k", markersize=3)
        held = len(kept.unique())
        features = f", {int((seen['x'] != 0).sum())} of {seen['x'].shape[1]} features" if "x" in seen else ""
        axes.set_title("as it is" if not column else f"{held} of {count} links{features}", fontsize=8)
        axes.set_aspect("equal")
        axes.set_axis_off()
    return figure


def _near_each_other(dataset: RelationalDataset, seed: int) -> torch.Tensor:
    """Up to NODES nodes, met by spreading from one along the edges."""
    graph = dataset.graph
    rows = graph.rows()
    first = int(np.random.default_rng(seed).choice(np.flatnonzero(rows.degree == rows.degree.max())))
    met, queue = {first: None}, [first]
    while queue and len(met) < NODES:
        node = queue.pop(0)
        for other in rows.index[rows.start[node] : rows.start[node + 1]].tolist():
            if other not in met and len(met) < NODES:
                met[other] = None
                queue.append(other)
    return torch.tensor(list(met))
