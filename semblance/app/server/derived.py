"""Derived: what takes long to compute of a space's vectors, kept beside it: maps and the table of neighbours.

    SPACE/maps/KEY-KIND.safetensors     KEY names the vectors in their order, so that a file of other vectors is never taken

Where the space may not be written they lie in the user's cache folder instead. They are never the truth: a file that
cannot be read is computed again, and one of vectors that are gone is removed when the next is written.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save

from semblance.errors import SemblanceError
from semblance.memory.atomic import all_or_nothing, can_write, write_file
from semblance.places import cache_folder

log = logging.getLogger(__name__)
Arrays = dict[str, np.ndarray]
LARGEST = 4 << 30


def folder_of(space: Path, writable: bool) -> Path:
    """Where derived things of this space lie."""
    if writable and can_write(space):
        return space / "maps"
    name = hashlib.blake2b(str(space.resolve()).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return cache_folder() / "maps" / name


def write(folder: Path, kind: str, key: str, arrays: Mapping[str, np.ndarray], said: Mapping[str, Any]) -> None:
    """Keeps arrays as a whole or not at all, and removes those of the same kind that came before."""
    content = save({name: np.ascontiguousarray(x) for name, x in arrays.items()}, {"semblance": json.dumps(said)})
    with all_or_nothing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / f"{key}-{kind}.safetensors", content)
        for old in folder.glob(f"*-{kind}.safetensors"):
            if old.name != f"{key}-{kind}.safetensors":
                old.unlink(missing_ok=True)


def read(folders: tuple[Path, ...], kind: str, key: str) -> tuple[Arrays, dict[str, Any]] | None:
    """The arrays and what was said of them; None where there are none, or none that can be trusted."""
    from safetensors import safe_open

    for folder in folders:
        path = folder / f"{key}-{kind}.safetensors"
        if not path.is_file() or path.stat().st_size > LARGEST:
            continue
        try:
            with safe_open(path, framework="np") as file:
                said = json.loads((file.metadata() or {})["semblance"])
                return {name: file.get_tensor(name) for name in file.keys()}, said  # noqa: SIM118 (not a dict)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            log.warning("%s cannot be read (%s), so it is computed again", path, error)
    return None


def keep(folder: Path, kind: str, key: str, arrays: Mapping[str, np.ndarray], said: Mapping[str, Any]) -> None:
    """As `write`; where that fails the next start computes again, which is said and no reason to fail."""
    try:
        write(folder, kind, key, arrays, said)
    except SemblanceError as error:
        log.warning("the %s is not kept: %s", kind, error)
