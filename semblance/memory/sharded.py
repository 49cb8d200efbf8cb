"""Sharded: several indexes that answer as one.

An item lives in the shard that its id's checksum names, so nobody has to keep a table of who is where. Every shard is
asked for k, and the answers are merged by distance; of equal distances, the earlier shard's come first.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from semblance.contracts import Index
from semblance.errors import SemblanceError


class Sharded:
    """The Index contract over other indexes. An addition that one shard refuses, no shard keeps."""

    def __init__(self, shards: Sequence[Index]):
        if not shards:
            raise SemblanceError("an index of no shards holds nothing: give one or more")
        self.shards = list(shards)

    def shard_of(self, ids: Sequence[str]) -> np.ndarray:
        """[N] -> the number of each id's shard."""
        return np.array([zlib.crc32(id.encode()) % len(self.shards) for id in ids], np.int64)

    def add(self, ids: Sequence[str], vectors: np.ndarray, attributes: pa.Table | None = None) -> None:
        """Adds each item to its shard; when one refuses, those before it are taken out again."""
        place, block = self.shard_of(ids), np.asarray(vectors)
        table = attributes if attributes is not None and attributes.num_columns else None
        counts = {len(ids), len(block), len(ids) if table is None else table.num_rows}
        if len(counts) > 1:
            raise SemblanceError(
                f"{len(ids)} ids came with {len(block)} vectors and {table.num_rows if table else 0} attributes"
            )
        done: list[tuple[Index, list[str]]] = []
        try:
            for number, shard in enumerate(self.shards):
                rows = np.flatnonzero(place == number)
                own = [ids[row] for row in rows.tolist()]
                shard.add(own, block[rows], None if table is None else table.take(pa.array(rows)))
                done.append((shard, own))
        except BaseException:
            for shard, own in done:
                shard.remove(own)
            raise

    def remove(self, ids: Sequence[str]) -> None:
        """Removes each item from its shard. Shards are asked in order: where a later one does not know an id, what the
        earlier ones removed is gone, and the error names the unknown."""
        place = self.shard_of(ids)
        for number, shard in enumerate(self.shards):
            own = [ids[row] for row in np.flatnonzero(place == number).tolist()]
            if own:
                shard.remove(own)

    def search(self, queries: np.ndarray, k: int, where: str | None = None) -> tuple[list[list[str]], list[np.ndarray]]:
        """The k nearest of all shards to each query [Q, d]: ids and distances."""
        answers = [shard.search(queries, k, where) for shard in self.shards]
        ids, distances = [], []
        for parts in zip(*(zip(*answer, strict=True) for answer in answers), strict=True):
            names = [id for found, _ in parts for id in found]
            near = np.concatenate([distance for _, distance in parts])
            order = np.argsort(near, kind="stable")[:k]
            ids.append([names[row] for row in order])
            distances.append(near[order])
        return ids, distances

    def save(self, path: Path) -> None:
        """A folder of shards, `shard-0`, `shard-1`, ..."""
        Path(path).mkdir(parents=True, exist_ok=True)
        for number, shard in enumerate(self.shards):
            shard.save(Path(path) / f"shard-{number}")

    @classmethod
    def load(cls, path: Path, kind: Callable[[Path], Index]) -> Sharded:
        """`kind` loads one shard: `Exact.load`."""
        folders = sorted(Path(path).glob("shard-*"), key=lambda folder: int(folder.name.removeprefix("shard-")))
        if not folders:
            raise SemblanceError(f"{path}: holds no shards: name the folder that a sharded index was saved to")
        return cls([kind(folder) for folder in folders])
