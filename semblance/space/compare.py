"""Compare two representations of the same items: spaces, arrays, tables, or a model on data.

    sb.compare("resnet.space", "simsiam.space").plot()
    sb.compare(space, "other.npy")          # numbers from elsewhere, one row an item in the space's order
    sb.compare((module_a, batches), (module_b, batches), layers=("layer3", "blocks.2"))

What has ids (spaces, tables with a key) is matched by id, and items that one side lacks are left out and said; an array is
in the order of the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semblance.analysis.activations import activations
from semblance.analysis.comparison import Comparison, comparison
from semblance.analysis.similarity import MEASURES
from semblance.data.load import load as load_data
from semblance.errors import SemblanceError
from semblance.space.space import Space
from semblance.space.space import load as load_space

Ids = list[str] | None


def compare(
    a: Any,
    b: Any,
    *,
    measures: Sequence[str] | None = None,
    layers: tuple[str, str] | None = None,
    names: tuple[str, str] | None = None,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Comparison:
    """How far two representations of the same items agree: numbers with intervals beside chance, a picture, a sentence.

    a, b: a Space or its folder; an array or tensor [n, d]; a file of vectors (.npy, .npz, .csv, .parquet, .arrow) or a
    table; or (module, batches), a torch module with what to call it on, where `layers` names a layer on either side.
    measures: of cka, svcca, pwcca, procrustes, rsa and neighbours, all where None.
    """
    (of_a, ids_a, name_a), (of_b, ids_b, name_b) = (
        _side(side, "ab"[at], layers[at] if layers else None) for at, side in enumerate((a, b))
    )
    if names is None:
        names = (name_a, name_b) if name_a != name_b else (f"{name_a} (1)", f"{name_b} (2)")
    left, right = _matched(ids_a, ids_b, len(of_a), len(of_b), names)
    whole = len(left) == len(of_a) == len(of_b)

    total = len(MEASURES if measures is None else measures)
    done = iter(range(total + 1))

    def told(name: str) -> None:
        if progress is not None:
            progress(next(done), total, name)

    found = comparison(of_a[left], of_b[right], names, measures, seed, told)
    if progress is not None:
        progress(total, total, "compared")
    if whole:
        return found
    said = f"{len(left):,} items are on both sides, of {len(of_a):,} in {names[0]} and {len(of_b):,} in {names[1]}"
    return Comparison(found.names, found.measures, found.items, found.features, (said, *found.notes))


def _side(given: Any, name: str, layer: str | None) -> tuple[np.ndarray, Ids, str]:
    """[n, d], ids where it has any, and what to call it."""
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], torch.nn.Module):
        if layer is None:
            raise SemblanceError(
                f"{name} is a module: name one of its layers with layers=(..., ...), of "
                + ", ".join(sorted(n for n, _ in given[0].named_modules() if n)[:8])
            )
        return activations(given[0], given[1], [layer])[layer], None, layer
    if isinstance(given, Space):
        return given.vectors, given.ids, given.path.stem
    if isinstance(given, str | Path) and (Path(given) / "space.db").is_file():
        with load_space(given) as space:
            return np.array(space.vectors), space.ids, Path(given).stem
    if isinstance(given, np.ndarray | torch.Tensor):
        array = np.asarray(given.detach().cpu() if isinstance(given, torch.Tensor) else given)
        return array.reshape(len(array), -1), None, name
    data = load_data(given, domain="vectors")
    ids = list(data.ids)
    counted = ids == [str(i) for i in range(len(ids))]
    return data.x, None if counted else ids, Path(given).stem if isinstance(given, str | Path) else name


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
