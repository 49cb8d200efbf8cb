"""Training in a random subspace: a network moves along d random directions from where it started, and nowhere else.

    theta = theta_0 + P t,      theta_0 the ordinary initialisation, frozen;  t [d] starts at 0 and is all that is trained

Through torch.func's functional call, so that convolutions, norms and recurrence need no change. Several widths of subspace
are trained side by side: that of d directions is spanned by the first d columns of one P, which is then read once a step
for all. What was learned is a seed and d numbers, and is kept as that (`save`, `restored`).
Reference: Li et al. 2018 "Measuring the Intrinsic Dimension of Objective Landscapes".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.func import functional_call

from semblance.analysis.fine_tuning import drawn_module
from semblance.analysis.projections import projection
from semblance.errors import SemblanceError
from semblance.learning.parts import ORDER, chance, torch_chance

Make = Callable[[], nn.Module]
Apply = Callable[[Tensor], Tensor]
Loss = Callable[[Apply, Tensor], Tensor]
"""(the network as a function, positions of a batch) -> scalar."""


@dataclass
class Subspace:
    """A network's start with random directions. kind: dense, sparse or fastfood; seed: of both start and directions."""

    make: Make
    dim: int
    kind: str = "dense"
    seed: int = 0

    def __post_init__(self) -> None:
        self.module = drawn_module(self.make, self.seed)
        held = dict(self.module.named_parameters())
        if not held:
            raise SemblanceError(f"a {type(self.module).__name__} has no parameters: there is nothing to train")
        self.names, self.shapes = list(held), [p.shape for p in held.values()]
        self.start = torch.cat([p.detach().flatten() for p in held.values()])
        place = int(chance(self.seed, ORDER, 1).integers(2**31))
        self.project = projection(self.kind, len(self.start), self.dim, place)

    @property
    def size(self) -> int:
        """D, the number of parameters."""
        return len(self.start)

    def parameters(self, theta: Tensor) -> dict[str, Tensor]:
        """[D] -> the parameters by name."""
        parts = theta.split([math.prod(shape) for shape in self.shapes])
        return {name: part.view(shape) for name, part, shape in zip(self.names, parts, self.shapes, strict=True)}

    def at(self, t: Tensor) -> nn.Module:
        """The network at t [d] (float16 numbers will do), an ordinary module in evaluation mode."""
        if t.shape != (self.dim,):
            raise SemblanceError(f"a point of this subspace has {self.dim} numbers, not shape {list(t.shape)}")
        made = drawn_module(self.make, self.seed)
        with torch.no_grad():
            values = self.parameters(self.start + self.project(t.float()))
        made.load_state_dict(values, strict=False)
        return made.eval()


def train_within(
    space: Subspace,
    loss: Loss,
    items: int,
    steps: int,
    dims: Sequence[int] | None = None,
    batch: int = 128,
    lr: float = 0.03,
) -> Tensor:
    """Adam in the first d directions for each d of `dims` (default: all) -> t [dim, len(dims)], zero beyond each d.

    Every width sees the same batches. Running statistics of norms are each width's own while it trains; a network that is
    evaluated with them wants them measured anew, since they are no part of t.
    """
    dims = [space.dim] if dims is None else list(dims)
    if not dims or min(dims) < 1 or max(dims) > space.dim:
        raise SemblanceError(f"widths of {dims} directions: give numbers from 1 to the {space.dim} of the subspace")
    t = torch.zeros(space.dim, len(dims), requires_grad=True)
    within = (torch.arange(space.dim)[:, None] < torch.tensor(dims)).float()
    buffers = [{name: held.clone() for name, held in space.module.named_buffers()} for _ in dims]
    optimiser, order = torch.optim.Adam([t], lr=lr), torch_chance(space.seed, ORDER)
    space.module.train()
    for _ in range(steps):
        rows = torch.randint(items, (min(batch, items),), generator=order)
        theta = space.start[:, None] + space.project(t)
        total = theta.new_zeros(())
        for column, own in zip(theta.unbind(1), buffers, strict=True):
            total = total + loss(_applied(space, column, own), rows)
        (gradient,) = torch.autograd.grad(total, t)
        t.grad = gradient * within
        optimiser.step()
    return t.detach()


def _applied(space: Subspace, theta: Tensor, buffers: dict[str, Tensor]) -> Apply:
    values = {**space.parameters(theta), **buffers}
    return lambda x: functional_call(space.module, values, (x,))


def save(space: Subspace, t: Tensor, path: str | Path) -> None:
    """A seed, a kind and d numbers (half the bytes as `t.half()`): the network, given how it is made."""
    meta = {"kind": space.kind, "seed": str(space.seed), "size": str(space.size)}
    save_file({"t": t.contiguous()}, str(path), meta)


def restored(path: str | Path, make: Make) -> nn.Module:
    """The network that was saved, bit for bit; `make` builds it untrained."""
    if not Path(path).is_file():
        raise SemblanceError(f"there is no file {path}: name one that `save` wrote")
    with safe_open(str(path), framework="pt") as file:
        meta, t = file.metadata() or {}, file.get_tensor("t")
    if not {"kind", "seed", "size"} <= set(meta):
        raise SemblanceError(f"{path} holds no point of a subspace: name a file that `save` wrote")
    size = sum(p.numel() for p in drawn_module(make, 0).parameters())
    if size != int(meta["size"]):
        raise SemblanceError(f"{path} is of a network of {meta['size']} parameters, and this one has {size}")
    return Subspace(make, len(t), meta["kind"], int(meta["seed"])).at(t)
