"""`semblance shard`: a space in several folders, or several spaces under one name; `search` takes that for a space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from semblance.app.flags import Face, verb
from semblance.errors import SemblanceError


class Partial(SemblanceError):
    """The answer is there and lacks what some shards hold."""

    code = 3


def add_to(app: typer.Typer) -> None:
    """Makes `shard` a verb of this command line."""
    verb(app)(shard)


def shard(
    face: Face,
    spaces: Annotated[
        list[Path], typer.Argument(help="A space to split, or several to name as one.", metavar="SPACE...")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write (NAME.shards).")],
    into: Annotated[int | None, typer.Option(help="Split the space into so many shards.", min=1)] = None,
) -> None:
    """Make several spaces answer a search as one.

    Example: semblance shard photos.space --into 8 --out photos.shards
    Example: semblance shard a.space b.space --out both.shards
    """
    from semblance.space.shard_file import split
    from semblance.space.shards import shards

    if into is not None:
        if len(spaces) > 1:
            raise SemblanceError(
                f"--into splits one space, and {len(spaces)} were given: split each, or leave --into out"
            )
        split(spaces[0], into, out)
    with shards(*([out] if into is not None else spaces)) as whole:
        if into is None:
            whole.save(out)
        said = {"out": out, "shards": whole.names, "units": len(whole)}
    if face.as_json:
        face.answer(said)
    else:
        print(f"{out}: {said['units']:,} items in {len(said['shards'])} shards")


def opened(path: Path) -> Any:
    """The space, or the shards that a folder names, for one search: not worth an index that takes longer than it."""
    from semblance.space.shard_file import FILE
    from semblance.space.shards import shards
    from semblance.space.space import load

    if (path / FILE).is_file():
        return shards(path, builds=False)
    space = load(path)
    space.index.builds = False
    return space


def check_whole(answers: Sequence[Mapping[str, Any]]) -> None:
    """Says, when all is printed, who did not answer."""
    lost = answers[0].get("lost") if answers else None
    if lost:
        named = "; ".join(f"{one['space']}: {one['reason']}" for one in lost)
        raise Partial(f"this is what the other shards hold, since {len(lost)} did not answer: {named}")
