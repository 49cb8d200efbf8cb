"""Edge lists: files and tables with a row per edge, read batch by batch.

    .csv, .tsv, .parquet, tables    columns by name: source and target (or src and dst, from and to, ...) and, if there
                                    are, weight, sign, time, type
    .edges, .edgelist               without names, columns parted by blanks, tabs or commas, lines of # or % left out:
                                    the two ends, then a weight (or, from 100,000,000 up, a time), then a time

Ends are mapped to positions by hashing in compiled code. Memory: some 40 bytes an edge while it is read and 16 after, 4 to
8 for every further column, each id twice at most, and some 50 blocks of 4 MB that are read ahead; never the whole text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from semblance.data.edge_columns import chosen
from semblance.errors import SemblanceError

BLOCK = 1 << 22
"""Bytes of text read at a time."""
LOOSE = 1 << 16
"""Ids of batches that wait at least before they are joined."""
CLOCK = 100_000_000
"""Third columns of whole numbers from here on are times (seconds since 1970, from 1973)."""


class Pairs(NamedTuple):
    """first, second: int64 [E], positions in `names`, an Arrow array of text or whole numbers (ascending), each once.
    Where the two ends are things of two kinds, `others` names the second. columns: weight, sign, time, kind as they came;
    `kinds` names the codes of kind. left: columns that are not used."""

    first: np.ndarray
    second: np.ndarray
    names: pa.Array
    others: pa.Array | None
    columns: Mapping[str, np.ndarray]
    kinds: tuple[str, ...]
    left: tuple[str, ...]


def read_pairs(source: Any, ends: Sequence[tuple[str, str]], *, apart: bool = False, timed: bool = False) -> Pairs:
    """source: a path or an Arrow table. ends: the names that the two columns may have; apart: whether they name things of
    two kinds. timed: a third column without a name is a time."""
    what = str(source) if isinstance(source, Path) else "the table"
    for as_text in (False, True):
        try:
            return _read(source, ends, apart, timed, as_text, what)
        except (pa.ArrowException, OSError) as error:
            # Numbers first and text later: read the ends as text from the start.
            if as_text or not isinstance(source, Path):
                raise SemblanceError(
                    f"{what} cannot be read ({_first_line(error)}): check the file, or save it anew"
                ) from None
    raise AssertionError("one of the two ways returns or raises")


def _read(source: Any, ends: Sequence[tuple[str, str]], apart: bool, timed: bool, as_text: bool, what: str) -> Pairs:
    roles, batches, left, named = _opened(source, ends, as_text, what)
    codes: tuple[_Codes, ...] = (_Codes(), _Codes()) if apart else (_Codes(),)
    held: dict[str, list[np.ndarray]] = {name: [] for name in ("weight", "sign", "time") if name in roles}
    kind = _Codes() if "kind" in roles else None
    rows = 0
    for batch in batches:
        columns = {role: batch.column(name) for role, name in roles.items()}
        for role in ("first", "second"):
            _refuse_missing(columns[role], roles[role], rows, what)
            columns[role] = _whole(columns[role], roles[role], rows, what)
        if apart:
            codes[0].add(columns["first"])
            codes[1].add(columns["second"])
        else:
            codes[0].add(columns["first"], columns["second"])
        for role, parts in held.items():
            parts.append(_numbers(columns[role], roles[role], rows, what))
        if kind is not None:
            kind.add(columns["kind"].cast(pa.string()).fill_null(""))
        rows += batch.num_rows
    if not rows:
        raise SemblanceError(f"{what} is empty (no row of an edge): give at least one row")
    sides = [code.done() for code in codes]
    for _, names in sides:
        _refuse_fractions(names, what)
    found = {role: np.concatenate(parts) for role, parts in held.items()}
    if not named and "weight" in found and "time" not in found and (timed or _is_clock(found["weight"])):
        found["time"] = found.pop("weight")
    kinds: tuple[str, ...] = ()
    if kind is not None:
        found["kind"], names = kind.done()
        kinds = tuple(names.to_pylist())
    if apart:
        (first, names), (second, others) = sides
        return Pairs(first, second, names, others, found, kinds, left)
    both, names = sides[0]
    first, second = codes[0].parted(both)
    return Pairs(first, second, names, None, found, kinds, left)


class _Codes:
    """Values met batch by batch -> a code each. The dictionaries of batches wait until together they outweigh the joined
    one, so that an id is held about twice at most. Joining adds to the end: codes given once stay right."""

    def __init__(self) -> None:
        self.codes: list[np.ndarray] = []
        self.sizes: list[int] = []
        self.joined: pa.Array | None = None
        self.waiting: list[pa.DictionaryArray] = []

    def add(self, *columns: pa.Array) -> None:
        chunk = pa.concat_arrays(list(columns)) if len(columns) > 1 else columns[0]
        self.sizes.append(len(columns[0]))
        self.waiting.append(chunk.dictionary_encode())
        held = 0 if self.joined is None else len(self.joined)
        if sum(len(chunk.dictionary) for chunk in self.waiting) > max(held, LOOSE):
            self._join()

    def _join(self) -> None:
        if not self.waiting:
            return
        known = [] if self.joined is None else [pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), self.joined)]
        whole = pa.chunked_array([*known, *self.waiting]).unify_dictionaries()
        self.codes += [chunk.indices.to_numpy(zero_copy_only=False) for chunk in whole.chunks[len(known) :]]
        self.joined, self.waiting = whole.chunk(0).dictionary, []

    def done(self) -> tuple[np.ndarray, pa.Array]:
        """int64 codes of all values, and the values; whole numbers ascend, text is in the order met."""
        self._join()
        names, codes = self.joined, np.concatenate(self.codes).astype(np.int64)
        self.codes = []
        if pa.types.is_integer(names.type):
            order = np.argsort(names.to_numpy(), kind="stable")
            place = np.empty(len(order), np.int64)
            place[order] = np.arange(len(order))
            return place[codes], names.take(pa.array(order))
        return codes, names

    def parted(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes of batches of two columns each -> those of the first and of the second column."""
        sizes = np.array(self.sizes)
        first = np.repeat(np.tile([True, False], len(sizes)), np.repeat(sizes, 2))
        return codes[first], codes[~first]


