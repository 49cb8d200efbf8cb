"""Views: near-duplicates, outliers and label suspects, ready to be looked at, with their threshold shown as the pairs at
its border: a number nobody can judge becomes two pictures that everybody can.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from starlette.responses import Response

from semblance.app.server import derived, neighbourhoods
from semblance.app.server.answers import answer
from semblance.app.server.columns import kind_of, words_of
from semblance.app.server.held import Held
from semblance.app.server.maps import made_by_a_job, stored, waiting
from semblance.app.server.neighbourhoods import Pairs, Table
from semblance.app.server.spaces import Served
from semblance.app.server.state import ERRORS, Here, Us, reading
from semblance.errors import SemblanceError

router = APIRouter(tags=["views"])
AT_ONCE = 5_000
"""Items up to which nobody waits for a job."""
BORDER, STEPS = 6, 50
RARE, DOUBTFUL = 0.01, 0.2
WHY = {
    "duplicates": "one item in a hundred has another as near as this",
    "outliers": "one item in a hundred lies as far out as this",
    "suspects": "a fifth of the votes around an item, or less",
}
"""How the threshold was chosen that nobody moved."""
Name = Literal["duplicates", "outliers", "suspects"]


def table_of(here: Served, held: Held) -> Table | None:
    """Everybody's neighbours; None where they are many and not known yet."""
    found = stored(here, held, "neighbours")
    if found is None and len(held) <= AT_ONCE:
        positions, distances = neighbourhoods.everybody(held.view.source, str(held.manifest["geometry"]))
        found = held.of_vectors["neighbours"] = {"positions": positions, "distances": distances}, {"items": len(held)}
        folder = derived.folder_of(here.path, not here.read_only)
        derived.keep(folder, "neighbours", held.content, *found)
    return None if found is None else (found[0]["positions"], found[0]["distances"])


@router.get("/api/spaces/{space}/views/{view}", responses={**ERRORS, 202: {"description": "A job finds neighbours."}})
async def view(
    here: Here,
    us: Us,
    view: Name,
    threshold: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    limit: Annotated[int, Query(ge=0, le=1_000)] = 100,
) -> Response:
    """Pairs that pass a threshold, and those just within and just beyond it."""

    def tell(held: Held) -> Response:
        table = table_of(here, held)
        if table is None:
            return waiting(made_by_a_job(us, here, held, "neighbours", "the table of neighbours"))
        kept = held.kept if view == "suspects" else held.of_vectors
        if view not in kept:
            kept[view] = found(view, held, table)
        pairs, more, default = kept[view]
        return answer(shown(view, held, pairs, more, default, threshold, limit), held.headers)

    return await reading(here, tell)


def found(view: Name, held: Held, table: Table) -> tuple[Pairs, dict[str, list[Any]], float]:
    """All candidates of a view, the most extreme first, what is told of each beside its score, and where the threshold
    stands until somebody moves it."""
    if view == "duplicates":
        return neighbourhoods.duplicates(table), {}, rare(table[1][:, :1], RARE)
    if view == "outliers":
        pairs = neighbourhoods.outliers(table)
        return pairs, {}, rare(pairs.score, 1 - RARE)
    if "label" not in held.arrays or kind_of(held.column("label")) not in ("category", "text"):
        raise SemblanceError("this space has no class labels to suspect: label some items first")
    column = held.column("label")
    words = words_of(column)
    codes = column.values.astype(np.int64)
    result = neighbourhoods.suspects(table, codes, len(words))
    said = {"label": [words[c] for c in codes[result.pairs.item]], "voted": [words[c] for c in result.winner]}
    return result.pairs, {**said, "share": result.share.tolist()}, DOUBTFUL


def rare(scores: np.ndarray, share: float) -> float:
    """The score that this share of all is at or below: one that is there, so that a view never opens empty. 0 where there
    are no scores."""
    if not scores.size:
        return 0.0
    return float(np.quantile(scores.astype(np.float64), share, method="lower" if share < 0.5 else "higher"))


def shown(
    view: Name,
    held: Held,
    pairs: Pairs,
    more: dict[str, list[Any]],
    default: float,
    threshold: float | None,
    limit: int,
) -> dict[str, Any]:
    """The view at this threshold."""
    upwards = view != "outliers"  # the extreme scores are the small ones
    scores = pairs.score
    at = default if threshold is None else threshold
    total = int((scores <= at).sum() if upwards else (scores >= at).sum())

    def line(number: int) -> dict[str, Any]:
        ends = {"id": held.ids[pairs.item[number]], "other": held.ids[pairs.other[number]], "score": scores[number]}
        places = {"position": int(pairs.item[number]), "other_position": int(pairs.other[number])}
        return {**ends, **places, **{name: values[number] for name, values in more.items()}}

    steps = np.unique(np.linspace(0, max(len(scores) - 1, 0), STEPS).astype(int))[: len(scores)]
    ends = [float(scores.min()), float(scores.max())] if len(scores) else [0.0, 0.0]
    return {
        "view": view,
        "threshold": at,
        "default": default,
        "why": WHY[view],
        "range": ends,
        "scale": [[float(scores[n]), int(n) + 1] for n in steps],
        "total": total,
        "unit": "share" if view == "suspects" else "distance",
        "pairs": [line(number) for number in range(min(total, limit))],
        "border": {
            "inside": [line(number) for number in range(max(0, total - BORDER), total)],
            "outside": [line(number) for number in range(total, min(total + BORDER, len(scores)))],
        },
    }
