"""Whom a mixture of experts believes, and whether it is right to: nodes by the confidence of the weak expert.

A row is a tenth of the scale of confidence: how many units lie there, and how often each expert and the mixture are right
on them. Where confidence means something, the weak expert is the better one in the last rows.
"""

from __future__ import annotations

import numpy as np

from semblance.errors import SemblanceError
from semblance.reports import TableReport

BINS = 10


def expert_report(
    confidence: np.ndarray, weak: np.ndarray, strong: np.ndarray, mixture: np.ndarray, labels: np.ndarray
) -> TableReport:
    """confidence [n] in 0..1; class numbers [n] that each answered, and the true ones. Units labelled -1 are left out."""
    known = labels >= 0
    if not known.any():
        raise SemblanceError("no unit is labelled, so nobody is right or wrong: give labels")
    c, y = confidence[known], labels[known]
    right = {name: (a[known] == y) for name, a in (("weak", weak), ("strong", strong), ("mixture", mixture))}
    place = np.minimum((c * BINS).astype(int), BINS - 1)
    rows = []
    for bin_ in np.unique(place):
        here = place == bin_
        shares = {name: float(hit[here].mean()) for name, hit in right.items()}
        rows.append({"confidence": (bin_ + 0.5) / BINS, "units": int(here.sum()), **shares})
    own, other = (float(right["weak"][part].mean()) if part.any() else float("nan") for part in (c > 0.5, c <= 0.5))
    verdict = (
        f"the weak expert is surer than not on {float((c > 0.5).mean()):.0%} of {len(y):,} units and right on {own:.0%} of "
        f"them, on {other:.0%} of the rest; the mixture is right on {float(right['mixture'].mean()):.1%}, the experts on "
        f"{float(right['weak'].mean()):.1%} and {float(right['strong'].mean()):.1%}"
    )
    return TableReport("Confidence of experts", verdict, tuple(rows), "confidence", ("weak", "strong", "mixture"))
