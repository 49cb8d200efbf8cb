"""Qdrant: the Index contract over a collection of Qdrant, on a server, in a folder or in this process's memory.

    point        a number made of the id; the vector; id, a0, a1, ... as payload, what is null left out
    collection   in its metadata: geometry and the attributes' schema

What a filter of Qdrant can ask, Qdrant is asked; the rest of a condition is answered here, over the payloads of the
items that passed, and goes back as a list of points. The answer is exact with `exact`, else what Qdrant's graph finds
(https://qdrant.tech/documentation). One process writes at a time: Qdrant has no transactions. Needs
`pip install 'semblance[qdrant]'`.
"""

from __future__ import annotations

import base64
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from semblance.errors import Failed, SemblanceError
from semblance.memory import columns as arrow
from semblance.memory.changes import named
from semblance.memory.conditions import And, Condition, columns_of, conjuncts, to_sql
from semblance.memory.engines import entering
from semblance.memory.exact import checked_queries

PAGE = 1000
"""Points that come or go in one message."""
KEYS = uuid.UUID("6ca1d9c8-2f0b-5b7e-9a39-3c1c0de7f0a4")


class Qdrant:
    """An index in the collection `name` at `address`: http://..., a folder, or :memory:; made if it is not there."""

    def __init__(
        self, dim: int, geometry: str = "cosine", *, address: str, name: str = "semblance", exact: bool = False
    ):
        self.dim, self.geometry, self.name, self.exact = dim, entering.geometry_named(geometry), name, exact
        try:
            from qdrant_client import QdrantClient, models
        except ImportError:
            raise SemblanceError("Qdrant needs qdrant-client: pip install 'semblance[qdrant]'") from None
        self._models: Any = models
        with self._said():
            self._client: Any
            if address.startswith(("http://", "https://")):
                self._client = QdrantClient(url=address, check_compatibility=False)
            elif address == ":memory:":
                self._client = QdrantClient(":memory:")
            else:
                self._client = QdrantClient(path=address)
            self._make()

    def __len__(self) -> int:
        with self._said():
            return int(self._client.count(self.name, exact=True).count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connection, or the folder, back; the collection stays."""
        self._client.close()

    def add(self, ids: Sequence[str], vectors: np.ndarray, attributes: pa.Table | None = None) -> None:
        """Adds items; an id that is there already is refused."""
        with self._said():
            have = self._schema()
            items = entering.entering(ids, vectors, attributes, self.dim, self.geometry, have)
            there = self._there(ids)
            if there:
                raise SemblanceError(f"{named(there, len(ids))} in the index already: remove them first")
            if len(items.schema) > len(have):
                self._client.update_collection(self.name, metadata=self._about(items.schema))
            payloads = [
                {"id": id, **{name: value for name, value in zip(items.names, line, strict=True) if value is not None}}
                for id, line in zip(items.ids, items.lines(), strict=True)
            ]
            for start in range(0, len(ids), PAGE):
                some = slice(start, start + PAGE)
                keys = [_key(id) for id in items.ids[some]]
                batch = self._models.Batch(ids=keys, vectors=items.vectors[some].tolist(), payloads=payloads[some])
                self._client.upsert(self.name, batch, wait=True)

    def remove(self, ids: Sequence[str]) -> None:
        """Removes items; an id that is not there is refused, and then none is removed."""
        with self._said():
            missing = sorted(set(ids) - set(self._there(ids)))
            if missing:
                raise SemblanceError(f"{named(missing, len(ids))} not in the index; nothing was removed")
            keys = self._models.PointIdsList(points=[_key(id) for id in ids])
            self._client.delete(self.name, keys, wait=True)

    def search(self, queries: np.ndarray, k: int, where: str | None = None) -> tuple[list[list[str]], list[np.ndarray]]:
        """The k nearest items to each query [Q, d] for which the condition is true: ids and distances."""
        asked = self.geometry.prepare(checked_queries(queries, self.dim, k))
        params = self._models.SearchParams(exact=True) if self.exact else None
        ids, distances = [], []
        with self._said():
            schema = self._schema()
            tree = entering.condition(where, schema)
            picked = None if tree is None else self._filter(tree, schema)
            for query in asked:
                points = self._client.query_points(
                    self.name, query.tolist(), query_filter=picked, search_params=params, limit=k, with_payload=["id"]
                ).points
                ids.append([point.payload["id"] for point in points])
                scores = np.array([point.score for point in points], np.float32)
                distances.append(1 - scores if self.geometry.name == "cosine" else scores)
        return ids, distances

    def save(self, path: Path) -> None:
        """Writes a space folder, or replaces the content of the one that is there; the order is Qdrant's own."""
        with self._said():
            schema = self._schema()
            points = list(self._points(None, True))
        names = arrow.places(schema).values()
        attributes = entering.table_of([[point.payload.get(name) for point in points] for name in names], schema)
        vectors = np.array([point.vector for point in points], np.float32).reshape(-1, self.dim)
        entering.write_space(path, [p.payload["id"] for p in points], vectors, attributes, self.geometry.name)

    def load(self, path: Path) -> Qdrant:
        """The same index, with what a space holds in the place of what it held."""
        with self._said():
            self._client.delete_collection(self.name)
            self._make()
        for ids, vectors, attributes in entering.read_space(path, self.dim, self.geometry.name):
            self.add(ids, vectors, attributes)
        return self

    def _make(self) -> None:
        kind = self._models.Distance.DOT if self.geometry.name == "cosine" else self._models.Distance.EUCLID
        if not self._client.collection_exists(self.name):
            config = self._models.VectorParams(size=self.dim, distance=kind)
            self._client.create_collection(self.name, config, metadata=self._about(pa.schema([])))
        held = self._client.get_collection(self.name).config.params.vectors
        if (held.size, held.distance) != (self.dim, kind):
            raise SemblanceError(
                f"collection {self.name!r} holds vectors of {held.size} numbers measured by {held.distance.value}: "
                "name another collection, or say so"
            )

    def _about(self, schema: pa.Schema) -> dict[str, str]:
        return {"geometry": self.geometry.name, "schema": base64.b64encode(schema.serialize().to_pybytes()).decode()}

    def _schema(self) -> pa.Schema:
        about = self._client.get_collection(self.name).config.metadata or {}
        if "schema" not in about:
            raise SemblanceError(f"collection {self.name!r} was not made by Semblance: name another collection")
        return pa.ipc.read_schema(pa.BufferReader(base64.b64decode(about["schema"])))

    def _there(self, ids: Sequence[str]) -> list[str]:
        found: set[str] = set()
        for start in range(0, len(ids), PAGE):
            keys = [_key(id) for id in ids[start : start + PAGE]]
            found.update(p.payload["id"] for p in self._client.retrieve(self.name, keys, with_payload=["id"]))
        return [id for id in dict.fromkeys(ids) if id in found]

    def _filter(self, tree: Condition, schema: pa.Schema) -> Any:
        """Qdrant's filter for the condition; what it cannot ask as a list of the points that answer it."""
        from semblance.memory.engines.qdrant_where import Beyond, filter_of

        places = entering.places(schema)
        kinds = {"id": pa.string(), **{field.name: field.type for field in schema}}
        asked, left = [], []
        for part in conjuncts(tree):
            try:
                asked.append(filter_of(part, places, kinds))
            except Beyond:
                left.append(part)
        if left:
            rest = left[0] if len(left) == 1 else And(tuple(left))
            passed = self._models.Filter(must=asked) if asked else None
            asked.append(self._models.HasIdCondition(has_id=self._answered(rest, passed, places)))
        return self._models.Filter(must=asked)

    def _answered(self, tree: Condition, passed: Any, places: Any) -> list[str]:
        """The points among those that pass a filter for which the condition is true, as SQLite finds them."""
        names = [places[column] for column in columns_of(tree)]
        condition, values = to_sql(tree, places)
        table = sqlite3.connect(":memory:", isolation_level=None)
        table.execute(f"CREATE TABLE items (key, {', '.join(names)})")
        lines = ((p.id, *(p.payload.get(name) for name in names)) for p in self._points(passed, False, names))
        table.executemany(f"INSERT INTO items VALUES ({', '.join('?' * (len(names) + 1))})", lines)
        keys = [line[0] for line in table.execute(f"SELECT key FROM items WHERE {condition}", values)]
        table.close()
        return keys

    def _points(self, passed: Any, vectors: bool, names: list[str] | bool = True) -> Iterator[Any]:
        """All points that pass a filter, a page at a time."""
        place = None
        while True:
            points, place = self._client.scroll(self.name, passed, PAGE, None, place, names, vectors)
            yield from points
            if place is None:
                return

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Errors of Qdrant and of the way to it, in one line."""
        from qdrant_client.http.exceptions import ApiException

        try:
            yield
        except SemblanceError:
            raise
        except (ApiException, OSError, RuntimeError) as error:
            line = " ".join(str(error).split())
            raise Failed(f"Qdrant, collection {self.name!r}: {line or type(error).__name__}") from error


def _key(id: str) -> str:
    """The name of an item's point: Qdrant takes numbers and UUIDs."""
    return str(uuid.uuid5(KEYS, id))
