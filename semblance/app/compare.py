"""`semblance compare`: what two spaces share, item by item, layer by layer, or unit by unit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from semblance.app import tables
from semblance.app.flags import Face, verb
from semblance.errors import SemblanceError


def add_to(app: typer.Typer) -> None:
    """Makes `compare` a verb of this command line."""
    verb(app)(compare)


def compare(
    face: Face,
    a: Annotated[str, typer.Argument(help="A space, or a file of vectors.", metavar="A")],
    b: Annotated[str, typer.Argument(help="Another of the same items.", metavar="B")],
    measure: Annotated[
        list[str] | None,
        typer.Option("--measure", "-m", help="cka, svcca, pwcca, procrustes, rsa or neighbours; may be repeated."),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layers",
            "-l",
            help="Layers of both, by name or pattern ('encoder.stages.?'), each compared with each; given twice, those of "
            "A and those of B.",
            metavar="PATTERN",
        ),
    ] = None,
    units: Annotated[bool, typer.Option("--units", help="Match units one to one and show what either likes.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write it as one HTML file, too.", metavar="FILE")] = None,
) -> None:
    """How far two representations of the same items agree, in numbers beside chance and one sentence.

    Example: semblance compare digits.space other.space --html compared.html
    """
    from semblance.space.compare import compare as compared

    if html is not None and not html.parent.is_dir():
        raise SemblanceError(
            f"there is no folder {html.parent} to write {html.name} into: make it, or name another --html"
        )
    if layers is not None and len(layers) > 2:
        raise SemblanceError(f"--layers is given {len(layers)} times: give it once for both, or twice, for A and for B")
    wanted: Any = None if layers is None else layers[0] if len(layers) == 1 else (layers[0], layers[1])
    with face.working() as progress:
        found = compared(a, b, measures=measure, layers=wanted, units=units, seed=face.seed or 0, progress=progress)
    if html is not None:
        found.save(html)
    if face.as_json:
        face.answer({**found.to_dict(), "html": html})
        return
    columns, rows = _shown(found)
    tables.show("", columns, rows)
    for line in (*found.notes, str(found), *([f"{html}: the same with its picture"] if html else [])):
        print(line)


def _shown(found: Any) -> tuple[list[str], list[list[Any]]]:
    """What is printed of a report: measures with their intervals, or its own rows."""
    if hasattr(found, "measures"):
        return ["measure", "value", "95%", "by chance", "p"], [
            [
                name,
                f"{one.value:.3f}",
                "" if one.low is None else f"{one.low:.3f} to {one.high:.3f}",
                f"{one.null:.3f}",
                f"{one.p:.2g}",
            ]
            for name, one in found.measures.items()
        ]
    rows = found.rows()
    return list(rows[0]), [[f"{v:.2f}" if isinstance(v, float) else v for v in row.values()] for row in rows]
