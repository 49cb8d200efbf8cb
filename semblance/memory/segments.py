"""Segments: float32 vectors in append-only files, whose named length is the truth.

A segment is a plain file of rows [rows, dim]. Bytes behind the rows that the manifest names do not exist: a writer
that was killed may have left them, and the next one writes over them. Vectors are found by slot, the position in the
sequence of all rows of all segments; removed items leave slots that nobody points at until the space is compacted.
A file that is shorter than its named length, or gone, takes only its own rows along: whoever asks for one of those is
told the file and what to do, and all others stay readable.

Vectors are mapped (or read, where a file may vanish meanwhile: `Unmapped`), never held as a whole: searching, changing
and compacting a space take memory for some seven blocks of `BLOCK` rows and for the rows and ids of its items
(tests/memory/test_memory_bound.py holds 400 MB of vectors to 256 MB). The pages of the maps belong to the operating
system, which takes them back when it needs them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semblance.errors import Failed, SemblanceError
from semblance.memory.atomic import sync_folder
from semblance.memory.checksums import extended

SEGMENT_BYTES = 256 << 20
"""Where a segment ends and the next begins: large enough to map few files, small enough to move one."""
BLOCK = 8192
"""Rows that are brought into memory at a time."""
NEAR = 16
"""Rows this near to each other are read in one piece."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Segment(NamedTuple):
    """A file in `segments/`, how many of its rows count, and their checksums (checksums.py; none: unknown)."""

    file: str
    rows: int
    sums: bytes = b""


class Short(NamedTuple):
    """A segment of which fewer rows are there than count."""

    path: Path
    rows: int
    bytes: int | None  # None where the file is gone

    def problem(self, dim: int) -> str:
        """What is wrong with the file, after the word "it"."""
        return "is missing" if self.bytes is None else f"holds {self.bytes} bytes and should hold {4 * dim * self.rows}"

    def explain(self, items: int, dim: int) -> str:
        """The one line about it, where `items` cannot be read."""
        return (
            f"{self.path}: is damaged, it {self.problem(dim)}; {items} {'item' if items == 1 else 'items'} cannot be "
            "read: bring it back from a copy, or remove the items that `check()` lists and compact the space"
        )


