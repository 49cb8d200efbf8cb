"""Searching: the nearest items to an item, to a vector or to a file, inside a condition or a selection; and their votes.

The answer says how it was found (`plan`), at which recall, among how many. Text that is not the id of an item is refused
here, before the library could take it for the path of a file of this machine.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from fastapi import APIRouter, File, Form, UploadFile
from pydantic import BaseModel, Field, model_validator
from starlette.responses import Response

from semblance.app.server import decoding
from semblance.app.server.answers import answer
from semblance.app.server.held import LONGEST, Held, lacking
from semblance.app.server.items import Whole, place_of, told, told_lost
from semblance.app.server.listing import uploads
from semblance.app.server.problems import Problem
from semblance.app.server.selecting import ids_of
from semblance.app.server.spaces import Served
from semblance.app.server.state import ERRORS, Here, Server, Us, reading
from semblance.memory.exact import scan
from semblance.memory.fused.planner import checked_recall

router = APIRouter(tags=["search"])
T = TypeVar("T")
MOST = 1_000
WIDEST = 100_000


class Query(BaseModel):
    """What is asked: one of id and vector."""

    id: str | None = Field(None, max_length=4_000, examples=["17"])
    vector: list[float] | None = Field(None, max_length=WIDEST)
    text: str | None = Field(None, max_length=10_000)
    where: str | None = Field(None, max_length=LONGEST, examples=["split = 'train'"])

    @model_validator(mode="after")
    def one(self) -> Query:
        given = [name for name in ("id", "vector", "text") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of id, vector and text, not {' and '.join(given) or 'none'}")
        return self


class Search(Query):
    """A search."""

    k: int = Field(10, ge=1, le=MOST)
    recall: float = Field(0.95, gt=0, le=1, description="The share of the true nearest that is to be found; 1: all.")
    selection: str | None = Field(None, description="The name of a selection: only its items are looked at.")


class Ballot(Query):
    """A vote."""

    k: int | None = Field(None, ge=1, le=MOST)
    votes: Literal["rank", "plain", "distance", "softmax"] | None = None


class Hit(BaseModel):
    """One near item."""

    id: str
    position: int
    distance: float
    attributes: dict[str, Any]
    thumbnail: str | None
    space: str | None = Field(None, description="The shard that holds it, where several are served as one.")


class Answer(Whole):
    """What was found, nearest first, and how."""

    hits: list[Hit]
    plan: str = Field(examples=["exact scan of 1,797 of 1,797 items"])
    recall: float
    matches: int
    seconds: float
    geometry: str = Field(examples=["cosine"])


class Uploaded(Answer):
    vector: list[float] = Field(description="What the file became: classify it by this.")
    thumbnail: str | None = Field(description="The file as it was read, as a data: address.")


class Voter(BaseModel):
    """A neighbour that voted."""

    id: str
    position: int | None
    label: str
    distance: float
    share: float


class Votes(BaseModel):
    """The label with the most votes, its share, and who voted."""

    label: str
    share: float
    shares: dict[str, float]
    neighbours: list[Voter]


async def searched(us: Server, work: Callable[[], T]) -> T:
    """Work that the two threads for searches do."""
    return await asyncio.get_running_loop().run_in_executor(us.searchers, work)


def vector_of(here: Served, held: Held, asked: Query) -> tuple[np.ndarray, int | None]:
    """The query in the space's geometry, and where it stands if it is an item."""
    if asked.id is not None:
        at = place_of(held, asked.id)
        return held.view.vectors([at])[0], at
    if asked.text is not None and (held.manifest["domain"] == "text" or held.manifest.get("words")):
        return here.space.read_words([asked.text])[0], None
    if asked.vector is None:
        raise Problem("not-built", "this space reads no text as a query", "search by id, by vector or by a file")
    with np.errstate(over="ignore"):
        given = np.asarray(asked.vector, np.float32)
    check_width(held, given)
    return here.space._vector(held.view, given)[0], None


def check_width(held: Held, given: np.ndarray) -> None:
    """A vector is the space's own, unless a model may make one of it."""
    dim = held.manifest["dim"]
    if len(given) != dim and (held.manifest["model"] is None or not len(given)):
        raise Problem(
            "bad-request", f"the query has {len(given)} numbers and the space {dim} dimensions", f"give {dim}"
        )


