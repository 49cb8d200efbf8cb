"""Working: jobs that are started, watched and stopped over HTTP.

What a job reads is a known set or lies in the folder where the server was started, and what it makes is new there: a name
that is taken is refused, so that nothing is written over.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from semblance.app.server.answers import answer, encoded
from semblance.app.server.jobs import ENDED, Job, Jobs
from semblance.app.server.problems import Problem, ProblemDetails
from semblance.app.server.state import Server, Us
from semblance.errors import SemblanceError

router = APIRouter(tags=["jobs"])
MISSING: dict[int | str, dict[str, Any]] = {code: {"model": ProblemDetails} for code in (403, 404, 422, 429)}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SILENCE, LOOKS = 15.0, 0.1
"""Seconds after which a stream says that it is alive; between two looks for news."""


class Start(BaseModel):
    """What to do."""

    kind: Literal["fit", "rank"] = Field(examples=["fit"])
    data: str = Field(
        max_length=1_000, examples=["digits"], description="A known set, or a path under the server's folder."
    )
    recipe: str | None = Field(None, max_length=100, examples=["supcon"])
    recipes: list[str] | None = Field(None, max_length=20)
    epochs: int | None = Field(None, ge=0, le=100_000)
    seeds: int | None = Field(None, ge=1, le=20)
    seed: int = Field(0, ge=0, lt=1 << 31)
    label: str | None = Field(None, max_length=200)
    domain: str | None = Field(None, max_length=40)
    name: str | None = Field(None, max_length=64, description="What the result is called.")
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict, max_length=50)


@router.post("/api/jobs", status_code=202, responses=MISSING)
async def start(us: Us, asked: Start) -> Response:
    """Start a fit or a ranking; it waits until the one before it is done."""
    return answer((await run_in_threadpool(begun, us, asked)).to_dict(), status=202)


def begun(us: Server, asked: Start) -> Job:
    """Everything checked that can be before the work starts."""
    from semblance.recipes.registry import check_settings

    if us.read_only:
        raise Problem("forbidden", "this server only reads", "start it without --read-only")
    if asked.settings and (asked.kind == "rank" or asked.recipe is None):
        raise SemblanceError("settings are those of one recipe: name the recipe of a fit, or leave them out")
    for recipe in filter(None, [asked.recipe, *(asked.recipes or ())]):
        check_settings(recipe, asked.settings if recipe == asked.recipe else {})
    data = data_of(us.root, asked.data)
    name = asked.name or re.sub("[^A-Za-z0-9._-]+", "-", Path(asked.data).stem).strip(".-_")[:50] or "data"
    if not NAME.fullmatch(name):
        raise SemblanceError(f"name {name!r} is none for a folder: letters, digits, points, _ and -, a letter first")
    out = us.root / f"{name}.{'space' if asked.kind == 'fit' else 'rank'}"
    number = 2
    while asked.name is None and out.exists():
        out, number = out.with_name(f"{name}-{number}{out.suffix}"), number + 1
    if out.exists():
        raise Problem("conflict", f"{out.name} is there already", "give another name")
    spec = {**asked.model_dump(exclude={"kind", "name", "data"}), "data": data, "out": str(out)}
    said = asked.recipe or ", ".join(asked.recipes or ()) or "the usual methods"
    told = asked.model_dump(exclude_none=True)
    return us.jobs.start(asked.kind, f"{asked.kind} {asked.data}: {said}", spec, told)


def data_of(root: Path, given: str) -> str:
    """The name of a known set, or a path that lies under the root whatever links it goes through."""
    from semblance.data.named import data_list

    known = {row.name for row in data_list()}
    if given in known:
        return given
    try:
        path = (root / given).resolve()
        inside = path.is_relative_to(root) and path != root and path.exists()
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise Problem(
            "forbidden" if given.startswith(("/", "~")) or ".." in given else "not-found",
            f"{given[:200]!r} is neither a known set nor data in the folder where the server was started",
            "name a set from GET /api/server, or a path in that folder",
        )
    return str(path)


@router.get("/api/jobs")
async def jobs(us: Us) -> Response:
    """All jobs, newest first."""
    return answer({"jobs": [job.to_dict() for job in us.jobs.all()]})


@router.get("/api/jobs/{id}", responses=MISSING)
async def job(us: Us, id: str) -> Response:
    """One job."""
    return answer(us.jobs[id].to_dict())


@router.delete("/api/jobs/{id}", responses={**MISSING, 204: {"description": "It had ended, and is forgotten."}})
async def stop(us: Us, id: str) -> Response:
    """Stop a job, which saves what it can; forget one that has ended."""
    found = us.jobs[id]
    if us.read_only and found.kind in ("fit", "rank"):
        raise Problem("forbidden", "this server only reads", "start it without --read-only")
    if found.state in ENDED:
        us.jobs.forget(found)
        return Response(status_code=204)
    us.jobs.stop(found)
    return answer(found.to_dict())


@router.get(
    "/api/jobs/{id}/events",
    responses={**MISSING, 200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(us: Us, id: str, last_event_id: Annotated[str | None, Header(max_length=20)] = None) -> Response:
    """What happens, as it happens (server-sent events); `Last-Event-ID` goes on behind it."""
    seen = (
        int(last_event_id) + 1
        if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit()
        else 0
    )
    told = stream(us.jobs, us.jobs[id], seen)
    return StreamingResponse(told, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def stream(jobs: Jobs, job: Job, seen: int) -> AsyncIterator[bytes]:
    """Events from number `seen` on, until the job or the server ends."""
    silent = 0.0
    yield b": listening\n\n"  # a browser takes a stream for open when the first bytes come
    while True:
        while seen < len(job.events):
            name, content = job.events[seen]
            yield b"id: %d\nevent: %s\ndata: %s\n\n" % (seen, name.encode(), encoded(content))
            seen, silent = seen + 1, 0.0
            if name in ENDED:
                return
        if jobs.closing or job.state in ENDED:
            return
        await asyncio.sleep(LOOKS)
        silent += LOOKS
        if silent >= SILENCE:
            silent = 0.0
            yield b": still here\n\n"


@router.get("/api/recipes")
async def recipes(domain: str | None = None) -> Response:
    """Recipes that can be run."""

    from semblance.recipes.registry import table

    rows = [
        {"name": name, "title": row.paper or name, "domains": list(row.domains), "needs": list(row.needs)}
        for name, row in table().items()
        if row.makes and (domain is None or domain in row.domains)
    ]
    return answer({"recipes": rows})


def as_json(line: str) -> dict[str, Any] | None:
    """A line of a log; None for one that a kill tore."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
