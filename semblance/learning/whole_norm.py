"""Batch norm whose batch lies in several processes: within `WholeBatch`, `F.batch_norm` takes its moments over all of it.

    mean = sum_p n_p m_p / n        var = sum_p n_p (v_p + (m_p - mean)^2) / n        of the processes' own m_p, v_p, n_p
    dx = weight / std (g - mean of g - x_hat mean of g x_hat),        both means over all processes as well

One message forwards, of two moments per channel from every process, and one backwards; the passes over memory between
them are torch's own. Ioffe & Szegedy 2015, arXiv:1502.03167; moments put together as by Chan, Golub & LeVeque 1979.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.overrides import TorchFunctionMode


class WholeBatch(TorchFunctionMode):
    """Within it batch norm in training takes its moments over all processes' items."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Answers `F.batch_norm`; everything else is as it was."""
        given = kwargs or {}
        return batch_norm(*args, **given) if func is F.batch_norm and given.get("training") else func(*args, **given)


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm` of x [n, C, ...] in training, with the moments of all processes' x."""
    mean, var, count = moments(x)
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((var * (count / max(count - 1, 1))).to(running_var.dtype), momentum)
    scale = torch.ones_like(mean) if weight is None else weight
    shift = torch.zeros_like(mean) if bias is None else bias
    normed: Tensor = _Normed.apply(x, scale, shift, mean, var, count, eps)
    return normed


@torch.no_grad()
def moments(x: Tensor) -> tuple[Tensor, Tensor, float]:
    """x [n, C, ...] -> mean [C] and variance [C] (divided by the count) of all processes' x, and how many values a channel
    has in all."""
    y = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    mean, var = torch.batch_norm_update_stats(y, None, None, 0.0)
    told = y.new_zeros((dist.get_world_size(), 2 * len(mean) + 1))
    told[dist.get_rank()] = torch.cat([mean, var, mean.new_tensor([x.numel() // x.shape[1]])])
    dist.all_reduce(told)
    means, variances, counts = told.split([len(mean), len(mean), 1], dim=1)
    count = counts.sum()
    mean = (means * counts).sum(0) / count
    return mean, ((variances + (means - mean).square()) * counts).sum(0) / count, float(count)


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, count: float, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, var)
        ctx.count, ctx.eps = count, eps
        return F.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var = ctx.saved_tensors  # type: ignore[attr-defined]
        count, eps = ctx.count, ctx.eps  # type: ignore[attr-defined]
        inverse = (var + eps).rsqrt()
        # With fixed moments: dx = g weight / std, and the own sums of g x_hat and of g.
        dx, along, total = torch.ops.aten.native_batch_norm_backward(
            gradients[0], x, weight, mean, var, mean, inverse, False, eps, [True, True, True]
        )
        sums = torch.stack([along, total]).to(mean.dtype)
        dist.all_reduce(sums)
        scale = weight.to(mean.dtype) * inverse / count
        slope = -scale * inverse * sums[0]
        constant = -scale * sums[1] - slope * mean
        shape = [1, -1, *[1] * (x.ndim - 2)]
        moved = torch.addcmul(dx.to(mean.dtype), x.to(mean.dtype), slope.view(shape)).add_(constant.view(shape))
        return moved.to(x.dtype), along, total, None, None, None, None
