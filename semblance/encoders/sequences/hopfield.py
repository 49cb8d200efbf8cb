"""Hopfield: stored patterns are retrieved by steps of an inference update, through which gradients flow.

    E(s) = -lse(beta, X s) + s.s / 2 + log N / beta + M^2 / 2,    lse(beta, z) = log(sum exp(beta z)) / beta
    s <- X^T softmax(beta X s)                                    M the length of the longest pattern, X [N, d]

The update is the step of a concave-convex procedure on E, so E never rises; with one step and projections it is the
attention of transformers. What varies is where state and stored patterns come from:
    Hopfield          both are inputs: two sets are associated
    HopfieldPooling   the states are learned, the stored patterns the input: a set becomes a few vectors
    HopfieldLayer     the stored patterns are learned, the states the input: prototypes
Ramsauer et al. 2021, Hopfield Networks is All You Need (arXiv:2008.02217).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from semblance.errors import SemblanceError
from semblance.reports import TableReport

HELD = 0.9
"""Share of the softmax by which the patterns of a fixed point are counted."""


def energy(state: Tensor, stored: Tensor, beta: float) -> Tensor:
    """States [..., S, d] among stored patterns [..., N, d] -> [..., S]; never below 0."""
    count, longest = stored.shape[-2], stored.square().sum(-1).amax(-1, keepdim=True)
    near = torch.logsumexp(beta * state @ stored.transpose(-1, -2), -1) / beta
    return -near + state.square().sum(-1) / 2 + math.log(count) / beta + longest / 2


def weights(state: Tensor, stored: Tensor, beta: float | Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(beta X s), [..., S, N]. `mask` (broadcast to it) is true where a pattern may be retrieved; a state with no
    such pattern retrieves nothing: its weights are 0."""
    scores = beta * (state @ stored.transpose(-1, -2))
    if mask is None:
        return scores.softmax(-1)
    masked = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return masked.softmax(-1) * mask.any(-1, keepdim=True)


def update(state: Tensor, stored: Tensor, beta: float | Tensor, mask: Tensor | None = None) -> Tensor:
    """One step: states [..., S, d] -> [..., S, d]."""
    return weights(state, stored, beta, mask) @ stored


def retrieve(
    state: Tensor,
    stored: Tensor,
    beta: float | Tensor,
    steps: int = 1,
    tolerance: float = 0.0,
    mask: Tensor | None = None,
) -> Tensor:
    """`steps` updates, or fewer where none of a head's states [B, H, S, d] moves by more than `tolerance` any more: such a
    head is left where it is. `beta` may be [H, 1, 1]; states without heads [S, d] are one head."""
    if state.ndim < 4:
        flat = retrieve(_four(state), _four(stored), beta, steps, tolerance, mask)
        return flat.reshape(*state.shape[:-1], stored.shape[-1])
    moving = torch.arange(state.shape[1], device=state.device)
    for _ in range(steps):
        some = beta[moving] if isinstance(beta, Tensor) and beta.ndim == 3 else beta
        held = mask if mask is None or mask.shape[1] == 1 else mask[:, moving]
        new = update(state[:, moving], stored[:, moving], some, held)
        moved = (new - state[:, moving]).norm(dim=-1).amax(dim=(0, 2))  # [heads that move]
        state = state.index_copy(1, moving, new) if len(moving) < state.shape[1] else new
        if tolerance > 0:
            moving = moving[moved > tolerance]
            if not len(moving):
                break
    return state


def _four(x: Tensor) -> Tensor:
    """[..., n, d] with up to two leading dimensions -> [B, H, n, d]."""
    return x[(None,) * (4 - x.ndim)]


