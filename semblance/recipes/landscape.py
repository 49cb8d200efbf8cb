"""The loss around a point, where the answer is known: intrinsic-dimension.

Of a network: `semblance.analysis.intrinsic_dimension`.
"""

from __future__ import annotations

import torch

from semblance.analysis.projections import projection
from semblance.learning.parts import INIT, torch_chance
from semblance.recipes.registry import Recipe, recipe
from semblance.recipes.theory import no_encoder
from semblance.reports import TableReport


@recipe(
    entry="intrinsic-dimension",
    paper="Li et al. 2018, arXiv:1804.08838",
    domains=(),
    makes="report",
)
def intrinsic_dimension(size: int = 1000, constraints: int = 10, kind: str = "dense", seed: int = 0) -> Recipe:
    """semblance reproduce intrinsic-dimension    # what ten constraints on 1,000 numbers leave open, by directions"""

    def report() -> TableReport:
        sums = torch.eye(constraints).repeat_interleave(size // constraints, 1).double()
        start = torch.randn(sums.shape[1], generator=torch_chance(seed, INIT)).double()
        missing = torch.arange(constraints).double() - sums @ start
        rows = []
        for dim in range(1, constraints + 3):
            change = sums @ projection(kind, sums.shape[1], dim, seed)(torch.eye(dim)).double()
            best = torch.linalg.lstsq(change, missing).solution
            rows.append({"directions": dim, "residual": float((change @ best - missing).norm())})
        enough = next((row["directions"] for row in rows if row["residual"] < 1e-8), None)
        said = f"{constraints} constraints on {sums.shape[1]:,} numbers are met in {enough} random directions, not in fewer"
        return TableReport("Intrinsic dimension of linear constraints", said, tuple(rows), "directions", ("residual",))

    return Recipe(encoder=no_encoder("intrinsic-dimension"), makes="report", report=report)
