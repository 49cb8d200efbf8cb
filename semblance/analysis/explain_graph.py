"""Why two nodes of a graph are near: by the features of the nodes that both are made of, and by the edges between these.

    integrated  integrated gradients of all features at once, from none, of either node with the other held fast (mean of
                both): summed over a node's features and over the nodes of a feature, each complete; edges by the gradient
                of their weight, or by their effect
    occlusion   edges by their effect alone (the similarity less what it is without the edge), for any encoder

Only nodes whose features have a gradient are parts: what the network can see of the two. References: Sundararajan et al.
2017 (the integral); Ying et al. 2019 "GNNExplainer" (subgraph and features as the answer); `graph_attribution`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from semblance.analysis.explain import Asked, cosine
from semblance.analysis.explanation import Explanation, Parts
from semblance.analysis.faithfulness import curve
from semblance.analysis.graph_attribution import edge_effects, edge_gradients, feature_gradients
from semblance.contracts import Batch
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph

METHODS = ("integrated", "occlusion")
EFFECTS = 64  # edges whose effect is measured, a pass each
ORDERS = 3


def explain(asked: Asked) -> Explanation:
    """The two `nodes` of the batch."""
    batch = asked.batch
    if batch["graph"].member is not None:
        raise SemblanceError("whole graphs are not explained yet: explain two nodes of one graph")
    method = asked.method or ("integrated" if "x" in batch else "occlusion")
    if method == "integrated" and "x" not in batch:
        raise SemblanceError("this graph's nodes have no features to share the similarity out to: use method occlusion")
    score = _similarity(asked.encoder)
    with torch.no_grad():
        similarity = float(score(batch))
    pair = batch["nodes"].tolist()
    if method == "occlusion":
        seen, parts = torch.tensor(_around(batch["graph"], pair)), ()
    else:
        share, reference = _integrated(_apart(asked.encoder, batch), batch, asked.steps)
        seen, parts = _shared_out(asked, share, reference, pair)
    edges, notes = _edges(score, batch, seen, method)
    if len(edges[0]):
        parts = (*parts, _edge_parts(asked, *edges, seen))
    if not parts:
        raise SemblanceError(f"{' and '.join(asked.names)} have no edge and no feature that could explain anything")
    nodes = next((side for side in parts if side.kind == "nodes"), None)
    found = None
    if asked.curve and nodes is not None and len(nodes.names) > 1:
        found = curve(_value(_apart(asked.encoder, batch), batch, seen), nodes.share, asked.seed, orders=ORDERS)
    return Explanation(
        asked.names, similarity, parts, method, without="no features", curve=found, notes=(*asked.notes, *notes)
    )


def _apart(encoder: torch.nn.Module, batch: Batch) -> Callable[[Batch], Tensor]:
    """The similarity of either node, as another batch has it, with the other as it is in this one; the mean of both. Were
    both to change, two nodes of nothing would be alike again."""
    with torch.no_grad():
        whole = encoder.embed(batch)  # type: ignore[operator]

    def score(batch: Batch) -> Tensor:
        return cosine(encoder.embed(batch), whole.flip(0)).mean()  # type: ignore[operator]

    return score


def _similarity(encoder: torch.nn.Module) -> Callable[[Batch], Tensor]:
    def score(batch: Batch) -> Tensor:
        z = encoder.embed(batch)
        return cosine(z[:1], z[1:])[0]

    return score


def _integrated(score: Callable[[Batch], Tensor], batch: Batch, steps: int) -> tuple[Tensor, float]:
    """[V, f] that sums to the similarity less the one without any feature."""
    x = batch["x"]
    x = x.to_dense() if x.layout != torch.strided else x
    total = torch.zeros_like(x)
    for step in range(steps):
        try:
            total += feature_gradients(score, {**batch, "x": (step + 0.5) / steps * x})
        except SemblanceError:
            raise SemblanceError(
                "the method integrated needs gradients and this model has none (it looks nodes up, or solves): "
                "use method occlusion"
            ) from None
    with torch.no_grad():
        reference = float(score({**batch, "x": torch.zeros_like(x)}))
    return x * total / steps, reference


def _shared_out(asked: Asked, share: Tensor, reference: float, pair: list[int]) -> tuple[Tensor, tuple[Parts, ...]]:
    """The nodes that were seen, the two first, and shares over nodes and over features."""
    ids, columns = asked.known.get("ids"), asked.known.get("columns")
    other = share.abs().sum(1).index_fill(0, torch.tensor(pair), 0).nonzero()[:, 0]
    seen = torch.cat([torch.tensor(list(dict.fromkeys(pair))), other])
    names = tuple(str(ids[i]) if ids is not None else str(i) for i in seen.tolist())
    by_feature = share.sum(0)
    used = by_feature.nonzero()[:, 0].tolist()
    features = tuple(columns[i] if columns else f"feature {i}" for i in used)
    return seen, (
        Parts("", "nodes", names, share[seen].sum(1).numpy(), reference),
        Parts("", "features", features, by_feature[used].numpy(), reference),
    )


def _around(graph: Graph, pair: list[int]) -> list[int]:
    """The two and all that send to them directly."""
    source, target = graph.edge_index
    near = source[torch.isin(target, torch.tensor(pair))].tolist()
    return list(dict.fromkeys([*pair, *near]))


def _edges(
    score: Callable[[Batch], Tensor], batch: Batch, seen: Tensor, method: str
) -> tuple[tuple[Tensor, Tensor], tuple[str, ...]]:
    """Ends [n, 2] of the edges between seen nodes and what each gives [n]; an undirected one stands once."""
    graph = batch["graph"]
    source, target = graph.edge_index
    known = torch.zeros(graph.num_nodes, dtype=torch.bool)
    known[seen] = True
    inside = (known[source] & known[target] & (source != target)).nonzero()[:, 0]
    if method == "integrated":
        try:
            weight = torch.ones(graph.num_edges) if graph.weight is None else graph.weight
            shares = (edge_gradients(score, batch) * weight)[inside].detach()
        except SemblanceError:  # an encoder that reads no weights: effects tell as well
            pass
        else:
            return _once(graph, inside, shares), ()
    # An edge into one of the two counts before one further away.
    nearness = torch.isin(target[inside], batch["nodes"]).long() + torch.isin(source[inside], batch["nodes"]).long()
    order = inside[torch.argsort(-nearness, stable=True)]
    if not graph.directed:
        order = order[(source < target)[order]]
    chosen = order[:EFFECTS]
    left = len(order) - len(chosen)
    notes = (f"effects are of the {len(chosen)} nearest edges, {left} more are left out",) if left else ()
    return (graph.edge_index[:, chosen].T, edge_effects(score, batch, chosen)), notes


def _once(graph: Graph, inside: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Both directions of an undirected edge as one."""
    ends = graph.edge_index[:, inside].T
    if graph.directed or not len(ends):
        return ends, shares
    single, where = torch.unique(ends.sort(1).values, dim=0, return_inverse=True)
    return single, torch.zeros(len(single), dtype=shares.dtype).index_add(0, where, shares)


def _edge_parts(asked: Asked, ends: Tensor, shares: Tensor, seen: Tensor) -> Parts:
    ids = asked.known.get("ids")
    place = {int(node): i for i, node in enumerate(seen)}
    named = [" - ".join(str(ids[i]) if ids is not None else str(i) for i in pair) for pair in ends.tolist()]
    at = np.array([[place[a], place[b]] for a, b in ends.tolist()])
    return Parts("", "edges", tuple(named), shares.numpy(), None, ends=at)


def _value(score: Callable[[Batch], Tensor], batch: Batch, seen: Tensor) -> Callable[[np.ndarray], np.ndarray]:
    """Which of the seen nodes keep their features [n, P] -> similarities [n]."""
    x = batch["x"]
    x = x.to_dense() if x.layout != torch.strided else x

    @torch.no_grad()
    def value(kept: np.ndarray) -> np.ndarray:
        found = []
        for row in torch.from_numpy(kept):
            less = x.clone()
            less[seen[~row]] = 0
            found.append(float(score({**batch, "x": less})))
        return np.array(found)

    return value
