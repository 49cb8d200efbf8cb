"""Listing: which spaces there are, what each is and can, and its rows in bytes: ids, columns, masks."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from semblance.app.server import columns, derived
from semblance.app.server.answers import BYTES, answer, cached, encoded
from semblance.app.server.explaining import explains
from semblance.app.server.held import Held
from semblance.app.server.items import Whole, told_lost
from semblance.app.server.problems import ProblemDetails
from semblance.app.server.selecting import listed
from semblance.app.server.spaces import Served, told
from semblance.app.server.state import BINARY, ERRORS, Here, Us, reading
from semblance.errors import SemblanceError, unknown

router = APIRouter(tags=["spaces"])
IMAGES, VECTORS = "images", "vectors"


class Can(BaseModel):
    """What may be asked of a space."""

    explain: bool
    classify: bool
    upload: bool
    label: bool
    write: bool
    thumbnails: bool
    umap: bool


class SpaceLine(Whole):
    """A space in short; where it cannot be read, its name and the problem."""

    name: str = Field(examples=["digits"])
    title: str | None = None
    items: int | None = None
    dim: int | None = None
    domain: str | None = Field(None, examples=["images"])
    geometry: str | None = Field(None, examples=["cosine"])
    recipe: str | None = Field(None, examples=["supcon"])
    version: int | None = None
    rows: str | None = None
    labels: str | None = Field(None, examples=["class"])
    shards: list[str] | None = Field(None, description="Their names, where several are served as one.")
    can: Can | None = None
    error: ProblemDetails | None = None


class SpaceList(BaseModel):
    """All spaces that are served."""

    spaces: list[SpaceLine]


class Where(BaseModel):
    """A condition."""

    where: str = Field(examples=["year >= 2020 and city = 'Oslo'"])


def line_of(served: Served, held: Held) -> dict[str, Any]:
    """A space in short."""
    said = held.manifest
    labels = said.get("labels", "none")
    label = held.table.schema.field("label").type if "label" in held.arrays else None
    words = label is not None and pa.types.is_string(label)
    return {
        "name": served.name,
        "title": str(said.get("name") or served.name),
        "items": len(held),
        "dim": said["dim"],
        "domain": said["domain"],
        "geometry": said["geometry"],
        "recipe": said.get("recipe", ""),
        "version": held.version,
        "rows": held.order,
        "labels": labels,
        "can": {
            "explain": served.one and explains(held),
            "classify": served.one and words and labels in ("class", "none") and held.column("label").words is not None,
            "upload": uploads(held),
            "label": served.writable and labels in ("class", "none") and (words or label is None),
            "write": served.writable,
            "thumbnails": said["domain"] == IMAGES,
            "umap": served.one,
        },
        **({} if served.one else {"shards": list(held.view.parts)}),
        **told_lost(served, held.lost),
    }


def uploads(held: Held) -> bool:
    """Whether a file can be brought into this space: by its model, or as a vector of its own."""
    return held.manifest["domain"] == VECTORS or (held.manifest["domain"] == IMAGES and bool(held.manifest["model"]))


@router.get("/api/spaces", response_model=SpaceList)
async def spaces(us: Us) -> Response:
    """All spaces that are served."""

    def tell() -> list[dict[str, Any]]:
        return [told(served, partial(line_of, served)) for served in us.spaces]

    return answer({"spaces": await run_in_threadpool(tell)})


@router.get("/api/spaces/{space}", response_model=SpaceLine, responses=ERRORS)
async def space(here: Here) -> Response:
    """One space with its columns, classes, selections and what is computed of it."""

    def tell(held: Held) -> dict[str, Any]:
        said = held.manifest
        folders = (derived.folder_of(here.path, True), derived.folder_of(here.path, False))
        there = {
            kind: any((f / f"{held.content}-{kind}.safetensors").exists() for f in folders) for kind in ("pca", "umap")
        }
        return {
            **line_of(here, held),
            "classes": list(said.get("classes", ())),
            "columns": [columns.described(held, name) for name in held.arrays],
            "settings": held.view.record.recipe.get("settings", {}),
            "created": said["created"],
            "changed": said["changed"],
            "selections": listed(here),
            "has": {"map": there, "curves": (here.path / "log.jsonl").is_file()},
            "error": None,
        }

    return answer(await reading(here, tell))


@router.get("/api/spaces/{space}/ids", responses=BINARY)
async def ids(request: Request, here: Here) -> Response:
    """All ids in row order: int32 (`X-Ids: int32`) where all are whole numbers, else a JSON list (`X-Ids: json`)."""

    def tell(held: Held) -> tuple[Held, bytes | None]:
        if "ids" not in held.of_rows:
            held.of_rows["ids"] = whole_numbers(held.ids)
        return held, held.of_rows["ids"]

    held, numbers = await reading(here, tell)
    tag = f'"ids-{held.order}"'
    if numbers is not None:
        return cached(request, tag, numbers, headers={**held.headers, "X-Ids": "int32"})
    if "json" not in held.of_rows:
        held.of_rows["json"] = await run_in_threadpool(encoded, held.ids)
    return cached(request, tag, held.of_rows["json"], "application/json", {**held.headers, "X-Ids": "json"})


def whole_numbers(ids: list[str]) -> bytes | None:
    """Ids as int32, where each is written as a whole number is."""
    try:
        numbers = np.array(ids, dtype="S11").astype(np.int64)
    except (ValueError, UnicodeEncodeError, OverflowError):
        return None
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= 1 << 31):
        return None
    return numbers.astype("<i4").tobytes() if numbers.astype(str).tolist() == ids else None


@router.get("/api/spaces/{space}/column/{name:path}", responses=BINARY)
async def column(request: Request, here: Here, name: str) -> Response:
    """The values of a column in row order: uint32 length, JSON head, then codes or numbers."""

    def tell(held: Held) -> Response:
        if name not in held.arrays and name != "id":
            raise unknown("column", name, held.arrays)
        kept = held.of_columns[name]
        if "framed" not in kept:
            content = columns.framed(held, name)
            kept["framed"] = content, f'"{hashlib.blake2b(content, digest_size=8).hexdigest()}"'
        content, tag = kept["framed"]
        return cached(request, tag, content, headers=held.headers)

    return await reading(here, tell)


@router.post("/api/spaces/{space}/mask", responses=BINARY)
async def mask(here: Here, asked: Where) -> Response:
    """Which rows satisfy a condition: bit i & 7 of byte i >> 3."""

    def tell(held: Held) -> Response:
        found = held.mask(asked.where)
        bits = np.packbits(found, bitorder="little").tobytes()
        return Response(bits, headers={**held.headers, "X-Matches": str(int(found.sum()))}, media_type=BYTES)

    return await reading(here, tell)


@router.get("/api/spaces/{space}/values/{name:path}", responses=ERRORS)
async def values(
    here: Here,
    name: str,
    prefix: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> Response:
    """Completion: the values of a column that begin with, or else hold, some letters; the most frequent first."""

    def tell(held: Held) -> Response:
        found = held.column(name)
        if columns.kind_of(found) not in ("category", "text", "boolean"):
            raise SemblanceError(f"column {name!r} holds no words to complete: compare it with a number or a date")
        if name == "id":
            words, counts = held.ids, np.ones(len(held), np.int64)
        else:
            words, counts = columns.words_of(found), columns.counts_of(found)
        low = prefix.lower()
        ranked = [
            (not w.lower().startswith(low), -int(c), w) for w, c in zip(words, counts, strict=True) if low in w.lower()
        ]
        return answer({"values": [{"value": word, "count": -count} for _, count, word in sorted(ranked)[:limit]]})

    return await reading(here, tell)
