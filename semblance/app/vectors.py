"""Vectors in and out of files: what `embed` writes and `search` reads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semblance.errors import Failed, SemblanceError, unknown

KINDS = (".parquet", ".npy", ".npz", ".safetensors")


def check_kind(path: Path) -> None:
    """Whether vectors can be written to this path, before any work is done."""
    if path.suffix.lower() not in KINDS:
        raise unknown("kind of vector file", path.suffix or path.name, KINDS)
    if not path.parent.is_dir():
        raise SemblanceError(f"{path} cannot be written: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise SemblanceError(f"{path} cannot be written: {path.parent} is read-only")


def write_vectors(path: Path, ids: Sequence[str], vectors: np.ndarray) -> None:
    """Ids and vectors [N, d] in one step. Parquet has columns `id` and `vector` (a fixed-size list); .npz the arrays `ids`
    and `vectors`; .npy and .safetensors hold the vectors alone, in the data's order."""
    kind = path.suffix.lower()
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{kind}")
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    try:
        if kind == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
            pq.write_table(pa.table({"id": pa.array(ids, pa.string()), "vector": column}), partial)
        elif kind == ".npy":
            np.save(partial, vectors)
        elif kind == ".npz":
            np.savez(partial, ids=np.array(ids, dtype=str), vectors=vectors)
        else:
            from safetensors.numpy import save_file

            save_file({"vectors": vectors}, partial)
        os.replace(partial, path)
    except OSError as error:
        raise Failed(f"{path} could not be written ({error.strerror or error})") from error
    finally:
        partial.unlink(missing_ok=True)


def read_queries(space: Any, given: Sequence[str], by_id: bool, texts: Sequence[str] = ()) -> list[tuple[str, Any]]:
    """What was typed, as (name, query) pairs: ids, the rows of .npy files, or paths; and texts of a space of texts."""
    if texts:
        words = list(zip(texts, space.read_words(list(texts)), strict=True))
        return [*words, *(read_queries(space, given, by_id) if given else ())]
    if not given:
        raise SemblanceError(
            "a search needs a query: give a file, an id (--id) or, of texts, words of your own (--text)"
        )
    if by_id:
        known = set(getattr(space, "ids", given))  # shards say themselves what none of them holds
        for name in given:
            if name not in known:
                raise unknown("item", name, known)
        return [(name, name) for name in given]
    queries: list[tuple[str, Any]] = []
    for name in given:
        if name.lower().endswith(".npy") and Path(name).is_file():
            rows = _read_npy(name)
            queries += [(name if len(rows) == 1 else f"{name}[{i}]", row) for i, row in enumerate(rows)]
        else:
            queries.append((name, name))
    return queries


def _read_npy(name: str) -> np.ndarray:
    try:
        found = np.load(name, allow_pickle=False)
    except ValueError as error:
        raise SemblanceError(f"{name} is no array of numbers ({error}): save a float vector with numpy.save") from error
    if found.dtype.kind not in "fiu" or found.ndim not in (1, 2) or not found.size:
        raise SemblanceError(
            f"{name} holds {found.dtype} {list(found.shape)}: a query is a vector [d], or several [n, d]"
        )
    return np.atleast_2d(found.astype(np.float32))
