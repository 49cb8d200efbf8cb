"""Latent dynamics: an encoder and a decoder, applied in turn, move codes until they rest.

    f(z) = E(D(z)),   V(z) = f(z) - z,   z_(t+1) = f(z_t)      until |V| / |z| < 1e-6
    attractor          where orbits end, ends within 1 percent of the mean length of a code being one; its basin counts them
    rho                spectral radius of the Jacobian of f at an attractor: below 1 orbits nearby come in, by rho a step
    denoising          with small noise V(z) is the noise variance times the score of the density of codes (linear: exactly)

What attractors tell: training items that were memorised; without any data, a dictionary of what was learned; by the path of
an orbit, whether an item is of the kind that was learned.
References: Fumero et al. 2025 "Navigating the Latent Space Dynamics of Neural Models"; Radhakrishnan et al. 2020
"Overparameterized neural networks implement associative memory"; Alain & Bengio 2014 "What Regularized Auto-Encoders Learn
from the Data-Generating Distribution"; Pati et al. 1993 (orthogonal matching pursuit).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.spatial import cKDTree
from torch import Tensor
from torch.func import jacrev, jvp, vmap

from semblance.errors import SemblanceError
from semblance.reports import report_html, write_page

Step = Callable[[Tensor], Tensor]
TOLERANCE = 1e-6
NEAR = 0.01  # of the mean length of a code: ends that are one
LATE = 8  # steps over which the late contraction is measured
EXACT = 256  # numbers of a code up to which the Jacobian is made


@dataclass(frozen=True)
class Orbits:
    """Where codes end. end [N, d]; steps int64 [N]; rests bool [N], false where the limit came first; lengths [N, first],
    of the first steps; late [N], the mean factor by which the last steps shrank (nan where there were too few)."""

    end: Tensor
    steps: Tensor
    rests: Tensor
    lengths: Tensor
    late: Tensor


@torch.no_grad()
def orbits(step: Step, z: Tensor, most: int = 3000, tolerance: float = TOLERANCE, first: int = 3) -> Orbits:
    """Codes [N, d] -> their orbits. An orbit that leaves the numbers there are is told by an error."""
    z = z.clone()
    n = len(z)
    steps, rests = torch.full((n,), most), torch.zeros(n, dtype=torch.bool)
    lengths = torch.zeros(n, first, dtype=z.dtype)
    late = torch.full((n, LATE + 1), torch.nan, dtype=z.dtype)  # the last lengths, oldest first
    going = torch.arange(n)
    for t in range(most):
        after = step(z[going])
        if not bool(after.isfinite().all()):
            raise SemblanceError(
                f"after {t + 1} steps {int((~after.isfinite().all(1)).sum())} of {n} orbits are infinite: bound the "
                "decoder's output (a sigmoid), or train with more noise or weight decay"
            )
        moved = (after - z[going]).norm(dim=1)
        if t < first:
            lengths[going, t] = moved
        late[going] = torch.cat([late[going, 1:], moved[:, None]], 1)
        there = moved < tolerance * after.norm(dim=1).clamp_min(torch.finfo(z.dtype).tiny)
        z[going] = after
        steps[going[there]], rests[going[there]] = t + 1, True
        going = going[~there]
        if not len(going):
            break
    return Orbits(z, steps, rests, lengths, (late[:, -1] / late[:, 0]) ** (1 / LATE))


@dataclass(frozen=True)
class Attractors:
    """points [A, d], by falling basin; basin int64 [A], how many orbits end there; of int64 [N], whose each orbit is
    (-1: it does not rest)."""

    points: Tensor
    basin: Tensor
    of: Tensor


def attractors(found: Orbits, near: float = NEAR) -> Attractors:
    """Ends of orbits that rest, joined where they lie within `near` of the mean length of a code."""
    ends = found.end[found.rests]
    if not len(ends):
        raise SemblanceError(
            f"none of {len(found.rests)} orbits rests: allow more steps, or train with more noise or weight decay"
        )
    pairs = cKDTree(ends.numpy()).query_pairs(near * float(ends.norm(dim=1).mean()), output_type="ndarray")
    links = sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(ends), len(ends)))
    count, label = sparse.csgraph.connected_components(links, directed=False)
    basin = np.bincount(label, minlength=count)
    rank = np.argsort(np.argsort(-basin, kind="stable"), kind="stable")
    label = torch.from_numpy(rank[label])
    points = torch.zeros(count, ends.shape[1], dtype=ends.dtype).index_add_(0, label, ends)
    size = torch.bincount(label, minlength=count)
    of = torch.full((len(found.rests),), -1)
    of[found.rests] = label
    return Attractors(points / size[:, None].to(points), size, of)


def spectral_radius(step: Step, z: Tensor, rounds: int = 200, seed: int = 0) -> Tensor:
    """Of the Jacobian of a step at codes [A, d] -> [A]: from its eigenvalues, or by power iteration for long codes."""
    if z.shape[1] <= EXACT:
        jacobian = vmap(jacrev(lambda one: step(one[None])[0]))(z)
        return torch.linalg.eigvals(jacobian.detach()).abs().amax(1)
    v = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed), dtype=z.dtype)
    grown = []
    for _ in range(rounds):
        v = jvp(step, (z,), (v / v.norm(dim=1, keepdim=True),))[1].detach()
        grown.append(v.norm(dim=1).log())
    return (
        torch.stack(grown[rounds // 2 :]).mean(0).exp()
    )  # a complex pair turns, and only the mean of its growth is rho


def resemblance(x: Tensor, known: Tensor) -> Tensor:
    """[A, p], [n, p] -> [A], cosine with the most similar of the known."""
    a, b = (torch.nn.functional.normalize(side, dim=1) for side in (x, known))
    return (a @ b.T).amax(1)


def pursuit(atoms: Tensor, x: Tensor, count: int) -> Tensor:
    """x [n, p] written in `count` of the atoms [m, p] each, chosen one by one -> [n, p]. Orthogonal matching pursuit."""
    if not 1 <= count <= len(atoms):
        raise SemblanceError(
            f"{count} atoms are asked for, and the dictionary has {len(atoms)}: ask for 1 to that many"
        )
    length = atoms.norm(dim=1).clamp_min(torch.finfo(atoms.dtype).tiny)
    gram, product = atoms @ atoms.T, x @ atoms.T
    chosen, rest = torch.zeros(len(x), 0, dtype=torch.long), x
    for _ in range(count):
        score = (rest @ atoms.T).abs() / length
        chosen = torch.cat([chosen, score.scatter(1, chosen, -1).argmax(1, keepdim=True)], 1)
        within = gram[chosen[:, :, None], chosen[:, None]]  # [n, chosen, chosen]
        weight = torch.linalg.pinv(within, hermitian=True) @ product.gather(1, chosen)[..., None]
        written = torch.zeros_like(product).scatter(1, chosen, weight[..., 0]) @ atoms
        rest = x - written
    return written


@torch.no_grad()
def novelty(step: Step, z: Tensor, known: Tensor, most: int = 3000, first: int = 3) -> dict[str, Tensor]:
    """Codes [N, d] and the attractors of training items [A, d] -> scores [N], high for what is unlike these.

    path: the length of the first steps; field: that of the first; attractor: the mean distance of the orbit, as it is
    after each of the first steps and at its end, to the nearest known attractor.
    """
    found = orbits(step, z, most, first=first)
    met, at = [found.end], z
    for _ in range(first):
        met.append(at)
        at = step(at)
    far = torch.stack([torch.cdist(one, known).amin(1) for one in met]).mean(0)
    return {"path": found.lengths.sum(1), "field": found.lengths[:, 0], "attractor": far}


def linear_denoiser(covariance: Tensor, noise: float) -> Tensor:
    """The matrix [p, p] that best takes noise of this variance off centred Gaussian x: C (C + noise I)^-1."""
    if not noise > 0:
        raise SemblanceError(f"the variance of the noise is {noise}: give a number above 0")
    with_noise = covariance + noise * torch.eye(len(covariance), dtype=covariance.dtype)
    return torch.linalg.solve(with_noise, covariance).T


@dataclass(frozen=True)
class LatentDynamics:
    """The report. One attractor a row: basin (share of the orbits), rho, like (cosine of what it decodes to with the most
    similar known item, nan without any)."""

    basin: np.ndarray
    rho: np.ndarray
    like: np.ndarray
    orbits: int
    rests: int
    steps: float

    def __str__(self) -> str:
        """How many attractors there are, whether they attract, and whether they are items."""
        said = (
            f"{self.rests} of {self.orbits} codes come to rest, after {self.steps:.0f} steps on average, at "
            f"{len(self.rho)} attractors; spectral radius {self.rho.min():.2f} to {self.rho.max():.2f}"
        )
        known = "" if np.isnan(self.like).all() else f"; {self.like.mean():.2f} like a known item on average"
        return said + known

    def rows(self) -> list[dict[str, Any]]:
        """One row an attractor, the largest basin first."""
        like = [None if np.isnan(v) else float(v) for v in self.like]
        each = enumerate(zip(self.basin, self.rho, like, strict=True))
        return [{"attractor": i, "basin": float(b), "rho": float(r), "like": v} for i, (b, r, v) in each]

    def to_dict(self) -> dict[str, Any]:
        """{sentence, orbits, rests, steps, attractors: [{attractor, basin, rho, like}]}."""
        counts = {"orbits": self.orbits, "rests": self.rests, "steps": self.steps}
        return {"sentence": str(self), **counts, "attractors": self.rows()}

    def table(self) -> Any:
        """Columns attractor, basin, rho, like."""
        import pyarrow as pa

        return pa.Table.from_pylist(self.rows())

    def plot(self) -> Any:
        """A matplotlib figure: basins, and how strongly each attracts against how much it is like an item."""
        from semblance.figures import Drawn

        figure = Drawn(figsize=(8, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.bar(np.arange(len(self.basin)), self.basin, width=1.0, color="#0072b2", edgecolor="white", linewidth=0.3)
        left.set(xlabel="attractor", ylabel="share of the orbits")
        known = not np.isnan(self.like).all()
        across = self.like if known else np.arange(len(self.rho))
        right.scatter(across, self.rho, s=16, color="#d55e00", alpha=0.7)
        right.axhline(1, color="0.5", linewidth=0.8)
        right.set(xlabel="cosine with the nearest known item" if known else "attractor", ylabel="spectral radius")
        right.set_ylim(0, max(1.05, 1.05 * float(self.rho.max())))
        if known:
            right.set_xlim(min(0.5, float(self.like.min())) - 0.02, 1.02)
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, table and picture."""
        write_page(path, "Latent dynamics", str(self), self.plot(), self.rows())

    def _repr_html_(self) -> str:
        return report_html("Latent dynamics", str(self), self.plot(), self.rows())


def latent_dynamics(
    encode: Step, decode: Step, x: Tensor, known: Tensor | None = None, most: int = 3000, near: float = NEAR
) -> LatentDynamics:
    """Items [n, p] whose codes are followed, and items that attractors are compared with (those of training) -> the report.

    Float64 modules and items show late contraction down to the tolerance; float32 does not."""

    def step(z: Tensor) -> Tensor:
        return encode(decode(z))

    with torch.no_grad():
        found = orbits(step, encode(x), most)
        ends = attractors(found, near)
        like = torch.full((len(ends.points),), torch.nan) if known is None else resemblance(decode(ends.points), known)
    rho = spectral_radius(step, ends.points)
    return LatentDynamics(
        (ends.basin / len(x)).numpy(),
        rho.numpy(),
        like.numpy(),
        len(x),
        int(found.rests.sum()),
        float(found.steps[found.rests].float().mean()),
    )
