"""Shards: several memories that answer as one.

    ask       one question to all shards, on threads; whoever fails is named with the reason, and the others answer
    merge     the k nearest of all shards for all queries at once: by distance, then by shard, then by place in its answer
    read      a version whose vectors are read from its files: a shard may be gone in the middle of an answer
    split     one store as several, each a stretch of its items with the model that made them
    Sharded   the Index contract over other indexes

The order of the shards, and in each of its items, is the order of all: equal distances keep it, as in one undivided memory
that holds the shards' items one after another. A distance that is not negative sorts as the whole number with its bits,
so distance and column make one key, as in exact.py. Each shard finds its k nearest in its own way (a filter is run where
the items are), so an answer measured exactly in all shards is the undivided one bit for bit, and one found to a recall in
each has that recall, since the nearest of all are among the nearest of their shard.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import torch

from semblance.contracts import Index
from semblance.errors import Failed, SemblanceError
from semblance.geometry.threads import share
from semblance.memory.atomic import all_or_nothing
from semblance.memory.changes import KEPT
from semblance.memory.reading import Reading
from semblance.memory.segments import BLOCK, Floats, Ints, Unmapped, Vectors
from semblance.memory.store import Store
from semblance.memory.view import Stale, View

Name = TypeVar("Name")
Answer = TypeVar("Answer")


def ask(
    questions: Mapping[Name, Callable[[], Answer]], threads: int | None = None
) -> tuple[dict[Name, Answer], dict[Name, str]]:
    """What each shard answers, and why the others did not, both in the order of the questions.

    A shard is lost where its work failed or its files cannot be read. What is wrong with the question itself, and a shard
    that was rewritten meanwhile (`Stale`), is an error for the caller. threads: torch's, if None.
    """
    answers: dict[Name, Answer] = {}
    lost: dict[Name, str] = {}

    def one(name: Name, question: Callable[[], Answer]) -> None:
        try:
            answers[name] = question()
        except Stale:
            raise
        except Failed as error:
            lost[name] = str(error)
        except OSError as error:
            lost[name] = f"{error.filename or 'a file'}: {error.strerror or error}"

    tasks = [partial(one, name, question) for name, question in questions.items()]
    share(tasks, min(torch.get_num_threads() if threads is None else threads, len(tasks)))
    return ({n: answers[n] for n in questions if n in answers}, {n: lost[n] for n in questions if n in lost})


class Merged(NamedTuple):
    """The nearest of all: which shard and which place in its answer, [Q, m]; distances [Q, m], inf where there is none."""

    shard: Ints
    place: Ints
    distance: Floats


def merge(distances: Sequence[Floats], k: int) -> Merged:
    """distances: of each shard [Q, m], nearest first, inf where it found no more -> the k nearest of all."""
    every = np.concatenate(distances, axis=1) + np.float32(0)  # adding 0 makes -0 a 0, whose bits sort first
    bits = np.ascontiguousarray(every, np.float32).view(np.uint32).astype(np.uint64) << np.uint64(32)
    keys = bits | np.arange(every.shape[1], dtype=np.uint64)
    if keys.shape[1] > k:
        keys = np.partition(keys, k - 1, axis=1)[:, :k]
    keys.sort(axis=1)
    column = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    starts = np.cumsum([0, *(part.shape[1] for part in distances)])
    shard = np.searchsorted(starts, column, side="right") - 1
    return Merged(shard, column - starts[shard], np.take_along_axis(every, column, axis=1))


def level(lines: Sequence[np.ndarray], empty: float) -> np.ndarray:
    """Lines of any lengths -> [Q, longest], `empty` where a line has ended."""
    lengths = np.fromiter(map(len, lines), np.int64, len(lines))
    longest = int(lengths.max(initial=0))
    if len(lines) and longest * len(lines) == lengths.sum():
        return np.concatenate(lines).reshape(len(lines), longest)
    there = np.arange(longest) < lengths[:, None]
    out = np.full(there.shape, empty, lines[0].dtype if len(lines) else np.float32)
    if there.any():
        out[there] = np.concatenate(lines)
    return out


def read(view: View) -> View:
    """The same version, its vectors read from the files instead of mapped."""
    unmapped = copy.copy(view)
    folder, dim = view.folder / "segments", view.source.dim
    parts: list[Any] = [Unmapped(folder / segment.file, segment.rows, dim) for segment in view.record.segments]
    unmapped.source = Vectors(parts, view.source.slots, dim)
    return unmapped


def split(source: Reading, folders: Sequence[Path]) -> None:
    """Writes the items of a space into so many new ones: stretches of its order, as equal as can be. Ids, attributes,
    pictures, model, recipe and manifest go along; versions before this one and what is derived do not."""
    view = source.view
    if not 1 <= len(folders) <= len(view):
        raise SemblanceError(
            f"{view.folder} holds {len(view):,} items, which make no {len(folders)} shards: ask for fewer"
        )
    kind = {name: view.record.manifest[name] for name in ("dim", "geometry", "domain")}
    model = None if view.record.manifest["model"] is None else source.read_model()
    bounds, every = np.linspace(0, len(view), len(folders) + 1).astype(int), view.ids()
    for folder, first, stop in zip(folders, bounds, bounds[1:], strict=False):
        ids = every[first:stop]
        with Store.create(folder, manifest={}, **kind) as store:
            store.commit_space(
                ids=ids,
                vectors=_blocks(view, first, stop),
                attributes=view.attributes(rows=range(first, stop)),
                thumbnails=map(view.thumbnail, ids),
                model_tensors=None if model is None else model[0],
                model_meta=None if model is None else model[1],
                recipe=view.record.recipe,
                manifest={name: value for name, value in view.record.manifest.items() if name not in KEPT},
            )


def _blocks(view: View, first: int, stop: int) -> Iterator[Floats]:
    for start in range(first, stop, BLOCK):
        with all_or_nothing(view.folder):
            yield view.source[start : min(start + BLOCK, stop)]


class Sharded:
    """The Index contract over other indexes. An addition that one shard refuses, no shard keeps.

    An item lives in the shard that its id's checksum names, so nobody has to keep a table of who is where.
    """

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
        """The k nearest of all shards to each query [Q, d]: ids and distances. The contract has no place for an answer in
        part: a shard that fails is an error here."""
        found, lost = ask({n: partial(shard.search, queries, k, where) for n, shard in enumerate(self.shards)})
        for number, reason in lost.items():
            raise Failed(f"shard {number} of {len(self.shards)} did not answer: {reason}")
        best = merge([level(distances, np.inf) for _, distances in found.values()], k)
        there = np.isfinite(best.distance)
        # Ids of all shards in one array, line by line; where each line begins says where an answer's ids are.
        names = np.array(list(chain.from_iterable(chain.from_iterable(ids for ids, _ in found.values()))), object)
        lengths = np.array([list(map(len, ids)) for ids, _ in found.values()], np.int64)  # [S, Q]
        begins = (np.cumsum(lengths) - lengths.ravel()).reshape(lengths.shape)
        line = np.broadcast_to(np.arange(there.shape[0])[:, None], there.shape)
        chosen = names[(begins[best.shard, line] + best.place)[there]] if there.any() else names
        ends = np.cumsum(there.sum(axis=1))[:-1]
        return [part.tolist() for part in np.split(chosen, ends)], np.split(best.distance[there], ends)

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
