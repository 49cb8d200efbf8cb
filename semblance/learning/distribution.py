"""Distribution: several processes train one network, each encoding its share of a batch, and the objective sees all of it.

    z = [f(x of process 0); f(x of process 1); ...]   gathered with gradients: L(z, whole batch) is the same everywhere
    gradient = mean over processes of d(sum over processes of L)

Every process draws the same batch (chance is counted, see parts.py). What the encoder computes is shared out. What follows
it, and whatever reaches into the encoder by another door than `embed` or `forward`, is computed by all, and the mean of
equal gradients is the gradient. Batch norm inside the encoder takes its moments over the whole batch (whole_norm.py). So
contrast, prototypes and batch statistics see what one process would see, and two processes find its loss and gradients.

Nodes of a graph are items that share their surroundings: node_shares.py.

What goes over the wire in a step: the embeddings, two moments per channel of every batch norm, and one gradient.

Data-parallel training: Li et al. 2020, arXiv:2006.15704; gathered contrast as in Chen et al. 2020, arXiv:2002.05709.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from semblance.contracts import Batch, Metrics
from semblance.encoders.vision.norm import fused
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.learning.loop import Stepping, train
from semblance.learning.parts import Budget, Feed, Network, Parts
from semblance.learning.whole_norm import WholeBatch


def processes() -> int:
    """How many processes train together; 1 where there is no group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def share_of(count: int) -> slice:
    """Which of so many items this process encodes."""
    rank, size = dist.get_rank(), dist.get_world_size()
    return slice(count * rank // size, count * (rank + 1) // size)


class Gathered(torch.autograd.Function):
    """Own rows [n, ...] -> all rows [N, ...]. Since every process computes the same loss from them, the gradient of their
    sum is the own one times their number, and nothing has to be sent backwards."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, place: slice | Tensor, count: int) -> Tensor:
        """Zeros but for the own rows, summed over processes: shares may differ in length."""
        ctx.place = place
        whole = own.new_zeros((count, *own.shape[1:]))
        whole[place] = own
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The own rows' part."""
        return gradients[0][ctx.place] * dist.get_world_size(), None, None  # type: ignore[attr-defined]


class Shared(nn.Module):
    """An encoder of which every process asks its share of the items. All else it is asked, it is asked as a whole."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.whole = encoder

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("whole"), name)

    def forward(self, batch: Batch) -> Any:
        """What the encoder gives, of all items."""
        return self._asked(self.whole, batch)

    def embed(self, batch: Batch) -> Tensor:
        """[N, d] of all items."""
        answer: Tensor = self._asked(self.whole.embed, batch)  # type: ignore[arg-type]
        return answer

    def _asked(self, ask: Callable[[Batch], Any], batch: Batch) -> Any:
        x = batch["x"]
        place = share_of(len(x))
        own = {
            name: value[place] if isinstance(value, Tensor) and value.ndim and len(value) == len(x) else value
            for name, value in batch.items()
        }
        # Dropout draws other numbers in every process, and what the objective draws after it stays the same in all.
        with torch.random.fork_rng(devices=[]), fused(False), WholeBatch():
            # torch.manual_seed looks for every kind of device, which takes a millisecond without any.
            seeded = torch if torch.accelerator.is_available() else torch.default_generator
            seeded.manual_seed(torch.initial_seed() + dist.get_rank())
            answer = ask(own)
        return self._gathered(answer, place, len(x))

    def _gathered(self, answer: Any, place: slice, count: int) -> Any:
        if isinstance(answer, Tensor):
            return Gathered.apply(answer, place, count)
        if isinstance(answer, list | tuple):
            return type(answer)(self._gathered(each, place, count) for each in answer)
        raise SemblanceError(
            f"{type(self.whole).__name__} answers with a {type(answer).__name__}, which cannot be put together from "
            "shares: train it with one worker"
        )


class Together:
    """A rule of the one loop, run by all processes of the group as if they were one."""

    def __init__(self, rule: Stepping):
        self.rule = rule
        self.owner: Tensor | None = None  # of the units of a graph in parts

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rule, name)

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """Metrics per epoch."""
        if budget.seconds is not None:
            raise SemblanceError("several workers have several clocks: give --epochs instead of a budget by the clock")
        alike(parts.modules())
        self.know(data)
        return train(self, parts, data, budget)

    def know(self, data: Feed) -> None:
        """Whose the units are that will come."""
        if isinstance(getattr(data.dataset, "graph", None), Graph):
            from semblance.learning.node_shares import owners

            self.owner = owners(data)

    def step(self, parts: Parts, batch: Batch, share: float, casting: AbstractContextManager[None]) -> Metrics:
        """The rule's step on the shared network; then the mean of all gradients."""
        metrics = self.rule.step(Parts(self._shared(parts.network, batch), parts.objective), batch, share, casting)
        mean_gradients(parts.modules())
        return metrics

    def _shared(self, network: Network, batch: Batch) -> Network:
        if isinstance(batch.get("graph"), Graph):
            from semblance.learning.node_shares import NodeShares

            return NodeShares(network, self.owner)
        return Network(Shared(network.encoder), network.head)


def together(rule: Any) -> Any:
    """The rule as this group of processes runs it; the rule itself where there is one process, or no loop to share."""
    return Together(rule) if processes() > 1 and hasattr(rule, "step") else rule


def mean_gradients(modules: nn.Module) -> None:
    """Replace every gradient by the mean over processes, in one message."""
    held = [p for p in modules.parameters() if p.requires_grad]
    for parameter in held:
        if parameter.grad is None:  # asked by none of the own items, yet perhaps by another's
            parameter.grad = torch.zeros_like(parameter)
    for dtype in {p.dtype for p in held}:
        gradients = [p.grad for p in held if p.dtype == dtype and p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


def alike(modules: nn.Module) -> None:
    """Every process begins with the first one's weights and buffers."""
    with torch.no_grad():
        for held in (*modules.parameters(), *modules.buffers()):
            sent = held.data.contiguous()
            dist.broadcast(sent, 0)
            held.data.copy_(sent)
