"""Items: one, or those that satisfy a condition, and their pictures: each by itself, or many on one sheet."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from PIL import Image
from pydantic import BaseModel, Field
from starlette.responses import Response

from semblance.app.server.answers import answer, cached
from semblance.app.server.held import Held
from semblance.app.server.problems import Problem
from semblance.app.server.spaces import Served
from semblance.app.server.state import ERRORS, Here, newest, reading

router = APIRouter(tags=["items"])
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
    **ERRORS,
}
Condition = Annotated[str | None, Query(max_length=60_000, examples=["year >= 2020"])]
Size = Annotated[int, Query(ge=16, le=256)]
PNG = b"\x89PNG\r\n\x1a\n"
WIDEST = 1024
"""Pixels a side of a stored picture that is looked at: Semblance writes 96, and a space may be somebody else's."""


class Item(BaseModel):
    """One item."""

    id: str = Field(examples=["17"])
    position: int = Field(description="Its place in row order.")
    attributes: dict[str, Any] = Field(examples=[{"label": "3", "split": "train"}])
    thumbnail: str | None = Field(description="Where its picture is.")
    vector: list[float] | None = None
    space: str | None = Field(None, description="The shard that holds it, where several are served as one.")


class Lost(BaseModel):
    """A shard that did not answer."""

    space: str = Field(examples=["shard-1"])
    reason: str


class Whole(BaseModel):
    """Of shards that are served as one: whether the answer lacks what some of them hold, and why."""

    partial: bool | None = Field(None, description="Absent where a space is served by itself.")
    lost: list[Lost] | None = None


class ItemPage(Whole):
    """Some items in row order, of `matches` that satisfy the condition."""

    items: list[Item]
    matches: int
    offset: int
    limit: int


class Sheet(BaseModel):
    """Which pictures."""

    ids: list[str] = Field(max_length=400, examples=[["17", "18"]])
    size: int = Field(48, ge=16, le=128)


def place_of(held: Held, id: str) -> int:
    """Where the item stands."""
    found = held.place.get(id)
    if found is None:
        raise Problem("not-found", f"there is no item {id[:200]!r} in this space", "GET ids lists them")
    return found


def told(here: Served, held: Held, positions: Sequence[int]) -> list[dict[str, Any]]:
    """Items as they are answered."""
    pictures = held.manifest["domain"] == "images"
    return [
        {
            "id": held.ids[at],
            "position": int(at),
            "attributes": attributes,
            "thumbnail": picture_of(here, held.ids[at]) if pictures else None,
            **held.whose(at),
        }
        for at, attributes in zip(positions, held.attributes(positions), strict=True)
    ]


def told_lost(here: Served, lost: Mapping[str, str]) -> dict[str, Any]:
    """What an answer of shards says of those whose items it lacks, as `semblance search --json` does."""
    if here.one:
        return {}
    return {"partial": bool(lost), "lost": [{"space": name, "reason": reason} for name, reason in lost.items()]}


def picture_of(here: Served, id: str) -> str:
    """The address of an item's picture."""
    if id in (".", ".."):
        return f"/api/spaces/{here.name}/thumbnail?id={id}"
    return f"/api/spaces/{here.name}/thumbnails/{quote(id, safe='', errors='replace')}"


