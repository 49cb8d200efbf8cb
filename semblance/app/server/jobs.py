"""Jobs: work that takes long, in a process of its own, told of as it goes on and stopped when asked.

    queued -> running -> done | failed | cancelled

Two run at a time at most, one of either sort: what a user starts (fit, rank), and what a page waits for (umap, neighbours).
The process (work.py) reads what to do from its input and writes one event a line; what else it prints is told as lines.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import semblance
from semblance.app.server.problems import Problem

log = logging.getLogger(__name__)
SORTS = {"fit": "asked", "rank": "asked", "umap": "derived", "neighbours": "derived"}
WAITING, KEPT, EVENTS, LINE = 20, 100, 5_000, 500
"""Jobs that may wait; that are remembered; events of one that are; letters of one printed line."""
ENDED = ("done", "failed", "cancelled")
GRACE = 8.0
"""Seconds between being asked to stop (and to save), and being made to."""


class Job:
    """One piece of work and what is known of it. `events` only grows: (name, content)."""

    def __init__(self, kind: str, title: str, spec: Mapping[str, Any], told: Mapping[str, Any], key: str):
        self.id, self.kind, self.title, self.spec, self.key = secrets.token_hex(8), kind, title, dict(spec), key
        self.request = dict(told)
        self.state = "queued"
        self.error: str | None = None
        self.space: str | None = None
        self.ranking: str | None = None
        self.done, self.total, self.text = 0, 1, ""
        self.created, self.begun, self.ended = time.time(), 0.0, 0.0
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.process: subprocess.Popen[str] | None = None
        self.stopping = False
        self.result: dict[str, Any] = {}

    def to_dict(self) -> dict[str, Any]:
        """As it is told."""
        names = (
            "id",
            "kind",
            "state",
            "title",
            "space",
            "ranking",
            "done",
            "total",
            "text",
            "error",
            "created",
            "request",
        )
        seconds = (self.ended or time.time()) - self.begun if self.begun else 0.0
        return {**{name: getattr(self, name) for name in names}, "seconds": round(seconds, 2)}

    def tell(self, name: str, content: dict[str, Any]) -> None:
        if name == "progress":
            self.done, self.total, self.text = content["done"], content["total"], content["text"]
        if len(self.events) < EVENTS or name in ENDED:
            self.events.append((name, content))


class Jobs:
    """All jobs of a server."""

    def __init__(self, root: Path, finished: Callable[[Job], None] = lambda job: None):
        self.root, self.finished = root, finished
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._lanes = {sort: ThreadPoolExecutor(1, f"job-{sort}") for sort in set(SORTS.values())}
        self.closing = False

    def start(self, kind: str, title: str, spec: Mapping[str, Any], told: Mapping[str, Any], key: str = "") -> Job:
        """Puts work in line. With a `key`: what waits or runs under the same one is that work."""
        with self._lock:
            if key:
                for job in self._jobs.values():
                    if job.key == key and job.kind == kind and job.state not in ENDED:
                        return job
            if self.closing or sum(job.state == "queued" for job in self._jobs.values()) >= WAITING:
                raise Problem("too-many", f"{WAITING} jobs wait already", "wait until some are done", seconds=60)
            job = Job(kind, title, {**spec, "kind": kind}, told, key)
            ended = [one.id for one in self._jobs.values() if one.state in ENDED]
            for old in ended[: max(0, len(self._jobs) + 1 - KEPT)]:
                del self._jobs[old]
            self._jobs[job.id] = job
        self._lanes[SORTS[kind]].submit(self._run, job)
        return job

    def last(self, kind: str, key: str) -> Job | None:
        """The newest job of this kind under this key."""
        with self._lock:
            found = [job for job in self._jobs.values() if job.kind == kind and job.key == key]
        return found[-1] if found else None

    def __getitem__(self, id: str) -> Job:
        with self._lock:
            if id not in self._jobs:
                raise Problem("not-found", f"there is no job {id[:32]!r}", "GET /api/jobs lists them")
            return self._jobs[id]

    def all(self) -> list[Job]:
        """Newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: -job.created)

    def counts(self) -> dict[str, int]:
        states = [job.state for job in self.all()]
        return {state: states.count(state) for state in ("queued", "running", *ENDED)}

    def stop(self, job: Job) -> None:
        """Asks a job to end; it saves what it can."""
        with self._lock:
            if job.state in ENDED:
                return
            job.stopping = True
            if job.state == "queued":
                self._end(job, "cancelled")
                return
        threading.Thread(target=_stop, args=(job,), daemon=True).start()

    def forget(self, job: Job) -> None:
        with self._lock:
            self._jobs.pop(job.id, None)

    def close(self) -> None:
        """Ends everything; returns when it has ended."""
        self.closing = True
        for job in self.all():
            self.stop(job)
        for lane in self._lanes.values():
            lane.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Job) -> None:
        with self._lock:
            if job.state != "queued" or self.closing:
                if job.state == "queued":
                    self._end(job, "cancelled")
                return
            job.state, job.begun = "running", time.time()
        try:
            state = self._work(job)
        except Exception as error:  # whatever it was, the next job has to run
            log.exception("job %s", job.id)
            state, job.error = "failed", f"{type(error).__name__}: {error}"
        with self._lock:
            self._end(job, "cancelled" if job.stopping and state != "done" else state)

    def _work(self, job: Job) -> str:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_import_path()), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "semblance.app.server.work"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.root,
            env=environment,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C in the terminal is the server's to hand on
        )
        job.process = process
        assert process.stdin is not None and process.stdout is not None
        if job.stopping:
            _stop(job)
        last = ""
        with process:
            try:
                process.stdin.write(json.dumps(job.spec))
                process.stdin.close()
            except BrokenPipeError:
                log.info("job %s ended before it read what to do", job.id)
            while text := process.stdout.readline(1 << 20):
                event = _event(text)
                if event is None:
                    last = text.strip()[:LINE] or last
                    if text.strip():
                        job.tell("line", {"text": text.strip()[:LINE]})
                elif event[0] == "result":
                    job.result = event[1]
                elif event[0] == "error":
                    job.error = str(event[1]["text"])
                else:
                    job.tell(*event)
        if process.returncode == 0:
            self.finished(job)
            return "done"
        if job.error is None and not job.stopping:
            job.error = last or f"the process ended with code {process.returncode}"
        return "failed"

    def _end(self, job: Job, state: str) -> None:
        job.state, job.ended = state, time.time()
        job.tell(state, job.to_dict())


def _stop(job: Job) -> None:
    process = job.process
    if process is None:
        return  # _work looks again when it has started
    for way, patience in ((signal.SIGINT, GRACE), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
        if process.poll() is not None:
            return
        try:
            os.killpg(process.pid, way)
        except ProcessLookupError:
            return
        end = time.monotonic() + patience
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)


def _event(text: str) -> tuple[str, dict[str, Any]] | None:
    """The event of a line, None for what something printed."""
    if not text.startswith('{"event"'):
        return None
    try:
        found = json.loads(text)
        return str(found["event"]), dict(found["content"])
    except (ValueError, KeyError, TypeError):
        return None


def _import_path() -> list[str]:
    """Where the process finds this package, whatever the folder it starts in."""
    given = os.environ.get("PYTHONPATH", "")
    return [str(Path(semblance.__file__).parents[1]), *([given] if given else [])]
