"""Shard file: which spaces are shards of one, what all must be made by, and one space made into several.

OUT/shards.json    {"schema": 1, "shards": [paths, seen from OUT], "made_by": {dim, geometry, domain, recipe, model}}
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semblance.errors import Failed, SemblanceError
from semblance.memory import shards as memory
from semblance.memory.atomic import UNFINISHED, all_or_nothing, sync_folder, write_file
from semblance.memory.indexed import Indexed
from semblance.memory.store import Store
from semblance.memory.view import View
from semblance.recipes.registry import told_name

FILE, SCHEMA = "shards.json", 1
FACTS = ("dim", "geometry", "domain", "recipe", "model")


def split(path: str | Path, into: int, out: str | Path) -> Path:
    """A space as so many shards in a new folder, equal stretches of its items in their order. The space stays as it is."""
    out = Path(out)
    if out.exists():
        raise SemblanceError(f"{out}: is there already: name a new folder for the shards")
    if not out.parent.is_dir():
        raise SemblanceError(f"{out} cannot be written: there is no folder {out.parent}")
    beside, names = out.with_name(out.name + UNFINISHED), [f"shard-{number}" for number in range(into)]
    with all_or_nothing(out), Store.open(path) as store:
        shutil.rmtree(beside, ignore_errors=True)
        try:
            beside.mkdir()
            memory.split(store, [beside / name for name in names])
            for name in names:
                with Store.open(beside / name) as shard:
                    Indexed(beside / name).catch_up(shard.view)
            write_names(beside, names, facts_of(store.view))
            beside.rename(out)
            sync_folder(out.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return out


def write_names(folder: Path, names: Sequence[str], made_by: Mapping[str, Any]) -> None:
    content = {"schema": SCHEMA, "shards": list(names), "made_by": dict(made_by)}
    write_file(folder / FILE, json.dumps(content, indent=1).encode())


def read_names(path: Path) -> tuple[list[str], dict[str, Any]]:
    try:
        content = json.loads(path.read_text("utf-8"))
        names, made_by = [str(name) for name in content["shards"]], {fact: content["made_by"][fact] for fact in FACTS}
        newer = content["schema"] > SCHEMA
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failed(f"{path} cannot be read ({error}): name the shards again with `semblance shard`") from error
    if newer or not names:
        what = "was written by a newer Semblance: upgrade it" if newer else "names no shard: name them again"
        raise SemblanceError(f"{path} {what}")
    return names, made_by


def facts_of(view: View) -> dict[str, Any]:
    """What must be equal for distances to mean the same. Vectors taken as they are have no model to compare."""
    manifest = view.record.manifest
    recipe = told_name(str(manifest.get("recipe", "")))
    return {**{fact: manifest[fact] for fact in FACTS[:3]}, "recipe": recipe,
            "model": None if recipe == "as-is" else manifest["model"]}  # fmt: skip


def told(made_by: Mapping[str, Any]) -> str:
    model = f", model {made_by['model'][:8]}" if made_by["model"] else ""
    return f"{made_by['recipe'] or 'vectors'} ({made_by['domain']}, {made_by['dim']} numbers, {made_by['geometry']}{model})"
