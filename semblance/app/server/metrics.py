"""Metrics: counts and times of requests, spaces, jobs and memory in Prometheus' text format."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from semblance.app.server.state import Server

router = APIRouter(tags=["server"])
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What was asked so far, by route and status."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.started = time.time()
        self.answered: dict[tuple[str, str, int], int] = defaultdict(int)
        self.within: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS) + 1))
        self.seconds: dict[str, float] = defaultdict(float)
        self.partial: dict[str, int] = defaultdict(int)

    def count(self, method: str, route: str, status: int, seconds: float, partial: bool = False) -> None:
        with self._lock:
            self.partial[route] += partial
            self.answered[method, route, status] += 1
            self.seconds[route] += seconds
            self.within[route][sum(seconds > bound for bound in BOUNDS)] += 1

    def text(self, server: Server) -> str:
        """All of it."""
        out = ["# HELP semblance_requests_total Requests answered.", "# TYPE semblance_requests_total counter"]
        with self._lock:
            answered, within = dict(self.answered), {route: list(counts) for route, counts in self.within.items()}
            seconds, partial = dict(self.seconds), dict(self.partial)
        for (method, route, status), count in sorted(answered.items()):
            labels = f'method="{method}",route="{_quoted(route)}",status="{status}"'
            out.append(f"semblance_requests_total{{{labels}}} {count}")
        out += ["# HELP semblance_request_seconds How long answers took.", "# TYPE semblance_request_seconds histogram"]
        for route, counts in sorted(within.items()):
            name, total = _quoted(route), 0
            for bound, count in zip((*BOUNDS, "+Inf"), counts, strict=True):
                total += count
                out.append(f'semblance_request_seconds_bucket{{route="{name}",le="{bound}"}} {total}')
            out.append(f'semblance_request_seconds_sum{{route="{name}"}} {seconds[route]:.6f}')
            out.append(f'semblance_request_seconds_count{{route="{name}"}} {total}')
        out += ["# HELP semblance_partial_answers_total Answers that lack what a lost shard holds."]
        out += ["# TYPE semblance_partial_answers_total counter"]
        out += [f'semblance_partial_answers_total{{route="{_quoted(r)}"}} {n}' for r, n in sorted(partial.items()) if n]
        out += ["# HELP semblance_shards_lost Shards that could not be read.", "# TYPE semblance_shards_lost gauge"]
        for served in server.spaces:
            if not served.one and served.last is not None:
                out.append(f'semblance_shards_lost{{space="{served.name}"}} {len(served.last.lost)}')
        out += ["# HELP semblance_items Items of a space that is in memory.", "# TYPE semblance_items gauge"]
        for served in server.spaces:
            held = served.last
            if held is not None:
                out.append(f'semblance_items{{space="{served.name}"}} {len(held)}')
        out += ["# HELP semblance_jobs Jobs by state.", "# TYPE semblance_jobs gauge"]
        for state, count in server.jobs.counts().items():
            out.append(f'semblance_jobs{{state="{state}"}} {count}')
        memory = _resident()
        if memory is not None:
            out += ["# TYPE process_resident_memory_bytes gauge", f"process_resident_memory_bytes {memory}"]
        out += ["# TYPE process_start_time_seconds gauge", f"process_start_time_seconds {self.started:.3f}"]
        return "\n".join(out) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _resident() -> int | None:
    """Bytes of memory this process holds, where the system tells."""
    import os

    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


class Counting:
    """Counts what passes through the application, by route: never by address, of which there is no end."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status, partial = time.perf_counter(), 500, False

        async def sent(message: Message) -> None:
            nonlocal status, partial
            if message["type"] == "http.response.start":
                status = message["status"]
                partial = any(name.lower() == b"x-lost" for name, _ in message["headers"])
            await send(message)

        try:
            await self.app(scope, receive, sent)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in {"GET", "POST", "DELETE", "HEAD"} else "other"
            self.metrics.count(method, route, status, time.perf_counter() - begun, partial)


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
)
async def metrics(request: Request) -> Response:
    """Counts for Prometheus."""
    server: Server = request.app.state.server
    return Response(server.metrics.text(server), media_type=TEXT)
