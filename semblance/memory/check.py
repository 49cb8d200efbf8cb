"""Check: what of a space's folder cannot be trusted, and which items that costs.

Files of vectors are held against their named lengths and their checksums, the database against its own rules. Every
byte is read once. What `check` finds is mended by a copy, or by removing the items it names and compacting the space.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np

from semblance.memory.checksums import broken
from semblance.memory.segments import Ints, Segment
from semblance.memory.view import View


@dataclass(frozen=True)
class Damage:
    """A file that is not what was written, how so, and the live items that lost their vectors by it."""

    file: str
    problem: str
    ids: list[str]

    def __str__(self) -> str:
        some = ", ".join(map(repr, self.ids[:3])) + (", ..." if len(self.ids) > 3 else "")
        count = f"{len(self.ids)} {'item' if len(self.ids) == 1 else 'items'}"
        remedy = "bring it back from a copy, or remove these items and compact the space"
        return f"{self.file}: is damaged, it {self.problem}; {count} ({some}) cannot be read: {remedy}"


def damage(view: View) -> list[Damage]:
    """What is damaged of the files of this version; empty where nothing is."""
    found = []
    for number, segment in enumerate(view.record.segments):
        problem, positions = _of_segment(view, number, segment)
        if problem:
            found.append(Damage(f"segments/{segment.file}", problem, view.ids(positions)))
    return found


def of_database(view: View) -> list[Damage]:
    """What SQLite finds wrong with its own file."""
    try:
        lines = [line[0] for line in view.asks("PRAGMA quick_check(5)")]
    except sqlite3.DatabaseError as error:
        lines = [str(error)]
    return [] if lines == ["ok"] else [Damage("space.db", f"is not consistent ({'; '.join(lines)})", [])]


def _of_segment(view: View, number: int, segment: Segment) -> tuple[str, Ints]:
    dim, start = view.source.dim, int(view.source.starts[number])
    short = view.source.short.get(number)
    if short is not None:
        return short.problem(dim), view.source.lost(number)
    stretches = broken(view.folder / "segments" / segment.file, segment.sums, segment.rows * dim * 4)
    lost = np.zeros(len(view), dtype=bool)
    for first, stop in stretches:
        slots = view.source.slots - start
        lost |= (slots >= first // (4 * dim)) & (slots < -(-stop // (4 * dim)))
    return ("holds other bytes than were written" if stretches else ""), np.flatnonzero(lost)
