"""Batches that together hold every node of a graph once, labelled or not, each with the whole graph to look around in.

Unlike samples of neighbours, which surround the units alone, these let an encoder keep a row of every node up to date
(lazy.py). A block grows over the edges; one without units is joined to the next that has some.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from semblance.contracts import Batch
from semblance.data.neighbour_samples import blocks
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError


@dataclass(frozen=True)
class NodeBlocks:
    """The nodes in `count` blocks, drawn by `seed`. A batch is that of a block's units, with its nodes as `block`."""

    count: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise SemblanceError(f"count is {self.count}: cut the graph into 1 block or more")

    def bind(self, dataset: RelationalDataset, rows: np.ndarray) -> BoundBlocks:
        """The sampler of this graph and these units."""
        graph = dataset.graph
        count = min(self.count, graph.num_nodes)
        block = graph.once(("blocks", count, self.seed), lambda: blocks(graph, count, self.seed))
        held = np.unique(block[rows])
        merged = held[np.searchsorted(held, block) % len(held)]
        return BoundBlocks(merged, merged[rows])


@dataclass(frozen=True, eq=False)
class BoundBlocks:
    """block: int64 [V]; own: that of every unit."""

    block: np.ndarray
    own: np.ndarray

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """The units of one block after the other, in random order."""
        return [np.flatnonzero(self.own == b) for b in rng.permutation(np.unique(self.own))]

    def read(self, dataset: RelationalDataset, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """Positions [n] of a block's units -> their batch; nothing is drawn."""
        batch = dataset.read(rows)
        batch["block"] = torch.from_numpy(np.flatnonzero(self.block == self.block[rows[0]]))
        return batch
