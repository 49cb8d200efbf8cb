"""Selecting: sets of items with a name, which are kept beside the space, or in memory where nothing may be written.

A selection is answered as ids, as places in row order, as a condition, or as a file of its items.
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from semblance.app.server.answers import BYTES, answer
from semblance.app.server.held import LONGEST, Held
from semblance.app.server.problems import Problem
from semblance.app.server.spaces import Served
from semblance.app.server.state import BINARY, WRITES, Here, reading
from semblance.errors import SemblanceError
from semblance.space.selections import Selections, checked_name, condition, table

router = APIRouter(tags=["selections"])
MOST, KEPT = 1_000_000, 50
"""Ids of one selection; selections that are kept in memory."""


class Select(BaseModel):
    """Ids, or a condition."""

    name: str = Field(examples=["blurred ones"], max_length=64)
    ids: list[str] | None = Field(None, max_length=MOST, examples=[["17", "18"]])
    where: str | None = Field(None, max_length=LONGEST)


class Selected(BaseModel):
    """A selection that was kept."""

    name: str
    items: int
    where: str | None = Field(description="The same as a condition; null where it would be too long.")
    stored: bool
    url: str
    missing: list[str]


def ids_of(here: Served, name: str) -> list[str]:
    """The ids of a selection."""
    with here.noting:
        found = here.unwritten.get(checked_name(name))
    return found if found is not None else Selections(here.path).ids(name)


@router.post("/api/spaces/{space}/select", response_model=Selected, responses=WRITES)
async def select(here: Here, asked: Select) -> Response:
    """Keep a selection, or replace the one of this name."""

    def tell(held: Held) -> Response:
        checked_name(asked.name)
        if (asked.ids is None) == (asked.where is None):
            raise Problem("bad-request", "a selection is made of ids or of a condition", "give one of ids and where")
        given = asked.ids if asked.ids is not None else [held.ids[at] for at in held.rows(asked.where).tolist()]
        ids = [id for id in dict.fromkeys(given) if id in held.place]
        missing = [id for id in dict.fromkeys(given) if id not in held.place]
        if here.writable:
            Selections(here.path).keep(asked.name, ids)
        else:
            with here.noting:
                here.unwritten[asked.name] = ids
                while len(here.unwritten) > KEPT:
                    del here.unwritten[next(iter(here.unwritten))]
        url = f"/s/{here.name}?selection={quote(asked.name)}"
        said = {"name": asked.name, "items": len(ids), "where": condition(ids), "stored": here.writable, "url": url}
        return answer({**said, "missing": missing[:20]}, held.headers)

    return await reading(here, tell)


@router.get("/api/spaces/{space}/selections", responses=WRITES)
async def selections(here: Here) -> Response:
    """All selections of a space."""

    def tell(held: Held) -> Response:
        return answer({"selections": listed(here)})

    return await reading(here, tell)


def listed(here: Served) -> list[dict[str, Any]]:
    """Selections by name; one in memory hides that of its name on disk."""
    found = {name: {"name": name, "items": n, "stored": True} for name, n in Selections(here.path).counts().items()}
    with here.noting:
        found |= {name: {"name": name, "items": len(ids), "stored": False} for name, ids in here.unwritten.items()}
    return [found[name] for name in sorted(found)]


@router.get("/api/spaces/{space}/selections/{name}", responses=BINARY)
async def selection(
    here: Here, name: str, format: Literal["json", "csv", "parquet", "where", "positions"] = "json"
) -> Response:
    """A selection: as JSON, as a file of its items, as a condition, or as uint32 places in row order."""

    def tell(held: Held) -> Response:
        ids = [id for id in ids_of(here, name) if id in held.place]
        positions = np.array([held.place[id] for id in ids], np.int64)
        if format == "json":
            said = {"name": name, "ids": ids, "positions": positions, "where": condition(ids)}
            return answer(said, held.headers)
        if format == "positions":
            return Response(positions.astype("<u4").tobytes(), headers=held.headers, media_type=BYTES)
        if format == "where":
            found = condition(ids)
            if found is None:
                raise SemblanceError(f"{len(ids)} items are more than a condition names: take csv, parquet or json")
            return Response(found, headers=held.headers, media_type="text/plain; charset=utf-8")
        rows = table(ids, held.table.take(pa.array(positions)) if held.arrays else pa.table({}))
        content, media = (
            (as_csv(rows), "text/csv") if format == "csv" else (as_parquet(rows), "application/vnd.apache.parquet")
        )
        place = f"attachment; filename*=UTF-8''{quote(f'{name}.{format}')}"
        return Response(content, headers={**held.headers, "Content-Disposition": place}, media_type=media)

    return await reading(here, tell)


@router.delete("/api/spaces/{space}/selections/{name}", status_code=204, responses=WRITES)
async def remove(here: Here, name: str) -> Response:
    """Forget a selection; its items stay."""

    def tell(held: Held) -> Response:
        with here.noting:
            in_memory = here.unwritten.pop(checked_name(name), None) is not None
        if not in_memory:
            here.check_writable()
            Selections(here.path).remove(name)
        return Response(status_code=204)

    return await reading(here, tell)


def as_parquet(rows: pa.Table) -> bytes:
    """The items as a Parquet file."""
    out = io.BytesIO()
    pq.write_table(rows, out)
    return out.getvalue()


def as_csv(rows: pa.Table) -> bytes:
    """The items as CSV. Text that a spreadsheet would run as a formula gets an apostrophe in front."""
    out = io.StringIO()
    lines = csv.writer(out)
    lines.writerow([_harmless(name) for name in rows.column_names])
    for row in rows.to_pylist():
        lines.writerow([_harmless(json.dumps(v) if isinstance(v, list) else v) for v in row.values()])
    return out.getvalue().encode("utf-8", "replace")


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