def _opened(
    source: Any, ends: Sequence[tuple[str, str]], as_text: bool, what: str
) -> tuple[dict[str, str], Iterator[pa.RecordBatch], tuple[str, ...], bool]:
    """Which column is what, the batches, the columns left out, and whether columns have names."""
    if isinstance(source, pa.Table):
        roles, left = _roles(source.column_names, ends, what)
        return roles, iter(source.select(list(dict.fromkeys(roles.values()))).to_batches()), left, True
    if source.suffix.lower() in (".parquet", ".pq"):
        import pyarrow.parquet as pq

        file = pq.ParquetFile(source)
        roles, left = _roles(file.schema_arrow.names, ends, what)
        return roles, file.iter_batches(1 << 20, columns=list(dict.fromkeys(roles.values()))), left, True
    from pyarrow import csv

    delimiter, cells, comments = _looked_at(source)
    words = source.suffix.lower() in (".csv", ".tsv") and not any(map(_is_number, cells))
    named = bool(chosen(cells, ends)) or words
    if named:
        roles, left = _roles(cells, ends, what)
        names = cells
    else:
        if len(cells) < 2:
            raise SemblanceError(
                f"{what} has one column ({cells[0][:40]!r} first): give two, source and target, in every row"
            )
        roles = dict(
            zip(("first", "second", "weight", "time"), (f"column {k + 1}" for k in range(len(cells))), strict=False)
        )
        names = [f"column {k + 1}" for k in range(len(cells))]
        left = tuple(names[4:])
    read = csv.ReadOptions(column_names=names, block_size=BLOCK, skip_rows=int(named))
    wanted = {roles["first"]: pa.string(), roles["second"]: pa.string()} if as_text else {}
    convert = csv.ConvertOptions(column_types=wanted, include_columns=list(dict.fromkeys(roles.values())))
    blanks = delimiter == "\t" and source.suffix.lower() not in (".csv", ".tsv")
    file = _Cleaned(source) if comments or blanks else source
    try:
        return roles, iter(csv.open_csv(file, read, csv.ParseOptions(delimiter=delimiter), convert)), left, named
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            return roles, iter(()), left, named
        raise


def _roles(names: Sequence[str], ends: Sequence[tuple[str, str]], what: str) -> tuple[dict[str, str], tuple[str, ...]]:
    roles = chosen(names, ends)
    if not roles:
        known = ", ".join(" and ".join(pair) for pair in ends[:4])
        raise SemblanceError(
            f"{what} has the columns {', '.join(names)}, and none are the two ends: name them {known}, ..."
        )
    return roles, tuple(name for name in names if name not in roles.values())


