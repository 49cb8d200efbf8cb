"""Products: what a sparse matrix, given by its rows of entries, makes of features; the step that all propagation
shares.

    spread(rows, columns, x, weight=None, left=None, right=None, own=None) -> [M, C]

    out_i = left_i ( own_i right_i x_i + sum over entries p = (i <- j) of weight_p right_j x_j )

rows: `Rows` of M targets, columns: `Rows` of V sources, the same entries grouped by their other end (a graph's
`rows()` and `columns()`, a hypergraph's `by_edge()` and `by_node()`: M and V may differ). x: [V, C]. weight: [E] in
the order of the edge list that the rows were made of (`rows.order` points there), or [E, H]: then x is H blocks of
equal width, each with its own weights. left: [M]; right: [V]; own: [V] or a number, where M = V. The gradient reaches
x, weight, left, right, own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semblance.errors import SemblanceError
from semblance.geometry.graph import Rows


def spread(
    rows: Rows,
    columns: Rows,
    x: Tensor,
    weight: Tensor | None = None,
    left: Tensor | None = None,
    right: Tensor | None = None,
    own: Tensor | float | None = None,
) -> Tensor:
    """[V, C] -> [M, C]: every target's weighted sum over its sources."""
    targets, sources = len(rows.start) - 1, len(columns.start) - 1
    if len(x) != sources:
        raise SemblanceError(f"x has {len(x)} rows, but there are {sources} sources: give one row for each")
    if own is not None and targets != sources:
        raise SemblanceError(
            f"{targets} targets and {sources} sources differ, so a target has no value of its own: own=None"
        )
    if right is not None:
        x = x * right[:, None]
    out = _sums(rows, x, weight)
    if own is not None:
        out = out + (own[:, None] * x if isinstance(own, Tensor) and own.ndim else own * x)
    return out if left is None else out * left[:, None]


def ends(rows: Rows) -> tuple[Tensor, Tensor]:
    """Target and source of every entry, int64 [E] each, in the order of the rows."""
    target = torch.repeat_interleave(torch.arange(len(rows.start) - 1), torch.from_numpy(rows.degree))
    return target, torch.from_numpy(rows.index).long()


def _sums(rows: Rows, x: Tensor, weight: Tensor | None) -> Tensor:
    target, source = ends(rows)
    messages = x[source]
    if weight is not None:
        mine = weight[torch.from_numpy(rows.order)].to(x)
        wide = messages.view(len(source), 1 if mine.ndim == 1 else mine.shape[1], -1)
        messages = (wide * mine.reshape(len(source), -1, 1)).reshape(messages.shape)
    return x.new_zeros(len(rows.start) - 1, x.shape[1]).index_add(0, target, messages)
