"""`semblance compact`: what was removed goes from the files for good, and so do all older versions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from semblance.app.flags import Face, verb
from semblance.errors import SemblanceError


def add_to(app: typer.Typer) -> None:
    """Makes `compact` a verb of this command line."""
    verb(app)(compact)


def compact(
    face: Face,
    space: Annotated[Path, typer.Argument(help="The folder of a space.", metavar="SPACE")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and stop.")] = False,
) -> None:
    """Take removed items out of a space's files, and drop its older versions.

    Example: semblance compact digits.space --dry-run
    """
    from semblance.space.space import load

    with load(space) as opened:
        before = opened.compact(dry_run=True)
        first, last = before["versions"]
        face.say(f"versions {first} to {last} can be read today; after a compaction none before it can")
        if not dry_run:
            _agree(yes)
        after = before if dry_run else opened.compact()
    answer = {"space": str(space), "dry_run": dry_run, "items": after["items"], "versions": after["versions"]}
    answer |= {"bytes_before": before["bytes"], "bytes_after": None if dry_run else after["bytes"]}
    if face.as_json:
        face.answer(answer)
    elif dry_run:
        print(f"{space}: {before['items']:,} items, {before['bytes']:,} bytes, older versions among them")
    else:
        print(f"{space}: {after['items']:,} items, {before['bytes']:,} bytes before, {after['bytes']:,} now")


def _agree(yes: bool) -> None:
    """Asks a person; a program has to say --yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise SemblanceError("a compaction cannot be undone: give --yes, or --dry-run to see what would go")
    typer.confirm("Compact?", abort=True, err=True)
