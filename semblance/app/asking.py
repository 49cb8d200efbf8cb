"""Asking: a question on stderr, an answer from stdin, line by line, so that a person or a pipe may answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from semblance.errors import SemblanceError


class Unfinished(SemblanceError):
    """The person quit before the end; what they said is kept."""

    code = 3


def prompt(text: str) -> None:
    """A question; the answer is typed behind it."""
    print(text, end="", file=sys.stderr, flush=True)


def typed() -> Iterator[str]:
    """Lines of stdin as they come."""
    while line := sys.stdin.readline():
        yield line
