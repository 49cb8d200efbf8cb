"""Associative memory: patterns with blanks stored as pairwise Hebbian couplings, several retrieved at once.

    P(xi = +-1) = (1 - d) / 2 each,  P(xi = 0) = d            K patterns of N entries, dilution d
    J_ij = 1/N sum_mu xi_i xi_j, J_ii = 0                     h_i = sum_mu xi_i m_mu - s_i |xi_i|^2 / N
    m_mu = 1/N sum_i xi_i s_i                                 overlaps: N K numbers are kept, never N x N

At zero temperature a spin takes the sign of its field and keeps its value where that is 0; at inverse temperature beta it
is +1 with probability (1 + tanh(beta h)) / 2, one spin after another. Mean field: m_mu = E[xi_mu tanh(beta xi.m)] over the
3^K entries a site may have. In the hierarchical state each spin follows its first pattern that is not blank,
m_k = (1 - d) d^(k-1); it is stable while 1 - 2d + d^K > 0; far beyond, and with some noise, all are raised alike.

Learned from M examples eta = chi xi per pattern, P(chi = 1) = (1 + r) / 2, the couplings are those of the patterns'
averaged examples (supervised) or of all examples (unsupervised), over N (1 - d) R, R = r^2 + (1 - r^2) / M.
Agliari, Alessandrelli, Barra, Ricci-Tersenghi 2023, Parallel Learning by Multitasking Neural Networks (arXiv:2308.04106).
Where patterns are to be told apart rather than mixed, `recall` takes the update of `encoders.sequences.hopfield`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numba
import numpy as np
from numpy.typing import NDArray

from semblance.errors import SemblanceError, unknown
from semblance.reports import TableReport

Floats = NDArray[np.float64]
Signs = NDArray[np.int8]
DILUTIONS = [round(0.05 * step, 2) for step in range(20)]


def diluted(count: int, size: int, dilution: float, rng: np.random.Generator) -> Signs:
    """`count` patterns [K, N] of -1, 0 and 1."""
    if not 0 <= dilution <= 1:
        raise SemblanceError(f"the dilution is {dilution}, but it is the share of blanks: give 0 to 1")
    signs = rng.integers(0, 2, (count, size), dtype=np.int8) * 2 - 1
    return np.where(rng.random((count, size)) < dilution, 0, signs).astype(np.int8)


def overlaps(patterns: Signs, spins: Signs) -> Floats:
    """m [K]"""
    return patterns.astype(np.int64) @ spins.astype(np.int64) / len(spins)


def fields(patterns: Signs, spins: Signs) -> Floats:
    """h [N], without what a spin would say to itself."""
    itself = (patterns.astype(np.int64) ** 2).sum(0) * spins
    return overlaps(patterns, spins) @ patterns - itself / len(spins)


def energy(patterns: Signs, spins: Signs) -> float:
    """-1/2 sum_ij J_ij s_i s_j = -N/2 (m.m - sum |xi|^2 / N^2)"""
    size = len(spins)
    itself = float((patterns.astype(np.int64) ** 2).sum()) / size**2
    return -size / 2 * (float((overlaps(patterns, spins) ** 2).sum()) - itself)


def squared_errors(patterns: Signs, spins: Signs) -> tuple[Floats, Floats, Floats]:
    """L+ and L- [K], how far the state is from each pattern's negative and from itself, and its q [K]; per pattern
    m^2 = ((q + 1) / 2)^2 - L+ L-, so that the energy is one of squared errors."""
    size = len(spins)
    plus, minus = (((patterns.astype(np.int64) + sign * spins) ** 2).sum(1) / (2 * size) for sign in (1, -1))
    return plus, minus, (patterns.astype(np.int64) ** 2).sum(1) / size


def hierarchical(patterns: Signs, rng: np.random.Generator) -> Signs:
    """Each spin follows the first pattern that is not blank there; where all are, it is drawn."""
    first = (patterns != 0).argmax(0)
    signs = np.take_along_axis(patterns, first[None], 0)[0]
    return _drawn(signs, rng)


def parallel(patterns: Signs, rng: np.random.Generator) -> Signs:
    """The sign of the patterns' sum; drawn where it is 0."""
    return _drawn(np.sign(patterns.sum(0, dtype=np.int64)).astype(np.int8), rng)


def stable(patterns: Signs, spins: Signs) -> float:
    """The share of spins that would stay at zero temperature."""
    # A field of 0 is one of differences of whole numbers over N: rounding must not turn a spin.
    return float((spins * fields(patterns, spins) > -0.5 / len(spins)).mean())


def run(
    patterns: Signs, spins: Signs, beta: float, sweeps: int, rng: np.random.Generator, settle: int = 0
) -> tuple[Signs, Floats]:
    """Spins turned one after another, in a new order every sweep: the last state [N], and the overlaps [K] averaged over
    the sweeps after the first `settle`. beta may be infinite."""
    if not 0 <= settle < sweeps:
        raise SemblanceError(f"sweeps is {sweeps} and settle {settle}: leave one sweep or more to be averaged")
    state, entries = spins.copy(), np.ascontiguousarray(patterns.T)
    total, mean = entries.T.astype(np.int64) @ state, np.zeros(len(patterns))
    for sweep in range(sweeps):
        _sweep(entries, state, total, beta, rng.permutation(len(state)), rng.random(len(state)))
        if sweep >= settle:
            mean += total / len(state)
    return state, mean / (sweeps - settle)


