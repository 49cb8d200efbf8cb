"""`semblance upgrade`: a space of an older format, as a copy in today's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semblance.app.flags import Face, verb


def add_to(app: typer.Typer) -> None:
    """Makes `upgrade` a verb of this command line."""
    verb(app)(upgrade)


def upgrade(
    face: Face,
    space: Annotated[Path, typer.Argument(help="The folder of a space.", metavar="SPACE")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the copy; it must not be there yet.")],
) -> None:
    """Bring a space of an older version to today's format, on a copy.

    Example: semblance upgrade old.space --out new.space
    """
    from semblance.memory.upgrade import upgrade as bring

    before, after = bring(space, out)
    written = None if before == after else str(out)
    if face.as_json:
        face.answer({"space": str(space), "out": written, "from_format": before, "to_format": after})
    elif written is None:
        print(f"{space} has format {after}, today's: there is nothing to upgrade, and nothing was written")
    else:
        print(f"{written}: {space} brought from format {before} to {after}; {space} is as it was")
