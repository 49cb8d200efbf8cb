"""A space whose content is a function of its version: a writer that goes through the versions, and what each must hold.

    version 1, 6, 11, ...   a new fit (commit_space)       2, 7, ...   items added
            3, 8, ...       attributes of some changed     4, 9, ...   items removed     5, 10, ...   compacted

So whoever finds a version after a kill knows every byte that belongs to it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from memory.filled import content, names, numbers, table

from semblance.errors import Failed
from semblance.memory.store import Store

FITTED, ADDED, REMOVED, DIM = 300, 60, 50, 16
CHANGED = slice(30, 330, 7)
"""Of the items in their order: some that will be removed, some that were added."""


def step(store: Store) -> None:
    """One change: from the version the store stands at to the next."""
    base, phase = split(store.version + 1)
    if phase == 0:
        store.commit_space(**content(FITTED, DIM, base))
    elif phase == 1:
        store.add(names(ADDED, 10**6), numbers(ADDED, DIM, base + 1), table(ADDED, base + 1), thumbnails=[b"x"] * ADDED)
    elif phase == 2:
        ids = store.ids()[CHANGED]
        store.update(ids, changed(len(ids), base))
    elif phase == 3:
        store.remove(names(REMOVED, 1000 * base))
    else:
        store.compact()


def split(version: int) -> tuple[int, int]:
    """The version of the fit that this version builds on, and how many changes came after it."""
    phase = (version - 1) % 5
    return version - phase, phase


def changed(n: int, base: int) -> pa.Table:
    """The attributes that n items get."""
    return pa.table({"city": [f"city {base} {number}" for number in range(n)], "stars": [0.5 * base] * n})


def check(store: Store) -> None:
    """Raises unless the store holds exactly what its version must hold, in the database and in the files."""
    view = store.refresh()
    if view.version == 0:
        assert view.count == 0
        return
    base, phase = split(view.version)
    wanted = content(FITTED, DIM, base)
    ids, vectors, attributes = wanted["ids"], numbers(FITTED, DIM, base), wanted["attributes"]
    pictures: list[Any] = wanted["thumbnails"]
    if phase >= 1:
        ids = ids + names(ADDED, 10**6)
        vectors = np.concatenate([vectors, numbers(ADDED, DIM, base + 1)])
        attributes = pa.concat_tables([attributes, table(ADDED, base + 1)])
        pictures = [*pictures, *[b"x"] * ADDED]
    lines = attributes.to_pylist()
    if phase >= 2:
        lines = [{**line, "stars": None} for line in lines]
        for line, new in zip(lines[CHANGED], changed(len(lines[CHANGED]), base).to_pylist(), strict=True):
            line.update(new)
    if phase >= 3:
        ids, vectors, lines, pictures = ids[REMOVED:], vectors[REMOVED:], lines[REMOVED:], pictures[REMOVED:]
    assert view.ids() == ids
    np.testing.assert_array_equal(view.vectors(), vectors)
    assert view.attributes().to_pylist() == lines
    assert [view.thumbnail(id) for id in ids[::37]] == pictures[::37]
    tensors, meta = store.read_model()
    assert float(tensors["weight"][0, 0]) == base and meta == {"seed": str(base)}
    assert store.recipe == wanted["recipe"] and store.manifest["classes"] == wanted["manifest"]["classes"]


def check_tidy(store: Store) -> None:
    """Raises if a file lies in the folder that no manifest names."""
    found = {file.name: file.stat().st_size for file in (store.path / "segments").iterdir()}
    assert found == {part["file"]: part["rows"] * 4 * DIM for part in store.manifest["segments"]}
    assert [file.stem for file in (store.path / "model").iterdir()] == [store.manifest["model"]][: store.version]
    known = {"space.db", "space.db-wal", "space.db-shm", "segments", "model", "writer.lock", "recipe.json"}
    assert {file.name for file in store.path.iterdir()} <= known


def write(path: str, pipe: int = 1) -> None:
    """Writes version after version, and says in a pipe (or on stdout) which are durable."""
    with Store.open(Path(path), write=True) as store:
        while True:
            os.write(pipe, f"{store.version}\n".encode())
            step(store)


def read(path: str, versions: str) -> None:
    """Checks version after version, as the writer goes on, until so many were seen."""
    seen: set[int] = set()
    with Store.open(Path(path)) as store:
        while len(seen) < int(versions):
            version = store.refresh().version
            try:
                check(store)
                seen.add(version)
            except (Failed, AssertionError):
                if store.refresh().version == version:
                    raise


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](*sys.argv[2:])
