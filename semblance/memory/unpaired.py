"""Translation without pairs: two sets of vectors that describe the same world, and not one item known on both sides.

    F12 = B2 T A1,  F21 = B1 T A2        adapters A into a shared latent space, ONE backbone T, adapters B out of it
    R1 = B1 T A1,   R2 = B2 T A2

    loss = reconstruction |R(x) - x|^2 and 1 - cos          cycle |F21(F12(x)) - x|^2
         + preservation: the cosines within a batch are the same before and after a translation, there and back
         + adversarial: in either space, and among the latents, nobody tells what was translated from what was not

What varies: the weight of every term (0 leaves it out), widths and depths, steps. Nothing here sees a pair, so chance
decides which of several alignments a run ends in. Runs of several seeds therefore learn side by side, each weight with a
leading axis of runs, and the one of the least `mismatch` is kept, which is measured without pairs too.
Reference: Jha et al. 2025 "Harnessing the Universal Geometry of Embeddings", arXiv:2505.12540.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semblance.errors import SemblanceError
from semblance.learning.parts import torch_chance
from semblance.memory.side_by_side import Residual, clipped, perceptrons

REAL = 0.9  # what a discriminator is to say of a true vector: a little doubt keeps its gradient alive
JUDGED = 1_000  # vectors of either side by which runs are told apart


@dataclass(frozen=True)
class Terms:
    """How much each part of the loss counts."""

    reconstruction: float = 1.0
    cycle: float = 10.0
    preservation: float = 10.0
    adversarial: float = 1.0
    latent: float = 0.5


@dataclass(frozen=True)
class Plan:
    """Sizes and budget. `adapter` and `backbone` count residual blocks. A run begins from several `starts`, of which the
    one of the least mismatch goes on after the steps of `scouting`."""

    width: int = 64
    hidden: int = 128
    adapter: int = 1
    backbone: int = 2
    steps: int = 1500
    batch: int = 256
    lr: float = 1e-3
    starts: int = 1
    scouting: int = 0


class Translators(nn.Module):
    """R translators between vectors of two widths, each with its own weights."""

    def __init__(self, dims: tuple[int, int], plan: Plan, chances: Sequence[torch.Generator]):
        super().__init__()
        width, hidden = plan.width, plan.hidden
        self.enter = nn.ModuleList(perceptrons((d, width, width), hidden, plan.adapter, chances) for d in dims)
        self.backbone = nn.Sequential(*(Residual(width, hidden, chances) for _ in range(plan.backbone)))
        self.leave = nn.ModuleList(perceptrons((width, width, d), hidden, plan.adapter, chances) for d in dims)

    def latent(self, x: Tensor, side: int) -> Tensor:
        """[R, N, d] of a side -> what both sides share, [R, N, width]."""
        found: Tensor = self.backbone(self.enter[side](x))
        return found

    def out(self, latent: Tensor, side: int) -> Tensor:
        """[R, N, width] -> unit vectors [R, N, d] of a side."""
        return F.normalize(self.leave[side](latent), dim=-1)

    def translate(self, x: Tensor, source: int) -> Tensor:
        """[R, N, d] of a side -> the same of the other side."""
        return self.out(self.latent(x, source), 1 - source)


class Translator(nn.Module):
    """One translator: vectors [N, d] of either side to unit vectors of the other."""

    def __init__(self, dims: tuple[int, int], plan: Plan):
        super().__init__()
        self.inner = Translators(dims, plan, [torch.Generator()])

    @classmethod
    def of(cls, runs: Translators, run: int, dims: tuple[int, int], plan: Plan) -> Translator:
        """That of one run."""
        one = cls(dims, plan)
        one.inner.load_state_dict({name: value[run : run + 1] for name, value in runs.state_dict().items()})
        return one.requires_grad_(False).eval()

    def forward(self, x: Tensor, source: int = 0) -> Tensor:
        found: Tensor = self.inner.translate(F.normalize(x, dim=1)[None], source)[0]
        return found


def gram(x: Tensor) -> Tensor:
    """Unit vectors [R, N, d] -> their cosines [R, N, N]."""
    return x @ x.mT


def preservation(before: Tensor, after: Tensor) -> Tensor:
    """[R]: mean squared change of the cosines between unit vectors [R, N, d] and [R, N, d'] of the same items."""
    return (gram(before) - gram(after)).square().mean((1, 2))


def apart(x: Tensor, y: Tensor) -> Tensor:
    """[R]: mean squared distance of the rows of [R, N, d] and [R, N, d]."""
    return (x - y).square().sum(2).mean(1)


def energy(x: Tensor, y: Tensor) -> Tensor:
    """[R]: how far two samples [R, N, d], [R, M, d] are from one distribution (Szekely's energy distance, >= 0)."""
    return 2 * torch.cdist(x, y).mean((1, 2)) - torch.cdist(x, x).mean((1, 2)) - torch.cdist(y, y).mean((1, 2))


@dataclass
class Passed:
    """What one forward pass gives: originals, latents, translations, returns, reconstructions of both sides."""

    x: list[Tensor]
    latent: list[Tensor]
    over: list[Tensor]
    back: list[Tensor]
    again: list[Tensor]


def passed(net: Translators, x: list[Tensor]) -> Passed:
    """over[s] lies in the space of side 1 - s; back[s] and again[s] in that of s."""
    latent = [net.latent(x[side], side) for side in (0, 1)]
    over = [net.out(latent[side], 1 - side) for side in (0, 1)]
    back = [net.translate(over[side], 1 - side) for side in (0, 1)]
    return Passed(x, latent, over, back, [net.out(latent[side], side) for side in (0, 1)])


def kept_terms(seen: Passed) -> dict[str, Tensor]:
    """The terms that need no discriminator, [R] each, sums over both sides."""
    both = range(2)
    return {
        "reconstruction": sum((apart(seen.again[s], seen.x[s]) for s in both), torch.zeros(())),
        "cycle": sum((apart(seen.back[s], seen.x[s]) for s in both), torch.zeros(())),
        "preservation": sum(
            (preservation(seen.x[s], seen.over[s]) + preservation(seen.x[s], seen.back[s]) for s in both),
            torch.zeros(()),
        ),
    }


class Discriminators(nn.Module):
    """Four a run: in either space, true against translated; among latents, one side against the other, either way."""

    def __init__(self, dims: tuple[int, int], plan: Plan, chances: Sequence[torch.Generator]):
        super().__init__()
        width = plan.width
        shapes = [(d, width, 1) for d in dims] + [(width, width, 1)] * 2
        self.nets = nn.ModuleList(perceptrons(shape, plan.hidden, 1, chances) for shape in shapes)

    def pairs(self, seen: Passed) -> list[tuple[Tensor, Tensor]]:
        """True and made-up input of each."""
        return [
            (seen.x[0], seen.over[1]),
            (seen.x[1], seen.over[0]),
            (seen.latent[0], seen.latent[1]),
            (seen.latent[1], seen.latent[0]),
        ]

    def own(self, seen: Passed) -> Tensor:
        """What they learn by: cross-entropy, [R]; nothing is asked of the translators."""
        total = torch.zeros(())
        for net, (true, made) in zip(self.nets, self.pairs(seen), strict=True):
            right, wrong = net(true.detach())[..., 0], net(made.detach())[..., 0]
            doubt = REAL * F.softplus(-right) + (1 - REAL) * F.softplus(right)
            total = total + (doubt + F.softplus(wrong)).mean(1)
        return total

    def fooled(self, seen: Passed) -> tuple[Tensor, Tensor]:
        """What the translators learn by, [R]: of the outputs, and of the latents."""
        each = [
            F.softplus(-net(made)[..., 0]).mean(1) for net, (_, made) in zip(self.nets, self.pairs(seen), strict=True)
        ]
        return each[0] + each[1], each[2] + each[3]


def learn_unpaired(
    x: np.ndarray,
    y: np.ndarray,
    plan: Plan | None = None,
    terms: Terms | Sequence[Terms] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Translator], list[float]]:
    """[N, d], [M, d'], no row of which is known to belong to one of the other -> a translator of every seed, and each one's
    mismatch. terms: the same for all, or one a seed. A run's result does not depend on the runs beside it, up to the last
    digits."""
    plan = Plan() if plan is None else plan
    sides = [_unit(side, name) for side, name in ((x, "first"), (y, "second"))]
    each = [terms or Terms()] * len(seeds) if terms is None or isinstance(terms, Terms) else list(terms)
    if len(each) != len(seeds) or not seeds:
        raise SemblanceError(
            f"{len(seeds)} seeds and {len(each)} sets of terms: give one set a seed, and a seed or more"
        )
    if plan.starts < 1 or not 0 <= plan.scouting <= plan.steps:
        raise SemblanceError(
            f"{plan.starts} starts and {plan.scouting} of {plan.steps} steps of scouting: give a start or more, and no "
            "more scouting than steps"
        )
    dims = (sides[0].shape[1], sides[1].shape[1])
    starts = [(seed, start) for seed in seeds for start in range(plan.starts)]
    runs = _Runs(dims, plan, starts, [one for one in each for _ in range(plan.starts)])
    begun = plan.scouting if plan.starts > 1 else 0
    for step in range(begun):
        runs.step(sides, plan.lr)
        progress(step + 1, plan.steps)
    if begun:
        wrong = np.reshape(mismatch(runs.net, sides), (len(seeds), plan.starts))
        runs = runs.only([plan.starts * row + int(best) for row, best in enumerate(wrong.argmin(1))])
    for step in range(begun, plan.steps):
        runs.step(sides, plan.lr * (1 + math.cos(math.pi * (step - begun) / (plan.steps - begun))) / 2)
        progress(step + 1, plan.steps)
    made = [Translator.of(runs.net, run, dims, plan) for run in range(len(seeds))]
    return made, mismatch(runs.net, sides)


