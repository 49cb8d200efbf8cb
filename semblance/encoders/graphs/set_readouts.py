"""Read-outs that learn: one vector of a graph from the states of its nodes, by asking again and again, or in an order.

    SetToSet    q_t = LSTM(q*_t-1);  a_v = softmax over v of h_v . q_t;  q*_t = [q_t | sum of a_v h_v];  z = q*_T
    Sorted      the k nodes of largest last channel, in that order (zeros where there are fewer), through two convolutions
    Linear      a linear map of the mean over nodes, with the logarithm of their number beside it

All are indifferent to how nodes are numbered (Sorted where no two are equal). References: Vinyals et al. 2016,
arXiv:1511.06391; Zhang et al. 2018, An End-to-End Deep Learning Architecture for Graph Classification.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.readout import pool
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Geometry, Sphere


class SetToSet(nn.Module):
    """steps: T; `dim` is twice the width."""

    def __init__(self, width: int, steps: int = 3):
        super().__init__()
        if steps < 1:
            raise SemblanceError(f"{steps} steps: give 1 or more")
        self.ask, self.steps, self.dim = nn.LSTMCell(2 * width, width), steps, 2 * width

    def forward(self, states: Tensor, member: Tensor, graphs: int) -> Tensor:
        """states [V, width], member int64 [V] -> [graphs, 2 width]."""
        found = states.new_zeros(graphs, self.dim)
        held: tuple[Tensor, Tensor] | None = None
        for _ in range(self.steps):
            held = self.ask(found, held)
            score = (states * held[0][member]).sum(1)
            with torch.no_grad():
                most = score.new_full((graphs,), -torch.inf).scatter_reduce(0, member, score, "amax")
            power = (score - most[member]).exp()
            total = power.new_zeros(graphs).index_add(0, member, power)
            heard = states.new_zeros(graphs, states.shape[1]).index_add(
                0, member, states * (power / total[member])[:, None]
            )
            found = torch.cat([held[0], heard], 1)
        return found


class Sorted(nn.Module):
    """keep: k; channels: of the two convolutions; `dim` is what the second leaves, flattened."""

    def __init__(self, width: int, keep: int = 16, channels: int = 16):
        super().__init__()
        if keep < 4:
            raise SemblanceError(f"{keep} nodes are kept: give 4 or more, which is what two convolutions need")
        self.first = nn.Conv1d(1, channels, width, width)
        self.second = nn.Conv1d(channels, 2 * channels, 3)
        self.keep, self.width, self.dim = keep, width, 2 * channels * (keep // 2 - 2)
        if self.dim == 0:
            self.second, self.dim = nn.Conv1d(channels, 2 * channels, 2), 2 * channels

    def forward(self, states: Tensor, member: Tensor, graphs: int) -> Tensor:
        """states [V, width], member int64 [V] -> [graphs, dim]."""
        order = (-states[:, -1]).argsort(stable=True)
        order = order[member[order].argsort(stable=True)]
        sizes = torch.bincount(member, minlength=graphs)
        rank = torch.arange(len(order)) - (sizes.cumsum(0) - sizes)[member[order]]
        taken = rank < self.keep
        rows = states.new_zeros(graphs, self.keep, self.width)
        rows = rows.index_put((member[order][taken], rank[taken]), states[order[taken]])
        y = F.max_pool1d(F.relu(self.first(rows.flatten(1)[:, None])), 2)
        return F.relu(self.second(y)).flatten(1)


class Linear(nn.Module):
    """`dim` numbers."""

    def __init__(self, width: int, dim: int):
        super().__init__()
        self.map, self.dim = nn.Linear(width + 1, dim), dim

    def forward(self, states: Tensor, member: Tensor, graphs: int) -> Tensor:
        """states [V, width], member int64 [V] -> [graphs, dim]."""
        sizes = torch.bincount(member, minlength=graphs).to(states)[:, None]
        mapped: Tensor = self.map(torch.cat([pool(states, member, graphs, "mean"), sizes.log1p()], 1))
        return mapped


class ReadOut(nn.Module):
    """An encoder of graphs: a stack, and a read-out that learns."""

    def __init__(self, stack: nn.Module, read: nn.Module, geometry: Geometry | None = None):
        super().__init__()
        self.stack, self.read, self.dim = stack, read, int(read.dim)  # type: ignore[arg-type]
        self.geometry = Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> states of all nodes [V, d]."""
        states: Tensor = self.stack(batch)
        return states

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]."""
        graph = batch["graph"]
        z: Tensor = self.read(self.stack(batch), graph.member, graph.num_graphs)
        return z
