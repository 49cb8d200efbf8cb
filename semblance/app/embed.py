"""`semblance embed`: data by a space's model, as a file of vectors or, however large it is, as a new space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from semblance.app import complete
from semblance.app.flags import Face, aside, at_least, verb
from semblance.errors import SemblanceError


def add_to(app: typer.Typer) -> None:
    """Makes `embed` a verb of this command line."""
    verb(app)(embed)


def embed(
    face: Face,
    space: Annotated[Path, typer.Argument(help="The folder of a space.", metavar="SPACE")],
    data: Annotated[
        str,
        typer.Argument(
            help="A folder of images or tables, a .parquet/.arrow/.npy/.npz/.csv file, or a known set's name.",
            autocompletion=complete.sets,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="z.parquet, .npy, .npz or .safetensors; or NAME.space, a new space.")
    ],
    on: Annotated[
        str,
        typer.Option("--on", help="Of a space, where: local, ray (this machine's, or RAY_ADDRESS), ray://HOST:PORT."),
    ] = "local",
    workers: Annotated[
        int | None, typer.Option("--workers", help="On Ray: how many at once.", callback=at_least(1))
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the space at --out.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and stop.")] = False,
) -> None:
    """Embed data by a space's model: into a file of vectors, or a new space of data larger than memory.

    Example: semblance embed digits.space new/ -o z.parquet
    Example: semblance embed photos.space more/ -o more.space
    """
    if out.suffix == ".space":
        _space(face, space, data, out, {"on": on, "workers": workers, "overwrite": overwrite}, dry_run)
        return
    if on != "local" or workers is not None or overwrite:
        raise SemblanceError(f"--on, --workers and --overwrite are of a new space: give --out {out.stem}.space")
    from semblance.app.vectors import check_kind, write_vectors

    check_kind(out)
    from semblance.space.space import load

    with load(space) as opened, face.working() as progress:
        if dry_run:
            units = len(opened.model.read(data))
            said = {"units": units, "dim": opened.model.dim, "megabytes": round(units * opened.model.dim * 4 / 1e6, 1)}
            face.dry([said])
            return
        progress(0, 1, "embedding")
        dataset = opened.model.read(data)
        for note in dataset.notes[1:] if opened.model.pieces is not None else ():
            face.say(note)  # texts that are cut, or empty
        ids, vectors = opened.embed(dataset)
    write_vectors(out, ids, vectors)
    if face.as_json:
        face.answer({"out": out, "units": len(ids), "dim": vectors.shape[1]})
    else:
        print(f"{out}: {len(ids):,} vectors of {vectors.shape[1]} numbers")


def _space(face: Face, space: Path, data: str, out: Path, where: dict[str, Any], dry_run: bool) -> None:
    from semblance.space import embedding

    with face.working() as progress:
        if dry_run:
            face.dry([embedding.planned(space, data)])
            return
        given = {"seed": face.seed or 0, "progress": progress, "say": face.say, **where}
        with aside(), embedding.embed(space, data, out, **given) as found:
            said = found.info
    if face.as_json:
        face.answer(said)
    else:
        before = f", {said['resumed']} of them from before" if said["resumed"] else ""
        parts = "1 part" if said["parts"] == 1 else f"{said['parts']} parts"
        print(f"{out}: {said['units']:,} items of {said['dim']} numbers in {parts}{before}")
