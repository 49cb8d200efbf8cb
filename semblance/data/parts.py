"""Parts: a source larger than memory as stretches of units, each of which any process can read by itself.

    folder of images                       stretches of its sorted listing           folder_parts.py
    .parquet, .arrow, or a folder of such  stretches of their rows, one file after the other     table_parts.py
    .npy                                   stretches of its map                       here
    anything else that `load` reads        read as a whole; stretches of what is in memory       here

A source is found once and then only read, in blocks of bounded size: it holds no open file, so that it can be sent to other
processes. Together its parts are what `load` gives: the same units in the same order with the same ids and attributes.
What depends on all units at once (which classes there are, how units are split) is left to whoever has read them all:
blocks give labels and splits in the words of the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from semblance.data import listing, named, plugged
from semblance.data.arrays import read_arrays
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.data.pictures import as_pictures, resized
from semblance.data.relational import Loaded
from semblance.data.vectors import as_vectors

Size = tuple[int, int] | None


class Block(NamedTuple):
    """Some units as a model reads them, without targets and splits; what the source says is their label and their split,
    where it says so; and which inputs were left out, and why."""

    data: Loaded
    label: pa.Array | None = None
    split: pa.Array | None = None
    skipped: tuple[tuple[str, str], ...] = ()


class Source(Protocol):
    """Where units are read from."""

    @property
    def domain(self) -> str: ...

    @property
    def units(self) -> int:
        """How many there are; some may be left out when they are read."""

    @property
    def place(self) -> str:
        """An absolute path, the name of a known set, or "" for data in memory."""

    @property
    def files(self) -> Path | None:
        """The listing of the files that are read."""

    @property
    def marks(self) -> dict[str, str]:
        """What has to be the same, beside the files, for parts that were read apart to belong together."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines to tell the user."""

    def cuts(self, rows: int) -> list[int]:
        """Where parts of about so many units begin, and behind the last of them: [0, ..., units]."""

    def told(self, first: int, stop: int) -> str:
        """What a person calls these units."""

    def blocks(self, first: int, stop: int, rows: int) -> Iterator[Block]:
        """The units from `first` to before `stop`, in blocks of so many at most."""


def source_of(data: Any, domain: str, size: Size, work: Path) -> Source:
    """The source that a model of this domain reads; images come in this size. `work` is a folder for listings of files,
    which have to stay there as long as the source is read."""
    if isinstance(data, str | Path) and not named.is_name(data):
        path = Path(data).expanduser().absolute()
        if path.exists() and plugged.loader(path, domain) is None:
            from semblance.data import folder_parts, table_parts

            found: Source | None = None
            if domain == "images" and path.is_dir():
                found = folder_parts.find(path, size, work)
            if found is None and table_parts.files_of(path):
                found = table_parts.find(path, domain, size, work)
            if found is None and path.suffix.lower() == ".npy" and domain in ("images", "vectors"):
                found = Rows.find(path, domain, size, work)
            if found is not None:
                return found
    return Whole(load(data, domain=domain, size=size))


def list_files(work: Path, root: Path, names: Iterator[str] | list[str]) -> Path:
    """A new listing in the work folder."""
    path = work / "files.arrow"
    listing.write(path, root, names)
    return path


def unlabelled(domain: str, x: Any, ids: list[str], attributes: pa.Table | None, first: int) -> ArrayDataset:
    """Units as they are embedded; what has no attributes is numbered from `first`, as everywhere."""
    if attributes is None or not attributes.num_columns:
        attributes = pa.table({"row": np.arange(first, first + len(ids))})
    return ArrayDataset(domain=domain, x=x, ids=ids, targets={}, attributes=attributes, splits={}, fingerprint="")


def even(units: int, rows: int) -> list[int]:
    """Cuts after every so many units."""
    return [*range(0, units, rows), units] if units else [0, 0]


@dataclass(frozen=True)
class Rows:
    """The rows of an .npy file, which is mapped."""

    domain: str
    units: int
    place: str
    size: Size
    files: Path
    notes: tuple[str, ...] = ()

    @classmethod
    def find(cls, path: Path, domain: str, size: Size, work: Path) -> Rows:
        x = read_arrays(path)["x"]
        (as_pictures if domain == "images" else as_vectors)(x[:1], str(path))  # says what is wrong with its shape
        note = f"domain: {domain} (array {list(x.shape)})"
        return cls(domain, len(x), str(path), size, list_files(work, path.parent, [path.name]), (note,))

    @property
    def marks(self) -> dict[str, str]:
        return {}

    def cuts(self, rows: int) -> list[int]:
        return even(self.units, rows)

    def told(self, first: int, stop: int) -> str:
        return f"rows {first:,} to {stop - 1:,} of {self.place}"

    def blocks(self, first: int, stop: int, rows: int) -> Iterator[Block]:
        path = Path(self.place)
        for file in listing.read(self.files):
            file.check(path.parent)
        x = read_arrays(path)["x"]
        for start in range(first, stop, rows):
            end = min(start + rows, stop)
            if self.domain == "images":
                found = as_pictures(x[start:end], self.place)
                found = found if self.size is None else resized(found, self.size)
            else:
                found = as_vectors(x[start:end], self.place, first=start)
            ids = [str(i) for i in range(start, end)]
            yield Block(unlabelled(self.domain, found, ids, None, start))


@dataclass(frozen=True)
class Whole:
    """Data in memory; its blocks have the targets and splits that it has. Units that are related are one part."""

    data: Loaded
    files: None = None

    @property
    def domain(self) -> str:
        return self.data.domain

    @property
    def units(self) -> int:
        return len(self.data)

    @property
    def place(self) -> str:
        return self.data.source

    @property
    def marks(self) -> dict[str, str]:
        return {"the data": self.data.fingerprint}

    @property
    def notes(self) -> tuple[str, ...]:
        return self.data.notes

    def cuts(self, rows: int) -> list[int]:
        return even(self.units, rows) if isinstance(self.data, ArrayDataset) else [0, self.units]

    def told(self, first: int, stop: int) -> str:
        return f"items {first:,} to {stop - 1:,} of {self.data.name or 'the data'}"

    def blocks(self, first: int, stop: int, rows: int) -> Iterator[Block]:
        if not isinstance(self.data, ArrayDataset):
            yield Block(self.data)
            return
        for start in range(first, stop, rows):
            yield Block(self.data.subset(np.arange(start, min(start + rows, stop))))
