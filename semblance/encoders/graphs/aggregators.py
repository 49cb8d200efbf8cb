"""Aggregators: a neighbourhood's messages as one or several summaries; what all message passing shares.

    message   m_p = f( k_j + q_i + e_p )    of an edge p = (i <- j): a source, a target, an edge part, each a map of
                                            what it belongs to
    sum, mean, max, min                     0 for a node without neighbours
    symmetric-mean                          sum of m_p / sqrt(d_i d_j), d the number of neighbours
    std                                     sqrt(relu(E[m^2] - E[m]^2) + 1e-5)
    deviation                               the same without the 1e-5, and 0 below: what PyTorch Geometric computes
    moment3, moment4, ...                   n-th root of the n-th central moment, with its sign

The first of equal messages is the maximum that gets the gradient. References: sums against means and maxima Xu et al.
2019, arXiv:1810.00826; several at a time Corso et al. 2020, arXiv:2004.05718; messages that are not linear in the
source Lim et al. 2024, arXiv:2403.12529.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.encoders.graphs.statistics import KNOWN, in_order, statistics
from semblance.errors import unknown
from semblance.geometry.graph import Graph
from semblance.geometry.products import ends, fits, spread

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
}
NAMES = ("sum", "mean", "max", "min", "symmetric-mean", "std", "deviation", "moment3", "moment4")
SMALL = 1e-5


Activation = str | Callable[[Tensor], Tensor] | None


def activation_named(name: Activation) -> Callable[[Tensor], Tensor]:
    """The function of that name, or the one that is given; None is the identity."""
    if name is None:
        return _same
    if not isinstance(name, str):
        return name
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def _same(x: Tensor) -> Tensor:
    return x


def aggregate(
    graph: Graph,
    source: Tensor,
    target: Tensor | None = None,
    edge: Tensor | None = None,
    activation: Activation = None,
    names: Sequence[str] = ("sum",),
) -> list[Tensor]:
    """source, target: [V, C]; edge: [E, C], in the order of `edge_index`; f is a name or a module -> a summary [V, C']
    for every name."""
    known = [name for name in names if name not in NAMES and not _order(name)]
    if known:
        raise unknown("aggregator", known[0], NAMES)
    linear = target is None and edge is None and activation is None
    if linear and set(names) <= {"sum", "mean", "symmetric-mean"}:
        return [_sum_of_sources(graph, source, name) for name in names]
    if (
        edge is None
        and activation is None
        and set(names) <= set(KNOWN)
        and fits(source, *([] if target is None else [target]))
    ):
        together = in_order(graph, statistics(graph, source, target, names))
        return list(together.split(source.shape[1], 1))
    return _of_messages(graph, _messages(graph, source, target, edge, activation), names)


def _sum_of_sources(graph: Graph, source: Tensor, name: str) -> Tensor:
    left, right = scales(graph, name, source.dtype)
    return spread(graph.rows(), graph.columns(), source, left=left, right=right)


def scales(graph: Graph, name: str, dtype: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
    """The factors of targets and of sources, [V] each or None, that make a sum the mean of that name."""
    if name == "sum":
        return None, None

    def make() -> tuple[Tensor, Tensor | None]:
        degree = torch.from_numpy(graph.rows().degree).clamp(min=1).to(dtype)
        return (1 / degree, None) if name == "mean" else (degree.rsqrt(), degree.rsqrt())

    return graph.once(("scales", name, dtype), make)


def _messages(
    graph: Graph, source: Tensor, target: Tensor | None, edge: Tensor | None, activation: Activation
) -> Tensor:
    """[E, C] in the order of the rows."""
    rows = graph.rows()
    i, j = ends(rows)
    messages = source[j]
    if target is not None:
        messages = messages + target[i]
    if edge is not None:
        messages = messages + edge[torch.from_numpy(rows.order)]
    return activation_named(activation)(messages)


def _of_messages(graph: Graph, messages: Tensor, names: Sequence[str]) -> list[Tensor]:
    """messages [E, C] in the order of the rows -> a summary for every name, by plain torch operations."""
    rows = graph.rows()
    nodes, (i, j) = graph.num_nodes, ends(rows)
    inverse = 1 / torch.from_numpy(rows.degree).clamp(min=1).to(messages)[:, None]

    def total(values: Tensor) -> Tensor:
        return values.new_zeros(nodes, values.shape[1]).index_add(0, i, values)

    def of(name: str) -> Tensor:
        if name == "sum":
            return total(messages)
        if name == "mean":
            return total(messages) * inverse
        if name == "symmetric-mean":
            root = inverse.sqrt()
            return total(messages * root[j]) * root
        if name == "max":
            return _largest(messages, i, nodes)
        if name == "min":
            return -_largest(-messages, i, nodes)
        centred = messages - (total(messages) * inverse)[i]
        if name in ("std", "deviation"):
            variance = total(centred**2) * inverse
            return root_of(variance, name)
        order = _order(name)
        moment = total(centred**order) * inverse
        return moment.sign() * ((moment.abs() + SMALL) ** (1 / order) - SMALL ** (1 / order))  # 0 at 0, without a jump

    return [of(name) for name in names]


def root_of(variance: Tensor, name: str) -> Tensor:
    """The deviation of that name."""
    if name == "std":
        return (variance + SMALL).sqrt()
    large = variance > SMALL
    return torch.where(large, torch.where(large, variance, 1.0).sqrt(), 0.0)


def _order(name: str) -> int:
    """The n of a moment's name, 0 for other names."""
    tail = name.removeprefix("moment")
    return int(tail) if tail != name and tail.isdigit() else 0


def _largest(messages: Tensor, target: Tensor, nodes: int) -> Tensor:
    """[E, C] -> [V, C], 0 where there is none; the first of equals is chosen."""
    wide = target[:, None].expand_as(messages)
    with torch.no_grad():
        empty = messages.new_full((nodes, messages.shape[1]), -torch.inf)
        best = empty.scatter_reduce(0, wide, messages, "amax")
        position = torch.arange(len(messages))[:, None].expand_as(messages)
        position = torch.where(messages == best[target], position, len(messages))
        first = torch.full_like(empty, len(messages), dtype=torch.int64).scatter_reduce(0, wide, position, "amin")
    padded = torch.cat([messages, messages.new_zeros(1, messages.shape[1])])
    return padded.gather(0, first)
