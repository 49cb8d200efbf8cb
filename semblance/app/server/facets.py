"""Facets: for every column how many items have which value, of all and of those that satisfy a condition."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from fastapi import APIRouter, Query
from numpy.typing import NDArray
from starlette.responses import Response

from semblance.app.server.answers import answer
from semblance.app.server.columns import counts_of, kind_of, missing_in, numbers_of, words_of
from semblance.app.server.held import Held
from semblance.app.server.items import Condition, told_lost
from semblance.app.server.state import ERRORS, Here, reading
from semblance.errors import unknown

router = APIRouter(tags=["items"])
MOST = 200
"""Values that are listed; the rest is summed up."""


@router.get("/api/spaces/{space}/facets", responses=ERRORS)
async def facets(
    here: Here,
    where: Condition = None,
    columns: Annotated[str | None, Query(max_length=4_000, description="Names, between commas.")] = None,
    bins: Annotated[int, Query(ge=1, le=200)] = 20,
) -> Response:
    """Counts of values, and histograms of numbers and times."""

    def tell(held: Held) -> Response:
        names = list(held.arrays) if columns is None else [n for n in columns.split(",") if n]
        for name in names:
            if name not in held.arrays:
                raise unknown("column", name, held.arrays)
        inside = np.ones(len(held), np.bool_) if where is None else held.mask(where)
        found = {name: facet(held, name, inside, bins) for name in names}
        said = {"items": len(held), "matches": int(inside.sum()), "rows": held.order, "version": held.version}
        return answer({**said, "columns": found, **told_lost(here, held.lost)}, held.headers)

    return await reading(here, tell)


def facet(held: Held, name: str, inside: NDArray[np.bool_], bins: int) -> dict[str, Any]:
    """One column's."""
    column = held.column(name)
    kind = kind_of(column)
    missing = {"total": missing_in(column), "matching": missing_in(column, inside)}
    if kind in ("number", "time"):
        return {"kind": kind, **histogram(held, name, inside, bins), "missing": missing}
    if kind in ("list", "text"):
        return {"kind": kind, "distinct": len(column.words) if column.words is not None else None, "missing": missing}
    words, total, matching = words_of(column), counts_of(column), counts_of(column, inside)
    order = np.argsort(-total, kind="stable")
    shown, rest = order[:MOST], order[MOST:]
    values = [{"value": words[n], "total": int(total[n]), "matching": int(matching[n])} for n in shown.tolist()]
    left = {"values": len(rest), "total": int(total[rest].sum()), "matching": int(matching[rest].sum())}
    return {"kind": kind, "values": values, "rest": left, "missing": missing}


def histogram(held: Held, name: str, inside: NDArray[np.bool_], bins: int) -> dict[str, Any]:
    """Edges [bins + 1] over all values, and how many lie between them; none where there are no values."""
    kept = held.of_columns[name]
    found = kept.get("binned")
    if found is None or found[0] != bins:  # one number of bins a column, or a thousand askers could fill the memory
        found = kept["binned"] = bins, binned(held, name, bins)
    if found[1] is None:
        return {"edges": [], "total": [], "matching": []}
    edges, codes = found[1]
    total = np.bincount(codes[codes >= 0], minlength=len(edges) - 1)
    matching = np.bincount(codes[inside & (codes >= 0)], minlength=len(edges) - 1)
    return {"edges": edges.tolist(), "total": total.tolist(), "matching": matching.tolist()}


def binned(held: Held, name: str, bins: int) -> tuple[NDArray[np.float64], NDArray[np.int16]] | None:
    """Edges, and the bin of every row [N], -1 where there is no value; None where there is none at all."""
    values = numbers_of(held.column(name), held.table.schema.field(name).type)
    known = np.isfinite(values)
    if not known.any():
        return None
    whole = pa.types.is_integer(held.table.schema.field(name).type)
    edges = between(float(values[known].min()), float(values[known].max()), bins, whole)
    codes = np.full(len(values), -1, np.int16)
    codes[known] = np.clip(np.searchsorted(edges, values[known], side="right") - 1, 0, len(edges) - 2)
    return edges, codes


def between(low: float, high: float, bins: int, whole: bool) -> NDArray[np.float64]:
    """Edges of bins from the least value to the greatest, all of one width; of whole numbers each holds as many, or its
    bars would stand like a comb, of 4 numbers here and of 5 there."""
    if whole:
        step = -(-(high - low + 1) // bins)
        return low + step * np.arange((high - low) // step + 2)
    if high <= low:
        return np.array([low, np.nextafter(low, np.inf)])
    return np.linspace(low, high, bins + 1)
