"""Backward rules: what a ReLU lets pass on the way back from an output to the input.

    gradient    d [x > 0]           the derivative itself                        Simonyan et al. 2013, arXiv:1312.6034
    deconvnet   max(d, 0)           rectifies the signal, whatever x was         Zeiler & Fergus 2013, arXiv:1311.2901
    guided      max(d, 0) [x > 0]   both                                         Springenberg et al. 2014, arXiv:1412.6806

Everything else goes back by its transpose in all three: convolutions by the transposed kernels, max pooling to the place
(the switch) that was the largest. Without ReLUs the rules are one. A rule holds for what is computed within its block:

    with backward_rule("guided"):
        score = model(x)[:, c]
    torch.autograd.grad(score.sum(), x)

It holds for every ReLU that torch is asked for by name (nn.ReLU, F.relu, torch.relu), in whatever module that happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from semblance.errors import unknown

RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gradient": lambda d, x: d * (x > 0),
    "deconvnet": lambda d, x: d.clamp_min(0),
    "guided": lambda d, x: d.clamp_min(0) * (x > 0),
}
RELUS = {F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, torch.nn.functional.relu_}


class backward_rule(TorchFunctionMode):
    """A block in which ReLUs go back by this rule."""

    def __init__(self, name: str):
        super().__init__()
        if name not in RULES:
            raise unknown("backward rule", name, RULES)
        self.rule = RULES[name]

    def __torch_function__(
        self, function: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if function in RELUS:
            return _Rectified.apply(args[0] if args else (kwargs or {})["input"], self.rule)
        return function(*args, **(kwargs or {}))


class _Rectified(torch.autograd.Function):
    """max(x, 0) with a backward pass of one's own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rule: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.rule = rule
        return x.clamp_min(0)

    @staticmethod
    def backward(ctx: Any, *d: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return ctx.rule(d[0], x), None
