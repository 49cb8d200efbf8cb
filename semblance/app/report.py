"""`semblance report`: what an analysis finds in a space, ours or another package's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semblance.app import tables
from semblance.app.flags import Face, key_values, verb
from semblance.errors import SemblanceError


def add_to(app: typer.Typer) -> None:
    """Makes `report` a verb of this command line."""
    verb(app)(report)


def report(
    face: Face,
    space: Annotated[Path, typer.Argument(help="The folder of a space.", metavar="SPACE")],
    name: Annotated[str | None, typer.Argument(help="Which report; without it they are listed.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the report.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write it as one HTML file, too.")] = None,
) -> None:
    """What an analysis finds in a space: its verdict, and its numbers.

    Example: semblance report digits.space memory -o memory.html
    Example: semblance report animals.space zero-shot --set table=animals.csv
    """
    from semblance.space import methods
    from semblance.space.space import load

    if name is None:
        rows = [{"name": one, "package": package} for one, package in methods.report_names().items()]
        if face.as_json:
            face.answer({"reports": rows})
        else:
            tables.show("", ["report", "package"], [[row["name"], row["package"] or "semblance"] for row in rows])
        return
    if out is not None and not out.parent.is_dir():
        raise SemblanceError(
            f"there is no folder {out.parent} to write {out.name} into: make it, or name another --out"
        )
    with load(space) as opened:
        found = methods.report(opened, name, **methods.read_settings(name, key_values(settings)))
    if out is not None:
        found.save(out)
    table = found.table()
    if face.as_json:
        face.answer({"name": name, "verdict": str(found), "rows": table.to_pylist(), "out": out})
        return
    cells = [[f"{v:.4g}" if isinstance(v, float) else v for v in row.values()] for row in table.to_pylist()]
    tables.show("", table.column_names, cells)
    print(found if out is None else f"{found}\n{out}: the same with its picture")
