"""The identity, whose gradient points the other way: what comes before it wants the loss large, what comes after small.

Ganin & Lempitsky 2015, arXiv:1409.7495.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def turned(x: Tensor) -> Tensor:
    """x, of any shape.

    >>> x = torch.ones(2, requires_grad=True)
    >>> turned(x).sum().backward()
    >>> x.grad
    tensor([-1., -1.])
    """
    same: Tensor = _Turned.apply(x)
    return same


class _Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return -g