def nearest(
    here: Served, held: Held, vector: np.ndarray, itself: int | None, k: int, where: str | None, recall: float,
    selection: str | None,
) -> dict[str, Any]:  # fmt: skip
    """The answer of one version."""
    begun, lost = time.perf_counter(), dict(held.lost)
    more = k + (itself is not None)
    if selection is None:
        found, lost = here.near(held, vector[None], more, where, recall)
        positions, distances, plan, reached = found.positions[0], found.distances[0], found.plan, found.recall
        counts_itself = itself is not None and (where is None or bool(held.mask(where)[itself]))
        matches = found.matches - counts_itself
    else:
        inside = np.array(sorted(held.place[id] for id in ids_of(here, selection) if id in held.place), np.int64)
        if where is not None:
            inside = inside[held.mask(where)[inside]]
        inside = held.readable(inside)
        if len(inside):
            near, far = scan(held.view.source, inside, vector[None], more, str(held.manifest["geometry"]))
            positions, distances = near[0], far[0]
        else:
            positions, distances = np.empty(0, np.int64), np.empty(0, np.float32)
        plan, reached = f"exact scan of the {len(inside):,} items of selection {selection!r}", 1.0
        matches = len(inside) - int(itself is not None and bool((inside == itself).any()))
    others = positions != (-1 if itself is None else itself)
    rows = positions[others][:k].tolist()
    hits = told(here, held, rows)
    for hit, distance in zip(hits, distances[others][:k].tolist(), strict=True):
        hit["distance"] = distance
    said = {"hits": hits, "plan": plan, "recall": reached, "matches": int(matches)}
    said |= {"seconds": time.perf_counter() - begun, "geometry": held.manifest["geometry"]}
    return {**said, **told_lost(here, lost)}


def headers_of(held: Held, found: dict[str, Any]) -> dict[str, str]:
    """With those that were lost in the middle of the search."""
    return {**held.headers, **lacking({one["space"]: one["reason"] for one in found.get("lost", ())})}


@router.post("/api/spaces/{space}/search", response_model=Answer, responses=ERRORS)
async def search(here: Here, us: Us, asked: Search) -> Response:
    """The nearest items."""

    def tell(held: Held) -> Response:
        vector, itself = vector_of(here, held, asked)
        recall = checked_recall(asked.recall)
        found = nearest(here, held, vector, itself, asked.k, asked.where, recall, asked.selection)
        return answer(found, headers_of(held, found))

    return await searched(us, lambda: here.reading(tell))


@router.post("/api/spaces/{space}/search/upload", response_model=Uploaded, responses=ERRORS)
async def upload(
    here: Here,
    us: Us,
    file: Annotated[UploadFile, File(description="An image, or for a space of vectors one vector as .npy.")],
    where: Annotated[str | None, Form(max_length=LONGEST)] = None,
    k: Annotated[int, Form(ge=1, le=MOST)] = 10,
) -> Response:
    """The nearest items to a file, which is decoded in a process of its own and not kept."""
    content = await file.read()

    def tell(held: Held) -> Response:
        if not uploads(held):
            raise Problem(
                "unsupported-media",
                f"space {here.name!r} holds {held.manifest['domain']} and no model that reads a file",
                "search by id or by vector",
            )
        picture = None
        if held.manifest["domain"] == "images":
            model = here.space.model
            pixels, picture = decoding.image(content, tuple(model.shape.item))
            vector = model.embed(pixels[None])[0]
        else:
            given = decoding.vector(content)
            check_width(held, given)
            vector = here.space._vector(held.view, given)[0]
        found = nearest(here, held, vector, None, k, where or None, 0.95, None)
        shown = None if picture is None else "data:image/png;base64," + base64.b64encode(picture).decode()
        return answer({**found, "vector": vector.tolist(), "thumbnail": shown}, headers_of(held, found))

    return await reading(here, tell)


@router.post("/api/spaces/{space}/classify", response_model=Votes, responses=ERRORS)
async def classify(here: Here, us: Us, asked: Ballot) -> Response:
    """What the nearest labelled items vote, and which of them votes what."""

    def tell(held: Held) -> Response:
        here.check_one("a vote")
        vector, itself = vector_of(here, held, asked)
        query: Any = vector if itself is None else held.ids[itself]
        decision: Any = here.space.vote(query, asked.k, asked.votes, where=asked.where)  # one query, one decision
        said = decision.to_dict()
        for voter in said["neighbours"]:
            voter["position"] = held.place.get(voter["id"])
        return answer({**said, "share": decision.share}, held.headers)

    return await searched(us, lambda: here.reading(tell))
