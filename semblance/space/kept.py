"""Kept: which of several checkpoints is the furthest, by what they say and never by a clock.

Clocks are set back, and differ between machines: neither the time of a file nor the dates in the names of Ray's folders
tell which came last. A checkpoint says itself how many stages, epochs and steps it has behind it; one that a kill left half
written says nothing and does not count.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open

Place = tuple[int, int, int]
STAGES = "stage-*.safetensors"


def stages(folder: Path) -> dict[int, Path]:
    """The files of the stages in a folder, by their numbers."""
    return {int(file.stem.partition("-")[2]): file for file in folder.glob(STAGES)}


def place(folder: Path) -> Place | None:
    """How far the run is whose checkpoint lies here: stage, epochs, steps of the next one; None where none can be read."""
    found = stages(folder)
    if not found:
        return None
    try:
        with safe_open(found[max(found)], framework="pt") as file:
            said = json.loads((file.metadata() or {})["place"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return max(found), said["epoch"], said["step"]


def furthest(folders: Iterable[Path]) -> tuple[Place, Path] | None:
    """The one of these whose run is furthest."""
    placed = [(where, folder) for folder in folders if (where := place(folder)) is not None]
    return max(placed, default=None)


def stamp(folder: Path) -> dict[int, tuple[int, int, int]]:
    """Differs once a checkpoint in the folder is written anew, whatever the clock says."""
    seen = {number: file.stat() for number, file in stages(folder).items()}
    return {number: (file.st_ino, file.st_mtime_ns, file.st_size) for number, file in seen.items()}


def brought(folder: Path) -> None:
    """The furthest checkpoint that Ray kept becomes that of a fit on this machine, so that either may go on from it."""
    found, here = furthest((folder / "ray").glob("run/checkpoint_*")), place(folder)
    if found is None or (here is not None and here >= found[0]):
        return
    for file in stages(found[1]).values():
        beside = folder / f"{file.name}.partial"
        shutil.copyfile(file, beside)
        os.replace(beside, folder / file.name)