@router.get("/api/spaces/{space}/items", response_model=ItemPage, responses=ERRORS)
async def items(
    here: Here,
    where: Condition = None,
    limit: Annotated[int, Query(ge=0, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
) -> Response:
    """Items that satisfy a condition, in row order."""

    def tell(held: Held) -> Response:
        rows = held.rows(where)
        some = told(here, held, rows[offset : offset + limit].tolist())
        said = {"items": some, "matches": len(rows), "offset": offset, "limit": limit}
        return answer({**said, **told_lost(here, held.lost)}, held.headers)

    return await reading(here, tell)


async def _item(here: Served, id: str, vector: bool) -> Response:
    held = await newest(here)
    at = place_of(held, id)
    (found,) = told(here, held, [at])
    if vector:
        found["vector"] = (await reading(here, lambda now: now.view.vectors([place_of(now, id)])[0])).tolist()
    return answer(found, held.headers)


@router.get("/api/spaces/{space}/items/{id:path}", response_model=Item, responses=ERRORS)
async def item(here: Here, id: str, vector: bool = False) -> Response:
    """One item by its id."""
    return await _item(here, id, vector)


@router.get("/api/spaces/{space}/item", response_model=Item, responses=ERRORS)
async def item_of(here: Here, id: Annotated[str, Query(max_length=4_000)], vector: bool = False) -> Response:
    """The same; for ids that no address can end with."""
    return await _item(here, id, vector)


@router.get("/api/spaces/{space}/thumbnails/{id:path}", responses=PICTURE)
async def thumbnail(request: Request, here: Here, id: str, size: Size = 96) -> Response:
    """An item's picture, no larger than `size`; none is enlarged."""

    def tell(held: Held) -> Response:
        place_of(held, id)
        content = held.view.thumbnail(id)
        if content is None or not content.startswith(PNG):
            raise Problem("not-found", f"item {id[:200]!r} has no picture", "only spaces of images have them")
        tag = f'"{hashlib.blake2b(content, digest_size=8).hexdigest()}-{size}"'
        if request.headers.get("if-none-match") == tag:
            return cached(request, tag, b"", "image/png")
        return cached(request, tag, shrunk(content, size), "image/png")

    return await reading(here, tell)


@router.get("/api/spaces/{space}/thumbnail", responses=PICTURE)
async def thumbnail_of(
    request: Request, here: Here, id: Annotated[str, Query(max_length=4_000)], size: Size = 96
) -> Response:
    """The same; for ids that no address can end with."""
    return await thumbnail(request, here, id, size)


@router.post("/api/spaces/{space}/sheet", responses=PICTURE)
async def sheet(here: Here, asked: Sheet) -> Response:
    """Many pictures as one: `X-Sheet` says the columns, the rows, and which cells are empty."""

    def tell(held: Held) -> Response:
        columns = max(1, math.ceil(math.sqrt(len(asked.ids))))
        rows = max(1, math.ceil(len(asked.ids) / columns))
        drawn = Image.new("RGBA", (columns * asked.size, rows * asked.size))
        empty = []
        for number, id in enumerate(asked.ids):
            content = held.view.thumbnail(id) if id in held.place else None
            image = None if content is None else opened(content)
            if image is None:
                empty.append(number)
                continue
            image.thumbnail((asked.size, asked.size))
            corner = number % columns * asked.size, number // columns * asked.size
            margin = (asked.size - image.width) // 2, (asked.size - image.height) // 2
            drawn.paste(image.convert("RGBA"), (corner[0] + margin[0], corner[1] + margin[1]))
        out = io.BytesIO()
        drawn.save(out, "PNG", compress_level=1)
        said = {"columns": columns, "rows": rows, "size": asked.size, "empty": empty}
        return Response(out.getvalue(), headers={**held.headers, "X-Sheet": json.dumps(said)}, media_type="image/png")

    return await reading(here, tell)


def opened(content: bytes) -> Image.Image | None:
    """A stored picture; None for what is no PNG, or larger than any that Semblance stores."""
    if not content.startswith(PNG):
        return None
    try:
        image = Image.open(io.BytesIO(content), formats=("PNG",))
        if max(image.size) > WIDEST:
            return None
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return image


def shrunk(content: bytes, size: int) -> bytes:
    """The picture, at most this many pixels a side; as it is where it is small enough."""
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))  # the head of every PNG
    if max(width, height) <= size:
        return content
    image = opened(content)
    if image is None:
        raise Problem("not-found", "the stored picture cannot be read", "add the item again")
    image.thumbnail((size, size))
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()
