"""Database: the tables of `space.db`, connections to it, and the record that says what the space is.

    space       one line: version, generation, manifest, recipe, the Arrow schema of the attributes
    segments    which files hold vectors, how many of their rows count, and their checksums
    items       row (grows, never reused within a generation), id, slot of its vector, the versions it lived in
    attributes  row and one column (a0, a1, ...) for each attribute
    thumbnails  row and PNG, or the number of the row that has it: an item whose attributes changed has a new row

A version is one commit. A generation lasts until the content is rewritten as a whole (a new fit, a compaction);
within it every older version can still be read, since what is removed only gets the version it died in, and an
attribute knows the version it came with. The manifest and the recipe are the newest version's.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa

from semblance.errors import Failed, SemblanceError
from semblance.memory.atomic import all_or_nothing, can_write
from semblance.memory.segments import Segment

MANY, MOST = 100, 30_000
"""Rows in one statement, and bound values, of which SQLite takes 32,766."""
FORMAT = 1
APPLICATION = 0x53454D42  # "SEMB"
TABLES = """
CREATE TABLE space (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, generation INTEGER NOT NULL,
                    manifest TEXT NOT NULL, recipe TEXT NOT NULL, schema BLOB NOT NULL);
CREATE TABLE segments (number INTEGER PRIMARY KEY, file TEXT NOT NULL UNIQUE, rows INTEGER NOT NULL,
                       sums BLOB NOT NULL DEFAULT x'');
CREATE TABLE items (row INTEGER PRIMARY KEY, id TEXT NOT NULL, slot INTEGER NOT NULL, born INTEGER NOT NULL,
                    died INTEGER);
CREATE UNIQUE INDEX live ON items (id) WHERE died IS NULL;
CREATE INDEX dead ON items (died) WHERE died IS NOT NULL;
CREATE TABLE attributes (row INTEGER PRIMARY KEY);
CREATE TABLE thumbnails (row INTEGER PRIMARY KEY, png BLOB NOT NULL);
"""


class Record(NamedTuple):
    """What one version of the space is, save for its items."""

    version: int
    generation: int
    manifest: dict[str, Any]
    recipe: dict[str, Any]
    schema: pa.Schema
    segments: list[Segment]
    oldest: int = 0
    """The first version of this generation: none before it can be read."""
    dead: int = 0
    """Rows that died in this generation."""


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun and ended by name."""
    mode = "mode=rw" if write else "mode=ro"
    if not write and not can_write(path.parent):
        # SQLite cannot make its shared memory here. It needs none where the log was folded in; where the log holds
        # changes, the shared memory that a killed writer left will do.
        log, shared = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
        if not log.exists() or not log.stat().st_size:
            mode = "mode=ro&immutable=1"
        elif not shared.exists():
            raise Failed(f"{path.parent}: has changes in {log.name} that a read-only folder hides: open a copy of it")
    connection = sqlite3.connect(
        f"file:{quote(str(path.resolve()))}?{mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=30
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON" if write else "PRAGMA query_only = ON")
    if write:
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # the store folds the log in itself, by size
        if "sums" not in {line[1] for line in connection.execute("PRAGMA table_info(segments)")}:
            connection.execute("ALTER TABLE segments ADD COLUMN sums BLOB NOT NULL DEFAULT x''")
    return connection


def make(path: Path, record: Record) -> None:
    """A new, empty database at `path`, as one file without a log."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(f"BEGIN; {TABLES}")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("INSERT INTO space VALUES (1, 0, 0, '{}', '{}', x'')")
        write_record(connection, record)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    finally:
        connection.close()


def check_format(path: Path, connection: sqlite3.Connection) -> None:
    """Refuses what is no space, what a newer Semblance wrote, and what an older one did (upgrade.py)."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise SemblanceError(f"{path.parent}: its space.db is empty or of another program, so this is no space")
    if version > FORMAT:
        raise SemblanceError(
            f"{path.parent}: was written by a newer Semblance (format {version}, this one reads up to {FORMAT}): "
            "upgrade Semblance"
        )
    if version < FORMAT:
        raise SemblanceError(
            f"{path.parent}: has the older format {version}: semblance upgrade {path.parent} --out COPY makes it today's"
        )


def read_record(connection: sqlite3.Connection) -> Record:
    """The record, inside the caller's transaction."""
    line = connection.execute("SELECT version, generation, manifest, recipe, schema FROM space").fetchone()
    segments = connection.execute("SELECT * FROM segments ORDER BY number").fetchall()
    if line is None:
        raise sqlite3.DatabaseError("its manifest is missing")
    version, generation, manifest, recipe, schema = line
    entries = json.loads(manifest)
    return Record(
        version=version,
        generation=generation,
        # Written before versions could be asked for: who knows when it was rewritten last. Only today's is promised.
        oldest=entries.pop("oldest", version),
        dead=entries.pop("dead", 0),
        manifest=entries,
        recipe=json.loads(recipe),
        schema=pa.ipc.read_schema(pa.BufferReader(schema)),
        segments=[Segment(*row[1:]) for row in segments],
    )


def write_record(connection: sqlite3.Connection, record: Record) -> None:
    """Replaces the record, inside the caller's transaction."""
    connection.execute(
        "UPDATE space SET version = ?, generation = ?, manifest = ?, recipe = ?, schema = ?",
        (
            record.version,
            record.generation,
            json.dumps({**record.manifest, "oldest": record.oldest, "dead": record.dead}),
            json.dumps(record.recipe),
            record.schema.serialize().to_pybytes(),
        ),
    )
    there = {line[0]: Segment(*line[1:]) for line in connection.execute("SELECT * FROM segments")}
    connection.execute("DELETE FROM segments WHERE number > ?", (len(record.segments),))
    changed = [(n, *part) for n, part in enumerate(record.segments, start=1) if there.get(n) != part]
    for line in changed:  # a file's name is never used twice, and so none stands in the way of another
        connection.execute("INSERT OR REPLACE INTO segments (number, file, rows, sums) VALUES (?, ?, ?, ?)", line)


def insert(connection: sqlite3.Connection, head: str, columns: Sequence[Iterable[Any]]) -> None:
    """`INSERT INTO {head} VALUES ...` of rows given by columns, many a statement: most of the time goes between two."""
    rows = iter(zip(*columns, strict=False))  # a column may be endless: `repeat(version)`
    line = f"({', '.join('?' * len(columns))})"
    many = max(1, min(MANY, MOST // len(columns)))
    while some := list(islice(rows, many)):
        connection.execute(
            f"INSERT INTO {head} VALUES {', '.join([line] * len(some))}", list(chain.from_iterable(some))
        )


class Pool:
    """Reading connections, one for each thread that reads at this moment; they are lent and come back."""

    def __init__(self, path: Path):
        self.path = path
        self._free: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one commit for as long as it is lent."""
        with all_or_nothing(self.path.parent):
            connection = self._take()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._give(connection)

    def close(self) -> None:
        """Closes what is free; what is lent closes when it comes back."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for connection in free:
            connection.close()

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise SemblanceError(f"{self.path.parent}: this space was closed: open it again")
            if self._free:
                return self._free.pop()
        return connect(self.path, write=False)

    def _give(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            # Where nothing can be written the file was perhaps read as it is, without looking out for a writer.
            if not self._closed and can_write(self.path.parent):
                self._free.append(connection)
                return
        connection.close()
