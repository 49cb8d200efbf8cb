"""What the library logs, and its warnings about other packages, as lines on stderr.

    -q          errors only
    (nothing)   warnings, too
    --verbose   all of it

A library that is imported logs under the name `semblance` and prints nothing; the command line prints.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from semblance.plugins import PluginWarning

NAME = "semblance"


class Lines(logging.Handler):
    """Every record as one line to a person."""

    def __init__(self, say: Callable[[str], None]):
        super().__init__()
        self.say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Says the record; where that fails, what `logging` does about it."""
        try:
            level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
            self.say(f"semblance: {level}{' '.join(record.getMessage().split())}")
        except Exception:
            self.handleError(record)


@contextmanager
def told(say: Callable[[str], None], quiet: bool = False, verbose: bool = False) -> Iterator[None]:
    """Says what is logged while this lasts."""
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
    logger, handler = logging.getLogger(NAME), Lines(say)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if quiet else "always", PluginWarning)
            usual = warnings.showwarning

            def show(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
                if issubclass(category, PluginWarning):
                    say(f"semblance: warning: {message}")
                else:
                    usual(message, category, *place, **more)

            warnings.showwarning = show
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