class Hopfield(nn.Module):
    """States [B, S, state_dim] associate with stored patterns [B, N, stored_dim] -> [B, S, dim].

    Both are projected to `heads` association spaces of `width` numbers, in which all steps but the last move the states;
    the last weights the values (the stored patterns, projected too). `beta` is one number or one per head (default:
    1 / sqrt(width)), learned where `learn_beta`. `project` false leaves everything as it is: one head, no parameters but
    the norms'.
    """

    def __init__(
        self,
        state_dim: int,
        stored_dim: int,
        dim: int,
        heads: int = 1,
        width: int = 0,
        beta: float | tuple[float, ...] = 0.0,
        steps: int = 1,
        tolerance: float = 1e-4,
        norm: bool = True,
        project: bool = True,
        learn_beta: bool = False,
    ):
        super().__init__()
        width = width or max(1, dim // heads)
        if steps < 1 or heads < 1:
            raise SemblanceError(f"steps is {steps} and heads {heads}: give 1 or more of each")
        if not project and not (heads == 1 and state_dim == stored_dim == dim):
            raise SemblanceError("without projections there is one head and one width: give heads=1 and equal widths")
        given = beta if isinstance(beta, tuple) else (beta or 1 / math.sqrt(width if project else dim),) * heads
        if len(given) != heads or min(given) < 0:
            raise SemblanceError(
                f"beta is {given}, but there are {heads} heads: give one number that is not negative each"
            )
        self.heads, self.steps, self.tolerance = heads, steps, tolerance
        self.beta = nn.Parameter(torch.tensor(given)[:, None, None], requires_grad=learn_beta)
        self.state_norm = nn.LayerNorm(state_dim) if norm else nn.Identity()
        self.stored_norm = nn.LayerNorm(stored_dim) if norm else nn.Identity()
        self.query = nn.Linear(state_dim, heads * width, bias=False) if project else nn.Identity()
        self.key = nn.Linear(stored_dim, heads * width, bias=False) if project else nn.Identity()
        self.value = nn.Linear(stored_dim, heads * width, bias=False) if project else nn.Identity()
        self.out = nn.Linear(heads * width, dim) if project else nn.Identity()

    def forward(self, state: Tensor, stored: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask`: bool [B, N] (which patterns there are) or [B, S, N] (which a state may retrieve)."""
        query, key, value, held = self._projected(state, stored, mask)
        query = retrieve(query, key, self.beta, self.steps - 1, self.tolerance, held)
        found = weights(query, key, self.beta, held) @ value  # [B, H, S, width]
        z: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return z

    def association(self, state: Tensor, stored: Tensor, mask: Tensor | None = None) -> Tensor:
        """The weights of the last step [B, H, S, N]: what each head of each state retrieves."""
        query, key, _, held = self._projected(state, stored, mask)
        query = retrieve(query, key, self.beta, self.steps - 1, self.tolerance, held)
        return weights(query, key, self.beta, held)

    def _projected(
        self, state: Tensor, stored: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        stored = self.stored_norm(stored)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(self.state_norm(state)), self.key(stored), self.value(stored))
        )
        return query, key, value, None if mask is None else (mask[:, None, None] if mask.ndim == 2 else mask[:, None])


class HopfieldPooling(nn.Module):
    """Sets [B, N, in_dim] with their mask [B, N] -> [B, queries * dim], by learned states."""

    def __init__(self, in_dim: int, dim: int, queries: int = 1, **settings: object):
        super().__init__()
        self.states = nn.Parameter(torch.randn(queries, in_dim))
        self.associate = Hopfield(in_dim, in_dim, dim, **settings)  # type: ignore[arg-type]
        self.dim = queries * dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The order of a set does not count."""
        z: Tensor = self.associate(self.states.expand(len(x), -1, -1), x, mask)
        return z.flatten(1)


class HopfieldLayer(nn.Module):
    """States [B, S, in_dim] retrieve from `count` learned patterns -> [B, S, dim]."""

    def __init__(self, in_dim: int, dim: int, count: int, **settings: object):
        super().__init__()
        self.stored = nn.Parameter(torch.randn(count, in_dim))
        self.associate = Hopfield(in_dim, in_dim, dim, **settings)  # type: ignore[arg-type]
        self.dim = dim

    def forward(self, state: Tensor) -> Tensor:
        z: Tensor = self.associate(state, self.stored.expand(len(state), -1, -1))
        return z


def separation(stored: Tensor) -> Tensor:
    """Delta_i = min over j != i of x_i.x_i - x_i.x_j, [N]: how clear of the others each pattern is; negative: hidden."""
    products = stored @ stored.T
    own = products.diagonal()
    others = products.masked_fill(torch.eye(len(stored), dtype=torch.bool, device=stored.device), -torch.inf)
    return own - others.amax(1)


def held_by(association: Tensor, share: float = HELD) -> Tensor:
    """How many patterns hold this share of a softmax [..., N] -> [...]."""
    largest = association.sort(-1, descending=True).values.cumsum(-1)
    # A sum that falls short of the share by rounding alone is not asked for one more pattern.
    return (largest < share - 1e-6).sum(-1) + 1


def kind_of_fixed_point(held: float, count: int) -> str:
    """single: one pattern; global: the mean of more than half; metastable: the mean of a few."""
    return "single" if held < 1.5 else "global" if held > count / 2 else "metastable"


def stored_report(stored: Tensor, betas: tuple[float, ...], tolerance: float = 1e-6) -> TableReport:
    """What a set of patterns [N, d] becomes as a memory: at each beta, how many patterns hold 90% of the fixed points that
    are reached from them, and of which kind these are."""
    rows = []
    apart, count = float(separation(stored).min()), len(stored)
    for beta in betas:
        rest = retrieve(stored, stored, beta, steps=1000, tolerance=tolerance)
        held = held_by(weights(rest, stored, beta)).float()
        kinds = [kind_of_fixed_point(float(h), count) for h in held]
        shares = {kind: kinds.count(kind) / count for kind in ("single", "metastable", "global")}
        rows.append({"beta": beta, "held by": float(held.mean()), **shares})
    single = [row["beta"] for row in rows if row["single"] == 1]
    said = (
        f"all {count} patterns are fixed points of their own from beta {min(single):g}"
        if single
        else (f"no beta of {', '.join(f'{b:g}' for b in betas)} keeps all {count} patterns apart")
    )
    verdict = f"{said}; the least clear one is {apart:.3g} above its nearest"
    return TableReport("Stored patterns", verdict, tuple(rows), "beta", ("single", "metastable", "global"))


def most_patterns(d: int, beta: float = 1.0, radius: float = 1.0, failure: float = 0.001) -> float:
    """How many random patterns on a sphere of `radius` sqrt(d - 1) can be stored and retrieved except with probability
    `failure` (Theorem 3): sqrt(p) c^((d - 1) / 4), c = b / W0(exp(a + log b)), exponential in d."""
    from scipy.special import lambertw

    if d < 2 or beta <= 0 or not 0 < failure < 1:
        raise SemblanceError(
            f"d is {d}, beta {beta} and failure {failure}: give d above 1, beta above 0, 0 < failure < 1"
        )
    a = 2 / (d - 1) * (1 + math.log(2 * beta * radius**2 * failure * (d - 1)))
    b = 2 * radius**2 * beta / 5
    c = b / float(lambertw(math.exp(a + math.log(b))).real)
    return math.sqrt(failure) * c ** ((d - 1) / 4)
