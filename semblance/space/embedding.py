"""embed: data larger than memory in, a space of its embeddings by a ready model out.

What is unfinished lies in `OUT.embedding/` beside the space: a plan (which parts, of which data, by which model), the parts
that are done (part_files.py), and the space while it is put together. Parts are made one after the other here, or by the
workers of a cluster (embedding_on.py). When all are there one commit makes their files those of the space (adoption.py).
So a kill at any moment, of whomever, leaves the old space or none and the parts that are done; the same command goes on
from these, and refuses to where the data or the model are not what they were.

The space is what `fit` would make of the same data and a ready model: the same ids, vectors (the batches are the same where
no input was left out), attributes, labels, splits and pictures. What memory holds of every item is its label, its split
and their order: some 70 bytes while they are drawn. An index takes more, and is left to who first searches the space.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from semblance.data import listing
from semblance.data.parts import Source, source_of
from semblance.errors import Interrupted, SemblanceError
from semblance.memory.atomic import WriterLock, all_or_nothing, write_file
from semblance.memory.model_file import packed
from semblance.memory.segments import SEGMENT_BYTES
from semblance.memory.store import Store
from semblance.space import part_files
from semblance.space.cluster import elsewhere
from semblance.space.gathered import adopt, meta_of
from semblance.space.model import Model
from semblance.space.part_files import WRITING, Work
from semblance.space.progress import watched
from semblance.space.space import Space

Progress = Callable[[int, int, str], None]
SCHEMA = 1
PARTS, LEAST = 256, 4
"""A part is a 256th of the data, so that a kill costs no more and the space has few files; but at least 4 batches."""


@watched
def embed(
    space: Space | Model | str | Path,
    data: Any,
    out: str | Path,
    *,
    on: str = "local",
    workers: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Space:
    """Embed data of any size by a space's model (or a model, as `sb.wrap` gives it) into a new space in the folder `out`.

    data: what `fit` takes. Folders of images, Parquet and Arrow files, folders of these, and .npy are read in parts; all
    else is read as a whole. on: `local`, `ray`, `ray://HOST:PORT`; there, data and `out` have to lie where all workers
    reach them. seed draws the splits where the data has none. Stopped or killed, the same call goes on; with `overwrite` it
    replaces the space that is there, and begins anew where the data has changed. `space.info` says how many `parts` there
    were and how many were there already (`resumed`).
    """
    started = time.monotonic()
    say = say or (lambda line: None)
    away = elsewhere(on, workers)
    model = model_of(space)
    target = Path(out).absolute()
    folder = target.with_name(target.name + ".embedding")
    gone = folder.with_name(folder.name + ".done")
    _check(target, folder, overwrite)
    with all_or_nothing(folder):
        shutil.rmtree(gone, ignore_errors=True)  # by who was killed while it swept up
        (folder / "parts").mkdir(parents=True, exist_ok=True)
        lock = WriterLock(folder)
    try:
        with all_or_nothing(folder):
            work, key = _begun(folder, model, data, overwrite)
        for note in work.source.notes:
            say(note)
        there = work.done()
        if there:
            say(f"{len(there)} of {len(work)} parts are in {folder}")
        if _key_of(target) != key:
            _make(work, there, on if away else None, workers, progress)
            skipped = adopt(work, target, key, seed, {"on": on} if away else {}, started)
            if skipped:
                say(f"left out: {len(skipped):,} (the first is {skipped[0][0]}: {skipped[0][1]})")
        with all_or_nothing(folder):
            os.rename(folder, gone)
            shutil.rmtree(gone, ignore_errors=True)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; the parts that are done lie in {folder}: the same command goes on") from None
    finally:
        lock.release()
    found = Space(target)
    found.model = model
    found.info = {"out": str(out), "units": len(found), "dim": model.dim, "parts": len(work), "resumed": len(there)}
    return found


def planned(space: Space | Model | str | Path, data: Any) -> dict[str, Any]:
    """What an embedding of this data would be: units, dim, parts, and megabytes of vectors."""
    model = model_of(space)
    with tempfile.TemporaryDirectory() as folder:
        source = _source(model, data, Path(folder))
        parts = len(source.cuts(part_rows(source.units, model))) - 1
    megabytes = round(source.units * model.dim * 4 / 1e6, 1)
    return {"units": source.units, "dim": model.dim, "parts": parts, "megabytes": megabytes}


def model_of(space: Space | Model | str | Path) -> Model:
    """The model that embeds."""
    if isinstance(space, str | Path):
        with Space(space) as opened:
            return opened.model
    return space if isinstance(space, Model) else space.model


def part_rows(units: int, model: Model) -> int:
    """Items of a part: whole batches of the model, and no more vectors than one segment holds."""
    most = max(1, SEGMENT_BYTES // (4 * model.dim))
    rows = min(max(LEAST * model.block, -(-units // PARTS)), most)
    return -(-rows // model.block) * model.block


def _check(target: Path, folder: Path, overwrite: bool) -> None:
    """Refuses to replace what is there unless told to; a space that only waits for its parts to be swept up passes."""
    if target.is_file():
        raise SemblanceError(f"{target} is a file: give a folder to --out")
    if not target.parent.is_dir():
        raise SemblanceError(f"{target} cannot be written: there is no folder {target.parent}")
    if target.exists() and any(target.iterdir()):
        if not (target / "space.db").exists():
            raise SemblanceError(f"{target} holds other files and no space: give another --out")
        if not overwrite and (not (folder / "plan.json").exists() or _key_of(target) != _plan(folder)["key"]):
            raise SemblanceError(f"{target} already holds a space: give --overwrite to replace it, or another --out")
    if not os.access(target.parent, os.W_OK):
        raise SemblanceError(f"{target.parent} is read-only: give another --out")


def _key_of(target: Path) -> str:
    """Of which embedding the space is the result; "" where it is none, or not there."""
    if not (target / "space.db").exists():
        return ""
    with Store.open(target) as store:
        return str(store.manifest.get("embedding", ""))


def _plan(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "plan.json").read_text())
    return found


def _source(model: Model, data: Any, folder: Path) -> Source:
    """The data, of which the model was shown the first items."""
    size: Any = model.shape.item[1:] if model.shape.domain == "images" else None
    source = source_of(data, model.shape.domain, size, folder)
    few = min(source.units, model.block)
    model.read(next(source.blocks(0, few, few)).data)
    return source


def _begun(folder: Path, model: Model, data: Any, overwrite: bool) -> tuple[Work, str]:
    """The work in this folder, begun now or before, and its key."""
    for left in (folder / "parts").glob(f"{WRITING}*"):  # by a worker that was killed
        shutil.rmtree(left, ignore_errors=True)
    begun, files, before = ((folder / name) for name in ("plan.json", "files.arrow", "files.before"))
    if begun.exists() and files.exists() and not before.exists():
        os.replace(files, before)  # what counts until the data is found to be the same
    source = _source(model, data, folder)
    marks = {**source.marks, "the model": hashlib.sha256(packed(model.tensors(), meta_of(model))).hexdigest()[:32]}
    if begun.exists():
        plan = _plan(folder)
        changed = _changed(before, source, plan["marks"], marks)
        if changed and not overwrite:
            raise SemblanceError(
                f"{changed} since the parts in {folder} were made: bring back what was there, or begin anew by --overwrite"
            )
        if not changed:
            before.unlink(missing_ok=True)
            return Work(folder, source, model, tuple(plan["cuts"])), plan["key"]
        begun.unlink()
    before.unlink(missing_ok=True)
    shutil.rmtree(folder / "parts")
    (folder / "parts").mkdir()
    cuts = source.cuts(part_rows(source.units, model))
    plan = {"schema": SCHEMA, "key": secrets.token_hex(8), "marks": marks, "cuts": cuts}
    write_file(begun, json.dumps(plan).encode())
    return Work(folder, source, model, tuple(cuts)), plan["key"]


def _changed(old: Path, source: Source, before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What is not as it was when the parts were begun, in words; "" where all is."""
    if before.get("the model") != now["the model"]:
        return "the model is another one"
    if source.files is not None and old.exists():
        place = Path(source.place)
        told = listing.difference(old, source.files, place if place.is_dir() else place.parent)
        if told:
            return told
    elif (source.files is None) == old.exists():
        return "the data is other data"
    odd = next((name for name in {**before, **now} if before.get(name) != now.get(name)), None)
    return "" if odd is None else f"{odd} has changed"


def _make(work: Work, there: list[int], on: str | None, workers: int | None, progress: Progress | None) -> None:
    """All parts that are not there yet."""
    todo = [number for number in range(len(work)) if number not in set(there)]
    total = work.source.units
    done = total - sum(stop - first for first, stop in map(work.ends, todo))

    def tell(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(min(done, total), total, "embedding")

    tell(0)
    if on is not None and todo:
        from semblance.space.embedding_on import make_on

        make_on(on, workers, work, todo, lambda number: tell(work.ends(number)[1] - work.ends(number)[0]))
        return
    for number in todo:
        part_files.make(work, number, tell)
