"""Listing: the files a source is made of, kept on disk, since there may be more of them than memory holds.

    name (bytes, as the file system has it), bytes, changed (nanoseconds)      Arrow's file format, `STEP` files a batch

Two listings of the same source are compared file by file: what came, went or changed between them is named.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from semblance.data.decoded import stamp
from semblance.errors import SemblanceError

SCHEMA = pa.schema([("name", pa.binary()), ("bytes", pa.int64()), ("changed", pa.int64())])
STEP = 4096


class File(NamedTuple):
    """A file by its path below the source's folder, its size and when it was changed."""

    name: str
    bytes: int
    changed: int

    def check(self, root: Path) -> Path:
        """Where it lies; an error where it is not what was listed."""
        path = root / self.name
        if stamp(path) != (self.bytes, self.changed):
            what = "has changed since it was listed" if os.path.lexists(path) else "is not there, or not seen from here"
            raise SemblanceError(f"{path} {what}: bring it back, or begin anew")
        return path


def write(path: Path, root: Path, names: Iterable[str]) -> int:
    """Lists these files below `root` in their order -> how many they are."""
    count, rest = 0, iter(names)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        while some := list(islice(rest, STEP)):
            stamps = [stamp(root / name) for name in some]
            columns = [[os.fsencode(name) for name in some], *zip(*stamps, strict=True)]
            writer.write_batch(
                pa.record_batch([pa.array(c, k) for c, k in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA)
            )
            count += len(some)
    return count


def read(path: Path, first: int = 0, stop: int | None = None) -> Iterator[File]:
    """The files from `first` to before `stop`."""
    with pa.memory_map(str(path)) as source:
        held = pa.ipc.open_file(source)
        last = held.num_record_batches if stop is None else -(-stop // STEP)
        for number in range(first // STEP, min(last, held.num_record_batches)):
            begin, end = max(first - number * STEP, 0), STEP if stop is None else stop - number * STEP
            lines = held.get_batch(number).slice(begin, max(end - begin, 0)).to_pydict()
            for name, size, changed in zip(*lines.values(), strict=True):
                yield File(os.fsdecode(name), size, changed)


def difference(before: Path, after: Path, root: Path) -> str:
    """What came, went or changed first between two listings, in words; "" where they are the same."""
    for old, new in zip_longest(read(before), read(after)):
        if old == new:
            continue
        if new is None or (old is not None and old.name != new.name and not os.path.lexists(root / old.name)):
            return f"{old.name} is gone"
        if old is None or old.name != new.name:
            return f"{new.name} is new"
        if old.bytes != new.bytes:
            return f"{new.name} has {new.bytes:,} bytes and had {old.bytes:,}"
        return f"{new.name} was written again"
    return ""
