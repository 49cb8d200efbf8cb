"""Progress on stderr: a bar where a person looks on, nothing where a program does."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class Progress:
    """A bar that appears with the first call and goes when the work is done: `progress(done, total, text)`."""

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.shown = not quiet and sys.stderr.isatty()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __call__(self, done: int, total: int, text: str = "") -> None:
        """`done` of `total` steps; a new stretch of work starts anew."""
        if not self.shown:
            return
        if self._bar is None:
            self._bar, self._task = _bar()
        self._bar.update(self._task, completed=done, total=max(total, 1), description=text)

    def say(self, line: str) -> None:
        """A line above the bar."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)


def _bar() -> tuple[Any, Any]:
    from rich import progress
    from rich.console import Console

    bar = progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    bar.start()
    return bar, bar.add_task("", total=1)
