"""PgVector: the Index contract over a table of PostgreSQL with the extension pgvector.

    table NAME          row, id, vector, a0, a1, ...        table NAME_about      dim, geometry and the attributes' schema

Every call is one transaction. A search orders all rows that satisfy the condition by distance, which is exact; `graph`
adds an HNSW index, which PostgreSQL then asks first, going on until enough of what it finds satisfies the condition
(https://github.com/pgvector/pgvector). Needs `pip install 'semblance[pgvector]'` and a server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from semblance.errors import Failed, SemblanceError
from semblance.memory import columns as arrow
from semblance.memory.changes import named
from semblance.memory.engines import entering
from semblance.memory.engines.postgres_where import column_type, postgres
from semblance.memory.exact import checked_queries
from semblance.memory.segments import Floats

SIGNS = {
    "cosine": ("(1 + (vector <#> %s::vector))", "vector_ip_ops"),
    "euclidean": ("vector <-> %s::vector", "vector_l2_ops"),
}
"""The distance in SQL, and what a graph is built for. `<#>` is the negative inner product."""


class PgVector:
    """An index in the table `name` of the database at `address` (postgresql://...), made if it is not there."""

    def __init__(
        self, dim: int, geometry: str = "cosine", *, address: str, name: str = "semblance", graph: bool = False
    ):
        if not re.fullmatch("[a-z_][a-z_0-9]{0,40}", name):
            raise SemblanceError(f"the table's name {name!r} is not lower-case letters, digits and _: give another")
        self.dim, self.geometry, self.name, self.graph = dim, entering.geometry_named(geometry), name, graph
        try:
            import psycopg
        except ImportError:
            raise SemblanceError("PgVector needs psycopg: pip install 'semblance[pgvector]'") from None
        self._errors = psycopg.Error
        with self._said():
            self._connection = psycopg.connect(address, autocommit=True)
        with self._transaction() as ask:
            self._make(ask)

    def __len__(self) -> int:
        with self._transaction() as ask:
            return int(ask(f"SELECT count(*) FROM {self.name}").fetchone()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connection back; the table stays."""
        self._connection.close()

    def drop(self) -> None:
        """Removes the tables from the database."""
        with self._transaction() as ask:
            ask(f"DROP TABLE IF EXISTS {self.name}, {self.name}_about")

    def add(self, ids: Sequence[str], vectors: np.ndarray, attributes: pa.Table | None = None) -> None:
        """Adds items; an id that is there already is refused."""
        with self._transaction(change=True) as ask:
            have = self._schema(ask)
            items = entering.entering(ids, vectors, attributes, self.dim, self.geometry, have)
            there = self._there(ask, ids)
            if there:
                raise SemblanceError(f"{named(there, len(ids))} in the index already: remove them first")
            for number in range(len(have.names), len(items.schema.names)):
                kind = column_type(items.schema.field(number).type)
                ask(f"ALTER TABLE {self.name} ADD COLUMN {arrow.place(number)} {kind}")
            ask(f"UPDATE {self.name}_about SET schema = %s", (items.schema.serialize().to_pybytes(),))
            columns = ", ".join(["id", "vector", *items.names])
            with ask.cursor.copy(f"COPY {self.name} ({columns}) FROM STDIN") as copy:
                for id, vector, line in zip(items.ids, items.vectors, items.lines(), strict=True):
                    copy.write_row((id, _text(vector), *line))

    def remove(self, ids: Sequence[str]) -> None:
        """Removes items; an id that is not there is refused, and then none is removed."""
        with self._transaction(change=True) as ask:
            there = set(self._there(ask, ids))
            missing = sorted(set(ids) - there)
            if missing:
                raise SemblanceError(f"{named(missing, len(ids))} not in the index; nothing was removed")
            ask(f"DELETE FROM {self.name} WHERE id = ANY(%s)", (list(ids),))

    def search(self, queries: np.ndarray, k: int, where: str | None = None) -> tuple[list[list[str]], list[np.ndarray]]:
        """The k nearest items to each query [Q, d] for which the condition is true: ids and distances."""
        asked = self.geometry.prepare(checked_queries(queries, self.dim, k))
        distance, _ = SIGNS[self.geometry.name]
        ids, distances = [], []
        with self._transaction() as ask:
            schema = self._schema(ask)
            tree = entering.condition(where, schema)
            kinds = {"id": pa.string(), **{field.name: field.type for field in schema}}
            condition, values = ("TRUE", []) if tree is None else postgres(tree, entering.places(schema), kinds)
            if self.graph:
                ask("SET LOCAL hnsw.iterative_scan = strict_order")
                ask(f"SET LOCAL hnsw.ef_search = {max(40, min(k, 1000))}")
            order = "vector <#> %s::vector" if self.graph and self.geometry.name == "cosine" else distance
            ties = "" if self.graph else ", row"  # a graph gives an order of its own
            for query in asked:
                text = _text(query)
                found = ask(
                    f"SELECT id, {distance} FROM {self.name} WHERE {condition} ORDER BY {order}{ties} LIMIT %s",
                    (text, *values, text, k),
                ).fetchall()
                ids.append([line[0] for line in found])
                distances.append(np.array([line[1] for line in found], np.float32))
        return ids, distances

    def save(self, path: Path) -> None:
        """Writes a space folder, or replaces the content of the one that is there."""
        with self._transaction() as ask:
            schema = self._schema(ask)
            columns = ", ".join(["id", "vector::text", *arrow.places(schema).values()])
            found = ask(f"SELECT {columns} FROM {self.name} ORDER BY row").fetchall()
        vectors = np.array([np.fromstring(line[1][1:-1], np.float32, sep=",") for line in found], np.float32)
        attributes = entering.table_of([[line[2 + n] for line in found] for n in range(len(schema))], schema)
        vectors = vectors.reshape(-1, self.dim)
        entering.write_space(path, [line[0] for line in found], vectors, attributes, self.geometry.name)

    def load(self, path: Path) -> PgVector:
        """The same index, with what a space holds in the place of what it held."""
        self.drop()
        with self._transaction(change=True) as ask:
            self._make(ask)
        for ids, vectors, attributes in entering.read_space(path, self.dim, self.geometry.name):
            self.add(ids, vectors, attributes)
        return self

    def _make(self, ask: Ask) -> None:
        ask("CREATE EXTENSION IF NOT EXISTS vector")
        ask(
            f"CREATE TABLE IF NOT EXISTS {self.name} (row bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
            f'id text COLLATE "C" UNIQUE NOT NULL, vector vector({self.dim}) NOT NULL)'
        )
        ask(f"CREATE TABLE IF NOT EXISTS {self.name}_about (dim int, geometry text, schema bytea)")
        about = ask(f"SELECT dim, geometry FROM {self.name}_about").fetchone()
        if about is None:
            empty = pa.schema([]).serialize().to_pybytes()
            ask(f"INSERT INTO {self.name}_about VALUES (%s, %s, %s)", (self.dim, self.geometry.name, empty))
        elif about != (self.dim, self.geometry.name):
            raise SemblanceError(
                f"table {self.name} holds {about[1]} vectors of {about[0]} numbers: name another table, or say so"
            )
        if self.graph:
            kind = SIGNS[self.geometry.name][1]
            ask(f"CREATE INDEX IF NOT EXISTS {self.name}_graph ON {self.name} USING hnsw (vector {kind})")

    def _schema(self, ask: Ask) -> pa.Schema:
        return pa.ipc.read_schema(pa.BufferReader(ask(f"SELECT schema FROM {self.name}_about").fetchone()[0]))

    def _there(self, ask: Ask, ids: Sequence[str]) -> list[str]:
        found = {line[0] for line in ask(f"SELECT id FROM {self.name} WHERE id = ANY(%s)", (list(ids),)).fetchall()}
        return [id for id in dict.fromkeys(ids) if id in found]

    @contextmanager
    def _transaction(self, change: bool = False) -> Iterator[Ask]:
        with self._said(), self._connection.transaction(), self._connection.cursor() as cursor:
            if change:  # who changes the table waits for others who do
                cursor.execute(f"SELECT pg_advisory_xact_lock(hashtext('{self.name}'))")
            yield Ask(cursor)

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Errors of the database, in one line."""
        try:
            yield
        except self._errors as error:
            line = " ".join(str(error).split())
            raise Failed(f"PostgreSQL, table {self.name}: {line or type(error).__name__}; nothing changed") from error


class Ask:
    """Questions within one transaction."""

    def __init__(self, cursor: Any):
        self.cursor = cursor

    def __call__(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self.cursor.execute(sql, values)


def _text(vector: Floats) -> str:
    """A vector as pgvector reads it, every number to its last bit."""
    return "[" + ",".join(map(repr, vector.tolist())) + "]"
