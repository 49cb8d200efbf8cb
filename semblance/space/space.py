"""Space: what a user holds after fit. Items with ids, attributes and vectors; the model that made them; and the verbs
search, classify, add, remove and evaluate. Many threads and processes may read while one writes.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from semblance.analysis.comparison import Comparison
from semblance.analysis.degenerate import degenerate
from semblance.analysis.explanation import Explanation
from semblance.analysis.judge import NEW_CLASSES, judge
from semblance.analysis.layers import LayerComparison
from semblance.analysis.liked import LikedUnits
from semblance.data.dataset import ArrayDataset
from semblance.data.images import thumbnail
from semblance.data.load import load as load_data
from semblance.data.relational import Loaded
from semblance.errors import SemblanceError, unknown
from semblance.geometry.spaces import Geometry, space_named
from semblance.heads.neighbours import vote
from semblance.memory.check import Damage
from semblance.memory.decision import Decision
from semblance.memory.exact import scan
from semblance.memory.fused.planner import checked_recall
from semblance.memory.indexed import Indexed
from semblance.memory.reading import Past
from semblance.memory.store import Store
from semblance.memory.view import View
from semblance.recipes.registry import told_name
from semblance.space import label, picture, show, tables
from semblance.space.model import Model
from semblance.space.progress import watched
from semblance.space.selections import Selections

log = logging.getLogger(__name__)
Pair = tuple[np.ndarray, np.ndarray]
VIEWED = 1000  # test items whose second view is looked for in view_recall1


@dataclass(frozen=True)
class Results:
    """The answer to one query. `matches` items satisfied the filter, `recall` is the share of true neighbours expected
    (1 for an exact scan), `plan` says how they were found, `results` are {id, distance, attributes}, nearest first."""

    matches: int
    recall: float
    plan: str
    results: list[dict[str, Any]]

    @property
    def ids(self) -> list[str]:
        """Ids, nearest first."""
        return [r["id"] for r in self.results]

    def to_dict(self) -> dict[str, Any]:
        """As `semblance search --json` prints it."""
        return {"matches": self.matches, "recall": self.recall, "plan": self.plan, "results": self.results}

    _thumbnail = None  # how a notebook gets at the pictures; no field, since an answer outlives its space

    def with_pictures(self, thumbnail: Callable[[str], bytes | None]) -> Self:
        """The same; a notebook shows the items' pictures with it."""
        object.__setattr__(self, "_thumbnail", thumbnail)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_thumbnail"}

    def _repr_html_(self) -> str:
        return show.results_html(self, self._thumbnail)