class Vectors:
    """The vectors of the live items, in their order; `vectors[rows]` reads those and no others."""

    def __init__(self, parts: Sequence[Floats], slots: Ints, dim: int, short: Mapping[int, Short] | None = None):
        self.parts, self.slots, self.dim, self.short = tuple(parts), slots, dim, dict(short or {})
        lengths = [self.short[n].rows if n in self.short else len(part) for n, part in enumerate(self.parts)]
        self.starts = np.cumsum([0, *lengths])  # [S + 1], the slot each part begins with

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.slots), self.dim

    def __len__(self) -> int:
        return len(self.slots)

    def __getitem__(self, rows: slice | Ints) -> Floats:
        """A slice or positions [n] -> [n, dim]; a view of the file where the rows lie in one piece."""
        slots = self.slots[rows]
        if len(slots) == 0:
            return np.empty((0, self.dim), np.float32)
        part = np.searchsorted(self.starts, slots, side="right") - 1
        if self.short:
            self._check(part, slots)
        first, last = int(slots[0]), int(slots[-1])
        if part[0] == part[-1] and last - first == len(slots) - 1 and bool((np.diff(slots) == 1).all()):
            start = int(self.starts[part[0]])
            piece: Floats = self.parts[part[0]][first - start : last - start + 1]
            return piece
        out = np.empty((len(slots), self.dim), np.float32)
        for number in np.unique(part):
            here = part == number
            out[here] = self.parts[number][slots[here] - self.starts[number]]
        return out

    def blocks(self, size: int = BLOCK) -> Iterator[Floats]:
        """All rows, [size, dim] at a time."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def lost(self, number: int) -> Ints:
        """The positions of the items whose vectors part `number` should hold and does not."""
        first, stop = self.starts[number] + len(self.parts[number]), self.starts[number + 1]
        return np.flatnonzero((self.slots >= first) & (self.slots < stop))

    def _check(self, part: Ints, slots: Ints) -> None:
        for number, short in self.short.items():
            if (slots[part == number] - self.starts[number] >= len(self.parts[number])).any():
                raise Failed(short.explain(len(self.lost(number)), self.dim))


def mapped(
    folder: Path, segments: Sequence[Segment], dim: int, known: Mapping[tuple[str, int], Floats]
) -> tuple[list[Floats], dict[int, Short]]:
    """The named rows of each segment as a read-only memory map [rows, dim], and the segments that lack some.

    `known` holds maps made before, by file and rows.
    """
    parts: list[Floats] = []
    short: dict[int, Short] = {}
    for number, segment in enumerate(segments):
        part = known.get((segment.file, segment.rows))
        if part is None:
            path, rows = folder / segment.file, segment.rows
            try:
                held = path.stat().st_size
            except FileNotFoundError:
                held = None
            if held is None or held < rows * dim * 4:
                short[number] = Short(path, segment.rows, held)
                rows = (held or 0) // (dim * 4)
            part = np.memmap(path, np.float32, mode="r", shape=(rows, dim)) if rows else np.empty((0, dim), np.float32)
        parts.append(part)
    return parts, short


class Unmapped:
    """The rows of one segment, read from its file when they are asked for. A map ends the process (SIGBUS) when its file
    shrinks or its disk goes away; this raises Failed."""

    def __init__(self, path: Path, rows: int, dim: int):
        self.path, self.rows, self.dim = path, rows, dim

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, rows: slice | Ints) -> Floats:
        """A slice or positions [n] -> [n, dim]."""
        try:
            return self._read(rows)
        except OSError as error:
            raise Failed(
                f"{self.path}: cannot be read ({error.strerror or error}): bring it back from a copy"
            ) from error

    def _read(self, rows: slice | Ints) -> Floats:
        with open(self.path, "rb", buffering=0) as file:
            if isinstance(rows, slice):
                first, stop, _ = rows.indices(self.rows)
                return self._stretch(file, first, stop)
            if not len(rows):
                return np.empty((0, self.dim), np.float32)
            # Ascending, in stretches: what lies between two rows that are near each other is read with them.
            order = np.argsort(rows, kind="stable")
            sorted_rows = rows[order]
            ends = np.flatnonzero(np.diff(sorted_rows) > NEAR) + 1
            out = np.empty((len(rows), self.dim), np.float32)
            for some in np.split(np.arange(len(rows)), ends):
                first, last = int(sorted_rows[some[0]]), int(sorted_rows[some[-1]])
                out[order[some]] = self._stretch(file, first, last + 1)[sorted_rows[some] - first]
            return out

    def _stretch(self, file: FileIO, first: int, stop: int) -> Floats:
        out = np.empty((max(0, stop - first), self.dim), np.float32)
        left = memoryview(out.data).cast("B") if out.size else memoryview(b"")
        file.seek(first * 4 * self.dim)
        while left:
            got = file.readinto(left)
            if not got:
                short = Short(self.path, self.rows, os.fstat(file.fileno()).st_size)
                raise Failed(short.explain(self.rows - (short.bytes or 0) // (4 * self.dim), self.dim))
            left = left[got:]
        return out


def checked(block: object, dim: int, start: int) -> Floats:
    """One block of vectors that may be written: [n, dim], float32, finite. `start` counts the rows before it."""
    try:
        array = np.ascontiguousarray(block, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise SemblanceError(f"vectors are numbers [N, {dim}], which this is not: {error}") from None
    if array.ndim != 2 or array.shape[1] != dim:
        raise SemblanceError(f"vectors have the shape {list(array.shape)}, but this space holds [N, {dim}]")
    good = np.isfinite(array).all(axis=1)
    if not good.all():
        row = start + int(np.argmin(good))
        raise SemblanceError(f"vector {row} holds NaN or infinity: leave it out or mend it; nothing changed")
    return array


class Appender:
    """Writes blocks behind the named rows. Nothing counts before a manifest names what `finish` returns."""

    def __init__(self, folder: Path, dim: int, named: Sequence[Segment], generation: int):
        self.folder, self.dim, self.generation = folder, dim, generation
        self.segments = list(named)
        self.rows = 0
        self._file: int | None = None
        self._new_names = False

    def write(self, block: object) -> None:
        """Appends [n, dim]."""
        array = checked(block, self.dim, self.rows)
        limit = max(1, SEGMENT_BYTES // (4 * self.dim))
        done = 0
        while done < len(array):
            if not self.segments or self.segments[-1].rows >= limit or not self._whole(self.segments[-1]):
                self._begin()
            last = self.segments[-1]
            piece = array[done : done + limit - last.rows]
            self._write(piece, last)
            sums = extended(last.sums, last.rows * self.dim * 4, memoryview(piece.data).cast("B"))
            self.segments[-1] = last._replace(rows=last.rows + len(piece), sums=sums)
            done += len(piece)
        self.rows += len(array)

    def finish(self) -> list[Segment]:
        """Syncs everything and returns all segments with their new lengths."""
        self._sync()
        if self._new_names:
            sync_folder(self.folder)
        return self.segments

    def close(self) -> None:
        """Lets go of the file that is being written; what was written and not named is for the next sweep."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _whole(self, last: Segment) -> bool:
        """Whether rows may follow: a file that lost some of its own must not grow over the gap."""
        if self._file is not None or not last.rows:
            return True
        path = self.folder / last.file
        return path.exists() and path.stat().st_size >= last.rows * self.dim * 4

    def _begin(self) -> None:
        self._sync()
        # The generation in the name: a file's name is never used again for other rows while a reader may ask for it.
        name = f"{self.generation:06d}-{len(self.segments):04d}.f32"
        self.segments.append(Segment(name, 0))
        self._new_names = True

    def _write(self, piece: Floats, last: Segment) -> None:
        if self._file is None:
            self._file = os.open(self.folder / last.file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            os.ftruncate(self._file, last.rows * self.dim * 4)
            os.lseek(self._file, 0, os.SEEK_END)
        left = memoryview(piece.data).cast("B")
        while left:
            left = left[os.write(self._file, left) :]

    def _sync(self) -> None:
        if self._file is not None:
            os.fsync(self._file)
            self.close()
