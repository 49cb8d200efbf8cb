"""`semblance survey`: which pretext tasks teach a net most about a folder of pictures, at equal steps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from semblance.app import tables
from semblance.app.flags import Face, at_least, verb
from semblance.errors import SemblanceError


def add_to(app: typer.Typer) -> None:
    """Makes `survey` a verb of this command line."""
    verb(app)(survey)


def survey(
    face: Face,
    data: Annotated[str, typer.Argument(help="A folder of images, or a known set of them.", metavar="DATA")],
    task: Annotated[
        list[str] | None, typer.Option("--task", "-t", help="A task of the menu; may be repeated. Without it: eight.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", help="Steps of every task.", callback=at_least(1))] = 125,
    seeds: Annotated[int, typer.Option("--seeds", help="Runs of every task.", callback=at_least(1))] = 1,
    batch: Annotated[int, typer.Option("--batch", help="Pictures a step.", callback=at_least(2))] = 128,
    measure: Annotated[
        str, typer.Option("--measure", "-m", help="linear, nonlinear, knn, retrieval, few or views.")
    ] = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write it as one HTML file, too.")] = None,
) -> None:
    """Train a net on each of several tasks that pictures set themselves, and tell what each is worth, with intervals.

    Example: semblance survey photos/ -t rotation -t jigsaw --steps 20 -o survey.html
    """
    from semblance.objectives.pretexts.table import TABLE
    from semblance.recipes.pretext_survey import EIGHT
    from semblance.recipes.pretext_survey import survey as surveyed

    if out is not None and not out.parent.is_dir():
        raise SemblanceError(
            f"there is no folder {out.parent} to write {out.name} into: make it, or name another --out"
        )
    wanted = len(task or EIGHT.split(",")) + 2
    done = 0
    with face.working() as progress:

        def told(line: str) -> None:
            nonlocal done
            done += 1
            progress(min(done, wanted), wanted, line)

        given: dict[str, Any] = {
            "steps": steps,
            "seeds": seeds,
            "batch": batch,
            "measure": measure,
            "device": face.device,
        }
        found = surveyed(data, task, seed=face.seed or 0, progress=told, **given)
    if out is not None:
        found.save(out)
    if face.as_json:
        face.answer({**found.to_dict(), "out": out})
        return
    columns = ("task", "family", "value", "low", "high", "gain", "steps", "seconds")
    cells = [[f"{row[c]:.3f}" if isinstance(row[c], float) else row[c] for c in columns] for row in found.rows]
    tables.show(f"{found.measure} on the test part", list(columns), cells, right=range(2, len(columns)))
    print(found if out is None else f"{found}\n{out}: the same with its picture")
    if task is None:
        print("other tasks of the menu: " + ", ".join(name for name in TABLE if name not in EIGHT.split(",")))
