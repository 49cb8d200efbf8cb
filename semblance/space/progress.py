"""Progress: a bar where a person looks on (a terminal's stderr, a notebook), nothing where a program does.

A verb under `watched` shows it without being asked when it takes more than two seconds. A function of one's own,
`progress(done, total, text)`, is told instead; one that does nothing keeps it quiet.
"""

from __future__ import annotations

import functools
import html
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
PATIENCE = 2.0
REDRAWN = 0.2
"""Seconds between two pictures of a bar in a notebook, each of which is a message to a browser."""


class Bar(Protocol):
    """What draws."""

    def update(self, done: int, total: int, text: str) -> None: ...

    def say(self, line: str) -> None: ...

    def stop(self) -> None: ...


class Progress:
    """A bar that appears `after` seconds of work and goes when the work is done: `progress(done, total, text)`."""

    def __init__(self, quiet: bool = False, after: float = 0.0):
        self.quiet, self.after = quiet, after
        self._make = None if quiet else _kind()
        self._bar: Bar | None = None
        self._timer: threading.Timer | None = None
        self._last: tuple[int, int, str] = (0, 1, "")
        self._lock = threading.RLock()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def __call__(self, done: int, total: int, text: str = "") -> None:
        """`done` of `total` steps; a new stretch of work starts anew."""
        if self._make is None:
            return
        with self._lock:
            self._last = (done, max(total, 1), text)
            if self._bar is not None:
                self._bar.update(*self._last)
            elif not self.after:
                self._appear()
            elif self._timer is None:
                # By a clock of its own: what takes long may be one step, which calls nobody meanwhile.
                self._timer = threading.Timer(self.after, self._appear)
                self._timer.daemon = True
                self._timer.start()

    def _appear(self) -> None:
        with self._lock:
            ended = self.after > 0 and self._timer is None
            if self._bar is None and self._make is not None and not ended:
                self._bar = self._make()
                self._bar.update(*self._last)

    def say(self, line: str) -> None:
        """A line above the bar."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.say(line)
        else:
            print(line, file=sys.stderr, flush=True)


def watched(verb: Callable[P, T]) -> Callable[P, T]:
    """A verb with the keyword `progress`, which by default is a bar after two seconds where a person looks on."""

    @functools.wraps(verb)
    def call(*args: P.args, **given: P.kwargs) -> T:
        if given.get("progress") is not None:
            return verb(*args, **given)
        with Progress(after=PATIENCE) as bar:
            given["progress"] = bar
            return verb(*args, **given)

    return call


def _kind() -> Callable[[], Bar] | None:
    """What draws here: a notebook has no terminal, and shows HTML."""
    if in_notebook():
        return NotebookBar
    return TerminalBar if sys.stderr is not None and sys.stderr.isatty() else None


def in_notebook() -> bool:
    """Whether a kernel's cell runs this, whose output can be redrawn."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and hasattr(shell, "kernel")


class TerminalBar:
    """One line at the end of stderr."""

    def __init__(self) -> None:
        from rich import progress
        from rich.console import Console

        self.bar = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.bar.start()
        self.task = self.bar.add_task("", total=1)

    def update(self, done: int, total: int, text: str) -> None:
        """Draws at the bar's own pace."""
        self.bar.update(self.task, completed=done, total=total, description=text)

    def say(self, line: str) -> None:
        """A line above."""
        self.bar.console.print(line, markup=False, highlight=False)

    def stop(self) -> None:
        """The line goes."""
        self.bar.stop()


class NotebookBar:
    """A line of HTML under the cell, which is empty again in the end: the notebook that is kept holds no bar."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self.html = HTML
        self.handle = display(HTML(""), display_id=True)
        self.drawn = 0.0

    def update(self, done: int, total: int, text: str) -> None:
        """Draws up to five times a second."""
        now = time.monotonic()
        if now - self.drawn < REDRAWN:
            return
        self.drawn = now
        said = html.escape(f"{text} {done:,}/{total:,}".strip())
        self.handle.update(self.html(f'<progress value="{done}" max="{total}"></progress> {said}'))

    def say(self, line: str) -> None:
        """A line in the cell's errors."""
        print(line, file=sys.stderr, flush=True)

    def stop(self) -> None:
        """Nothing is left."""
        self.handle.update(self.html(""))
