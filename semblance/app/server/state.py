"""State: what the parts of the server share, and how an address finds its space."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi import Path as InPath
from starlette.concurrency import run_in_threadpool

from semblance.app.server.held import Held
from semblance.app.server.jobs import Jobs
from semblance.app.server.metrics import Metrics
from semblance.app.server.problems import ProblemDetails
from semblance.app.server.spaces import Served, Spaces
from semblance.app.server.tokens import Tokens

T = TypeVar("T")


@dataclass
class Server:
    """One running server. `root` is the folder whose data jobs may read, and where they write."""

    spaces: Spaces
    jobs: Jobs
    root: Path
    tokens: Tokens | None = None
    metrics: Metrics = field(default_factory=Metrics)
    # Searches in two threads: more would only take turns, and the last would wait for all of them.
    searchers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "search"))

    @property
    def read_only(self) -> bool:
        return self.spaces.read_only

    def close(self) -> None:
        """Ends the jobs, then gives the spaces back."""
        self.jobs.close()
        self.searchers.shutdown()
        self.spaces.close()


def server_of(request: Request) -> Server:
    found: Server = request.app.state.server
    return found


async def _server(request: Request) -> Server:
    return server_of(request)


async def _served(
    request: Request,
    space: Annotated[str, InPath(description="The name of a space.", examples=["digits"], max_length=80)],
) -> Served:
    return server_of(request).spaces[space]


Here = Annotated[Served, Depends(_served)]
Us = Annotated[Server, Depends(_server)]
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ProblemDetails, "content": {"application/problem+json": {}}} for code in (404, 410, 422, 503)
}
WRITES: dict[int | str, dict[str, Any]] = {**ERRORS, 403: ERRORS[404], 409: ERRORS[404]}
BINARY: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
    **ERRORS,
}


async def newest(served: Served) -> Held:
    """The newest version; at once where it was asked for a moment ago, else by a thread."""
    found = served.fresh()
    return found if found is not None else await run_in_threadpool(served.held)


async def reading(served: Served, work: Callable[[Held], T]) -> T:
    """Work of some milliseconds or more over one version, in a thread."""
    return await run_in_threadpool(served.reading, work)
