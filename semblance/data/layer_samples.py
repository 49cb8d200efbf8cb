"""Batches of nodes with one sample of sources for all of them, drawn by importance, instead of neighbours for each.

    q(u) = sum over edges u -> v of (w_uv / d_v)^2, over its sum;    edge weights w_uv / (sources q(u))

The sampled sources tell the batch and one another, so that a network of any depth runs on batch + sample nodes. A layer
that divides by the sum of a target's weights (`normalise="mean"`) then estimates the mean over all its neighbours.
Departure from the paper: all layers share the sample. Reference: Chen, Ma & Xiao 2018, FastGCN, arXiv:1801.10247."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from semblance.contracts import Batch
from semblance.data.neighbour_samples import batch_of, check_whole
from semblance.data.relational import RelationalDataset
from semblance.data.samplers import Shuffled
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


@dataclass(frozen=True)
class LayerSamples:
    """`batch` units in random order, each batch with `sources` distinct nodes."""

    sources: int = 400
    batch: int = 256

    def __post_init__(self) -> None:
        if self.sources < 1:
            raise SemblanceError(f"{self.sources} sources are sampled: give 1 or more")

    def bind(self, dataset: RelationalDataset, rows: np.ndarray) -> LayerSamples:
        """Itself; an error where the data is no single graph."""
        check_whole(dataset)
        return self

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """Every unit once, in random order."""
        return Shuffled(self.batch, drop_last=False).epoch(units, labels, rng)

    def read(self, dataset: RelationalDataset, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """Positions [n] -> their batch; what is drawn depends on rng alone."""
        graph: Graph = dataset.graph
        rows, chance = np.asarray(rows, np.int64), importance(graph)
        count = min(self.sources, int((chance > 0).sum()))
        drawn = rng.choice(graph.num_nodes, count, replace=False, p=chance) if count else rows[:0]
        nodes = np.concatenate([rows, np.setdiff1d(drawn, rows)])
        part = graph.part(torch.from_numpy(nodes))
        told = np.isin(nodes, drawn)[part.edge_index[0].numpy()]
        part = part.with_edges(torch.from_numpy(told))
        source = nodes[part.edge_index[0].numpy()]
        weight = torch.from_numpy(1 / (max(count, 1) * chance[source])).float()
        part = replace(part, weight=weight if part.weight is None else weight * part.weight, directed=True, kept={})
        return batch_of(dataset, part, nodes, rows, np.arange(len(rows)))


def importance(graph: Graph) -> np.ndarray:
    """[V] of sum 1 (zeros without edges); kept with the graph."""

    def look() -> np.ndarray:
        source, target = graph.edge_index.numpy()
        weight = np.ones(len(source)) if graph.weight is None else graph.weight.double().numpy()
        degree = np.bincount(target, weight, graph.num_nodes)
        share = np.bincount(source, (weight / np.where(degree > 0, degree, 1)[target]) ** 2, graph.num_nodes)
        return share / max(share.sum(), 1e-300)

    return graph.once("importance", look)
