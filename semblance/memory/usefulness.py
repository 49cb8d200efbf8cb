"""Usefulness: which stored items vote wrongly, found by labelled questions; they are removed, or heard less.

    wrong rate of item j = wrong votes / (right + wrong votes),   a vote for each question that has j among its k nearest
    prune    (hard)  removes the items whose wrong rate is above `most`
    soften   (soft)  multiplies every item's vote by 1 - its wrong rate

An item that never voted has a wrong rate of 0: nothing bad is known of it.

Reference: Geirhos et al. 2024, arXiv:2408.08172.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semblance.errors import SemblanceError
from semblance.memory.classifier import VoteMemory
from semblance.memory.segments import Ints


@dataclass(frozen=True)
class Usefulness:
    """How often each stored item voted right, and wrong: [N] each, in the order of `ids`."""

    ids: tuple[str, ...]
    right: Ints
    wrong: Ints

    @property
    def wrong_rate(self) -> NDArray[np.float64]:
        """[N] in [0, 1]."""
        rate: NDArray[np.float64] = self.wrong / np.maximum(self.right + self.wrong, 1)
        return rate


def usefulness(memory: VoteMemory, queries: np.ndarray, labels: Sequence[str], k: int = 10) -> Usefulness:
    """Votes of the stored items on labelled questions [Q, d] that are none of them."""
    rows, _ = memory.neighbours(queries, k)
    if len(labels) != len(rows):
        raise SemblanceError(f"{len(rows)} questions came with {len(labels)} labels: give one label per question")
    code = {name: number for number, name in enumerate(memory.classes)}
    asked = np.array([code.get(label, -1) for label in labels], np.int64)
    voted = rows >= 0
    right = voted & (memory.codes[rows] == asked[:, None])
    counts = [np.bincount(rows[mask], minlength=len(memory)) for mask in (right, voted & ~right)]
    return Usefulness(tuple(memory.ids), *counts)


def prune(memory: VoteMemory, found: Usefulness, most: float = 0.5) -> list[str]:
    """Removes the items whose wrong rate is above `most`, and names them."""
    if not 0 <= most <= 1:
        raise SemblanceError(f"most is {most}, but it is a rate of wrong votes: give 0 to 1")
    gone = [found.ids[row] for row in np.flatnonzero(found.wrong_rate > most)]
    if len(gone) == len(memory):
        raise SemblanceError(f"all {len(gone)} items were wrong more often than {most}: check the questions' labels")
    if gone:
        memory.remove(gone)
    return gone


def soften(memory: VoteMemory, found: Usefulness) -> None:
    """Multiplies every item's vote by the share of its votes that were right."""
    of = dict(zip(memory.ids, memory.weights.tolist(), strict=True))
    kept = [
        (id, of[id] * (1 - rate)) for id, rate in zip(found.ids, found.wrong_rate.tolist(), strict=True) if id in of
    ]
    memory.reweight([id for id, _ in kept], [weight for _, weight in kept])
