"""`semblance serve`: a page on which people look, search, label and compare, and an interface for programs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from semblance.app.flags import Face, verb
from semblance.errors import SemblanceError

NEEDS = {"fastapi": "fastapi", "uvicorn": "uvicorn", "multipart": "python-multipart"}


def add_to(app: typer.Typer) -> None:
    """Makes `serve` a verb of this command line."""
    verb(app)(serve)


def serve(
    face: Face,
    spaces: Annotated[list[Path], typer.Argument(help="The folders of spaces, or of shards.", metavar="SPACE...")],
    host: Annotated[
        str, typer.Option(help="What to listen at; anything but this machine needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any that is free.")] = 8765,
    token_file: Annotated[Path | None, typer.Option(help="A file that holds the token (or SEMBLANCE_TOKEN).")] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="A further name of this server; repeat it.")] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Nothing may be changed.")] = False,
) -> None:
    """Open spaces to a browser and to programs, until Ctrl-C.

    Example: semblance serve digits.space
    Example: semblance serve photos.shards
    """
    from importlib.util import find_spec

    missing = [package for module, package in NEEDS.items() if find_spec(module) is None]
    if missing:
        raise SemblanceError(f"serve needs {', '.join(missing)}: pip install 'semblance[serve]'")
    from semblance.app.server.running import serve as run
    from semblance.app.server.tokens import read_token

    token = read_token(token_file, os.environ.get("SEMBLANCE_TOKEN"))

    def ready(address: str) -> None:
        if face.as_json:
            face.answer({"address": address, "read_only": read_only, "token": token is not None})
        else:
            print(f"Serving {', '.join(map(str, spaces))} at {address} (Ctrl-C stops)", flush=True)

    run(spaces, host=host, port=port, hosts=allow_host or (), token=token, read_only=read_only, ready=ready)
    face.say("stopped")