class _Runs:
    """Runs that learn side by side: translators, discriminators, what drives them, each run's own chance and terms."""

    def __init__(
        self,
        dims: tuple[int, int],
        plan: Plan,
        starts: Sequence[tuple[int, int]],
        terms: Sequence[Terms],
    ):
        self.dims, self.plan, self.starts, self.terms = dims, plan, list(starts), list(terms)
        self.net = Translators(dims, plan, [torch_chance(seed, 0, start) for seed, start in starts])
        self.judges = Discriminators(dims, plan, [torch_chance(seed, 1, start) for seed, start in starts])
        self.draws = [torch_chance(seed, 2, start) for seed, start in starts]
        self.weight = {name: torch.tensor([getattr(one, name) for one in terms]) for name in vars(terms[0])}
        self.held = [list(self.net.parameters()), list(self.judges.parameters())]
        self.rules = [torch.optim.Adam(own, lr=plan.lr, betas=(0.5, 0.999), fused=True) for own in self.held]

    def only(self, rows: Sequence[int]) -> _Runs:
        """These runs, with their weights; the optimiser begins anew."""
        fewer = _Runs(self.dims, self.plan, [self.starts[row] for row in rows], [self.terms[row] for row in rows])
        for old, new in ((self.net, fewer.net), (self.judges, fewer.judges)):
            new.load_state_dict({name: value[list(rows)] for name, value in old.state_dict().items()})
        fewer.draws = [self.draws[row] for row in rows]
        return fewer

    def step(self, sides: Sequence[Tensor], lr: float) -> None:
        """Translators, then discriminators, on a batch of either side."""
        seen = passed(self.net, [_drawn(side, self.plan.batch, self.draws) for side in sides])
        found = kept_terms(seen)
        found["adversarial"], found["latent"] = self.judges.fooled(seen)
        loss = sum((self.weight[name] * value for name, value in found.items()), torch.zeros(()))
        for held, value, rule in zip(self.held, (loss, self.judges.own(seen)), self.rules, strict=True):
            gradient = torch.autograd.grad(value.sum(), held, allow_unused=True)
            for parameter, part in zip(held, gradient, strict=True):
                parameter.grad = part
            clipped(held)
            for group in rule.param_groups:
                group["lr"] = lr
            rule.step()


