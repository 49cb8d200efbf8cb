"""Compare two representations of the same items: spaces, arrays, tables, or the layers of models.

    sb.compare("resnet.space", "simsiam.space").plot()
    sb.compare(space, "other.npy")               # numbers from elsewhere, one row an item in the space's order
    sb.compare(space_a, space_b, layers="encoder.stages.?").plot()      # every layer with every layer, a heat map
    sb.compare(space_a, space_b, units=True).plot()                     # units matched, and what either likes
    sb.compare((module_a, batches), (module_b, batches), layers=("layer3", "blocks.*"))

What has ids (spaces, tables with a key) is matched by id, and items that one side lacks are left out and said; an array is
in the order of the other side. What a side may be, and what its layers are called, stands in `sides`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from semblance.analysis.comparison import Comparison, comparison
from semblance.analysis.layers import LayerComparison, layer_comparison
from semblance.analysis.liked import LikedUnits, liked_units
from semblance.analysis.similarity import MEASURES
from semblance.errors import SemblanceError
from semblance.space.sides import Ids, Patterns, Side, side_of

LAYER_ITEMS = 2_000
"""Items that layers are compared on, at most: a layer of maps has thousands of numbers an item."""


def compare(
    a: Any,
    b: Any,
    *,
    measures: Sequence[str] | None = None,
    layers: str | tuple[Patterns, Patterns] | None = None,
    units: bool = False,
    names: tuple[str, str] | None = None,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Comparison | LayerComparison | LikedUnits:
    """How far two representations of the same items agree: numbers with intervals beside chance, a picture, a sentence.

    a, b: a Space or its folder; an array or tensor [n, d]; a file of vectors (.npy, .npz, .csv, .parquet, .arrow) or a
    table; an object with X and obsm, as anndata has them; (Model, data) or (module, batches), a torch module with what to
    call it on; or layers by name, {name: array}.
    layers: a name or pattern for both sides, or one (or several) for each. Where they name one layer a side, it is compared
    as a representation; where more, every layer is compared with every other (LayerComparison).
    units: match the units of the two instead, one to one, and show which items either likes (LikedUnits).
    measures: of cka, svcca, pwcca, procrustes, rsa and neighbours, all where None; of layers one, cka where None.
    """
    if units and measures:
        raise SemblanceError(
            f"units are matched by correlation, not by {measures[0]}: leave the measures out, or units"
        )
    wanted: tuple[Patterns | None, ...] = (
        (layers, layers) if layers is None or isinstance(layers, str) else tuple(layers)
    )
    if len(wanted) != 2:
        raise SemblanceError(f"layers are {len(wanted)}: give one pattern for both sides, or a pair, one for each")
    with ExitStack() as opened:
        sides = [
            side_of(given, name, one, opened, units) for given, name, one in zip((a, b), "ab", wanted, strict=True)
        ]
        return _compared(sides[0], sides[1], measures, units, names, seed, progress)


def _compared(
    a: Side,
    b: Side,
    measures: Sequence[str] | None,
    units: bool,
    names: tuple[str, str] | None,
    seed: int,
    progress: Callable[[int, int, str], None] | None,
) -> Comparison | LayerComparison | LikedUnits:
    if names is None:
        names = (a.name, b.name) if a.name != b.name else (f"{a.name} (1)", f"{b.name} (2)")
    left, right = _matched(a.ids, b.ids, len(a), len(b), names)
    notes = [*a.notes, *b.notes]
    if not len(left) == len(a) == len(b):
        notes.append(f"{len(left):,} items are on both sides, of {len(a):,} in {names[0]} and {len(b):,} in {names[1]}")
    many = len(a.layers) > 1 or len(b.layers) > 1
    if (many or units or a.heavy or b.heavy) and len(left) > LAYER_ITEMS:
        some = np.sort(np.random.default_rng([seed, 7]).choice(len(left), LAYER_ITEMS, replace=False))
        notes.append(f"{LAYER_ITEMS:,} of {len(left):,} items were drawn")
        left, right = left[some], right[some]
    if units and many:
        raise SemblanceError(
            f"units are matched layer with layer, and {max(len(a.layers), len(b.layers))} layers are named: name one a side"
        )
    chosen = list(MEASURES if measures is None else measures)
    if many:
        chosen = ["cka"] if measures is None else [_only(measures)]
    steps = 2 + (len(a.layers) + len(b.layers) if many else 1 if units else len(chosen))
    told = _steps(steps, progress)
    told("reading")
    xs, ys = a.read(left), b.read(right)
    found: Comparison | LayerComparison | LikedUnits
    if many:
        found = layer_comparison(xs, ys, names, chosen[0], seed, told)
    else:
        (x,), (y,) = xs.values(), ys.values()
        if units:
            told("matching")
            shown, rows = (a, left) if a.picture else (b, right)
            ids = None if shown.ids is None else [shown.ids[row] for row in rows]
            found = liked_units(x, y, names, ids, lambda row: shown.picture(rows[row]) if shown.picture else None)
        else:
            found = comparison(x, y, names, chosen, seed, told)
    told("compared")
    return replace(found, notes=(*notes, *found.notes))


def _only(measures: Sequence[str]) -> str:
    if len(measures) != 1:
        raise SemblanceError(f"layers are compared by one measure, and {len(measures)} are named: choose one")
    return measures[0]


def _steps(total: int, progress: Callable[[int, int, str], None] | None) -> Callable[[str], None]:
    done: Iterator[int] = iter(range(total))

    def told(name: str) -> None:
        if progress is not None:
            progress(next(done) + (name == "compared"), total, name)

    return told


def _matched(a: Ids, b: Ids, n: int, m: int, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of either side that are the same item, in the first's order."""
    if a is None or b is None:
        if n != m:
            unnamed = names[0] if a is None else names[1]
            raise SemblanceError(
                f"{names[0]} has {n:,} items and {names[1]} {m:,}, and those of {unnamed} have no ids to match them by: "
                "give the same items in the same order, or a table with a key column"
            )
        return np.arange(n), np.arange(n)
    row = {name: at for at, name in enumerate(b)}
    both = np.array([(at, row[name]) for at, name in enumerate(a) if name in row], np.int64).reshape(-1, 2)
    if not len(both):
        raise SemblanceError(
            f"{names[0]} and {names[1]} have no item in common: ids such as {a[0]!r} and {b[0]!r}; "
            "give spaces of the same items"
        )
    return both[:, 0], both[:, 1]
