"""Login: a plain page that asks for the token, and the cookie that a browser gets for it."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse, RedirectResponse, Response

from semblance.app.server.problems import Problem, ProblemDetails
from semblance.app.server.tokens import COOKIE, Tokens

router = APIRouter(tags=["server"])
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Semblance</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/login.css"></head>
<body><main><h1>Semblance</h1>{said}
<form method="post" action="/api/login"><label for="token">Token of this server</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Open</button></form><p>It is in SEMBLANCE_TOKEN, or in the file named by --token-file, where the server was
started.</p></main></body></html>
"""
STYLE = """:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 0; min-height: 100vh; display: grid; place-items: center }
main { width: min(24rem, 90vw) } form { display: grid; gap: .5rem }
input, button { font: inherit; padding: .5rem } .wrong { color: light-dark(#a00, #f88) }
"""


class Login(BaseModel):
    """What a browser shows once."""

    token: str = Field(max_length=1_000, examples=["mW3k...the token of this server"])


def page(said: str = "", status: int = 401) -> Response:
    """The page that asks."""
    wrong = f'<p class="wrong" role="alert">{said}</p>' if said else ""
    return HTMLResponse(PAGE.format(said=wrong), status)


@router.get("/login.css", include_in_schema=False)
async def style() -> Response:
    return Response(STYLE, media_type="text/css")


@router.post(
    "/api/login",
    status_code=204,
    responses={401: {"model": ProblemDetails}, 429: {"model": ProblemDetails}},
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": Login.model_json_schema()}}}
    },
)
async def login(request: Request) -> Response:
    """Give the token, get a cookie. A form is answered by a page, JSON by nothing."""
    tokens: Tokens | None = request.app.state.server.tokens
    form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    given = _given(await request.body(), form)
    if tokens is not None:
        try:
            tokens.check(given, request.client.host if request.client else "unknown")
        except Problem as problem:
            if form:
                return page(f"{problem.detail}: {problem.remedy}.", problem.status)
            raise
    done = RedirectResponse("/", 303) if form else Response(status_code=204)
    if tokens is not None:
        done.set_cookie(COOKIE, tokens.let_in(), httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return done


@router.post("/api/logout", status_code=204)
async def logout(request: Request) -> Response:
    """The cookie counts no longer."""
    tokens: Tokens | None = request.app.state.server.tokens
    if tokens is not None:
        tokens.forget(request.cookies.get(COOKIE))
    done = Response(status_code=204)
    done.delete_cookie(COOKIE)
    return done


def _given(body: bytes, form: bool) -> str:
    try:
        found = {k: v[0] for k, v in parse_qs(body.decode(), max_num_fields=10).items()} if form else json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("token"), str):
        raise Problem("unreadable", "no token came", 'send {"token": "..."}')
    return str(found["token"])[:1_000]
