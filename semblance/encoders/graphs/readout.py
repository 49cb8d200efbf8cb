"""Read-out: one vector of a graph from the states of its nodes, or of all their layers.

    sum, mean, max    over the nodes of a graph; 0 for a graph without nodes

A read-out that is a map after the sum over nodes and layers, as GIN's (one linear map a round, their answers added),
is a linear map of the concatenated layers, so the layers are joined in `stack.py` and pooled here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semblance.errors import unknown

READOUTS = ("sum", "mean", "max")


def pool(states: Tensor, member: Tensor, graphs: int, how: str = "sum") -> Tensor:
    """states [V, d], member int64 [V] -> [graphs, d]."""
    if how not in READOUTS:
        raise unknown("readout", how, READOUTS)
    if how == "max":
        wide = member[:, None].expand_as(states)
        return states.new_zeros(graphs, states.shape[1]).scatter_reduce(0, wide, states, "amax", include_self=False)
    total = states.new_zeros(graphs, states.shape[1]).index_add(0, member, states)
    if how == "sum":
        return total
    sizes = torch.bincount(member, minlength=graphs).clamp(min=1)
    return total / sizes[:, None]
