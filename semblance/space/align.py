"""Align two spaces: after it one query searches both, whichever encoder made them.

    both = sb.align("photos.space", "other.space", method="procrustes", pairs=300)
    both.search("query.jpg", k=5, where="year >= 2020")         # items of either space, nearest first
    print(both.quality)                                         # how often a held-out item finds its counterpart

Pairs are items that both spaces hold, known by equal ids or by a mapping of one's ids to the other's. Some fit the
translation, the others judge it; vec2vec fits without any. The spaces stay as they are; what is learned is one file.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from semblance.analysis.translated import translated
from semblance.errors import SemblanceError, unknown
from semblance.learning.parts import chance
from semblance.memory.translate import METHODS, Translation, relative, turned, unpaired
from semblance.space.aligned import Aligned, opened
from semblance.space.space import Space

HELD_OUT = 0.2  # of the pairs, where their number is not told
FLAT = ("cosine", "euclidean")
Progress = Callable[[int, int, str], None]


def align(
    a: Any,
    b: Any,
    *,
    method: str = "relative",
    pairs: int | Mapping[str, str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **settings: Any,
) -> Aligned:
    """Bring two spaces (or their folders) together.

    method: relative (codes relative to items that both hold), procrustes (the first turned into the second), or vec2vec
    (learned without pairs, in minutes). pairs: how many of the items with equal ids may fit the translation, or a mapping
    {id in a: id in b}; None: four fifths of those there are. The others judge it. settings: those of the method.
    """
    if method not in METHODS:
        raise unknown("method of alignment", method, METHODS)
    spaces = (opened(a), opened(b))
    for space in spaces:
        if space.geometry.name not in FLAT:
            raise SemblanceError(
                f"{space.path} is {space.geometry.name}, and only flat spaces and spheres are aligned yet"
            )
    rows = _paired(spaces, pairs)
    fit, held = _parted(rows, pairs, method, seed)
    z = [np.asarray(space.geometry.prepare(space.vectors)) for space in spaces]
    if method == "vec2vec":
        told = _told(progress)
        translation = _made(unpaired, z[0], z[1], seed=seed, progress=told, **settings)
    else:
        _enough(spaces, rows, fit)
        maker = relative if method == "relative" else turned
        seeded = {"seed": seed} if method == "relative" else {}
        translation = _made(maker, z[0][fit[:, 0]], z[1][fit[:, 1]], **seeded, **settings)
    quality = None
    if len(held) >= 2:
        met = [translation.meet(z[side][held[:, side]], side) for side in (0, 1)]
        names = (spaces[0].path.stem, spaces[1].path.stem)
        quality = translated(met[0], met[1], names, method)
    return Aligned(spaces, translation, quality, len(fit))


def _made(make: Callable[..., Translation], *given: Any, **settings: Any) -> Translation:
    known = list(inspect.signature(make).parameters)[2:]
    for name in settings:
        if name not in known:
            raise unknown("setting of this method", name, known)
    return make(*given, **settings)


def _told(progress: Progress | None) -> Callable[[int, int], None]:
    def told(done: int, total: int) -> None:
        if progress is not None:
            progress(done, total, "translating")

    return told


def _paired(spaces: tuple[Space, Space], pairs: Any) -> np.ndarray:
    """int64 [n, 2]: positions of the same item in either space, in the order of the first."""
    ids = [space.ids for space in spaces]
    row = {name: at for at, name in enumerate(ids[1])}
    if not isinstance(pairs, Mapping):
        return np.array([(at, row[name]) for at, name in enumerate(ids[0]) if name in row], np.int64).reshape(-1, 2)
    first = {name: at for at, name in enumerate(ids[0])}
    for where, known, names in ((0, first, pairs), (1, row, pairs.values())):
        lost = [name for name in names if name not in known]
        if lost:
            raise SemblanceError(
                f"{len(lost)} of {len(pairs)} pairs name items that {spaces[where].path.name} lacks, first {lost[0]!r}: "
                "give {id in the first: id in the second}"
            )
    return np.array([(first[one], row[other]) for one, other in pairs.items()], np.int64).reshape(-1, 2)


def _parted(rows: np.ndarray, pairs: Any, method: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs fit and which judge; without use for pairs all judge."""
    if method == "vec2vec":
        return rows[:0], rows
    count = round((1 - HELD_OUT) * len(rows)) if pairs is None or isinstance(pairs, Mapping) else int(pairs)
    if count < 0:
        raise SemblanceError(f"pairs is {count}: give a number of items, or a mapping of ids")
    if count > len(rows):
        raise SemblanceError(
            f"{count} pairs are asked for and {len(rows)} items are in both spaces: give {len(rows)} or fewer"
        )
    order = chance(seed, 0).permutation(len(rows))
    return rows[np.sort(order[:count])], rows[np.sort(order[count:])]


def _enough(spaces: tuple[Space, Space], rows: np.ndarray, fit: np.ndarray) -> None:
    if not len(rows):
        raise SemblanceError(
            f"{spaces[0].path.name} and {spaces[1].path.name} have no item in common (ids such as {spaces[0].ids[0]!r} "
            f"and {spaces[1].ids[0]!r}): give pairs={{id in the first: id in the second}}, or method='vec2vec' without any"
        )
