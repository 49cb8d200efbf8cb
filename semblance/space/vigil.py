"""Vigil: what a cluster does is waited for as long as the cluster lives, and no longer.

Ray itself waits: for ever where the node dies that this process is joined to, and a minute where the head dies, after which
it ends the process without an exception. So a thread asks the head every two seconds whether that node lives, and where no
good answer has come for 30 seconds, or it says that the node is dead, the waiting ends in one line.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from semblance.errors import Failed

T = TypeVar("T")
OFTEN = 0.3
"""Seconds between two looks at how far the work is."""
ASKED = 2.0
"""Seconds between two questions to the head."""
LOST = 30.0
"""Seconds without an answer after which the head counts as dead; Ray ends the process after 60."""


class Gone(Failed):
    """The cluster died."""


class Vigil:
    """Used in a `with`, around the work: `until` waits for it, `check` raises Gone where the cluster has died."""

    def __init__(self, ray: Any, on: str, lost: float = LOST):
        self.ray, self.lost = ray, lost
        self.name = on if on != "ray" else os.environ.get("RAY_ADDRESS") or ray.get_runtime_context().gcs_address
        self._node = ray.get_runtime_context().get_node_id()
        self._seen = time.monotonic()
        self._dead = False
        self._over = threading.Event()
        self._asking = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Vigil:
        self._asking.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._asking.join(ASKED)  # or whoever leaves the cluster next takes it away under a question
        if isinstance(error, Gone):  # or Ray would end this process in a while
            leaving = threading.Thread(target=self.ray.shutdown, daemon=True)
            leaving.start()
            leaving.join(self.lost / 2)

    def _ask(self) -> None:
        while not self._over.wait(ASKED):
            try:
                nodes = self.ray.nodes()
            except Exception:  # of many kinds; none of them is an answer
                continue
            alive = [node["Alive"] for node in nodes if node["NodeID"] == self._node]
            self._dead = alive == [False]
            self._seen = time.monotonic() if any(alive) else self._seen

    def check(self) -> None:
        """Raises Gone where the cluster has died."""
        if self._dead or time.monotonic() - self._seen > self.lost:
            what = "the node that this process was joined to died" if self._dead else "its head does not answer"
            raise Gone(f"the cluster at {self.name} is gone: {what}: start it again")

    def blame(self, error: BaseException | None) -> None:
        """Raises Gone where what was lost was lost with the head, which is what a person has to know: waits for an answer
        to a question of from now on. Errors of the work itself pass at once."""
        errors = self.ray.exceptions
        if not isinstance(error, errors.RayError) or isinstance(error, errors.RayTaskError):
            return
        asked = time.monotonic()
        while self._seen - ASKED < asked:
            self.check()
            time.sleep(OFTEN)

    def until(self, work: Callable[[], T], meanwhile: Callable[[], None]) -> T:
        """What the work returns or raises, `meanwhile` being called again and again; Gone where the cluster dies first."""
        ended: list[tuple[Any, BaseException | None]] = []
        over = threading.Event()

        def run() -> None:
            try:
                ended.append((work(), None))
            except BaseException as error:
                ended.append((None, error))
            over.set()

        # A thread that nobody joins: Ray's own waiting cannot be stopped.
        threading.Thread(target=run, daemon=True).start()
        while not over.wait(OFTEN):
            self.check()
            meanwhile()
        value, error = ended[0]
        self.blame(error)
        if isinstance(error, Exception):
            raise error
        if error is not None:  # Ray leaves the process by SystemExit
            raise Gone(f"the cluster at {self.name} is gone: Ray ended ({error}): start it again")
        result: T = value
        return result
