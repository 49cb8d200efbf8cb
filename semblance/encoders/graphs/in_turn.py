"""In turn: neighbours read one after the other by a recurrent unit, in random order.

    x_v' = f( W_1 LSTM( neighbours of v, shuffled ) + b + W_2 x_v )

In training every pass shuffles anew; else the order is counted from each neighbour's place, so that answers repeat. At most
`most` neighbours of a node are read. Reference: Hamilton et al. 2017, arXiv:1706.02216, section 3.3.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from semblance.encoders.graphs.aggregators import activation_named
from semblance.encoders.graphs.message import linear
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


class InTurn(nn.Module):
    """GraphSAGE's layer with the LSTM aggregator."""

    def __init__(self, inputs: int, outputs: int, most: int = 25, activation: str | None = None):
        super().__init__()
        if most < 1:
            raise SemblanceError(f"{most} neighbours are read: give 1 or more")
        self.read = nn.LSTM(inputs, outputs, batch_first=True)
        self.neighbours, self.itself = linear(outputs, outputs), linear(inputs, outputs, False)
        self.most, self.dim, self.activation = most, outputs, activation

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, f] -> [V, outputs]."""
        rows = graph.rows()
        degree = np.minimum(rows.degree, self.most)
        some = np.flatnonzero(degree)
        around = x.new_zeros(len(x), self.dim)
        if len(some):
            key = torch.rand(len(rows.index)).numpy() if self.training else _counted(rows.index)
            target = np.repeat(np.arange(len(x)), rows.degree)
            order = np.lexsort([key, target])
            turn = np.arange(len(order)) - rows.start[target]
            taken = turn < self.most
            table = np.zeros((len(x), int(degree.max())), np.int64)
            table[target[taken], turn[taken]] = rows.index[order[taken]]
            lengths = torch.from_numpy(degree[some])
            packed = pack_padded_sequence(x[torch.from_numpy(table[some])], lengths, True, enforce_sorted=False)
            around = around.index_copy(0, torch.from_numpy(some), self.read(packed)[1][0][0])
        return activation_named(self.activation)(self.neighbours(around) + self.itself(x))


def _counted(number: np.ndarray) -> np.ndarray:
    """A shuffled-looking number for every node that is always the same."""
    return (number.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