@torch.no_grad()
def mismatch(net: Translators, sides: Sequence[Tensor]) -> list[float]:
    """Of every run, without pairs: what a cycle loses, how far cosines change, and how far translations are from the
    vectors they should be among, summed over both directions."""
    some = [side[:JUDGED].expand(len(next(net.parameters())), -1, -1) for side in sides]
    seen = passed(net, some)
    found = kept_terms(seen)
    strange = sum((energy(seen.over[s], some[1 - s]) for s in (0, 1)), torch.zeros(()))
    total: list[float] = (found["cycle"] + found["preservation"].sqrt() + strange.clamp_min(0).sqrt()).tolist()
    return total


def _unit(x: np.ndarray, name: str) -> Tensor:
    z = torch.as_tensor(np.asarray(x, np.float32))
    if z.ndim != 2 or len(z) < 2:
        raise SemblanceError(f"the {name} vectors have the shape {list(z.shape)}: give two rows [N, d] or more")
    if not bool(torch.isfinite(z).all()):
        raise SemblanceError(f"the {name} vectors hold NaN or infinity: leave these rows out")
    return F.normalize(z, dim=1)


def _drawn(x: Tensor, batch: int, draws: Sequence[torch.Generator]) -> Tensor:
    """[R, batch, d], each run's own rows."""
    return torch.stack([x[torch.randint(len(x), (batch,), generator=draw)] for draw in draws])
