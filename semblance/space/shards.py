"""Shards: spaces that answer a search as one, whether one was split or several were made by the same model.

    whole = sb.shards("a.space", "b.space")            # or a folder that names them: sb.shards("whole.shards")
    whole.search("query.jpg", k=5, where="year >= 2020")

A shard is a space like any other and can be added to, moved with its folder, or brought back from a copy. One that is
lost or damaged, even in the middle of a search, is named in the answer (`partial`, `lost`), which then holds what the
others have; the next search asks it again. A shard whose vectors another model made is refused (shard_file.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from torch import nn

from semblance.errors import Failed, SemblanceError
from semblance.memory import shards as memory
from semblance.memory.atomic import all_or_nothing
from semblance.memory.indexed import Near
from semblance.memory.store import Store
from semblance.memory.view import Stale, View
from semblance.space.joined import Found, Query, joined, told_plan
from semblance.space.model import Model
from semblance.space.shard_file import FILE, facts_of, read_names, told, write_names
from semblance.space.space import Space, asked

TRIES = 5
"""A search begins anew so often where a shard is rewritten (fitted, compacted) in the middle of it."""


class Shards:
    """Several spaces as one, for searching; close it, or use it in a `with`.

    paths: by name, in order. made_by: what all must be made by; None: what the first that can be read is made by. builds:
    whether a search may begin to index a shard in the background.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        module: nn.Module | Model | None = None,
        made_by: Mapping[str, Any] | None = None,
        builds: bool = True,
    ):
        self.paths, self.builds, self._module = dict(paths), builds, module
        self._first = None if made_by is None else (f"the others, says {FILE}:", dict(made_by))
        self._opened: dict[str, tuple[Space, tuple[int, int]]] = {}
        try:
            self._versions()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Shards:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return sum(map(len, self._versions()[0].values()))

    def __repr__(self) -> str:
        return f"Shards({', '.join(map(repr, self.paths))})"

    def close(self) -> None:
        """Give back what the shards hold open; twice is once."""
        for space, _ in self._opened.values():
            space.close()
        self._opened = {}

    @property
    def names(self) -> list[str]:
        """What the shards are called, in their order."""
        return list(self.paths)

    @property
    def lost(self) -> dict[str, str]:
        """The shards that cannot be opened now, and why. What is damaged further within is found by a search."""
        return self._versions()[1]

    def now(self) -> tuple[dict[str, tuple[Space, View]], dict[str, str]]:
        """The newest version of each shard that can be read, with its space; and who is lost, and why."""
        views, lost = self._versions()
        return {name: (self._opened[name][0], view) for name, view in views.items()}, lost

    def search(
        self,
        query: Any = None,
        k: int = 5,
        where: str | None = None,
        recall: float = 0.95,
        *,
        text: str | Sequence[str] | None = None,
    ) -> Found | list[Found]:
        """The nearest items of all shards: asked and answered as `Space.search`. An item that asks by its id is looked for
        in the shards in their order."""
        queries, several = asked(query, k, recall, text, self.read_words)
        for turn in range(TRIES):
            try:
                answers = self._search(queries, k, where, recall)
                break
            except Stale:
                if turn == TRIES - 1:
                    raise
        return answers if several else answers[0]

    def read_words(self, texts: list[str]) -> np.ndarray:
        """Texts that are no items -> their vectors [n, d]."""
        return self._any(*self._versions(), lambda space, _: space.read_words(texts))

    def save(self, out: str | Path) -> Path:
        """Name the shards in a folder, seen from there: what `sb.shards(out)` opens."""
        out = Path(out)
        self._versions()
        with all_or_nothing(out):
            out.mkdir(exist_ok=True)
            write_names(
                out, [os.path.relpath(path.resolve(), out.resolve()) for path in self.paths.values()], self._facts()[1]
            )
        return out

    # ------------------------------------------------------------------------------------------------ the shards

    def _versions(self) -> tuple[dict[str, View], dict[str, str]]:
        """The newest version of each shard, and who is lost. An error where nobody is left, or one does not belong."""
        views, lost = memory.ask({name: partial(self._version, name) for name in self.paths})
        if not views:
            raise self._nobody(lost)
        for name, view in views.items():
            self._belongs(name, view)
        return views, lost

    def _version(self, name: str) -> View:
        database = (self.paths[name] / "space.db").stat()
        space, mark = self._opened.get(name, (None, None))
        if space is None or mark != (database.st_dev, database.st_ino):  # new, or brought back from a copy
            try:
                space = Space(self.paths[name], self._module)
            except (ValueError, KeyError) as error:  # what is there is no space, or none any more
                raise Failed(str(error)) from error
            space.index.builds = self.builds
            self._opened[name] = space, (database.st_dev, database.st_ino)
        # Read, since a map may be of a file that is gone by now, or will be in the middle of the search.
        return memory.read(space.store.refresh())

    def _belongs(self, name: str, view: View) -> None:
        made_by = facts_of(view)
        if self._first is None:
            self._first = name, made_by
        first, wanted = self._facts()
        if made_by != wanted:
            raise SemblanceError(
                f"{name} holds {told(made_by)} and {first} {told(wanted)}: shards are of one model: embed both by it, or "
                "bring two spaces together with sb.align"
            )

    def _facts(self) -> tuple[str, Mapping[str, Any]]:
        assert self._first is not None
        return self._first

    def _nobody(self, lost: Mapping[str, str]) -> Failed:
        name, reason = next(iter(lost.items()))
        return Failed(f"none of the {len(self.paths)} shards can be read; the first is {name}: {reason}")

    def _any(self, views: Mapping[str, View], lost: Mapping[str, str], work: Callable[[Space, View], Any]) -> Any:
        """What the first shard says whose model can be read: they all have the same."""
        failed = dict(lost)
        for name in [name for name in views if name not in lost]:
            try:
                return work(self._opened[name][0], views[name])
            except Stale:
                raise
            except Failed as error:
                failed[name] = str(error)
        raise self._nobody(failed)

    # ------------------------------------------------------------------------------------------------ a search

    def _search(self, queries: Sequence[Any], k: int, where: str | None, recall: float) -> list[Found]:
        """One attempt, over one version of each shard."""
        if not queries:
            return []
        views, lost = self._versions()
        found = self._read(queries, views, lost)
        vectors = np.stack([query.vector for query in found])
        askers = {name: [n for n, query in enumerate(found) if query.shard == name] for name in views}
        # An item that asks is not its own neighbour: one more is looked for, and itself left out.
        more = any(askers.values())

        def near(name: str) -> tuple[Near, list[int]]:
            index, view = self._opened[name][0].index, views[name]
            try:
                answer = index.search(view, vectors, k + more, where, recall)
                return answer, [n for n in askers[name] if index.matches_itself(view, found[n].position, where)]
            except Failed:
                raise
            except SemblanceError as error:
                raise SemblanceError(f"{name}: {error}") from error

        answers = _answers({name: partial(near, name) for name in views if name not in lost}, lost)
        while True:
            if not answers:
                raise self._nobody(lost)
            best = joined({name: answer for name, (answer, _) in answers.items()}, found, k)
            items = _answers(
                {name: partial(_items, views[name], name, some) for name, some in best.wanted.items()}, lost
            )
            if len(items) == len(best.wanted):
                break
            answers = {name: answer for name, answer in answers.items() if name not in lost}
        names = list(answers)
        nears = [answer for answer, _ in answers.values()]
        matches = np.full(len(found), sum(near.matches for near in nears))
        for _, itself in answers.values():
            matches[itself] -= 1
        said = {"recall": min(near.recall for near in nears), "plan": told_plan(names, nears, len(self.paths))}
        said["lost"] = {name: lost[name] for name in self.paths if name in lost}
        pictures = dict(self._opened) if views[names[0]].record.manifest["domain"] == "images" else None
        out = []
        for number, there in enumerate(np.isfinite(best.distance)):
            line = zip(*(part[number][there].tolist() for part in best[:3]), strict=True)
            results = [
                {"id": items[names[shard]][position][0], "distance": distance, **items[names[shard]][position][1]}
                for shard, position, distance in line
            ]
            answer = Found(int(matches[number]), results=results, **said)
            out.append(answer if pictures is None else answer.with_pictures(partial(_thumbnail, pictures, results)))
        return out

    def _read(self, queries: Sequence[Any], views: Mapping[str, View], lost: dict[str, str]) -> list[Query]:
        """Queries as vectors: items by their ids, in the first shard that knows them, all others by the model."""
        wanted = {str(query) for query in queries if isinstance(query, str | Path)}
        known: dict[str, Query] = {}
        for held in _answers({n: partial(_known, n, view, wanted) for n, view in views.items()}, lost).values():
            known = {**held, **known}
        out = []
        for query in queries:
            if isinstance(query, str | Path) and str(query) in known:
                out.append(known[str(query)])
                continue
            try:
                out.append(Query(self._any(views, lost, partial(_vector, query))))
            except SemblanceError as error:
                if not wanted or not lost:
                    raise
                gone = "; ".join(f"{name}: {reason}" for name, reason in lost.items())
                raise SemblanceError(f"{error} (or it is in a shard that is lost: {gone})") from error
        return out