@numba.njit(cache=True)
def _sweep(entries, state, total, beta, order, chance):  # type: ignore[no-untyped-def]
    """One turn of every spin; `total` [K] is N m and follows."""
    size, count = entries.shape
    for i in order:
        field = 0
        for mu in range(count):
            field += entries[i, mu] * (total[mu] - entries[i, mu] * state[i])
        if math.isinf(beta):
            new = state[i] if field == 0 else (1 if field > 0 else -1)
        else:
            new = 1 if 2 * chance[i] < 1 + math.tanh(beta * field / size) else -1
        if new != state[i]:
            for mu in range(count):
                total[mu] += entries[i, mu] * (new - state[i])
            state[i] = new


def mean_field(start: Floats, dilution: float, beta: float, steps: int = 10_000, tolerance: float = 1e-12) -> Floats:
    """The fixed point m [K] that damped iteration reaches from `start` [K]."""
    entries = np.array(list(product((-1, 0, 1), repeat=len(start))), float)  # [3^K, K]
    chance = np.where(entries == 0, dilution, (1 - dilution) / 2).prod(1)
    m = np.asarray(start, float)
    for _ in range(steps):
        new = (chance * np.tanh(beta * entries @ m)) @ entries
        moved, m = float(np.abs(new - m).max()), 0.5 * (m + new)
        if moved < tolerance:
            break
    return m


def critical_dilution(count: int) -> float:
    """The dilution at which the hierarchical state of K patterns gives way: the root of 1 - 2d + d^K below 1 (two patterns
    never do: 1)."""
    low, high = 0.5, 1 - 1e-6
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if 1 - 2 * middle + middle**count > 0 else (low, middle)
    return low


def examples(patterns: Signs, count: int, quality: float, rng: np.random.Generator) -> Signs:
    """`count` noisy copies of each pattern, [K, M, N]: an entry keeps its sign with probability (1 + r) / 2."""
    if not 0 < quality <= 1 or count < 1:
        raise SemblanceError(f"quality is {quality} and count {count}: give above 0 to 1, and 1 or more")
    kept = rng.random((len(patterns), count, patterns.shape[1])) < (1 + quality) / 2
    return np.where(kept, patterns[:, None], -patterns[:, None]).astype(np.int8)


def learned_step(shown: Signs, spins: Signs, supervised: bool, dilution: float, quality: float) -> Signs:
    """One zero-temperature step of all spins under couplings learned from examples [K, M, N]; no field, no turn."""
    size, many = shown.shape[2], shown.shape[1]
    scale = size * (1 - dilution) * (quality**2 + (1 - quality**2) / many)
    eta = shown.astype(np.float32)
    # Sums of whole numbers below 2^24 are exact, and so is their sign.
    kept = eta.sum(1) if supervised else eta.reshape(-1, size)
    weight = 1 / (scale * (many**2 if supervised else many))
    field = ((kept @ spins.astype(np.float32)) @ kept - (kept**2).sum(0) * spins) * weight
    return np.where(field == 0, spins, np.sign(field)).astype(np.int8)


def recall(
    stored: np.ndarray, cues: np.ndarray, rule: str = "softmax", beta: float = 1.0, steps: int = 1
) -> np.ndarray:
    """Cues [Q, N] completed from stored patterns [K, N]: "softmax" one pattern each, by the modern update; "hebb" the sign
    of the Hebbian field, which mixes patterns."""
    if rule == "softmax":
        import torch

        from semblance.encoders.sequences.hopfield import retrieve

        found = retrieve(
            torch.as_tensor(cues, dtype=torch.float32), torch.as_tensor(stored, dtype=torch.float32), beta, steps
        )
        return found.numpy()
    if rule != "hebb":
        raise unknown("rule of recall", rule, ["softmax", "hebb"])
    state, patterns = np.asarray(cues, np.float32), np.asarray(stored, np.float32)
    for _ in range(steps):
        field = (state @ patterns.T) @ patterns - (patterns**2).sum(0) * state
        state = np.where(field == 0, state, np.sign(field))
    return state


def phase_diagram(
    count: int = 4,
    dilutions: Sequence[float] = DILUTIONS,
    betas: tuple[float, ...] = (2.0, 5.0, 10.0, 40.0),
) -> TableReport:
    """Mean-field overlaps over the dilution, reached from the hierarchical state. `regime`: hierarchical where it stays
    what it is to 0.02, parallel where all overlaps are alike, graded between, none where nothing is retrieved."""
    rows = []
    border = critical_dilution(count)
    for beta in betas:
        for d in dilutions:
            pure: Floats = np.asarray((1 - d) * d ** np.arange(count), np.float64)
            m = np.sort(np.abs(mean_field(pure, d, beta, 2000, 1e-9)))[::-1]
            if m[0] < 1e-3:
                regime = "none"
            elif m[0] - m[-1] < 1e-3:
                regime = "parallel"
            else:
                regime = "hierarchical" if np.abs(m - pure).max() < 0.02 else "graded"
            rows.append({"beta": beta, "dilution": d, "largest": m[0], "smallest": m[-1], "regime": regime})
    said = f"of {count} patterns one leads, as in the pure hierarchy, up to a dilution of {border:.4f} without noise"
    alike = [row["dilution"] for row in rows if row["regime"] == "parallel" and row["beta"] == max(betas)]
    more = f"; at beta {max(betas):g} all are raised alike from {min(alike):g} on" if alike else ""
    return TableReport("A multitasking network", said + more, tuple(rows), "dilution", ("largest", "smallest"), "beta")


def _drawn(signs: Signs, rng: np.random.Generator) -> Signs:
    chance = (rng.integers(0, 2, signs.shape) * 2 - 1).astype(np.int8)
    return np.where(signs == 0, chance, signs).astype(np.int8)
