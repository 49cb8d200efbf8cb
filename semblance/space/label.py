"""Label: the neighbours' votes for an item, and labels that are corrected, durably, for the next question.

The labelled items of a space are its memory (memory/classifier.py): whoever is labelled votes, a corrected label counts
from the next vote on, and a class comes into being with its first item. Votes are read from one version of the space.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from semblance.data.labels import ordered
from semblance.errors import SemblanceError
from semblance.memory.decision import Decision, check_votes, decision
from semblance.memory.exact import scan
from semblance.memory.segments import Ints
from semblance.memory.view import View

if TYPE_CHECKING:
    from semblance.space.space import Space

COUNT = 10
LABEL = "label"


class NobodyVotes(SemblanceError):
    """No labelled item may vote."""


class Ballot:
    """Who votes in a space, read once for every version of it."""

    def __init__(self) -> None:
        self._read: tuple[int, Ints, list[str]] | None = None

    def voters(self, view: View) -> tuple[Ints, list[str]]:
        """[N] int64: every item's class, -1 without a label; and the classes' names."""
        version = view.record.version
        if self._read is None or self._read[0] != version:
            names, codes = _coded(labels_of(view))
            self._read = (version, codes, names)
        return self._read[1], self._read[2]

    def changed(self, before: int, now: View, rows: Ints, labels: Sequence[str]) -> None:
        """These items were given other labels, and nothing else happened since the version `before`: what was read is put
        right instead of read again."""
        if self._read is None or self._read[0] != before:
            return
        _, codes, names = self._read
        every = ordered({*names, *labels})
        place = {name: number for number, name in enumerate(every)}
        moved = np.array([*(place[name] for name in names), -1], np.int64)[codes]  # -1, nobody's, is the last
        moved[rows] = [place[label] for label in labels]
        self._read = (now.record.version, moved, every)

    def vote(
        self,
        space: Space,
        queries: Sequence[Any],
        k: int | None,
        votes: str | None,
        temperature: float,
        where: str | None,
    ) -> list[Decision]:
        """The decisions of one version of the space."""
        settings = space.store.recipe.get("settings", {})
        own = settings if "votes" in settings else {}  # the space of a recipe that says how its items vote
        count, weights = k if k is not None else own.get("k", COUNT), votes or own.get("votes", "rank")
        if count < 1:
            raise SemblanceError(f"k is {count}: let one neighbour vote, or more")
        check_votes(weights, space.geometry)
        space.store.refresh()

        def ask(view: View) -> list[Decision]:
            codes, names = self.voters(view)
            may = codes >= 0
            if where is not None:
                inside = np.zeros(len(view), bool)
                inside[view.rows_where(where)] = True
                may &= inside
            rows = np.flatnonzero(may)
            if not len(rows):
                raise NobodyVotes(
                    f"no labelled item {'satisfies the condition' if where else 'is in this space'}, so nobody can vote: "
                    "give a few labels first (semblance label SPACE --set ID=LABEL)"
                )
            found = [space._vector(view, query) for query in queries]
            # One more than asked for: an item does not vote for itself.
            vectors = np.stack([vector for vector, _ in found])
            near, distances = scan(view.source, rows, vectors, count + 1, space.geometry)
            answers = []
            for line, gaps, (_, itself) in zip(near, distances, found, strict=True):
                others = line != (-1 if itself is None else itself)
                chosen, apart = line[others][:count], gaps[others][:count]
                ids = view.ids(chosen)
                answers.append(decision(ids, codes[chosen], apart, names, space.geometry, weights, temperature))
            return answers

        return space.store.reading(ask)


def check_labels(view: View) -> None:
    """Refuses labels that are numbers, or several to an item."""
    kind = view.manifest.get("labels", "none")
    if kind in ("number", "classes"):
        several = "several classes to an item" if kind == "classes" else "numbers"
        raise SemblanceError(f"the labels of this space are {several}: only one class to an item can be voted for")
    if LABEL in view.schema.names and not pa.types.is_string(view.schema.field(LABEL).type):
        raise SemblanceError(
            f"attribute 'label' is {view.schema.field(LABEL).type} and no class: fit the space with --label COLUMN"
        )


def labels_of(view: View) -> list[str | None]:
    """Every item's label, None where there is none."""
    check_labels(view)
    if LABEL not in view.schema.names:
        return [None] * len(view)
    found: list[str | None] = view.attributes([LABEL]).column(LABEL).to_pylist()
    return [label or None for label in found]


def _coded(labels: Sequence[str | None]) -> tuple[list[str], Ints]:
    names = ordered(label for label in labels if label is not None)
    code = {name: number for number, name in enumerate(names)}
    return names, np.array([-1 if label is None else code[label] for label in labels], np.int64)


def unlabelled(space: Space, where: str | None = None) -> list[str]:
    """Ids of the items without a label that satisfy the condition, in order."""

    def ask(view: View) -> list[str]:
        missing = np.array([label is None for label in labels_of(view)], bool)
        rows = view.rows_where(where)
        chosen = rows[missing[rows]]
        every = view.ids()
        return [every[row] for row in chosen.tolist()]

    space.store.refresh()
    return space.store.reading(ask)


def checked_label(label: Any) -> str:
    """A label as it is kept: text that is not empty."""
    if not isinstance(label, str) or not label.strip() or any(ord(c) < 32 for c in label):
        raise SemblanceError(f"label {label!r} is none: give a word or more on one line")
    return label.strip()


def relabel(space: Space, ids: Sequence[str], labels: Sequence[str]) -> None:
    """Gives items these labels, durably on return; a class that is new joins the manifest's."""
    if len(ids) != len(labels):
        raise SemblanceError(f"{len(ids)} ids came with {len(labels)} labels: give one per item")
    if not ids:
        return
    given = [checked_label(label) for label in labels]
    with space.store.writing() as store:
        view = store.refresh()
        check_labels(view)
        rows = np.array([view.row_of(id) for id in ids], np.int64)  # unknown ones are named before the classes change
        know_classes(store, given)
        store.update(list(ids), pa.table({LABEL: pa.array(given, pa.string())}))
        space._ballot.changed(view.record.version, store.refresh(), rows, given)


def add_labelled(space: Space, path: str, label: str) -> str:
    """Adds the one item of a file with this label; returns its id."""
    name = checked_label(label)
    with space.store.writing() as store:
        check_labels(store.refresh())
        know_classes(store, [name])
    (id,) = space.add(path, attributes={LABEL: [name]})
    return id


def know_classes(store: Any, labels: Sequence[str]) -> None:
    """Classes come before their first item: a kill between the two leaves a class without items, which harms nobody."""
    known = list(store.manifest.get("classes", ()))
    if set(labels) <= set(known) and store.manifest.get("labels") == "class":
        return
    store.update_manifest(classes=ordered([*known, *labels]), labels="class")


def forget_class(space: Space, label: str) -> bool:
    """Takes a class out of the manifest, if no item has it: who took a label back did not mean its class to stay."""
    with space.store.writing() as store:
        view = store.refresh()
        known = list(store.manifest.get("classes", ()))
        if label not in known or label in labels_of(view):
            return False
        store.update_manifest(classes=[name for name in known if name != label])
        return True
