"""Very sparse random projection of powers of the walk matrix, which are never formed: no training, and new nodes embed.

    N_1 = D^-1 A L R,   N_k = D^-1 A N_{k-1},   z = sum_k alpha_k N_k            L = diag((d_j / 2m)^beta)

R [V, d] is sqrt(s) times +1 with probability 1 / 2s, -1 with 1 / 2s, else 0, or normal; the row of a node is drawn from a
hash of its name, so a graph with more nodes gives the old ones the same R. One sparse product per power.

What varies: alpha (the last one and beta tuned on labels where `trials` > 0), beta, s (0: the root of the number of nodes
at fit), rows of N_k brought to length 1 or not. Edges have weight and direction: A_ij is the edge i -> j, d_j the weight
that enters j.

Chen et al. 2019, Fast and accurate network embeddings via very sparse random projection, arXiv:1908.11512; Li, Hastie &
Church 2006, Very sparse random projections, KDD.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.encoders.graphs.held_out import held_out_score
from semblance.encoders.graphs.stack import embedded
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.products import spread
from semblance.geometry.spaces import Geometry, Sphere
from semblance.geometry.walks import draw, fraction, refuse_signs, share_out, stream

BLOCK = 4096


class RandomProjection(nn.Module):
    """alpha: a weight for each power from 1 on. sparsity: s, 0 for the root of the number of nodes. law: "sparse" or
    "normal". normalise: rows of every N_k to length 1."""

    alpha: Tensor
    settings: Tensor
    key: Tensor

    def __init__(
        self,
        dim: int,
        alpha: Sequence[float] = (0.0, 0.0, 1.0, 1.0),
        beta: float = 0.0,
        sparsity: float = 0.0,
        law: str = "sparse",
        normalise: bool = True,
        trials: int = 0,
        geometry: Geometry | None = None,
    ):
        super().__init__()
        if law not in ("sparse", "normal"):
            raise SemblanceError(f"R is to be {law!r}, but it is sparse or normal")
        if dim < 1 or not len(alpha) or (sparsity and sparsity < 1):
            raise SemblanceError(
                f"dim {dim}, {len(alpha)} powers and sparsity {sparsity}: each is 1 or more (sparsity or 0)"
            )
        self.dim, self.law, self.normalise, self.trials = dim, law, normalise, trials
        self.geometry = Sphere() if geometry is None else geometry
        self.register_buffer("alpha", torch.tensor(list(alpha), dtype=torch.float64))
        self.register_buffer("settings", torch.tensor([beta, sparsity], dtype=torch.float64))
        self.register_buffer("key", torch.zeros((), dtype=torch.int64))

    def solve(self, batch: Batch, seed: int) -> Metrics:
        """Settle R's seed and s; with `trials`, beside what is set, draw beta in [-1, 0] and the last alpha in
        2^-3 .. 2^6 and keep what tells held-out labels best."""
        self.key.fill_(seed)
        if not self.settings[1]:
            self.settings[1] = max(batch["graph"].num_nodes, 1) ** 0.5
        labels = batch.get("labels")
        if not self.trials:
            return {}
        if labels is None:
            raise SemblanceError(
                "trials choose beta and alpha by labels and the data has none: set trials=0, or name --label"
            )
        rng = np.random.default_rng(seed)
        best: tuple[float, float, float] | None = None
        drawn = [(-rng.random(), 2 ** rng.uniform(-3, 6)) for _ in range(self.trials)]
        for beta, last in [(float(self.settings[0]), float(self.alpha[-1])), *drawn]:
            self.settings[0], self.alpha[-1] = beta, last
            score = held_out_score(self.geometry.prepare(self.embed(batch).numpy()), labels.cpu().numpy(), seed)
            if best is None or score > best[0]:
                best = (score, beta, last)
        assert best is not None
        self.settings[0], self.alpha[-1] = best[1:]
        return {"score": best[0], "beta": best[1], "alpha": best[2]}

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim], all nodes, those that are new too. A batch may bring `names`, int64 [V], hashes of the nodes' names;
        else a node is named by its position."""
        graph, names = batch["graph"], batch.get("names")
        refuse_signs(graph)
        start = self.projection(np.arange(graph.num_nodes) if names is None else names.cpu().numpy())
        n = torch.from_numpy(start * _power(graph, float(self.settings[0]))[:, None])
        rows, columns = graph.columns(), graph.rows()
        weight = None if graph.weight is None else graph.weight.float()
        degree = torch.from_numpy(_sums(graph, 0).astype(np.float32))
        left = torch.where(degree > 0, 1 / degree, torch.zeros(()))
        z = torch.zeros(graph.num_nodes, self.dim)
        for alpha in self.alpha.tolist():
            n = spread(rows, columns, n, weight, left)
            if alpha:
                scale = alpha / n.norm(dim=1, keepdim=True).clamp_min(1e-30) if self.normalise else alpha
                z.addcmul_(n, scale) if isinstance(scale, Tensor) else z.add_(n, alpha=scale)
        return z

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim], the nodes asked for."""
        return embedded(self.forward(batch), batch, "mean")

    def projection(self, names: NDArray[Any]) -> NDArray[np.float32]:
        """R for nodes of these names, int64 [V] -> float32 [V, dim]."""
        out = np.empty((len(names), self.dim), np.float32)
        s = 0.0 if self.law == "normal" else max(float(self.settings[1]), 1.0)
        key, names = np.uint64(int(self.key)), np.ascontiguousarray(names, np.int64)
        share_out(lambda low, high: _projection(key, names, s, out, low, high), len(out), BLOCK)
        return out


def _sums(graph: Graph, end: int) -> NDArray[np.float64]:
    """The weight of the edges that leave (0) or enter (1) each node."""
    weight = None if graph.weight is None else graph.weight.double().cpu().numpy()
    return np.bincount(graph.edge_index[end].cpu().numpy(), weight, graph.num_nodes).astype(np.float64)


def _power(graph: Graph, beta: float) -> NDArray[np.float32]:
    degree = _sums(graph, 1)
    share = np.divide(degree, max(degree.sum(), 1e-30))
    return np.where(share > 0, np.maximum(share, 1e-30) ** beta, 0).astype(np.float32)


@njit(cache=True, nogil=True)
def _projection(key, names, s, out, low, high):  # type: ignore[no-untyped-def]
    """Rows of R: s = 0 normal (Box & Muller 1958), else very sparse."""
    half, root = 0.5 / s if s > 0 else 0.0, np.float32(np.sqrt(s))
    for i in range(low, high):
        state = stream(key, names[i])
        for j in range(out.shape[1]):
            bits, state = draw(state)
            u = fraction(bits)
            if s > 0:
                out[i, j] = root if u < half else (-root if u < 2 * half else np.float32(0))
            else:
                angle = 2 * np.pi * fraction(bits >> np.uint64(32))
                out[i, j] = np.sqrt(-2 * np.log(1 - u)) * np.cos(angle)
