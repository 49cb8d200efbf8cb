"""Comparing: how far two spaces of the same items agree, and item by item, so that two maps can be coloured by it."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from semblance.app.server.answers import answer
from semblance.app.server.held import Held
from semblance.app.server.projection import uniform
from semblance.app.server.state import ERRORS, Us
from semblance.errors import SemblanceError

router = APIRouter(tags=["analysis"])
MOST, LEAST = 5_000, 4


class Compare(BaseModel):
    """Two spaces that are served."""

    a: str = Field(examples=["digits"])
    b: str = Field(examples=["digits-2"])
    k: int = Field(10, ge=1, le=100)


@router.post("/api/compare", responses=ERRORS)
async def compare(us: Us, asked: Compare) -> Response:
    """CKA and the overlap of neighbourhoods over the items of both; at most 5,000, drawn uniformly."""

    def work() -> Response:
        one, other = us.spaces[asked.a].held(), us.spaces[asked.b].held()
        key, exactly = ("compare", asked.b), (one.content, other.content, one.order, other.order, asked.k)
        if key not in one.kept or one.kept[key][0] != exactly:
            one.kept[key] = exactly, compared(one, other, asked.k)
        return answer({"a": asked.a, "b": asked.b, **one.kept[key][1]})

    return await run_in_threadpool(work)


def compared(one: Held, other: Held, k: int) -> dict[str, Any]:
    """Figures with intervals beside chance, and the overlap of each item's neighbours."""
    from semblance.analysis.comparison import comparison

    places = [(at, other.place[id]) for at, id in enumerate(one.ids) if id in other.place]
    if len(places) < LEAST:
        raise SemblanceError(f"the spaces have {len(places)} items in common: compare spaces of the same items")
    both = np.array(places, np.int64)[uniform(len(places), MOST, 0)]
    x, y = np.array(one.view.vectors(both[:, 0])), np.array(other.view.vectors(both[:, 1]))
    found = comparison(x, y, ("a", "b"), ("cka", "neighbours"), 0, lambda name: None)
    k = min(k, len(both) - 1)
    near = [_near(held, z, k) for held, z in ((one, x), (other, y))]
    shared = (near[0][:, :, None] == near[1][:, None, :]).any(2).mean(1)
    figures = {name: vars(measure) for name, measure in found.measures.items()}
    overlap = {"value": float(shared.mean()), "k": k, "low": None, "high": None, **_interval(shared)}
    per_item = {"positions_a": both[:, 0], "positions_b": both[:, 1], "overlap": shared.astype(np.float32)}
    said = {"common": len(places), "used": len(both), "cka": figures["cka"]["value"], "overlap": overlap}
    return {**said, "figures": figures, "sentence": str(found), "per_item": per_item}


def _near(held: Held, z: np.ndarray, k: int) -> np.ndarray:
    """[n, k]: the nearest others within the compared items, by the space's own distance."""
    from semblance.analysis.retrieval import neighbours

    found, _ = neighbours(z, z, min(k + 1, len(z)), str(held.manifest["geometry"]))
    itself = found == np.arange(len(z))[:, None]
    itself[~itself.any(1), -1] = True
    return found[~itself].reshape(len(z), -1)[:, :k]


def _interval(shared: np.ndarray) -> dict[str, float]:
    """Of the mean over items, by its standard error."""
    half = 1.96 * float(shared.std(ddof=1)) / np.sqrt(len(shared))
    return {"low": float(shared.mean()) - half, "high": float(shared.mean()) + half}
