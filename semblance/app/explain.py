"""`semblance explain`: why two items are near."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semblance.app import tables
from semblance.app.flags import Face, verb
from semblance.errors import SemblanceError


def add_to(app: typer.Typer) -> None:
    """Makes `explain` a verb of this command line."""
    verb(app)(explain)


def explain(
    face: Face,
    space: Annotated[Path, typer.Argument(help="The folder of a space.", metavar="SPACE")],
    x: Annotated[str, typer.Argument(help="An item: its id, or a file.", metavar="X")],
    y: Annotated[str | None, typer.Argument(help="Another; by default the one nearest to X.", metavar="Y")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            "-m",
            help="cells, integrated, gradient, occlusion, ...: what the domain has.",
        ),
    ] = None,
    curve: Annotated[bool, typer.Option(help="Check it by taking parts away, against random order.")] = True,
    html: Annotated[Path | None, typer.Option("--html", help="Write it as one HTML file, too.", metavar="FILE")] = None,
) -> None:
    """Which parts of two items make them near.

    Example: semblance explain digits.space 3 --html why.html
    """
    from semblance.space.explain import explain as explained

    if html is not None and not html.parent.is_dir():
        raise SemblanceError(
            f"there is no folder {html.parent} to write {html.name} into: make it, or name another --html"
        )
    found = explained(space, x, y, method=method, curve=curve, seed=face.seed or 0)
    if html is not None:
        found.save(html)
    if face.as_json:
        face.answer({**found.to_dict(), "html": html})
        return
    rows = [[row["item"], row["kind"], row["part"], f"{row['share']:+.4f}"] for row in found.rows(5)]
    tables.show("", ["item", "kind", "part", "share"], rows)
    for line in (*found.notes, str(found), *([f"{html}: the same with its picture"] if html else [])):
        print(line)
