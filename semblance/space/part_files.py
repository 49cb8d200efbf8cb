"""Part files: what one worker makes of one part of the data, and what is read of it again.

    WORK/parts/000017/000017-0000.f32    vectors, in segments as a space has them
                      items.arrow        ids, attributes, labels, splits and thumbnails, block by block
                      part.json          rows, segments with their checksums, inputs that were left out

The folder of a part appears by one rename when all of it is on disk, so a part that is there is whole, whoever was killed;
where two workers made the same one, the second finds it and lets go of its own. It needs neither lock nor leader.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.data.dataset import ArrayDataset
from semblance.data.parts import Block, Source, Whole
from semblance.data.pictures import thumbnail
from semblance.errors import Failed, SemblanceError
from semblance.memory.atomic import sync_folder
from semblance.memory.columns import storable
from semblance.memory.segments import Appender, Segment
from semblance.space.columns import attributes_of
from semblance.space.model import Model

WRITING = ".writing-"
"""Folders whose names begin so are unfinished."""
READ = 1 << 24
"""Bytes of items that are brought into memory at a time, about."""
TEXT = 4096
"""Bytes that a text takes, about."""
LIVES = 5
"""Workers that may die of one part, each of which leaves an unfinished folder."""
MARK = "@"
"""Before the names of attributes, so that they are none of ours."""


@dataclass(frozen=True)
class Work:
    """What all workers of an embedding know: where its files are, what is read, by which model, and where parts begin."""

    folder: Path
    source: Source
    model: Model
    cuts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def folder_of(self, number: int) -> Path:
        """Where the files of a part lie when it is done."""
        return self.folder / "parts" / f"{number:06d}"

    def ends(self, number: int) -> tuple[int, int]:
        """The unit a part begins with, and the one behind its last."""
        return self.cuts[number], self.cuts[number + 1]

    def told(self, number: int) -> str:
        """What a person calls a part."""
        return f"part {number + 1} of {len(self)} ({self.source.told(*self.ends(number))})"

    def done(self) -> list[int]:
        """The parts that are there."""
        return [number for number in range(len(self)) if self.folder_of(number).exists()]


def make(work: Work, number: int, tell: Callable[[int], None] | None = None) -> None:
    """Embed a part, unless that is done; `tell(n)` hears how many more are. An error names the part and what to do."""
    try:
        if work.folder_of(number).exists():
            return
        died = len(list((work.folder / "parts").glob(f"{WRITING}{number:06d}-*")))
        if died >= LIVES:
            raise Failed(f"{died} workers died of it: look at their memory and at the data; what is done stays")
        _make(work, number, tell or (lambda n: None))
    except SemblanceError as error:
        raise type(error)(f"{work.told(number)}: {error}") from error
    except (OSError, RuntimeError, MemoryError, pa.ArrowException) as error:
        why = error.strerror if isinstance(error, OSError) else None
        said = " ".join(str(why or error or type(error).__name__).split())[:300]
        raise Failed(
            f"{work.told(number)} could not be embedded: {said}; what is done stays in {work.folder}: "
            "mend that (room on the disk, memory) and give the same command again"
        ) from error


def _make(work: Work, number: int, tell: Callable[[int], None]) -> None:
    model, rows = work.model, reading_rows(work.model)
    beside = Path(tempfile.mkdtemp(prefix=f"{WRITING}{number:06d}-", dir=work.folder / "parts"))
    files = Appender(beside, model.dim, [], number)
    try:
        skipped: list[tuple[str, str]] = []
        with _Items(beside / "items.arrow") as items:
            for block in work.source.blocks(*work.ends(number), rows):
                data = model.read(block.data)
                items.write(_lines(block, isinstance(work.source, Whole)))
                skipped += block.skipped
                for z in model.embed_blocks(data):
                    files.write(z)
                    tell(len(z))
        segments = [{"file": s.file, "rows": s.rows, "sums": s.sums.hex()} for s in files.finish()]
        about = {"rows": files.rows, "segments": segments, "skipped": skipped}
        with open(beside / "part.json", "w") as file:
            json.dump(about, file)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(beside)
        try:
            os.rename(beside, work.folder_of(number))
        except OSError:
            if not work.folder_of(number).exists():  # else another worker was faster, and its part is as good
                raise
        sync_folder(work.folder / "parts")
    finally:
        files.close()
        shutil.rmtree(beside, ignore_errors=True)


def reading_rows(model: Model) -> int:
    """Items read at a time: whole batches of the model, so that they are the same in any part."""
    item = int(np.prod(model.shape.item)) * (1 if model.shape.domain == "images" else 4)
    size = TEXT if model.shape.domain == "text" else max(item, 1)
    return max(1, READ // size // model.block) * model.block


def _lines(block: Block, whole: bool) -> pa.Table:
    """A block's items as they are kept; data in memory says itself what its labels and splits are."""
    data = block.data
    pictures = [thumbnail(x) for x in data.x] if data.domain == "images" and isinstance(data, ArrayDataset) else None
    attributes = storable(attributes_of(data) if whole else data.attributes)
    columns: dict[str, Any] = {"id": pa.array(data.ids, pa.string())}
    for name, column in (("label", block.label), ("split", block.split)):
        if column is not None:
            columns[name] = column
    if pictures is not None:
        columns["thumbnail"] = pa.array(pictures, pa.binary())
    return pa.table({**columns, **{MARK + name: attributes.column(name) for name in attributes.column_names}})


class _Items:
    """A file of tables, one after the other, synced when it is whole."""

    def __init__(self, path: Path):
        self.path = path
        self._writer: Any = None

    def __enter__(self) -> _Items:
        self._file = open(self.path, "wb")
        return self

    def write(self, table: pa.Table) -> None:
        if self._writer is None:
            self._writer = pa.ipc.new_file(self._file, table.schema)
        self._writer.write_table(table, BATCH)

    def __exit__(self, *error: object) -> None:
        with self._file as file:
            if self._writer is not None:
                self._writer.close()
            file.flush()
            os.fsync(file.fileno())


BATCH = 1024
"""Items that are read again at a time."""


def about(work: Work, number: int) -> dict[str, Any]:
    """What a part says of itself: rows, segments, skipped."""
    found: dict[str, Any] = json.loads((work.folder_of(number) / "part.json").read_text())
    return found


def segments(work: Work, number: int) -> list[tuple[Path, Segment]]:
    """The files of a part's vectors."""
    folder = work.folder_of(number)
    found = [Segment(s["file"], s["rows"], bytes.fromhex(s["sums"])) for s in about(work, number)["segments"]]
    return [(folder / segment.file, segment) for segment in found]


def tables(work: Work, number: int, columns: tuple[str, ...] | None = None) -> Iterator[pa.Table]:
    """The items of a part, some at a time, or some of their columns, where it has them."""
    path = work.folder_of(number) / "items.arrow"
    if not path.stat().st_size:
        return
    with pa.memory_map(str(path)) as source:
        held = pa.ipc.open_file(source)
        names = held.schema.names if columns is None else [name for name in columns if name in held.schema.names]
        for batch in range(held.num_record_batches):
            yield pa.Table.from_batches([held.get_batch(batch)]).select(names)


def attributes(table: pa.Table) -> pa.Table:
    """Of a part's lines, the attributes."""
    names = [name for name in table.column_names if name.startswith(MARK)]
    return table.select(names).rename_columns([name.removeprefix(MARK) for name in names])
