"""What recipes share that answer from a graph's read-out through a hidden layer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import nn

from semblance.data.dataset import Shape
from semblance.heads.perceptron import Hidden
from semblance.recipes.backbones import width_of
from semblance.recipes.graph_networks import answer


def through(encoder: Any, units: int) -> Any:
    """A lazy head: a hidden layer of so many units, then class scores, or a number where the labels are numbers; with 0
    units the embedding is answered from."""
    if not units:
        return answer(encoder)

    def head(shape: Shape) -> nn.Module:
        behind: Any = lambda shape: SimpleNamespace(dim=units)  # noqa: E731
        return Hidden(width_of(encoder, shape), units, answer(behind)(shape))

    return head
