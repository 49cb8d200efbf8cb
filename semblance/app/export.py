"""`semblance export`: a space's items or its model as a file that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semblance.app.flags import Face, verb


def add_to(app: typer.Typer) -> None:
    """Makes `export` a verb of this command line."""
    verb(app)(export)


def export(
    face: Face,
    space: Annotated[Path, typer.Argument(help="The folder of a space.", metavar="SPACE")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Items: .parquet, .arrow, .npy, .safetensors. The model: .pt2, .onnx."),
    ],
    where: Annotated[str | None, typer.Option(help="Only items that satisfy this condition.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and stop.")] = False,
) -> None:
    """Write a space's items, or its model, for other programs; the suffix of --out chooses.

    Example: semblance export digits.space --out digits.parquet
    """
    from semblance.space.export import MODELS, check_suffix
    from semblance.space.export import export as write

    suffix = check_suffix(out, where)
    from semblance.space.space import load

    with load(space) as opened, face.working() as progress:
        if dry_run:
            units = 0 if suffix in MODELS else len(opened.store.rows_where(where))
            said = {"out": str(out), "units": units, "dim": int(opened.manifest["dim"])}
            if face.as_json:
                face.answer({"dry_run": said})
            else:
                print(", ".join(f"{key} {value}" for key, value in said.items()))
            return
        progress(0, 1, "exporting")
        found = write(opened, out, where)
    if face.as_json:
        face.answer(found)
    elif suffix in MODELS:
        print(f"{out}: the model, {found['bytes']:,} bytes, checked against ours; it embeds in {found['dim']} numbers")
    else:
        print(f"{out}: {found['units']:,} vectors of {found['dim']} numbers, {found['bytes']:,} bytes")
