"""One Hebbian network with blanks in its patterns retrieves several at once, in order of rank or all alike.

10,000 spins, 4 patterns, each seed its own. Monte Carlo overlaps are averages over 60 sweeps after 60.
"""

from __future__ import annotations

import math

import numpy as np

from semblance.claims.ledger import Run, at_least, at_most, below, claim
from semblance.memory import associative as memory

SPINS, PATTERNS = 10_000, 4
STABLE, UNSTABLE = (0.2, 0.3, 0.4, 0.5, 0.54), (0.56, 0.6)
SWEEPS = 120
CLEAR = "(a) share of spins at rest at d 0.3, 0.4 and 0.5, where margins exceed the scatter of 10,000 draws, 0.01"


@claim(
    "multitasking-hebbian",
    parts={
        "(a) hierarchical overlaps off (1-d) d^(k-1), most": at_most(0.02),
        "(a) share of spins at rest up to d 0.54, least": at_least(1.0),
        "(a) share of spins at rest at d 0.56 and 0.6, most": below(1.0),
        "(b) d 0.9: spread of the four overlaps": at_most(0.04),
        "(b) d 0.95: spread of the four overlaps": at_most(0.03),
        "(b) d 0.9: mean overlap off mean field": at_most(0.01),
        "(b) d 0.95: mean overlap off mean field": at_most(0.01),
        "(c) largest overlap off mean field, most": at_most(0.03),
        "(d) one pattern: overlap off (1-d) erf(1/sqrt(2 rho)), most": at_most(0.04),
        "(d) four patterns: supervised off unsupervised, most": at_most(0.03),
        "(e) energy identity, largest error": at_most(1e-12),
    },
    broken="the blanks of the patterns are filled with signs at random",
    files=("memory/associative.py",),
    minutes=1.0,
)
def multitasking_hebbian(run: Run) -> None:
    """Below a critical dilution the overlaps form a hierarchy, above it all patterns are raised alike, as mean field says;
    and examples teach what the patterns themselves would."""
    found: dict[str, list[float]] = {name: [] for name in (*run.parts, CLEAR)}
    for seed in run.seeds:
        for part in (hierarchy, parallel, temperature, learned):
            for name, value in part(run, np.random.default_rng([189, seed])).items():
                found[name].append(value)
        run.progress(f"seed {seed} done")
    run.baseline(CLEAR, found.pop(CLEAR))
    for name, values in found.items():
        run.report(name, values)


def drawn(run: Run, dilution: float, rng: np.random.Generator, count: int = PATTERNS) -> memory.Signs:
    return memory.diluted(count, SPINS, 0.0 if run.broken else dilution, rng)


def hierarchy(run: Run, rng: np.random.Generator) -> dict[str, float]:
    """(a) and (e)"""
    off, rest, identity = [], {}, []
    for d in STABLE + UNSTABLE:
        patterns = drawn(run, d, rng)
        spins = memory.hierarchical(patterns, rng)
        m = memory.overlaps(patterns, spins)
        rest[d] = memory.stable(patterns, spins)
        if d in STABLE:
            off.append(np.abs(m - (1 - d) * d ** np.arange(PATTERNS)).max())
        plus, minus, q = memory.squared_errors(patterns, spins)
        identity.append(np.abs(m**2 - (((q + 1) / 2) ** 2 - plus * minus)).max())
    return {
        "(a) hierarchical overlaps off (1-d) d^(k-1), most": max(off),
        "(a) share of spins at rest up to d 0.54, least": min(rest[d] for d in STABLE),
        "(a) share of spins at rest at d 0.56 and 0.6, most": max(rest[d] for d in UNSTABLE),
        CLEAR: min(rest[d] for d in (0.3, 0.4, 0.5)),
        "(e) energy identity, largest error": max(identity),
    }


def parallel(run: Run, rng: np.random.Generator) -> dict[str, float]:
    """(b)"""
    found = {}
    for d in (0.9, 0.95):
        patterns = drawn(run, d, rng)
        _, m = memory.run(patterns, memory.parallel(patterns, rng), 40.0, SWEEPS, rng, SWEEPS // 2)
        expected = memory.mean_field(np.full(PATTERNS, (1 - d) / 2), d, 40.0).mean()
        found[f"(b) d {d:g}: spread of the four overlaps"] = float(m.max() - m.min())
        found[f"(b) d {d:g}: mean overlap off mean field"] = float(abs(m.mean() - expected))
    return found


def temperature(run: Run, rng: np.random.Generator) -> dict[str, float]:
    """(c)"""
    off = []
    for d in (0.2, 0.35, 0.5):
        for scaled in (1.6, 2.0, 3.0, 5.0, 8.0):
            beta = scaled / (1 - d)
            patterns = drawn(run, d, rng)
            _, m = memory.run(patterns, memory.hierarchical(patterns, rng), beta, SWEEPS, rng, SWEEPS // 2)
            expected = memory.mean_field((1 - d) * d ** np.arange(PATTERNS), d, beta)
            off.append(float(abs(np.abs(m).max() - np.abs(expected).max())))
    return {"(c) largest overlap off mean field, most": max(off)}


def learned(run: Run, rng: np.random.Generator) -> dict[str, float]:
    """(d)"""
    d, alone, apart = 0.3, [], []
    for count in (5, 11, 25, 51, 101):
        for quality in (0.2, 0.4):
            rho = (1 - quality**2) / (count * quality**2)
            expected = (1 - d) * math.erf(1 / math.sqrt(2 * rho))
            for patterns in (drawn(run, d, rng, 1), drawn(run, d, rng)):
                start = memory.hierarchical(patterns[:1], rng)
                shown = memory.examples(patterns, count, quality, rng)
                m = [
                    memory.overlaps(patterns, memory.learned_step(shown, start, supervised, d, quality))[0]
                    for supervised in (True, False)
                ]
                if len(patterns) == 1:
                    alone.append(max(abs(one - expected) for one in m))
                else:
                    apart.append(abs(m[0] - m[1]))
    return {
        "(d) one pattern: overlap off (1-d) erf(1/sqrt(2 rho)), most": max(alone),
        "(d) four patterns: supervised off unsupervised, most": max(apart),
    }