def shards(*paths: str | Path, module: nn.Module | Model | None = None, builds: bool = True) -> Shards:
    """Open several spaces, or a folder that names them (`Shards.save`, `semblance shard`), to search them as one. `builds`:
    whether searches may index a shard in the background."""
    if len(paths) == 1 and (Path(paths[0]) / FILE).is_file():
        folder = Path(paths[0])
        names, made_by = read_names(folder / FILE)
        return Shards({name: folder / name for name in names}, module, made_by, builds)
    for path in paths:
        if not (Path(path) / "space.db").is_file():
            Store.open(path).close()  # says what is wrong: nobody has promised that a space is there
    if not paths or len({Path(path).resolve() for path in paths}) < len(paths):
        raise SemblanceError(f"shards are spaces, each named once, and {len(paths)} paths were given: give one or more")
    return Shards({str(path): Path(path) for path in paths}, module, builds=builds)


def _answers(questions: Mapping[str, Callable[[], Any]], lost: dict[str, str]) -> dict[str, Any]:
    """What the shards answer; who fails is noted in `lost`."""
    answers, failed = memory.ask(questions)
    lost.update(failed)
    return answers


def _vector(query: Any, space: Space, view: View) -> np.ndarray:
    return space._vector(view, query)[0]


def _known(name: str, view: View, wanted: set[str]) -> dict[str, Query]:
    """Which of these ids a shard holds, with their vectors."""
    rows = {}
    for id in wanted:
        try:
            rows[id] = view.row_of(id)
        except Failed:
            raise
        except SemblanceError:  # not here
            continue
    vectors = view.vectors(list(rows.values()))
    return {id: Query(vector, name, row) for (id, row), vector in zip(rows.items(), vectors, strict=True)}


def _items(view: View, name: str, rows: np.ndarray) -> dict[int, tuple[str, dict[str, Any]]]:
    """What is told of these items of a shard, by position: id, and the rest."""
    table = view.attributes(rows=rows)
    attributes = table.to_pylist() if table.num_columns else [{} for _ in rows]
    lines = zip(rows.tolist(), view.ids(rows), attributes, strict=True)
    return {row: (id, {"attributes": attribute, "space": name}) for row, id, attribute in lines}


def _thumbnail(opened: Mapping[str, tuple[Space, Any]], results: Sequence[Mapping[str, Any]], id: str) -> bytes | None:
    name = next(found["space"] for found in results if found["id"] == id)
    return opened[name][0].store.thumbnail(id)
