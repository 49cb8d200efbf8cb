"""`semblance label`: the neighbours' votes for each item, and a person who accepts them or knows better.

A label is kept the moment it is given, and the next question is answered with it. Questions go to stderr and answers
come from stdin, line by line, so that a pipe can drive it: nothing to accept, a label to correct (`=s` is the label s), s
to skip, q to quit; the end of the input quits. With --set, --accept-above or --json nobody is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from semblance.app import label_cascade, tables
from semblance.app.asking import prompt, typed
from semblance.app.flags import Face, at_least, verb
from semblance.errors import Interrupted, SemblanceError

BLOCK = 256  # items voted for at a time where nobody is asked


def add_to(app: typer.Typer) -> None:
    """Makes `label` a verb of this command line."""
    verb(app)(label)


def label(
    face: Face,
    space: Annotated[Path, typer.Argument(help="The folder of a space.", metavar="SPACE")],
    query: Annotated[list[str] | None, typer.Option("--query", help="An id or a file; repeat it.")] = None,
    where: Annotated[str | None, typer.Option(help="Only items that satisfy, e.g. \"split = 'added'\".")] = None,
    k: Annotated[int | None, typer.Option("-k", "--k", help="How many neighbours vote.", callback=at_least(1))] = None,
    votes: Annotated[str | None, typer.Option(help="plain, distance, softmax or rank.")] = None,
    given: Annotated[list[str] | None, typer.Option("--set", metavar="ID=LABEL", help="A label; repeat it.")] = None,
    accept_above: Annotated[float | None, typer.Option(help="Accept where the winner has this share.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many items.", callback=at_least(1))] = None,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Yes or no to samples only; a model does the rest.")
    ] = False,
    positive: Annotated[str | None, typer.Option(help="With --cascade: the label that is asked about.")] = None,
    answers: Annotated[str | None, typer.Option(help="With --cascade: a column that answers for you.")] = None,
    sample: Annotated[int, typer.Option(help="With --cascade: questions a round.", callback=at_least(20))] = 100,
    precision: Annotated[float, typer.Option(help="With --cascade: of the items called positive.")] = 0.95,
    missed: Annotated[float, typer.Option(help="With --cascade: of the positives called negative.")] = 0.05,
) -> None:
    """Label items by what their neighbours vote, and correct the votes.

    Example: semblance label digits.space --where "split = 'added'"
    """
    from semblance.space.space import load

    if accept_above is not None and not 0 <= accept_above <= 1:
        raise SemblanceError(f"--accept-above {accept_above} is no share of the votes: give 0 to 1")
    if cascade and (query or given or accept_above is not None):
        raise SemblanceError("--cascade asks its own questions: leave out --query, --set and --accept-above")
    if not cascade and (positive or answers):
        raise SemblanceError("--positive and --answers belong to --cascade: add it, or leave them out")
    corrections = _corrections(given)
    with load(space) as opened:
        if cascade:
            asked = {"sample": sample, "precision": precision, "missed": missed, "seed": face.seed or 0}
            label_cascade.label(face, opened, positive, answers, where, **asked)
            return
        work = _Labelling(face, opened, k, votes)
        if corrections:
            opened.relabel(list(corrections), list(corrections.values()))
            work.labelled += [{"id": id, "label": name, "voted": None} for id, name in corrections.items()]
        if query or accept_above is not None or face.as_json or not corrections:
            items = (work.asked_for(query) if query else opened.unlabelled(where))[:limit]
            if face.as_json or accept_above is not None:
                work.alone(items, accept_above)
            else:
                work.with_a_person(items)
        work.close(where)


def _corrections(given: Sequence[str] | None) -> dict[str, str]:
    """ID=LABEL; an id may hold = signs, a label may not."""
    found = {}
    for text in given or ():
        id, equals, name = text.rpartition("=")
        if not equals or not id or not name.strip():
            raise SemblanceError(f"--set {text!r} is no label: write --set ID=LABEL")
        found[id] = name.strip()
    return found


class _Labelling:
    """One call: what was shown, labelled and skipped so far."""

    def __init__(self, face: Face, space: Any, k: int | None, votes: str | None):
        self.face, self.space, self.ask = face, space, {"k": k, "votes": votes}
        self.labelled: list[dict[str, Any]] = []
        self.decisions: list[dict[str, Any]] = []
        self.skipped = 0
        self.items = set(space.ids)

    def asked_for(self, query: Sequence[str]) -> list[str]:
        """Ids and files, all there, before the first question."""
        for name in query:
            if name not in self.items and not Path(name).is_file():
                raise SemblanceError(f"--query {name!r} is neither an item of {self.space.path} nor a file")
        return list(query)

    def alone(self, items: Sequence[str], above: float | None) -> None:
        """Every decision is that of the labels that were there before; those sure enough are kept."""
        chosen: list[tuple[str, Any]] = []
        for start in range(0, len(items), BLOCK):
            block = list(items[start : start + BLOCK])
            for item, decision in zip(block, self.space.vote(block, **self.ask), strict=True):
                self.decisions.append({"item": item, "share": decision.share, **decision.to_dict()})
                if above is not None and decision.share >= above:
                    chosen.append((item, decision))
        kept = [(item, decision.label) for item, decision in chosen if item in self.items]
        self.space.relabel([item for item, _ in kept], [name for _, name in kept])
        self.labelled += [{"id": item, "label": name, "voted": name} for item, name in kept]
        for item, decision in chosen:
            if item not in self.items:
                self._keep(item, decision.label, decision.label)
        self.skipped += len(items) - len(chosen) if above is not None else 0

    def with_a_person(self, items: Sequence[str]) -> None:
        """One item after the other, until they quit."""
        from semblance.space.label import NobodyVotes

        lines = typed()
        try:
            for number, item in enumerate(items, 1):
                try:
                    decision = self.space.vote(item, **self.ask)
                except NobodyVotes:
                    decision = None
                if not self._answered(f"{number} of {len(items)}: {item}", item, decision, lines):
                    break
        except KeyboardInterrupt:
            kept = f"{len(self.labelled)} labels are kept in {self.space.path}"
            raise Interrupted(f"stopped: {kept}; the same command goes on with the rest") from None

    def _answered(self, title: str, item: str, decision: Any, lines: Iterator[str]) -> bool:
        """Shows one item and does as the person says; False where they quit."""
        if decision is not None:
            tables.votes(title, decision)
        else:
            print(f"{title}: nobody is labelled yet, so nobody votes")
        sys.stdout.flush()
        while True:
            default = f"[Enter] {decision.label}, " if decision is not None else ""
            prompt(f"label ({default}or type one; s skip, q quit): ")
            said = next(lines, "q").strip()
            if said == "q":
                return False
            if said == "s":
                self.skipped += 1
                return True
            name = said.removeprefix("=").strip() if said else decision.label if decision is not None else ""
            if name:
                try:
                    self._keep(item, name, None if decision is None else decision.label)
                    return True
                except SemblanceError as error:
                    self.face.say(str(error))
            else:
                self.face.say("type a label; there is no vote to accept")

    def _keep(self, item: str, name: str, voted: str | None) -> None:
        from semblance.space.label import add_labelled

        if item in self.items:
            self.space.relabel([item], [name])
            id = item
        else:
            id = add_labelled(self.space, item, name)
        self.labelled.append({"id": id, "label": name, "voted": voted})

    def close(self, where: str | None) -> None:
        """Says what was done."""
        left = len(self.space.unlabelled(where))
        if self.face.as_json:
            done = {"space": str(self.space.path), "labelled": self.labelled, "skipped": self.skipped, "left": left}
            self.face.answer({**done, "classes": list(self.space.manifest["classes"]), "decisions": self.decisions})
            return
        for change in self.labelled:
            print(f"{change['id']}: {change['label']}")
        print(f"{len(self.labelled)} labelled, {self.skipped} skipped, {left} without a label")
