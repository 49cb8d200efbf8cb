"""Views of a hypergraph: the same nodes and hyperedges with something left out, drawn anew each time.

    node         all memberships of a share of the nodes, and their features
    hyperedge    all memberships of a share of the hyperedges
    membership   a share of the memberships

Nodes and hyperedges keep their numbers; who loses all memberships stands alone. Wei et al. 2022, arXiv:2210.03801; Lee &
Shin 2023, arXiv:2206.04739.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semblance.contracts import Batch
from semblance.errors import SemblanceError, unknown
from semblance.geometry.hypergraph import Hypergraph

LEVELS = ("node", "hyperedge", "membership")


def left_out(batch: Batch, level: str, share: float) -> Batch:
    """The batch with this share left out at this level, drawn from torch's stream."""
    if level not in LEVELS:
        raise unknown("level of what is left out", level, LEVELS)
    if not 0 <= share < 1:
        raise SemblanceError(f"the share that is left out is {share}: give 0 to below 1")
    hypergraph: Hypergraph = batch["graph"]
    of_member = {
        "node": hypergraph.node,
        "hyperedge": hypergraph.edge,
        "membership": torch.arange(len(hypergraph.node)),
    }
    counts = {"node": hypergraph.num_nodes, "hyperedge": hypergraph.num_edges, "membership": len(hypergraph.node)}
    stay = torch.rand(counts[level]) >= share
    view: Batch = {**batch, "graph": with_memberships(hypergraph, stay[of_member[level]])}
    if level == "node" and "x" in batch:
        view["x"] = without_rows(batch["x"], stay)
    return view


def with_memberships(hypergraph: Hypergraph, stay: Tensor) -> Hypergraph:
    """Those memberships (bool [I]) alone; all nodes and hyperedges keep their numbers."""
    share = hypergraph.membership
    return Hypergraph(
        hypergraph.node[stay],
        hypergraph.edge[stay],
        hypergraph.num_nodes,
        hypergraph.num_edges,
        hypergraph.weight,
        hypergraph.time,
        None if share is None else share[stay],
    )


def without_rows(x: Tensor, stay: Tensor) -> Tensor:
    """x [V, f], dense or torch.sparse_csr, with zeros in the rows that do not stay (bool [V])."""
    if x.layout == torch.strided:
        return x * stay[:, None].to(x)
    start = x.crow_indices()
    row = torch.repeat_interleave(torch.arange(len(start) - 1), start.diff())
    values = x.values() * stay[row].to(x.dtype)
    return torch.sparse_csr_tensor(start, x.col_indices(), values, x.shape, check_invariants=False)
