"""The survey of zero-shot recognition as a report, on scikit-learn's digits in three colours. On data of one's own:
`semblance report SPACE zero-shot --set table=FILE`, or `semblance.analysis.zero_shot`."""

from __future__ import annotations

import numpy as np

from semblance.contracts import Report
from semblance.data.class_tables import ClassTable
from semblance.data.load import load
from semblance.recipes.registry import Recipe, recipe
from semblance.recipes.theory import no_encoder

COLOURS = ("red", "green", "blue")


@recipe(entry="zero-shot-survey", paper="Fu et al. 2018, arXiv:1710.04837", domains=(), makes="report")
def zero_shot_survey(
    models: str = "all",
    setting: str = "zero-shot",
    direction: str = "",
    neighbours: str = "nearest",
    transductive: str = "none",
    seed: int = 0,
) -> Recipe:
    """semblance reproduce zero-shot-survey    # 30 classes of digit and colour, a quarter of them known by that alone

    Lists are parted by commas; `models` dap, iap, conse, eszsl, devise, ale, sje, synthesised, regression, sae, exemplars,
    prototypes; `setting` zero-shot, generalised, one-shot, open-set, compositional.
    """

    def report() -> Report:
        from semblance.analysis.zero_shot import zero_shot

        data = load("digits")
        digit, colour = data.targets["labels"], np.random.default_rng(seed).integers(len(COLOURS), size=len(data))
        # What a network that knew digits and colours would say: the scan, and how much ink of each colour there is.
        grey = data.x.reshape(len(data), -1).astype(np.float64)
        x = np.concatenate([grey, np.eye(len(COLOURS))[colour] * grey.sum(1, keepdims=True)], 1)
        names = [f"{COLOURS[c]} {d}" for c, d in zip(colour, digit, strict=True)]
        split = [(x[rows], [names[row] for row in rows]) for rows in (data.splits["train"], data.splits["test"])]
        return zero_shot(
            *split,
            described(),
            models="all" if models == "all" else listed(models),
            settings=listed(setting),
            directions=listed(direction),
            neighbours=listed(neighbours),
            transductive=listed(transductive),
            seed=seed,
        )

    return Recipe(encoder=no_encoder("zero-shot-survey"), makes="report", report=report)


def described() -> ClassTable:
    """The 30 classes by their parts."""
    columns = (*(f"digit={d}" for d in range(10)), *(f"colour={c}" for c in COLOURS))
    values = np.concatenate([np.repeat(np.eye(10), len(COLOURS), 0), np.tile(np.eye(len(COLOURS)), (10, 1))], 1)
    return ClassTable(tuple(f"{c} {d}" for d in range(10) for c in COLOURS), columns, values)


def listed(text: str) -> list[str]:
    """Words parted by commas."""
    return [part.strip() for part in text.split(",")]
