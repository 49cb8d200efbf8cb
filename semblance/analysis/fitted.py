"""Fitted: a module brought to a small loss by Adam over random batches, as analyses do that train for themselves.

The steps are counted, batches are drawn with replacement by seed, and the module is left in evaluation mode. What has data
sets, epochs, schedules and checkpoints goes through the one loop (`learning`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from semblance.errors import SemblanceError
from semblance.learning.parts import ORDER, torch_chance


def fitted(
    net: nn.Module,
    loss: Callable[[Tensor], Tensor],
    items: int,
    steps: int,
    seed: int,
    batch: int = 64,
    lr: float = 1e-3,
    decay: float = 0.0,
    decoupled: bool = True,
) -> nn.Module:
    """The network after so many steps. loss: positions [batch] of items -> scalar. decoupled: weights decay beside the
    gradient (AdamW), or as decay / 2 |weights|^2 in the loss (Adam)."""
    if items < 1 or steps < 0:
        raise SemblanceError(f"{items} items cannot be fitted in {steps} steps: give one item or more, steps from 0")
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    optimiser = kind(net.parameters(), lr=lr, weight_decay=decay)
    order = torch_chance(seed, ORDER)
    net.train()
    for _ in range(steps):
        optimiser.zero_grad()
        loss(torch.randint(items, (batch,), generator=order)).backward()
        optimiser.step()
    return net.eval()
