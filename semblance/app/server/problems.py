"""Problems: whatever goes wrong, as one JSON object that says what, why and what to do (RFC 9457, problem details).

    {"type": "/problems/KIND", "title": ..., "status": ..., "detail": ..., "remedy": ...}

A `SemblanceError` carries its remedy behind a colon; what nobody foresaw is logged here and told without its insides.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from semblance.app.server.answers import encoded
from semblance.errors import Failed, SemblanceError

log = logging.getLogger(__name__)
MEDIA = "application/problem+json"
KINDS: dict[str, tuple[int, str]] = {
    "bad-request": (422, "The request cannot be answered as it is"),
    "unreadable": (400, "The request cannot be read"),
    "token": (401, "A token is needed"),
    "forbidden": (403, "Refused"),
    "not-found": (404, "There is nothing of this name"),
    "not-allowed": (405, "This address takes another method"),
    "conflict": (409, "The space has changed meanwhile"),
    "gone": (410, "The space is gone"),
    "too-large": (413, "Too large"),
    "unsupported-media": (415, "This kind of content is not read here"),
    "too-many": (429, "Too many attempts"),
    "failed": (500, "The work failed"),
    "not-built": (501, "This version cannot do that"),
    "lost": (503, "A shard of the space cannot be read"),
    "busy": (503, "The space is being written by another program"),
}


class Problem(SemblanceError):
    """A refusal with its kind; `remedy` is what the caller can do."""

    def __init__(self, kind: str, detail: str, remedy: str = "", **more: Any):
        super().__init__(detail)
        self.kind, self.detail, self.remedy, self.more = kind, detail, remedy, more
        self.status, self.title = KINDS[kind]


class ProblemDetails(BaseModel):
    """RFC 9457: what went wrong, and what to do."""

    type: str = Field(examples=["/problems/not-found"])
    title: str
    status: int
    detail: str
    remedy: str = ""


def content_of(problem: Problem) -> dict[str, Any]:
    """The JSON object of a problem."""
    said = {"type": f"/problems/{problem.kind}", "title": problem.title, "status": problem.status}
    return {**said, "detail": problem.detail, "remedy": problem.remedy, **problem.more}


def response_of(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    more = {"Retry-After": str(problem.more["seconds"])} if problem.kind == "too-many" else {}
    if problem.kind == "token":
        more["WWW-Authenticate"] = 'Bearer realm="semblance"'
    return Response(encoded(content_of(problem)), problem.status, {**more, **(headers or {})}, MEDIA)


def problem_of(error: SemblanceError) -> Problem:
    """A mistake of the library's as a problem: what it says in front of the last colon, and behind it what to do."""
    if isinstance(error, Problem):
        return error
    text = " ".join(str(error).split())
    said, colon, remedy = text.rpartition(": ")
    remedy = remedy if colon and said else ""
    if isinstance(error, Failed):
        kind = "busy" if "is writing this space" in text or "is held by another program" in text else "failed"
        return Problem(kind, text, remedy)
    return Problem("not-found" if text.startswith("there is no ") else "bad-request", text, remedy)


def install(app: FastAPI) -> None:
    """Every error of the application becomes a problem."""

    @app.exception_handler(SemblanceError)
    async def mistaken(request: Request, error: SemblanceError) -> Response:
        problem = problem_of(error)
        if problem.status == 500:
            log.warning("%s %s: %s", request.method, request.url.path, problem.detail)
        # Where things lie on this machine is nobody's business but its own: a space is known by its name.
        for served in request.app.state.server.spaces:
            problem.detail = problem.detail.replace(str(served.path), served.name)
            problem.remedy = problem.remedy.replace(str(served.path), served.name)
        return response_of(problem)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [{"where": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()[:20]]
        first = f"{errors[0]['where']}: {errors[0]['message']}" if errors else "the request is not as described"
        return response_of(Problem("bad-request", first, "see /openapi.json", errors=errors))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        kinds = {404: "not-found", 405: "not-allowed", 413: "too-large", 415: "unsupported-media"}
        kind = kinds.get(error.status_code, "unreadable" if error.status_code < 500 else "failed")
        detail = f"there is nothing at {request.url.path}" if error.status_code == 404 else str(error.detail)
        return response_of(Problem(kind, detail, "see /openapi.json"), error.headers)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        log.error("%s %s", request.method, request.url.path, exc_info=error)
        return response_of(Problem("failed", f"internal error, {type(error).__name__}", "see the log of the server"))
