"""What a comparison may have on a side, and its layers by name.

    a Space or its folder        its vectors; with layers, its model on the data that it was fitted on
    (Model, data)                its embeddings; with layers, these
    (module, batches)            layers of any torch module: named_modules, by name or pattern
    {name: array}                layers from elsewhere; an .npz of arrays, where layers are named
    X, obsm, obs_names           a matrix with keyed others, as anndata has it: layer X, or a key of obsm
    arrays, tensors, tables, files of vectors

A side is read only when the items are known that both have, and only as many as are asked for.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semblance.analysis.activations import activations, layers_named
from semblance.data.arrays import read_arrays
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load as load_data
from semblance.data.relational import Loaded
from semblance.errors import SemblanceError, unknown
from semblance.space.model import Model
from semblance.space.space import Space
from semblance.space.space import load as load_space

Ids = list[str] | None
Patterns = str | Sequence[str]
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Side:
    """One side: its items, its layers, and how rows of them are read. heavy: reading runs a network. picture: the item at a
    row as uint8 [H, W, 3], or None."""

    name: str
    count: int
    ids: Ids
    layers: tuple[str, ...]
    read: Callable[[np.ndarray], Arrays]
    heavy: bool = False
    picture: Callable[[int], np.ndarray | None] | None = None
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return self.count


def side_of(given: Any, name: str, patterns: Patterns | None, opened: ExitStack, units: bool = False) -> Side:
    """What was given as a side; spaces that this opens are closed by `opened`. units: channels are averaged over places."""
    asked = None if patterns is None else [patterns] if isinstance(patterns, str) else list(patterns)
    unit = "mean" if units else "flat"
    if isinstance(given, str | Path) and (Path(given) / "space.db").is_file():
        given = opened.enter_context(load_space(given))
    if isinstance(given, Space):
        return _of_space(given, asked, unit)
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], Model):
        dataset = given[0].read(given[1])
        return _of_model(given[0], dataset, name, asked, unit)
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], torch.nn.Module):
        return _of_module(given[0], given[1], name, asked, unit)
    if isinstance(given, Mapping):
        return _of_arrays(given, name, asked, None)
    if hasattr(given, "obs_names") and hasattr(given, "X"):
        return _of_annotated(given, name, asked)
    if isinstance(given, str | Path) and Path(given).suffix.lower() == ".npz" and asked is not None:
        return _of_arrays(read_arrays(Path(given)), Path(given).stem, asked, None)
    if asked is not None:
        what = f"{given}" if isinstance(given, str | Path) else f"a {type(given).__name__}"
        raise SemblanceError(
            f"{what} has no layers to name: leave layers out, or give a space, a model or {{name: array}}"
        )
    return _of_vectors(given, name)


def _of_space(space: Space, asked: list[str] | None, unit: str) -> Side:
    ids, name = space.ids, space.path.stem

    def picture(row: int) -> np.ndarray | None:
        return _decoded(space.store.thumbnail(ids[row]))

    if asked is None:
        vectors = space.vectors
        return Side(name, len(ids), ids, (name,), lambda rows: {name: np.array(vectors[rows])}, picture=picture)
    dataset, why = space._source()
    if dataset is None:
        raise SemblanceError(
            f"layers of {name} need the data that it was fitted on ({why}): give (model, data) instead"
        )
    position = {one: at for at, one in enumerate(dataset.ids)}
    here = [one for one in ids if one in position]
    if not here:
        raise SemblanceError(f"no item of {name} is in the data that it was fitted on: give (model, data) instead")
    own = np.array([position[one] for one in here])
    side = _of_model(space.model, dataset, name, asked, unit)
    lost = len(ids) - len(here)
    notes = (f"{lost:,} items of {name} were added after its fit, and their data is not there",) if lost else ()
    row_of = {one: at for at, one in enumerate(ids)}
    places = [row_of[one] for one in here]
    return Side(
        name,
        len(here),
        here,
        side.layers,
        lambda rows: side.read(own[rows]),
        True,
        lambda row: picture(places[row]),
        notes,
    )


def _of_model(model: Model, dataset: Loaded, name: str, asked: list[str] | None, unit: str) -> Side:
    ids, network = list(dataset.ids), model.network
    images = isinstance(dataset, ArrayDataset) and dataset.domain == "images"

    def picture(row: int) -> np.ndarray | None:
        return _coloured(np.asarray(dataset.x[row])) if images else None

    if asked is None:
        return Side(name, len(ids), ids, (name,), lambda rows: {name: model.embed(dataset, rows)}, True, picture)
    layers = layers_named(network, asked)

    def read(rows: np.ndarray) -> Arrays:
        found = activations(network, model.batches(dataset, rows), asked, unit, call=network)
        placed = {layer: _at(x, rows, len(dataset)) for layer, x in found.items()}
        odd = [layer for layer, x in placed.items() if x is None]
        if odd and (odd[0] in asked or len(odd) == len(placed)):
            raise SemblanceError(
                f"the layer {odd[0]} gives {len(found[odd[0]])} rows for {len(rows)} units: name one with a row a unit"
            )
        return {layer: x for layer, x in placed.items() if x is not None}

    return Side(name, len(ids), ids, tuple(layers), read, True, picture)


def _at(x: np.ndarray, rows: np.ndarray, units: int) -> np.ndarray | None:
    """A layer's rows at these units, which it was shown alone, or among all (a graph's nodes); else None."""
    if len(x) == len(rows):
        return x
    return np.asarray(x[rows]) if len(x) == units else None


def _of_module(module: torch.nn.Module, batches: Iterable[Any], name: str, asked: list[str] | None, unit: str) -> Side:
    if asked is None:
        raise SemblanceError(
            f"{name} is a module: name one of its layers with layers=(..., ...), of "
            + ", ".join(sorted(n for n, _ in module.named_modules() if n)[:8])
        )
    found = activations(module, batches, asked, unit)
    count = Counter(len(x) for x in found.values()).most_common(1)[0][0]
    found = {layer: x for layer, x in found.items() if len(x) == count or layer in asked}
    if len({len(x) for x in found.values()}) > 1:
        counts = ", ".join(f"{layer}: {len(x)}" for layer, x in found.items())
        raise SemblanceError(f"the layers have different numbers of rows ({counts}): name those with a row an item")
    only = next(iter(found)) if len(found) == 1 else name
    return Side(only, *_whole(found))


def _of_arrays(arrays: Mapping[str, Any], name: str, asked: list[str] | None, ids: Ids) -> Side:
    held = {layer: _flat(x) for layer, x in arrays.items()}
    if asked is not None:
        kept: dict[str, np.ndarray] = {}
        for pattern in asked:
            some = [layer for layer in held if fnmatchcase(layer, pattern)]
            if not some:
                raise unknown("layer", pattern, held)
            kept |= {layer: held[layer] for layer in some}
        held = {layer: x for layer, x in held.items() if layer in kept}
    lengths = {layer: len(x) for layer, x in held.items()}
    if not held or len(set(lengths.values())) > 1:
        raise SemblanceError(f"the layers of {name} have {lengths or 'no'} items: give arrays of the same items")
    return Side(name, *_whole(held, ids))


def _whole(found: Arrays, ids: Ids = None) -> tuple[int, Ids, tuple[str, ...], Callable[[np.ndarray], Arrays]]:
    """Arrays that are all there: their items, ids, layers, and how rows are read."""
    count = len(next(iter(found.values())))
    return count, ids, tuple(found), lambda rows: {layer: x[rows] for layer, x in found.items()}


def _of_annotated(given: Any, name: str, asked: list[str] | None) -> Side:
    """A matrix X [n, d] with ids, and further matrices by key, as anndata has them."""
    arrays = {"X": given.X, **{str(key): value for key, value in dict(getattr(given, "obsm", {})).items()}}
    wanted = ["X"] if asked is None else asked
    dense = {key: x.toarray() if hasattr(x, "toarray") else x for key, x in arrays.items() if _named(key, wanted)}
    return _of_arrays(dense or arrays, name, wanted, [str(one) for one in given.obs_names])


def _named(key: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _of_vectors(given: Any, name: str) -> Side:
    if isinstance(given, np.ndarray | torch.Tensor):
        return Side(name, *_whole({name: _flat(given)}))
    data = load_data(given, domain="vectors")
    ids = list(data.ids)
    counted = ids == [str(i) for i in range(len(ids))]
    named = Path(given).stem if isinstance(given, str | Path) else name
    return Side(named, *_whole({named: data.x}, None if counted else ids))


def _flat(given: Any) -> np.ndarray:
    array = np.asarray(given.detach().cpu() if isinstance(given, torch.Tensor) else given)
    if not array.ndim or not array.size:
        raise SemblanceError(f"an array has shape {array.shape}: give [items, features], one or more of each")
    return array.reshape(len(array), -1)


def _decoded(content: bytes | None) -> np.ndarray | None:
    if content is None:
        return None
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def _coloured(x: np.ndarray) -> np.ndarray:
    """uint8 [C, H, W] -> [H, W, 3]."""
    return np.ascontiguousarray(np.broadcast_to(x.transpose(1, 2, 0), (*x.shape[1:], 3)))
