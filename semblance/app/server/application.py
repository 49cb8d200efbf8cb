"""Application: the parts of the server put together, for `semblance serve` and for whoever serves it otherwise."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from semblance import __version__
from semblance.app.server import (
    comparing,
    explaining,
    facets,
    items,
    labelling,
    listing,
    login,
    maps,
    metrics,
    page,
    problems,
    rankings,
    searching,
    selecting,
    views,
    working,
)
from semblance.app.server.answers import answer
from semblance.app.server.decoding import PIXELS
from semblance.app.server.guard import UPLOAD, Guard
from semblance.app.server.hosts import Hosts
from semblance.app.server.jobs import Job, Jobs
from semblance.app.server.searching import MOST
from semblance.app.server.spaces import Served, Spaces
from semblance.app.server.state import Server, Us
from semblance.app.server.tokens import Tokens
from semblance.errors import SemblanceError

log = logging.getLogger(__name__)
router = APIRouter(tags=["server"])
PATIENCE = 10.0
"""Seconds that a start waits for its spaces to be read; a longer reading goes on behind it."""
ABOUT = """Search, label and compare spaces of embeddings. Every answer about rows names their order in `X-Rows` and the
version of the space in `X-Version`; errors are problem details (RFC 9457)."""


def application(
    paths: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    hosts: Iterable[str] = (),
    token: str | None = None,
    read_only: bool = False,
    root: Path | None = None,
) -> Any:
    """The ASGI application over these space folders.

    host: what it will be bound to, and `hosts` further names by which it may be asked for. token: what to show where it is
    given. root: the folder whose data jobs may read and where they write (default: the current one).
    """
    spaces = Spaces(paths, read_only)

    def finished(job: Job) -> None:
        if "space" in job.result:
            job.space = spaces.add(Path(str(job.result["space"]))).name
        if "ranking" in job.result:
            job.ranking = Path(str(job.result["ranking"])).name.removesuffix(".rank")

    where = (root or Path.cwd()).resolve()
    server = Server(spaces, Jobs(where, finished), where, Tokens(token) if token else None)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(_warm(server))
        try:
            await asyncio.wait({warming}, timeout=PATIENCE)  # who is told the address finds the first page ready
            yield
        finally:
            warming.cancel()
            await run_in_threadpool(server.close)

    app = FastAPI(
        title="Semblance", version=__version__, description=ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.state.server = server
    problems.install(app)
    parts = (
        items,
        searching,
        listing,
        maps,
        facets,
        labelling,
        selecting,
        views,
        comparing,
        explaining,
        working,
        rankings,
    )
    app.include_router(router)  # in the order of how often they are asked: addresses are tried one after the other
    for part in (*parts, login, metrics, page):  # the page last: what no other address means is its own
        app.include_router(part.router)
    guarded = Guard(app, Hosts(host, hosts), server.tokens)
    counted = metrics.Counting(guarded, server.metrics)
    counted.server = server  # type: ignore[attr-defined]  # for who stops it
    return counted


async def _warm(server: Server) -> None:
    """Reads the spaces and their maps before anybody asks, so that the first page need not wait."""
    for served in server.spaces:
        try:
            await run_in_threadpool(_read, served)
        except SemblanceError as error:
            log.warning("%s", error)
        except Exception:  # whatever it is, whoever asks next is told, and the server is there for the other spaces
            log.exception("%s could not be read", served.name)


def _read(served: Served) -> None:
    held = served.held()
    maps.pca_of(served, held)
    for name in held.arrays:
        held.column(name)


@router.get("/healthz")
async def healthz(us: Us) -> Response:
    """Whether the server answers."""
    return answer({"status": "ok", "version": __version__, "spaces": len(us.spaces)})


@router.get("/api/server")
async def about(us: Us) -> Response:
    """What this server is and allows."""
    from semblance.data.named import data_list

    limits = {"upload_bytes": UPLOAD, "upload_pixels": PIXELS, "k": MOST, "page": 500}
    sets = [row.name for row in data_list() if row.present]
    said = {"name": "semblance", "version": __version__, "read_only": us.read_only, "login": us.tokens is not None}
    return answer({**said, "domain_sets": sets, "limits": limits})