def _looked_at(path: Path) -> tuple[str, list[str], bool]:
    """The delimiter, the cells of the first line that tells something, and whether lines have to be cleaned."""
    comments = False
    with open(path, "rb") as file:
        for line in file:
            text = line.decode("utf-8", "replace").lstrip("\ufeff").strip()
            if not text or text[0] in "#%":
                comments = comments or bool(text)
                continue
            delimiter = max(",;\t", key=text.count)
            if delimiter not in text:
                delimiter, comments = "\t", True  # blanks, of any number
            if delimiter == "\t" and comments:
                text = re.sub(r"[ \t]+", "\t", re.sub(r"\{.*\}", "", text).strip())
            return delimiter, [cell.strip().strip('"') for cell in text.split(delimiter)], comments
    raise SemblanceError(f"{path} is empty: give at least one row with the two ends of an edge")


class _Cleaned(io.RawIOBase):
    """A text file without its comments, its runs of blanks one tab each; read in blocks of whole lines."""

    def __init__(self, path: Path) -> None:
        self.file = open(path, "rb")  # noqa: SIM115  (closed by close)
        self.rest = b""
        self.ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while not self.ready:
            block = self.file.read(BLOCK)
            if not block and not self.rest:
                return 0
            whole, cut, rest = (self.rest + block).rpartition(b"\n")
            whole, self.rest = (whole + cut, rest) if block else (self.rest + b"\n", b"")
            whole = re.sub(rb"(?m)^[ \t]*[#%].*\n?|\{[^}\n]*\}", b"", whole)
            whole = re.sub(rb"[ \t]+", b"\t", re.sub(rb"(?m)^[ \t]+|[ \t\r]+$", b"", whole))
            self.ready = re.sub(rb"(?m)^\n", b"", whole)
        count = min(len(into), len(self.ready))
        into[:count], self.ready = self.ready[:count], self.ready[count:]
        return count

    def close(self) -> None:
        self.file.close()
        super().close()


def _refuse_missing(column: pa.Array, name: str, rows: int, what: str) -> None:
    missing = column.is_null() if column.null_count else None
    if missing is None and pa.types.is_string(column.type):
        empty = pc.equal(column, "")
        missing = empty if pc.any(empty).as_py() else None
    if missing is not None:
        row = rows + pc.index(missing, True).as_py()
        raise SemblanceError(f"{what}: row {row} names no node in column {name!r}: fill it in, or drop the row")


def _whole(column: pa.Array, name: str, rows: int, what: str) -> pa.Array:
    """Ids as text or int64; a fractional or a negative number is none."""
    kind = column.type
    if pa.types.is_floating(kind):
        values = column.to_numpy(zero_copy_only=False)
        if (values != np.floor(values)).any():
            row = int(np.flatnonzero(values != np.floor(values))[0])
            raise SemblanceError(
                f"{what}: row {rows + row} names node {values[row]} in {name!r}, no whole number: correct the id"
            )
        column = pa.array(values.astype(np.int64))
    if pa.types.is_integer(column.type):
        values = column.to_numpy(zero_copy_only=False).astype(np.int64)
        if (values < 0).any():
            row = int(np.flatnonzero(values < 0)[0])
            raise SemblanceError(
                f"{what}: row {rows + row} names node {values[row]} in {name!r}, below 0: correct the id"
            )
        return pa.array(values)
    return column.cast(pa.large_string())


def _refuse_fractions(names: pa.Array, what: str) -> None:
    """Ids read as text that are all numbers: whole ones, from 0."""
    if pa.types.is_integer(names.type) or not pc.all(pc.match_substring_regex(names, r"^[-+]?[0-9.]+$")).as_py():
        return
    off = pc.invert(pc.match_substring_regex(names, r"^[0-9]+$"))
    if pc.any(off).as_py():
        bad = names[pc.index(off, True).as_py()].as_py()
        raise SemblanceError(
            f"{what} names node {bad}, and ids that are numbers are whole and count from 0: correct the id"
        )


def _numbers(column: pa.Array, name: str, rows: int, what: str) -> np.ndarray:
    kind, at = column.type, pa.types
    if column.null_count:
        row = rows + pc.index(column.is_null(), True).as_py()
        raise SemblanceError(f"{what}: row {row} has nothing in column {name!r}: fill it in, or drop the row")
    if at.is_timestamp(kind) or at.is_date(kind):
        return column.cast(pa.timestamp("ms")).to_numpy(zero_copy_only=False)
    if at.is_integer(kind):
        return column.to_numpy(zero_copy_only=False).astype(np.int64)
    if at.is_floating(kind) or at.is_boolean(kind) or at.is_decimal(kind):
        return column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    raise SemblanceError(
        f"{what}: row {rows} has {column[0].as_py()!r} in column {name!r}, where numbers or dates are expected: "
        "correct it, or rename the column"
    )


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?", cell) is not None


def _is_clock(values: np.ndarray) -> bool:
    return values.dtype.kind in "iu" and len(values) > 0 and int(values.min()) >= CLOCK


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
