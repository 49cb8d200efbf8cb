"""Guard: what a request has to pass before anybody reads it, in this order, and what every answer carries.

    host     the Host header is one of ours (hosts.py)
    origin   no page of somebody else asked
    token    where one is needed (tokens.py); without it, `/healthz` and the way to log in are all there is
    body     not longer than its address takes, and sent within a time

Answers carry a content-security-policy without inline scripts, may not be framed, guessed at or read by other pages.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from semblance.app.server import login
from semblance.app.server.hosts import Hosts, same_origin
from semblance.app.server.problems import Problem, response_of
from semblance.app.server.tokens import COOKIE, Tokens

UPLOAD, SENT, SHORT = 20 << 20, 16 << 20, 64 << 10
"""Bytes of an uploaded file, of any other body that is sent, and of a body where none is expected."""
PATIENCE = 30.0
"""Seconds within which the next piece of a body comes, and four times as long for all of it."""
AT_A_TIME = 8
"""Bodies that are taken in at a time: more wait."""
DRAINED = 64 << 20
"""Bytes of a body that is too long that are thrown away, so that its sender can read why."""
SAFE = {"GET", "HEAD", "OPTIONS"}
OPEN = {"/healthz", "/login.css", "/api/login"}
POLICY = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'", "data:", "blob:"],
    "connect-src": ["'self'"],
    "font-src": ["'self'"],
    "worker-src": ["'self'", "blob:"],
    "base-uri": ["'none'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
}


def policy(more: Mapping[str, list[str]] | None = None) -> str:
    """The content-security-policy, with what a page needs more."""
    joined = {name: [*values, *(more or {}).get(name, ())] for name, values in POLICY.items()}
    return "; ".join(f"{name} {' '.join(values)}" for name, values in joined.items())


CLOSED = policy()


class Guard:
    """The outermost part of the application but for the counting."""

    def __init__(self, app: ASGIApp, hosts: Hosts, tokens: Tokens | None = None):
        self.app, self.hosts, self.tokens = app, hosts, tokens
        self._taking = asyncio.Semaphore(AT_A_TIME)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        guarded = _with_headers(send)
        try:
            turned_away = self.turned_away(scope)
            if turned_away is not None:
                await turned_away(scope, receive, guarded)
                return
            receive = await self._taken(scope, receive)
        except Problem as problem:
            if problem.kind == "too-large":
                await _drained(receive)
            await response_of(problem, {"Connection": "close"})(scope, receive, guarded)
            return
        await self.app(scope, receive, guarded)

    def turned_away(self, scope: Scope) -> Response | None:
        """The answer to a request that may not come in; None for one that may."""
        headers, path = Headers(scope=scope), scope["path"]
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.hosts.knows(hosts[0]):
            named = hosts[0][:80] if hosts else ""
            told = "start it with --allow-host NAME where this name is yours"
            raise Problem("forbidden", f"this server is not called {named!r}", told)
        if (scope["method"] not in SAFE or path.startswith("/api/")) and not same_origin(
            hosts[0], headers.get("origin"), headers.get("sec-fetch-site")
        ):
            raise Problem("forbidden", "a page of another origin asked", "open the page of this server itself")
        if self.tokens is None or path in OPEN:
            return None
        if self.tokens.known(cookie_of(headers)):
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if given and scheme.lower() == "bearer":
            self.tokens.check(given.strip(), address_of(scope))
            return None
        if scope["method"] == "GET" and not path.startswith(("/api/", "/metrics", "/openapi.json", "/assets/")):
            return login.page()
        raise Problem(
            "token", "this server needs its token", "send it as `Authorization: Bearer TOKEN`, or log in at /"
        )

    async def _taken(self, scope: Scope, receive: Receive) -> Receive:
        """The whole body, so that nobody behind holds half of one."""
        headers = Headers(scope=scope)
        if scope["method"] in SAFE and "content-length" not in headers and "transfer-encoding" not in headers:
            return receive
        most = SHORT if scope["method"] in {*SAFE, "DELETE"} else SENT
        if scope["path"].endswith("/upload"):
            most = UPLOAD + SHORT  # what multipart wraps around a file
        if scope["path"] == "/api/login":
            most = SHORT
        told = headers.get("content-length", "0")
        if told.isdigit() and int(told[:20]) > most:
            raise _too_large(most)
        # Small ones do not wait for large ones: whoever may send no more than a token cannot keep the others waiting.
        async with self._taking if most > SHORT else contextlib.nullcontext():
            try:
                async with asyncio.timeout(4 * PATIENCE if most > SHORT else PATIENCE):
                    body = await _whole(receive, most)
            except TimeoutError:
                raise Problem("unreadable", "the body did not come within the time it has", "send it at once") from None
        return _again(body, receive)


async def _whole(receive: Receive, most: int) -> bytes:
    pieces, length = [], 0
    while True:
        async with asyncio.timeout(PATIENCE):
            message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem("unreadable", "the connection was closed within the body", "send it again")
        pieces.append(message.get("body", b""))
        length += len(pieces[-1])
        if length > most:
            raise _too_large(most)
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _drained(receive: Receive) -> None:
    """Lets who sends too much send a while longer: most read no answer before they have sent all."""
    left = DRAINED
    try:
        async with asyncio.timeout(PATIENCE / 3):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _again(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def told() -> Message:
        return waiting.pop() if waiting else await receive()

    return told


def _too_large(most: int) -> Problem:
    return Problem("too-large", f"the body has more than {most:,} bytes", "send less", most=most)


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Content-Security-Policy", CLOSED)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sent


def cookie_of(headers: Headers) -> str | None:
    """The cookie by which we know a browser."""
    try:
        found: Any = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else str(found.value)


def address_of(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"
