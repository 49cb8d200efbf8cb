"""Entering: items on their way into an engine, checked as every index checks them, and from and to a space folder.

Engines keep vectors as their geometry prepares them (for the cosine of length 1, or 0), so that one measure of theirs is
the distance here: 1 - the inner product, or Euclid's. Attributes are kept as `memory.columns` stores them, a float that
is NaN as null; attribute number n is called an, and `id` is the item's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from semblance.errors import SemblanceError
from semblance.geometry.spaces import Geometry, space_named
from semblance.memory import columns as arrow
from semblance.memory.changes import check_ids
from semblance.memory.conditions import Condition, parameters_of
from semblance.memory.segments import BLOCK, Floats, checked
from semblance.memory.store import Store
from semblance.memory.where import parse_where

MEASURED = ("cosine", "euclidean")
"""Geometries whose distance every engine can compute."""


class Items(NamedTuple):
    """New items that may be written: vectors prepared, attributes as columns of stored values."""

    ids: Sequence[str]
    vectors: Floats
    columns: list[list[Any]]
    names: list[str]
    schema: pa.Schema

    def lines(self) -> Iterator[tuple[Any, ...]]:
        """The stored attribute values of one item after the other."""
        return zip(*self.columns, strict=True) if self.columns else iter([()] * len(self.ids))


def geometry_named(name: str) -> Geometry:
    """A geometry whose distance engines can compute."""
    if name not in MEASURED:
        raise SemblanceError(
            f"an engine measures {' or '.join(MEASURED)}, not {name!r}: use Exact, or another geometry"
        )
    return space_named(name)


def entering(
    ids: Sequence[str], vectors: np.ndarray, attributes: pa.Table | None, dim: int, geometry: Geometry, have: pa.Schema
) -> Items:
    """What was given to `add`, checked; `schema` has the attributes that `have` lacks at its end."""
    check_ids(ids)
    block = checked(vectors, dim, 0)
    table = arrow.storable(attributes if attributes is not None else pa.table({}))
    if len(block) != len(ids) or (table.num_columns and table.num_rows != len(ids)):
        raise SemblanceError(f"{len(ids)} ids came with {len(block)} vectors and {table.num_rows} attributes")
    schema = arrow.joined(have, table.schema)
    table = arrow.fitted(table, schema)
    places = arrow.places(schema)
    columns = [[None if value != value else value for value in arrow.to_values(column)] for column in table.columns]
    names = [places[name] for name in table.column_names]
    return Items(list(ids), np.ascontiguousarray(geometry.prepare(block), np.float32), columns, names, schema)


def condition(where: str | None, schema: pa.Schema) -> Condition | None:
    """The checked tree of a condition over these attributes and the id."""
    if where is None:
        return None
    kinds = {"id": pa.string(), **{field.name: field.type for field in schema}}
    tree = parse_where(where, kinds)
    if parameters_of(tree):
        raise SemblanceError(f"where {where!r}: a question mark has no value here: write the value in its place")
    return tree


def places(schema: pa.Schema) -> Mapping[str, str]:
    """Attribute -> its name in the engine."""
    return {"id": "id", **arrow.places(schema)}


def table_of(values: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Stored values, a column each, as the attributes that they are."""
    arrays = [arrow.from_values(column, field.type) for column, field in zip(values, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def write_space(path: Path, ids: list[str], vectors: Floats, attributes: pa.Table, geometry: str) -> None:
    """A space folder with these items, new or in the place of what it held."""
    kind: dict[str, Any] = {"dim": vectors.shape[1], "geometry": geometry, "domain": "vectors"}
    exists = (Path(path) / "space.db").exists()
    with Store.open(path, write=True) if exists else Store.create(path, **kind, manifest={}) as store:
        store.commit_space(ids=ids, vectors=vectors, attributes=attributes, **kind)


def read_space(path: Path, dim: int, geometry: str) -> Iterator[tuple[list[str], Floats, pa.Table]]:
    """The items of a space folder, a block at a time."""
    with Store.open(path) as store:
        now = store.view
        if (now.manifest["dim"], now.manifest["geometry"]) != (dim, geometry):
            raise SemblanceError(
                f"{path}: holds {now.manifest['geometry']} vectors of {now.manifest['dim']} numbers, and this index "
                f"{geometry} ones of {dim}: make an index of that kind"
            )
        for start in range(0, len(now), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(now)))
            yield now.ids(rows), now.vectors(rows), now.attributes(rows=rows)
