"""A folder of images as parts: stretches of its sorted listing.

Ids, labels from class folders, splits from folders called train and test, and the columns of a table beside the images are
what `images.from_folder` makes of the same folder. The listing lies on disk; a table beside the images is held in memory
once, and then lies on disk, too, a row for every file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from semblance.data import listing
from semblance.data.decoded import read_pictures, stamp
from semblance.data.images import as_text, file_columns, image_files
from semblance.data.parts import Block, even, list_files, unlabelled
from semblance.data.sidecar import NAMES, sidecar
from semblance.data.splits import WORDS


@dataclass(frozen=True)
class Folder:
    """The images below a folder. `apart`: the first folder of each is its split; `classes`: some lie in class folders,
    `several`: in more than one. `beside` is the table beside them and `label` its column of labels."""

    place: str
    units: int
    size: tuple[int, int]
    files: Path
    apart: bool
    classes: bool
    several: bool
    beside: Path | None = None
    marks: dict[str, str] = field(default_factory=dict)
    label: str | None = None
    split: str | None = None
    notes: tuple[str, ...] = ()
    domain: str = "images"

    def cuts(self, rows: int) -> list[int]:
        return even(self.units, rows)

    def told(self, first: int, stop: int) -> str:
        ends = [next(listing.read(self.files, at)).name for at in (first, stop - 1)]
        return f"{ends[0]} to {ends[1]} of {self.place}"

    def blocks(self, first: int, stop: int, rows: int) -> Iterator[Block]:
        root = Path(self.place)
        for start in range(first, stop, rows):
            end = min(start + rows, stop)
            names = [file.name for file in listing.read(self.files, start, end) if file.check(root)]
            x, facts = read_pictures(
                [root / n for n in names], [as_text(n) for n in names], None, self.size, None, True
            )
            kept = [names[i] for i in facts["kept"]]
            ids = [as_text(Path(name).as_posix()) for name in kept]
            columns = file_columns(ids, facts)
            label = split = None
            if self.classes:
                columns["class"] = pa.array([_class_of(name, self.apart) for name in kept], pa.string())
            if self.several:
                label = columns["class"]
            if self.apart:
                split = pa.array([_folders(name)[0] for name in kept], pa.string())
            if self.beside is not None:
                more = _rows_of(self.beside, start, end).take(pa.array(facts["kept"], pa.int64()))
                columns |= {name: more.column(name).combine_chunks() for name in more.column_names}
                label = label if self.label is None else columns[self.label]
                split = split if self.split is None else columns[self.split].cast(pa.string())
            skipped = tuple((str(name), str(why)) for name, why in facts["skipped"])
            yield Block(unlabelled("images", x, ids, pa.table(columns), start), label, split, skipped)


def find(root: Path, size: Any, work: Path) -> Folder | None:
    """The images of a folder; None where it holds none."""
    apart, tops, seconds, count = True, set(), set(), 0

    def seen() -> Iterator[str]:
        nonlocal apart, count
        for name in image_files(root):
            held = _folders(name)
            apart = apart and bool(held)
            tops.update(held[:1])
            seconds.update(held[1:2])
            count += 1
            yield name

    files = list_files(work, root, seen())
    if not count:
        files.unlink()
        return None
    words = {top.lower() for top in tops}
    apart = apart and words <= WORDS.keys() and "train" in {WORDS[word] for word in words}
    classes = seconds if apart else tops
    notes = [f"domain: images (folder of {count:,} files)"]
    if len(classes) == 1:
        notes.append(f"there is one class folder only ({min(classes)}): no labels are made of it")
    found: dict[str, Any] = {}
    path = next((root / name for name in NAMES if (root / name).is_file()), None)
    if path is not None:
        ids = [as_text(Path(file.name).as_posix()) for file in listing.read(files)]
        beside = sidecar(root, ids)
        assert beside is not None  # it looks at the same names
        found = {"beside": work / "beside.arrow", "label": beside.label, "marks": {path.name: str(stamp(path))}}
        if beside.splits is not None:
            found["split"] = next(name for name in beside.table.column_names if name.lower() == "split")
        notes.append(beside.note)
        with pa.OSFile(str(found["beside"]), "wb") as sink, pa.ipc.new_file(sink, beside.table.schema) as writer:
            writer.write_table(beside.table.combine_chunks(), listing.STEP)
    return Folder(str(root), count, size, files, apart, bool(classes), len(classes) > 1, notes=tuple(notes), **found)


def _folders(name: str) -> tuple[str, ...]:
    return Path(name).parts[:-1]


def _class_of(name: str, apart: bool) -> str | None:
    held = _folders(name)[apart:][:1]
    return as_text(held[0]) if held else None


def _rows_of(path: Path, first: int, stop: int) -> pa.Table:
    """These rows of a table written in batches of `listing.STEP`."""
    with pa.memory_map(os.fspath(path)) as source:
        held = pa.ipc.open_file(source)
        low, high = first // listing.STEP, -(-stop // listing.STEP)
        batches = [held.get_batch(n) for n in range(low, min(high, held.num_record_batches))]
        return pa.Table.from_batches(batches, held.schema).slice(first - low * listing.STEP, stop - first)
