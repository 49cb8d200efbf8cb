"""Classifier: labelled items are stored, their votes are the answer, and editing the memory is all the learning there is.

    add       items, or whole new classes; known from the next question on
    remove    items; answers are then those of a memory that never held them
    without   items left out of one question, to see what would have been answered
    credit    how much of the answers each item, or each source of items, gave

`usefulness.py` finds whom to remove, or whose votes to weigh less. Any index finds the neighbours (`exact`: all are looked
at); the vote is that of `heads.neighbours`. The encoder is frozen and stays outside: vectors come in ready, and the cosine
takes directions only.

Reference: Geirhos et al. 2024, arXiv:2408.08172.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from semblance.contracts import Index
from semblance.data.labels import ordered
from semblance.errors import SemblanceError
from semblance.heads.neighbours import decide, vote, votes_of
from semblance.memory.atomic import all_or_nothing, write_file
from semblance.memory.changes import check_ids, named
from semblance.memory.decision import Decision, check_votes, decision, similarity_of
from semblance.memory.exact import Exact
from semblance.memory.segments import Floats, Ints


class VoteMemory:
    """A classifier without class weights, over any index. It keeps the Index contract itself: items are added with a column
    `label` among their attributes, and perhaps `weight` (of their votes, default 1) and `source`.

    votes: plain, distance, softmax (with `temperature`) or rank.
    """

    def __init__(self, index: Index, geometry: str = "cosine", votes: str = "rank", temperature: float = 0.07):
        check_votes(votes, geometry)
        # Asked for once with nothing, so that a mistyped name is refused here and not at the first question.
        votes_of(np.zeros((0, 1), np.int64), np.zeros((0, 1), np.float32), votes, temperature)
        self.index, self.geometry, self.votes, self.temperature = index, geometry, votes, temperature
        self._ids: list[str] = []
        self._row: dict[str, int] = {}
        self._names: list[str] = []
        self._codes = np.empty(0, np.int64)
        self._weights = np.empty(0, np.float32)
        self._sources: list[str | None] = []

    @classmethod
    def exact(cls, dim: int, votes: str = "rank", temperature: float = 0.07, geometry: str = "cosine") -> VoteMemory:
        """An empty one over an exact index in memory."""
        return cls(Exact(dim, geometry), geometry, votes, temperature)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> list[str]:
        """In the order of insertion."""
        return list(self._ids)

    @property
    def codes(self) -> Ints:
        """[N], the items' classes as positions in `classes`."""
        return self._codes.copy()

    @property
    def labels(self) -> list[str]:
        """In the order of `ids`."""
        return [self._names[code] for code in self._codes]

    @property
    def weights(self) -> Floats:
        """[N], in the order of `ids`."""
        return self._weights.copy()

    @property
    def classes(self) -> list[str]:
        """The classes that have an item, in order."""
        return list(self._names)

    # ------------------------------------------------------------------------------------------------- editing

    def add(self, ids: Sequence[str], vectors: np.ndarray, attributes: pa.Table | None = None) -> None:
        """Stores labelled items [N, d]; classes that were not there before are there now."""
        check_ids(ids)
        table = attributes if attributes is not None else pa.table({})
        if "label" not in table.column_names:
            raise SemblanceError("items of a memory vote with their label: give attributes with a column 'label'")
        labels = _labels(table["label"].to_pylist(), ids)
        weights = _weights(table["weight"].to_pylist() if "weight" in table.column_names else [1.0] * len(labels), ids)
        sources = table["source"].to_pylist() if "source" in table.column_names else [None] * len(labels)
        kept = [name for name in table.column_names if name not in ("label", "weight")]
        self.index.add(list(ids), vectors, table.select(kept) if kept else None)
        start = len(self._ids)
        self._ids += ids
        self._row.update((id, start + n) for n, id in enumerate(ids))
        self._weights = np.append(self._weights, weights)
        self._sources += [None if source is None else str(source) for source in sources]
        self._code([*self.labels, *labels])

    def remove(self, ids: Sequence[str]) -> None:
        """Forgets items; unknown ids are named and nothing is forgotten."""
        stays = np.ones(len(self._ids), bool)
        stays[self._rows(ids)] = False
        self.index.remove(list(dict.fromkeys(ids)))
        kept = np.flatnonzero(stays).tolist()
        labels = self.labels
        self._ids = [self._ids[row] for row in kept]
        self._row = {id: row for row, id in enumerate(self._ids)}
        self._weights = self._weights[stays]
        self._sources = [self._sources[row] for row in kept]
        self._code([labels[row] for row in kept])

    def relabel(self, ids: Sequence[str], labels: Sequence[str]) -> None:
        """Gives items other labels, which may be new classes."""
        rows, found = self._rows(ids), _labels(labels, ids)
        every = self.labels
        for row, label in zip(rows, found, strict=True):
            every[row] = label
        self._code(every)

    def reweight(self, ids: Sequence[str], weights: Sequence[float]) -> None:
        """What the items' votes are multiplied by: 0 or more."""
        rows, found = self._rows(ids), _weights(weights, ids)
        self._weights[rows] = found

    # ----------------------------------------------------------------------------------------------- answering

    def search(self, queries: np.ndarray, k: int, where: str | None = None) -> tuple[list[list[str]], list[np.ndarray]]:
        """As the index does."""
        return self.index.search(queries, k, where)

    def neighbours(
        self, queries: np.ndarray, k: int, without: Sequence[str] = (), where: str | None = None
    ) -> tuple[Ints, Floats]:
        """Positions [Q, k] in `ids` of the nearest items that are not left out, -1 behind the last, and their distances."""
        if not len(self):
            raise SemblanceError("the memory holds no item to vote: add some")
        if k < 1:
            raise SemblanceError(f"k is {k}: let one neighbour vote, or more")
        masked = self._rows(list(dict.fromkeys(without)))
        found, near = self.index.search(queries, min(k + len(masked), len(self)), where)
        width = max((len(line) for line in found), default=0)
        rows = np.full((len(found), width), -1, np.int64)
        distances = np.zeros((len(found), width), np.float32)
        try:
            for number, (line, distance) in enumerate(zip(found, near, strict=True)):
                rows[number, : len(line)] = [self._row[id] for id in line]
                distances[number, : len(line)] = distance
        except KeyError as error:
            raise SemblanceError(
                f"the index holds {error}, which this memory does not: both must change together"
            ) from None
        if len(masked):
            rows[np.isin(rows, masked)] = -1
            order = np.argsort(rows < 0, axis=1, kind="stable")
            rows = np.take_along_axis(rows, order, 1)
            distances = np.take_along_axis(distances, order, 1)
        return rows[:, :k], distances[:, :k]

    def probabilities(
        self, queries: np.ndarray, k: int = 20, without: Sequence[str] = (), where: str | None = None
    ) -> NDArray[np.float32]:
        """Questions [Q, d] -> shares of the votes [Q, K], columns as `classes`."""
        return self._voted(queries, k, without, where)[0].astype(np.float32)

    def classify(
        self, queries: np.ndarray, k: int = 20, without: Sequence[str] = (), where: str | None = None
    ) -> list[str]:
        """Questions [Q, d] -> labels; of equal classes, the nearer neighbour's."""
        _, best = self._voted(queries, k, without, where)
        return [self._names[code] for code in best]

    def explain(
        self, queries: np.ndarray, k: int = 20, without: Sequence[str] = (), where: str | None = None
    ) -> list[Decision]:
        """The same with the part of each neighbour. `without`: items that are left out of these questions only."""
        rows, distances = self.neighbours(queries, k, without, where)
        found = []
        for line, near in zip(rows, distances, strict=True):
            own = line[line >= 0]
            found.append(
                decision(
                    [self._ids[row] for row in own],
                    self._codes[own],
                    near[: len(own)],
                    self._names,
                    self.geometry,
                    self.votes,
                    self.temperature,
                    self._weights[own],
                    [self._sources[row] for row in own],
                )
            )
        return found

    def credit(self, queries: np.ndarray, k: int = 20, by: str = "source") -> dict[str, float]:
        """The share that each source (or, by "id", each item) has in the answers to these questions, on average, the
        largest first. They sum to 1. Items without a source count as ''."""
        if by not in ("source", "id"):
            raise SemblanceError(f"credit is given by source or by id, not by {by!r}")
        total: dict[str, float] = {}
        answers = self.explain(queries, k)
        for voter in (voter for answer in answers for voter in answer.neighbours):
            name = voter.id if by == "id" else voter.source or ""
            total[name] = total.get(name, 0.0) + voter.share / len(answers)
        return dict(sorted(total.items(), key=lambda pair: (-pair[1], pair[0])))

    # -------------------------------------------------------------------------------------------------- files

    def save(self, path: Path) -> None:
        """A folder: the index as it saves itself, and `items.parquet` with what the votes need."""
        folder = Path(path)
        with all_or_nothing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.index.save(folder / "index")
            table = pa.table(
                {
                    "id": pa.array(self._ids, pa.string()),
                    "label": pa.array(self.labels, pa.string()),
                    "weight": self._weights,
                    "source": pa.array(self._sources, pa.string()),
                }
            )
            said = {"geometry": self.geometry, "votes": self.votes, "temperature": self.temperature}
            sink = pa.BufferOutputStream()
            pq.write_table(table.replace_schema_metadata({"memory": json.dumps(said)}), sink)
            write_file(folder / "items.parquet", sink.getvalue().to_pybytes())

    @classmethod
    def load(cls, path: Path, kind: Callable[[Path], Index] = Exact.load) -> VoteMemory:
        """`kind` loads the index."""
        try:
            table = pq.read_table(Path(path) / "items.parquet")
            said: dict[str, Any] = json.loads(table.schema.metadata[b"memory"])
        except (FileNotFoundError, pa.ArrowInvalid, KeyError, TypeError):
            raise SemblanceError(f"{path}: holds no memory that can be read: name the folder it was saved to") from None
        memory = cls(kind(Path(path) / "index"), said["geometry"], said["votes"], said["temperature"])
        memory._ids = table["id"].to_pylist()
        memory._row = {id: row for row, id in enumerate(memory._ids)}
        memory._weights = table["weight"].to_numpy().copy()
        memory._sources = table["source"].to_pylist()
        memory._code(table["label"].to_pylist())
        return memory

    # ------------------------------------------------------------------------------------------------- helpers

    def _code(self, labels: Sequence[str]) -> None:
        self._names = ordered(labels)
        code = {name: number for number, name in enumerate(self._names)}
        self._codes = np.fromiter((code[label] for label in labels), np.int64, len(labels))

    def _rows(self, ids: Sequence[str]) -> Ints:
        unknown = [id for id in ids if id not in self._row]
        if unknown:
            raise SemblanceError(f"{named(unknown, len(ids))} not in the memory; nothing was changed")
        return np.fromiter((self._row[id] for id in ids), np.int64, len(ids))

    def _voted(
        self, queries: np.ndarray, k: int, without: Sequence[str], where: str | None
    ) -> tuple[NDArray[np.float32], Ints]:
        rows, distances = self.neighbours(queries, k, without, where)
        if (rows < 0).all(axis=1).any():
            raise SemblanceError("no neighbour is left to vote: add labelled items, or mask and filter fewer")
        codes = np.where(rows < 0, -1, self._codes[rows])
        near = similarity_of(distances, self.geometry)
        p = vote(codes, near, len(self._names), self.votes, self.temperature, item_weights=self._weights[rows])
        return p.numpy(), decide(p, codes).numpy()


def _labels(given: Sequence[Any], ids: Sequence[str]) -> list[str]:
    if len(given) != len(ids):
        raise SemblanceError(f"{len(ids)} ids came with {len(given)} labels: give one per item")
    bad = [id for id, label in zip(ids, given, strict=True) if label is None or not str(label).strip()]
    if bad:
        raise SemblanceError(f"{named(bad, len(ids))} without a label, and only labels vote: label or leave out")
    return [str(label) for label in given]


def _weights(given: Sequence[Any], ids: Sequence[str]) -> Floats:
    if len(given) != len(ids):
        raise SemblanceError(f"{len(ids)} ids came with {len(given)} weights: give one per item")
    found = np.array([np.nan if value is None else value for value in given], np.float32)
    bad = found[~(np.isfinite(found) & (found >= 0))]
    if len(bad):
        raise SemblanceError(f"a weight is {bad[0]}, but it multiplies a vote: give 0 or more")
    return found
