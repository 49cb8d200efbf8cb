"""What claims on whole graphs share: the same graphs with their nodes in another order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from semblance.data.relational import RelationalDataset


def reordered(data: RelationalDataset, seed: int) -> RelationalDataset:
    """The same graphs, the nodes of each shuffled."""
    member = data.graph.member.numpy()
    order = np.lexsort([np.random.default_rng([45, seed]).random(len(member)), member])
    return replace(data, graph=data.graph.part(torch.from_numpy(order)), x=None if data.x is None else data.x[order])