class Space:
    """A folder of embeddings that can be searched, added to and judged; close it, or use it in a `with`."""

    def __init__(self, path: str | Path, module: nn.Module | Model | None = None):
        self.path = Path(path)
        self.store: Store | Past = Store.open(self.path)
        self.info: dict[str, Any] = {}
        self._module = module

    def __enter__(self) -> Space:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self.store.count

    def __repr__(self) -> str:
        return f"Space({str(self.path)!r}: {len(self):,} items, {self.geometry.name}, recipe {self.recipe!r})"

    def _repr_html_(self) -> str:
        return show.space_html(self)

    def close(self) -> None:
        """Give back files and connections; twice is once."""
        self.store.close()

    @cached_property
    def model(self) -> Model:
        """The model that embeds queries."""
        tensors, meta = self.store.read_model()
        return Model.from_tensors(tensors, json.loads(meta["semblance"]), self._module)

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What the space says of itself."""
        return self.store.manifest

    @property
    def recipe(self) -> str:
        """The recipe's name (with its version where that is not today's), "" for a wrapped module."""
        return told_name(str(self.manifest.get("recipe", "")))

    @property
    def geometry(self) -> Geometry:
        """What distance means here."""
        return space_named(str(self.manifest["geometry"]))

    @property
    def ids(self) -> list[str]:
        """Ids in the order of insertion."""
        return list(self.store.ids())

    @property
    def vectors(self) -> np.ndarray:
        """[N, d] float32, in the order of `ids`."""
        return self.store.vectors()

    def attributes(self, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """Attributes in the order of `ids`, of the items that satisfy `where`."""
        return self.store.attributes(columns, where)

    def to_arrow(self, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """Ids, vectors and attributes (all, or those named) of the items that satisfy `where`, as one table with the
        columns `id`, `vector` and theirs. Vectors are the memory map itself where they lie in one piece."""
        return self.store.reading(lambda view: tables.to_arrow(view, columns, where))

    def to_frame(self, library: str = "pandas", columns: Sequence[str] | None = None, where: str | None = None) -> Any:
        """The same as a data frame of pandas, polars or another library that narwhals knows."""
        return tables.to_frame(self.to_arrow(columns, where), library)

    def export(self, path: str | Path, where: str | None = None) -> None:
        """Write items (.parquet, .arrow, .npy, .safetensors) or the model (.pt2, .onnx) to a file; the suffix chooses."""
        from semblance.space.export import export  # the exporters are asked for seldom, and are slow to import

        export(self, path, where)

    def embed(self, data: Any) -> tuple[list[str], np.ndarray]:
        """Data -> (ids, vectors [N, d]) by this space's model; nothing is stored."""
        dataset = self.model.read(data)
        return list(dataset.ids), self.model.embed(dataset)

    def search(
        self,
        query: Any = None,
        k: int = 5,
        where: str | None = None,
        recall: float = 0.95,
        *,
        text: str | Sequence[str] | None = None,
    ) -> Results | list[Results]:
        """Nearest items to one query, or to several (a list, or a 2-d array): then a list of answers.

        query: a path to a file of the space's domain, the id of an item (which is then not its own neighbour), or a
        vector [d]; or instead, in a space of texts or one that learned from captions, `text`: words of your own, or a list
        of such. where: an SQL-like
        condition over attributes. recall: the share of the true nearest that an answer holds on average at least; 1
        measures every item. A k above the number of matches returns all of them.
        """
        queries, several = asked(query, k, recall, text, self.read_words)
        self.store.refresh()
        answers = self.store.reading(lambda view: self._search(view, queries, k, where, recall))
        if self.manifest["domain"] == "images":
            answers = [answer.with_pictures(self.store.thumbnail) for answer in answers]
        return answers if several else answers[0]

    @cached_property
    def index(self) -> Indexed:
        """What finds the nearest among many."""
        return Indexed(self.path)

    def _search(self, view: View, queries: Sequence[Any], k: int, where: str | None, recall: float) -> list[Results]:
        """The answers of one version of the space."""
        if not queries:
            return []
        vectors, items = zip(*(self._vector(view, query) for query in queries), strict=True)
        # An item that asks is not its own neighbour: one more is looked for, and itself left out.
        more = any(item is not None for item in items)
        near = self.index.search(view, np.stack(vectors), k + more, where, recall)
        answers = []
        for item, positions, distances in zip(items, near.positions, near.distances, strict=True):
            others = (positions != item) if item is not None else np.ones(len(positions), bool)
            keep, far = positions[others][:k], distances[others][:k]
            itself = item is not None and self.index.matches_itself(view, item, where)
            table = view.attributes(rows=keep)
            attributes = table.to_pylist() if table.num_columns else [{} for _ in keep]
            results = [
                {"id": name, "distance": float(distance), "attributes": attribute}
                for name, distance, attribute in zip(view.ids(keep), far, attributes, strict=True)
            ]
            answers.append(Results(near.matches - itself, near.recall, near.plan, results))
        return answers

    def _vector(self, view: View, query: Any) -> tuple[np.ndarray, int | None]:
        """A query as a vector [d] in the space's geometry, and the row it already has, if it is an item."""
        if isinstance(query, torch.Tensor):
            query = query.numpy()
        if isinstance(query, np.ndarray) and query.dtype.kind == "f" and query.ndim == 1:
            return self._given_vector(query.astype(np.float32)), None
        if isinstance(query, np.ndarray):
            return self.model.embed(query if query.ndim == 4 else query[None])[0], None
        if not isinstance(query, str | Path):
            raise SemblanceError(f"a query is a path, an id or a vector, not {type(query).__name__}")
        with suppress(SemblanceError):  # no item of this id: then it is a file, or a mistake
            row = view.row_of(str(query))
            return view.vectors([row])[0], row
        if not Path(query).is_file():
            words = ", or text= for words of your own" if self.manifest["domain"] == "text" else ""
            raise SemblanceError(f"{str(query)!r} is neither a file nor an id of this space: see `ids`{words}")
        vectors = self.model.embed(Path(query))
        if len(vectors) != 1:
            raise SemblanceError(f"{query} holds {len(vectors)} items: search one at a time, or pass an array")
        return vectors[0], None

    def read_words(self, texts: list[str]) -> np.ndarray:
        """Texts that are no items of this space -> their vectors [n, d]."""
        empty = next((t for t in texts if not isinstance(t, str) or not t.strip()), None)
        if empty is not None:
            raise SemblanceError(f"the text {empty!r} holds no words: give some")
        if self.manifest["domain"] != "text" and not self.manifest.get("words"):
            raise SemblanceError(
                f"this space holds {self.manifest['domain']} and reads no text: search by id or by file, or fit it with "
                "captions (recipe clip or catlip)"
            )
        return self.model.embed_words(texts)

    def agreement(self, data: Any) -> np.ndarray:
        """How far each image of the data and its own caption belong together, [n] cosines, by this space's model, which
        learned from captions. What `sb.data.filter` keeps by."""
        return self.model.agreement(data)

    def _given_vector(self, query: np.ndarray) -> np.ndarray:
        """A vector of the space's own, or (domain vectors) an item that is still to be embedded."""
        dim = int(self.manifest["dim"])
        if not np.isfinite(query).all():
            raise SemblanceError("the query vector holds NaN or infinity: give finite numbers")
        if len(query) == dim:
            return self.geometry.prepare(query[None])[0]
        if self.manifest["domain"] == "vectors":
            return self.model.embed(query[None])[0]
        raise SemblanceError(f"the query has {len(query)} numbers and the space {dim} dimensions: give {dim}")

    def classify(self, query: Any, k: int = 20) -> str | list[str]:
        """The label of a query by the votes of its k nearest labelled items (weights exp(cos / 0.07)); several queries
        (a list) give several labels."""
        names = self._classes()
        labels = self._label_codes(names)
        rows = np.flatnonzero(labels >= 0)
        if not len(rows):
            raise SemblanceError("no labelled item is left in this space: add some, or fit it again")
        several = isinstance(query, list | tuple)
        vectors = np.stack([self._vector(self.store.view, q)[0] for q in (query if several else [query])])
        found, distances = scan(self.store.view.source, rows, vectors, min(k, len(rows)), self.geometry)
        votes = vote(labels[found], -distances, len(names))
        answers = [names[int(c)] for c in votes.argmax(1)]
        return answers if several else answers[0]

    def _classes(self) -> list[str]:
        if self.manifest.get("labels") != "class":
            raise SemblanceError("this space holds no class labels to vote with: fit it on labelled data")
        return list(self.manifest["classes"])

    def _label_codes(self, names: Sequence[str]) -> np.ndarray:
        """[N] int64 from the label column, -1 where there is none."""
        code = {name: i for i, name in enumerate(names)}
        column = self.store.attributes(["label"]).column("label").to_pylist()
        return np.array([code.get(value, -1) for value in column], dtype=np.int64)

    def add(
        self,
        items: Any,
        ids: Sequence[str] | None = None,
        attributes: pa.Table | Mapping[str, Sequence[Any]] | None = None,
        update: bool = False,
    ) -> list[str]:
        """Embed new items and keep them; durable on return. Returns their ids.

        items: paths, arrays or a dataset of the space's domain. An id that is there already is refused, or its item
        replaced with `update=True`. The column `split` of new items is `added` unless given.
        """
        dataset = self.model.read(items)
        given = None if ids is None else [str(i) for i in ids]
        if given is not None and len(given) != len(dataset):
            raise SemblanceError(f"there are {len(given)} ids for {len(dataset)} items: give one id per item")
        table = (
            dataset.attributes
            if attributes is None
            else pa.table(dict(attributes))
            if isinstance(attributes, Mapping)
            else attributes
        )
        if table.num_rows != len(dataset) and table.num_columns:
            raise SemblanceError(
                f"there are {table.num_rows} rows of attributes for {len(dataset)} items: give one per item"
            )
        known = set(self.store.view.schema.names)
        if attributes is None:
            table = table.select([c for c in table.column_names if c in known])
        if "split" in known and "split" not in table.column_names:
            table = (
                table.append_column("split", pa.array(["added"] * len(dataset)))
                if table.num_columns
                else pa.table({"split": ["added"] * len(dataset)})
            )
        vectors = self.model.embed(dataset)
        pictures = [thumbnail(x) for x in dataset.x] if dataset.domain == "images" else None
        with self.store.writing() as store:
            store.refresh()
            names = given if given is not None else self._new_ids(dataset)
            store.add(names, vectors, table, thumbnails=pictures, update=update)
        return names

    def _new_ids(self, dataset: Loaded) -> list[str]:
        """Ids of the items' own (file names, a key column); arrays without any are numbered on from the largest
        number."""
        if dataset.source:
            return list(dataset.ids)
        start = self.store.view.largest_number() + 1
        return [str(start + i) for i in range(len(dataset))]

    def remove(self, ids: Sequence[str]) -> None:
        """Forget items; durable on return. Unknown ids are named and nothing is removed."""
        with self.store.writing() as store:
            store.remove([ids] if isinstance(ids, str) else list(ids))

    def update(self, ids: Sequence[str], attributes: pa.Table | Mapping[str, Sequence[Any]]) -> None:
        """Change attributes of items (a corrected label, a new column); durable on return, vectors are not touched.

        What the table lacks stays. Unknown ids are named and nothing is changed.
        """
        table = pa.table(dict(attributes)) if isinstance(attributes, Mapping) else attributes
        with self.store.writing() as store:
            store.update([ids] if isinstance(ids, str) else list(ids), table)

    @property
    def version(self) -> int:
        """The number of the commit that this space stands at; every change makes the next one."""
        return self.store.refresh().version

    def at(self, version: int) -> Space:
        """The space as it was in an older version, for reading: any since the last compaction or fit."""
        past = copy.copy(self)
        past.__dict__ = {
            key: self.__dict__[key] for key in ("path", "info", "_module", "model") if key in self.__dict__
        }
        past.store = Past(self.store, self.store.at(version))
        past.index = Indexed(self.path, builds=False)  # parts are for the versions to come
        return past

    def check(self) -> list[Damage]:
        """What of the folder is damaged, and the items that costs: empty for a space that is whole.

        Remove the items named (`remove`) and `compact`, or bring the files back from a copy.
        """
        return self.store.damage()

    def compact(self, dry_run: bool = False) -> dict[str, Any]:
        """Take removed items out of the files, byte for byte; every version before this one goes, too.

        Returns {"items", "bytes" of the folder, "versions": [first, last] of those that go}. `dry_run` changes nothing
        and says the bytes there are.
        """
        if not dry_run:
            with self.store.writing() as store:
                view = store.refresh()
                log.info("%s: compaction drops versions %d to %d", self.path, view.record.oldest, view.version)
                store.compact()
        else:
            view = self.store.refresh()
        versions = [view.record.oldest, view.version]
        size = sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())
        return {"items": len(view), "bytes": size, "versions": versions}

    @watched
    def plot(
        self,
        colour: str | None = "label",
        where: str | None = None,
        method: str = "auto",
        pictures: bool = False,
        most: int = 10_000,
        seed: int = 0,
        *,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> Any:
        """The items that satisfy `where` in two dimensions, coloured by an attribute: a matplotlib figure.

        method: umap, pca, or auto. `pictures` draws images themselves. Beyond `most` items a uniform sample is drawn.
        """
        return picture.plot(self, colour, where, method, pictures, most, seed, progress)

    @watched
    def compare(self, other: Any, **settings: Any) -> Comparison | LayerComparison | LikedUnits:
        """How far this space and another representation of its items agree (`semblance.compare`)."""
        from semblance.space.compare import compare  # it opens spaces itself

        return compare(self, other, **settings)

    def explain(self, x: Any, y: Any = None, **settings: Any) -> Explanation:
        """Which parts of two items make them near; without y, of x and its nearest (`semblance.explain`)."""
        from semblance.space.explain import explain  # it opens spaces itself

        return explain(self, x, y, **settings)

    def evaluate(
        self,
        dataset: Loaded | None = None,
        *,
        attributes: str | Path | pa.Table | None = None,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> show.Evaluation:
        """How good the space is: {"metrics": {name: {value, low, high, baseline}}, "notes": [...]}.

        Gallery: split `train`; queries: split `test`. The baseline is the raw input, read again from the data's source;
        where that is gone, baselines and what needs second views are null, and a note says so; another where the
        embeddings are degenerate, with the usual remedy. `attributes` is a table with a row for every class, a column of
        their names and columns that describe them: with it `zeroshot` is how often test items of classes without training
        items are named by the descriptions alone.
        """
        table = self.store.attributes()
        split = np.array(table.column("split").to_pylist())
        train, test = np.flatnonzero(split == "train"), np.flatnonzero(split == "test")
        if not len(train) or not len(test):
            raise SemblanceError("the space has no items of split train and test left to judge with: fit it again")
        notes: list[str] = []
        if dataset is None:
            dataset, note = self._source()
            notes += [note] if note else []
        labels = self._targets(table)
        z = self.store.vectors()
        raw_train = raw_test = views = raw_views = None
        position = {} if dataset is None else {name: i for i, name in enumerate(dataset.ids)}
        ids = self.store.ids()
        added = [ids[row] for row in (*train, *test) if ids[row] not in position]
        if dataset is not None and added:
            notes.append(f"no baseline: {len(added)} judged items (first {added[0]}) are not in the data of the fit")
        elif dataset is not None:
            own = {
                part: np.array([position[ids[r]] for r in rows]) for part, rows in (("train", train), ("test", test))
            }
            if dataset.domain == "images" or self.recipe != "as-is":
                raw_train, raw_test = (dataset.raw(own[part]) for part in ("train", "test"))
            views, raw_views = self._views(dataset, own["test"])
        if progress is not None:
            progress(0, 1, "judging")
        metrics = judge(
            z[train],
            None if labels is None else labels[train],
            z[test],
            None if labels is None else labels[test],
            raw_train=raw_train,
            raw_test=raw_test,
            views=views,
            raw_views=raw_views,
            geometry=self.geometry.name,
        )
        if attributes is not None:
            told = self._described(attributes, z, train, test, raw_train, raw_test)
            metrics["zeroshot"] = told
            notes += [told["note"]] if "note" in told else []
        if metrics["knn1"].get("note") == NEW_CLASSES:
            notes.append(
                f"{NEW_CLASSES}: few-shot figures take their examples from other test units, the rest is left out"
            )
        rank = metrics["effective_rank"]["value"]
        classes = labels[test] if labels is not None and self.manifest.get("labels") == "class" else None
        fault = degenerate(z[test], classes, rank, self.geometry.name)
        notes += [fault] if fault else []
        if progress is not None:
            progress(1, 1, "judging")
        return show.Evaluation(metrics=metrics, notes=notes)

    def _described(
        self,
        attributes: str | Path | pa.Table,
        z: np.ndarray,
        train: np.ndarray,
        test: np.ndarray,
        raw_train: np.ndarray | None,
        raw_test: np.ndarray | None,
    ) -> dict[str, Any]:
        """{value, low, high, baseline, note} of the closed-form map from embeddings to descriptions of classes."""
        from semblance.analysis.zero_shot import zero_shot
        from semblance.analysis.zero_shot_report import ZeroShot
        from semblance.data.class_tables import class_table

        if self.manifest.get("labels") != "class":
            raise SemblanceError(
                "attributes describe classes, and the items of this space have none: fit it with --label"
            )
        table = class_table(attributes)
        column = self.store.attributes().column("label").to_pylist()
        known = [np.array([r for r in rows if column[r] is not None], np.int64) for rows in (train, test)]
        names = [[str(column[r]) for r in rows] for rows in known]
        lost = sorted({*names[0], *names[1]} - set(table.names))
        if lost:
            raise unknown("class in the table of attributes", lost[0], table.names)

        def accuracy(gallery: np.ndarray, asked: np.ndarray) -> ZeroShot:
            learned, held = (x.reshape(len(x), -1) for x in (gallery, asked))
            return zero_shot((learned, names[0]), (held, names[1]), table, models="eszsl")

        found = accuracy(*(z[rows] for rows in known))
        baseline = None
        if raw_train is not None and raw_test is not None:
            kept = [np.isin(rows, part) for rows, part in zip((train, test), known, strict=True)]
            baseline = accuracy(raw_train[kept[0]], raw_test[kept[1]]).value("eszsl")
        row = found.rows[0]
        chance = f"zeroshot: {found.unseen} classes by their attributes, {row['chance']:.3f} by chance"
        note = "; ".join([chance, *found.notes])
        return {**{k: row[k] for k in ("value", "low", "high")}, "baseline": baseline, "note": note}

    def _source(self) -> tuple[Loaded | None, str | None]:
        record = self.store.recipe
        data = record["data"]
        try:
            if not data["source"]:
                raise SemblanceError("the data came from memory")
            if self.manifest.get("embedding") and data["fingerprint"].startswith("parts "):
                raise SemblanceError(f"{data['source']} was read in parts: evaluate(load(...)) reads it as a whole")
            dataset = load_data(data["source"], seed=record["seed"], **data["options"])
        except SemblanceError as error:
            return None, f"no baseline: {error}"
        if dataset.fingerprint != data["fingerprint"]:
            return None, f"no baseline: {data['source']} has changed since the space was fitted"
        return dataset, None

    def _targets(self, table: pa.Table) -> np.ndarray | None:
        kind = self.manifest.get("labels", "none")
        if kind == "none":
            return None
        if kind == "class":
            return self._label_codes(list(self.manifest["classes"]))
        column = table.column("label").to_pylist()
        if kind == "number":
            return np.array([np.nan if v is None else v for v in column], dtype=np.float64)
        names = list(self.manifest["classes"])
        return np.array([[name in (v or "").split(";") for name in names] for v in column])

    def _views(self, dataset: Loaded, rows: np.ndarray) -> tuple[Pair | None, Pair | None]:
        """Two drawn views of up to 1,000 test items, embedded and as they are; None where the domain has no views."""
        if not isinstance(dataset, ArrayDataset) or dataset.domain != "images" or len(rows) < 2:
            return None, None
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:VIEWED])
        drawn = list(self.model.drawn_views(dataset, rows))
        embedded = tuple(np.concatenate([self.model.embed_prepared(pair[i]) for pair in drawn]) for i in range(2))
        # A model of another size, or with a transform of the user's, sees something else than the items are.
        pixels = self.model.on_pixels(dataset.x.shape[1:])
        seen = drawn if pixels is self.model else list(pixels.drawn_views(dataset, rows))
        raw = tuple(np.concatenate([pair[i].flatten(1).numpy() for pair in seen]) for i in range(2))
        return embedded, raw  # type: ignore[return-value]  # tuples of two

    def vote(
        self,
        query: Any,
        k: int | None = None,
        votes: str | None = None,
        temperature: float = 0.07,
        where: str | None = None,
    ) -> Decision | list[Decision]:
        """What the nearest labelled items vote for a query, and which of them votes what; a list gives a list.

        k (10) and votes (rank; or plain, distance, softmax) are those of the space's recipe where it has them. Queries are
        as in `search`; `where` chooses who may vote. An item does not vote for itself.
        """
        several = isinstance(query, list | tuple)
        answers = self._ballot.vote(self, query if several else [query], k, votes, temperature, where)
        return answers if several else answers[0]

    @cached_property
    def _ballot(self) -> label.Ballot:
        return label.Ballot()

    def unlabelled(self, where: str | None = None) -> list[str]:
        """Ids of the items without a label that satisfy the condition."""
        return label.unlabelled(self, where)

    def relabel(self, ids: Sequence[str], labels: Sequence[str]) -> None:
        """Give items these labels, durably on return; the next answer uses them. A label may be a new class."""
        label.relabel(
            self, [ids] if isinstance(ids, str) else list(ids), [labels] if isinstance(labels, str) else labels
        )

    def select(self, name: str, ids: Sequence[str] | None = None, where: str | None = None) -> list[str]:
        """The ids of the selection of this name, without items that are gone. With `ids` or `where` it is made, or made
        anew, first; the explorer's lasso makes them too."""
        kept = Selections(self.path)
        view = self.store.refresh()
        if ids is not None or where is not None:
            if ids is not None and where is not None:
                raise SemblanceError("a selection is made of `ids` or of `where`, not of both")
            chosen = view.ids(view.rows_where(where)) if ids is None else list(ids)
            missing = sorted(set(chosen) - set(view.ids()))
            if missing:
                raise SemblanceError(
                    f"{len(missing)} of {len(chosen)} ids (first {missing[0]!r}) are not in the space: see `ids`"
                )
            kept.keep(name, chosen)
        there = set(view.ids())
        return [id for id in kept.ids(name) if id in there]


def asked(
    query: Any, k: int, recall: float, text: str | Sequence[str] | None, read_words: Callable[[list[str]], np.ndarray]
) -> tuple[list[Any], bool]:
    """The queries of a search as a list, and whether several answers are wanted; an error for what cannot be asked."""
    if k < 1:
        raise SemblanceError(f"k is {k}: ask for one neighbour or more")
    checked_recall(recall)
    if (query is None) == (text is None):
        raise SemblanceError("a search is for a query or for a text of your own (text=), one of the two: give it")
    if text is not None:
        query = read_words([text] if isinstance(text, str) else list(text))
        query = query[0] if isinstance(text, str) else query
    several = isinstance(query, list | tuple) or (
        isinstance(query, np.ndarray) and query.ndim == 2 and query.dtype.kind == "f"
    )
    return list(query) if several else [query], several


def load(path: str | Path, module: nn.Module | Model | None = None) -> Space:
    """Open a space; `module`, or `sb.wrap(module, transform)`, is needed only where it was made from a module of yours."""
    if (Path(path) / "shards.json").is_file():
        raise SemblanceError(
            f"{path}: names several spaces: search them by sb.shards or `semblance search`, or open one"
        )
    return Space(path, module)
