"""`semblance label --cascade`: is it a LABEL? A person (or a column) answers about samples, a model does the rest.

Answers are kept in the column `answer LABEL` as they come, so that the same command goes on where it was left; at the end
the column `is LABEL` says yes or no of every item, and those called yes that had no label get it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.app import tables
from semblance.app.asking import Unfinished, prompt, typed
from semblance.app.flags import Face
from semblance.errors import Interrupted, SemblanceError

FOR_YES, FOR_NO = ("y", "yes"), ("n", "no")


def label(
    face: Face, space: Any, positive: str | None, column: str | None, where: str | None, *, seed: int, **rules: Any
) -> None:
    """The whole loop over the items of a space that have no label (with a column that answers: over all)."""
    from semblance.learning.label_cascade import YES, Cascade, Rules
    from semblance.space.label import checked_label, know_classes, labels_of

    if positive is None:
        raise SemblanceError("--cascade asks yes or no about one label: name it by --positive LABEL")
    name = checked_label(positive)
    asking = Rules(**rules, rest=rules["sample"])
    view = space.store.refresh()
    labels = labels_of(view)
    rows = view.rows_where(where)
    truth = None
    if column is None:
        rows = np.array([row for row in rows.tolist() if labels[row] is None], np.int64)
    else:
        values = view.attributes([column]).column(column).to_pylist()
        truth = {row: str(values[row]) == name for row in rows.tolist() if values[row] is not None}
        rows = np.array(sorted(truth), np.int64)
        if not any(truth.values()) or all(truth.values()):
            raise SemblanceError(
                f"column {column!r} answers about {name!r} always alike: nothing could be learned from it"
            )
    if len(rows) < 2:
        raise SemblanceError(f"{len(rows)} items wait for a label here: a cascade needs many (see --where)")
    every = view.ids()
    ids = [every[row] for row in rows.tolist()]
    people = _Person(
        face, space, f"answer {name}", name, ids, None if truth is None else [truth[r] for r in rows.tolist()]
    )
    cascade = Cascade(view.vectors(rows), asking, seed)
    done = []
    for found in cascade.run(people):
        done.append(found)
        face.say(
            f"round {len(done)}: of {found.pool:,} items {found.shown} were shown, the model called {found.yes:,} "
            f"{name} and {found.no:,} not; {found.unsure:,} are unsure"
        )
    if not any(found.yes or found.no for found in done):
        face.say(
            "the model was never sure enough: more questions a round (--sample), or a looser --missed or --precision"
        )
    unsure = len(cascade.pool)
    said = [None if value < 0 else "yes" if value == YES else "no" for value in cascade.labels]
    chosen = [
        id for id, row, value in zip(ids, rows, cascade.labels, strict=True) if value == YES and labels[row] is None
    ]
    with space.store.writing() as store:
        store.update(ids, pa.table({f"is {name}": pa.array(said, pa.string())}))
        if chosen:
            know_classes(store, [name])
            store.update(chosen, pa.table({"label": [name] * len(chosen)}))
    answer = {
        "space": str(space.path),
        "positive": name,
        "items": len(ids),
        "shown": cascade.shown,
        "yes": said.count("yes"),
        "no": said.count("no"),
        "unsure": unsure,
        "labelled": len(chosen),
        "rounds": [{**vars(found), "unsure": found.unsure} for found in done],
    }
    if face.as_json:
        face.answer(answer)
        return
    columns = ["round", "pool", "shown", "called yes", "called no", "unsure"]
    cells = [[n, r.pool, r.shown, r.yes, r.no, r.unsure] for n, r in enumerate(done, 1)]
    tables.show(f"Is it {name}?", columns, cells, right=range(6))
    print(
        f"{answer['yes']:,} {name}, {answer['no']:,} not, {unsure:,} unsure; {cascade.shown:,} of {len(ids):,} were shown "
        f"({len(chosen):,} got the label)"
    )


class _Person:
    """Who answers, with a memory of what they said: kept in a column of the space, one durable answer at a time."""

    def __init__(self, face: Face, space: Any, column: str, name: str, ids: list[str], truth: list[bool] | None):
        self.face, self.space, self.column, self.name, self.ids, self.truth = face, space, column, name, ids, truth
        self.said: dict[str, str] = {}
        if column in space.store.view.schema.names:
            kept = space.store.view.attributes([column]).column(column).to_pylist()
            self.said = {id: value for id, value in zip(space.ids, kept, strict=True) if value in ("yes", "no")}
        self.lines: Iterator[str] | None = None

    def __call__(self, items: np.ndarray) -> Any:
        """One answer to each item; those given before are not asked again."""
        from semblance.learning.workers import Answers

        missing = [int(item) for item in items if self.ids[item] not in self.said]
        if self.truth is not None:
            self._keep([self.ids[i] for i in missing], ["yes" if self.truth[i] else "no" for i in missing])
        else:
            self._ask(missing)
        yes = np.array([self.said[self.ids[item]] == "yes" for item in items], bool)
        return Answers(np.asarray(items, np.int64), np.zeros(len(items), np.int64), yes)

    def _keep(self, ids: list[str], said: list[str]) -> None:
        if ids:
            with self.space.store.writing() as store:
                store.update(ids, pa.table({self.column: pa.array(said, pa.string())}))
            self.said.update(zip(ids, said, strict=True))

    def _ask(self, missing: list[int]) -> None:
        if self.lines is None:
            self.lines = typed()
        try:
            for number, item in enumerate(missing, 1):
                self._keep([self.ids[item]], [self._answer(f"{number} of {len(missing)}: {self.ids[item]}")])
        except KeyboardInterrupt:
            raise Interrupted(self._stopped()) from None

    def _answer(self, title: str) -> str:
        assert self.lines is not None
        while True:
            prompt(f"{title}: is it {self.name}? [y/n, q quits] ")
            said = next(self.lines, "q").strip().lower()
            if said in FOR_YES:
                return "yes"
            if said in FOR_NO:
                return "no"
            if said == "q":
                raise Unfinished(self._stopped())
            self.face.say("answer y or n")

    def _stopped(self) -> str:
        kept = f"{len(self.said)} answers are kept in the column {self.column!r} of {self.space.path}"
        return f"stopped: {kept}; the same command goes on"
