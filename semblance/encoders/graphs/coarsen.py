"""Coarsening: a graph made smaller between its layers, and read at every size.

    block      x = relu( D^-1 A x W + x V ),  A with self-loops;    pool;    z += mean of x || maximum of x
    top        y = x p / |p|; the ceil(ratio n) nodes of largest y stay: x = x[idx] * tanh(y[idx]), A = A[idx, idx]
    none       nothing is dropped, and the graph is read once, after the last block
    dense      S = softmax(layer(x)): x = S^T x, A = S^T A S, as matrices of n x n (DiffPool)

Dropping nodes keeps what is stored in proportion to nodes and edges; assigning them needs n^2. Without the gate tanh(y) the
choice of nodes would give p no gradient. Of equal scores the node of lower number stays. `dense` adds to the loss
|A - S S^T| / entries and the mean entropy of a row of S, over the blocks. References: Cangea et al. 2018, arXiv:1811.01287;
the gate Gao & Ji 2019, arXiv:1905.05178; dense assignment Ying et al. 2018, arXiv:1806.08804.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.message import Convolution, linear
from semblance.encoders.graphs.readout import pool
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.spaces import Geometry, Sphere

POOLINGS = ("top", "none", "dense")


class MeanWithSkip(nn.Module):
    """The blocks' layer: the mean over a node and its neighbours, and the node itself, each through a map of its own."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.around, self.itself = Convolution(inputs, outputs, normalise="mean"), linear(inputs, outputs, False)
        self.dim = outputs

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """x: [V, f] -> [V, outputs], before the ReLU."""
        return self.around(x, graph) + self.itself(x)

    def dense(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """x: [n, N, f], adjacency with self-loops [n, N, N] -> [n, N, outputs]: the same of matrices."""
        mean = adjacency / adjacency.sum(2, keepdim=True).clamp(min=1e-12)
        return F.linear(mean @ x, self.around.map.weight, self.around.map.bias) + self.itself(x)


class TopNodes(nn.Module):
    """Keeps a share of every graph's nodes, by their projection on a direction that is learned through the gate."""

    def __init__(self, inputs: int, ratio: float = 0.8, gate: bool = True):
        super().__init__()
        if not 0 < ratio <= 1:
            raise SemblanceError(f"ratio is {ratio}, but it is the share of nodes that stay: give above 0 to 1")
        self.direction = nn.Parameter(torch.empty(inputs))
        self.ratio, self.gate = ratio, gate
        nn.init.normal_(self.direction)

    def forward(self, x: Tensor, graph: Graph) -> tuple[Tensor, Graph]:
        """x: [V, f] -> the states of those that stay, and the graph between them."""
        score = x @ self.direction / self.direction.norm()
        stay = largest(score.detach(), graph, self.ratio)
        kept = x[stay]
        return (kept * score[stay].tanh()[:, None] if self.gate else kept), graph.part(stay)


def largest(score: Tensor, graph: Graph, ratio: float) -> Tensor:
    """The nodes, ascending, of the ceil(ratio n) largest scores in every graph of n nodes."""
    member = graph.member if graph.member is not None else torch.zeros(graph.num_nodes, dtype=torch.int64)
    sizes = torch.bincount(member, minlength=graph.num_graphs)
    order = (-score).argsort(stable=True)
    order = order[member[order].argsort(stable=True)]  # graph by graph, the largest first
    rank = torch.arange(len(order)) - (sizes.cumsum(0) - sizes)[member[order]]
    # Of 5 nodes 0.8 are 4: without the small number rounding would make it 5.
    keep = (ratio * sizes.double() - 1e-9).ceil().to(torch.int64)
    stay: Tensor = order[rank < keep[member[order]]].sort().values
    return stay


class Coarsened(nn.Module):
    """Blocks of layer and pooling -> [n, 2 width], one vector a graph. `forward` gives the states after the first layer, of
    all nodes.

    clusters: `dense` assigns to this many in the first block, to ratio times as many in every further one.
    After a pass `penalty` holds what `dense` adds to the loss, in training; 0 otherwise.
    """

    def __init__(
        self,
        inputs: int,
        width: int = 128,
        blocks: int = 3,
        pooling: str = "top",
        ratio: float = 0.8,
        gate: bool = True,
        clusters: int = 32,
        initial: nn.Module | None = None,
        geometry: Geometry | None = None,
    ):
        super().__init__()
        if pooling not in POOLINGS:
            raise unknown("pooling", pooling, POOLINGS)
        if blocks < 1:
            raise SemblanceError(f"{blocks} blocks: give 1 or more (the paper has 3)")
        self.initial, self.pooling, self.dim = initial, pooling, 2 * width
        self.layers = nn.ModuleList(MeanWithSkip(inputs if b == 0 else width, width) for b in range(blocks))
        pools: list[nn.Module] = []
        if pooling == "top":
            pools = [TopNodes(width, ratio, gate) for _ in range(blocks)]
        elif pooling == "dense":
            # The last block's read-out is of all its nodes: nothing comes after it that would need fewer.
            sizes = [max(1, round(clusters * ratio**b)) for b in range(blocks - 1)]
            pools = [MeanWithSkip(inputs if b == 0 else width, size) for b, size in enumerate(sizes)]
        self.pools = nn.ModuleList(pools)
        self.penalty: Tensor | float = 0.0
        self.geometry = Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> states of all nodes [V, width], after the first layer."""
        return F.relu(self.layers[0](self._start(batch), batch["graph"]))

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, 2 width]."""
        graph, x = batch["graph"], self._start(batch)
        if self.pooling == "dense":
            return self._assigned(x, graph)
        z: Tensor | None = None
        for number, layer in enumerate(self.layers):
            x = F.relu(layer(x, graph))
            if self.pooling == "top":
                x, graph = self.pools[number](x, graph)
            elif number + 1 < len(self.layers):
                continue
            read = torch.cat([_read(x, graph, how) for how in ("mean", "max")], 1)
            z = read if z is None else z + read
        assert z is not None
        return z

    def _start(self, batch: Batch) -> Tensor:
        x: Tensor = batch["x"] if self.initial is None else self.initial(batch)
        return x if x.layout == torch.strided else x.to_dense()

    def _assigned(self, x: Tensor, graph: Graph) -> Tensor:
        """Dense assignment pooling: every matrix padded to the largest graph of the batch."""
        x, adjacency, there = as_matrices(x, graph)
        z = x.new_zeros(len(x), self.dim)
        penalty = x.new_zeros(())
        for number, layer in enumerate(self.layers):
            loops = adjacency + torch.diag_embed(there.to(x)) if number == 0 else adjacency
            states = F.relu(layer.dense(x, loops)) * there[:, :, None]  # type: ignore[operator]
            z = z + torch.cat([states.sum(1) / there.sum(1, keepdim=True).clamp(min=1), _most(states)], 1)
            if number == len(self.layers) - 1:
                break
            chance = self.pools[number].dense(x, loops).softmax(2) * there[:, :, None]  # type: ignore[operator]
            if self.training:
                penalty = penalty + _links(adjacency, chance) + _entropy(chance, there)
            adjacency = chance.transpose(1, 2) @ adjacency @ chance
            x = chance.transpose(1, 2) @ states
            there = there.new_ones(x.shape[:2])
        self.penalty = penalty
        return z


def _read(x: Tensor, graph: Graph, how: str) -> Tensor:
    if graph.member is None:
        return pool(x, torch.zeros(len(x), dtype=torch.int64), 1, how)
    return pool(x, graph.member, graph.num_graphs, how)


def _most(states: Tensor) -> Tensor:
    """[n, N, C], 0 or more -> [n, C]; 0 for graphs without nodes."""
    return states.amax(1) if states.shape[1] else states.new_zeros(len(states), states.shape[2])


def as_matrices(x: Tensor, graph: Graph) -> tuple[Tensor, Tensor, Tensor]:
    """-> states [n, N, f], adjacency [n, N, N] (row: target, loops left out), and which rows are nodes, bool [n, N]."""
    member = graph.member if graph.member is not None else torch.zeros(graph.num_nodes, dtype=torch.int64)
    sizes = torch.bincount(member, minlength=graph.num_graphs)
    place = torch.arange(graph.num_nodes) - (sizes.cumsum(0) - sizes)[member]
    most = int(sizes.max()) if len(sizes) else 0
    states = x.new_zeros(graph.num_graphs, most, x.shape[1]).index_put((member, place), x)
    graph = graph.without_loops()
    source, target = graph.edge_index
    adjacency = x.new_zeros(graph.num_graphs, most, most)
    strength = x.new_ones(()) if graph.weight is None else graph.weight.to(x)
    adjacency.index_put_((member[target], place[target], place[source]), strength, accumulate=True)
    return states, adjacency, torch.arange(most) < sizes[:, None]


def _links(adjacency: Tensor, chance: Tensor) -> Tensor:
    """How far assignments are from saying who is linked: Frobenius norm of A - S S^T over the number of entries."""
    return (adjacency - chance @ chance.transpose(1, 2)).norm() / adjacency.numel()


def _entropy(chance: Tensor, there: Tensor) -> Tensor:
    """Mean entropy of a node's assignment, nats."""
    return -(chance * (chance + 1e-12).log()).sum() / there.sum().clamp(min=1)
