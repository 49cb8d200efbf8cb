"""Arrays by role -> a dataset: what .npy and .npz files, arrays in memory and the named sets have in common.

x, y, ids (or names), split, class_names      one array of units
train_x, train_y, test_x, test_y              parts that come apart; they give the splits
anything else with one value per unit         attributes
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.data.assemble import assemble
from semblance.data.dataset import ArrayDataset
from semblance.data.labels import labels_of
from semblance.data.pictures import as_pictures, resized
from semblance.data.splits import WORDS, from_words
from semblance.data.tables import LABELS
from semblance.data.vectors import as_vectors
from semblance.errors import SemblanceError, unknown

PARTS = ("train", "val", "test")
IDS = ("ids", "id", "names", "keys")
RELATED = (
    ("graphs", {"node_ptr", "edge_index"}),
    ("hypergraph", {"hyperedge_ptr", "hyperedge_nodes"}),
    ("complex", {"pos", "faces"}),
    ("complex", {"boundary_1"}),
    ("complex", {"simplices"}),
    ("interactions", {"user", "item"}),
    ("graph", {"edge_index"}),
    ("graph", {"edge_index_directed"}),
    ("graph", {"format", "shape", "data"}),  # what save_npz of SciPy writes
)
"""Relational domains and the arrays that they are known by."""
NEVER = "which is a pickle and never read: save it by np.save as plain numbers, np.stack(rows).astype('float32')"


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npy (memory-mapped, as x) or .npz file."""
    try:
        held = np.load(path, mmap_mode="r" if path.suffix.lower() == ".npy" else None, allow_pickle=False)
        if isinstance(held, np.ndarray):
            return {"x": held}
        with held:
            return {name: held[name] for name in held.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, SyntaxError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "pickle" in why or "Python objects" in why:
            raise SemblanceError(f"{path} holds Python objects, {NEVER}") from None
        raise SemblanceError(
            f"{path} cannot be read as {path.suffix[1:]} ({why}): it may be cut short; save it anew"
        ) from None


def domain_of(arrays: Mapping[str, np.ndarray]) -> str:
    """images for bytes in three or four dimensions, a relational domain where its arrays are there, else vectors."""
    for domain, wanted in RELATED:
        if wanted <= set(arrays):
            return domain
    x = x_of(arrays)
    return "images" if x.ndim in (3, 4) and x.dtype == np.uint8 else "vectors"


def x_of(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The array of units: x, train_x, or the only one."""
    for name in ("x", "train_x"):
        if name in arrays:
            return arrays[name]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    if "edge_index" in arrays or "edge_index_directed" in arrays:
        return np.empty((0, 0), np.float32)
    raise SemblanceError(
        f"the arrays are {', '.join(arrays) or 'none'}: name the one to learn from x (or train_x and test_x)"
    )


def from_arrays(
    arrays: Mapping[str, np.ndarray],
    domain: str,
    *,
    label: str | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    what: str = "the array",
    **known: Any,
) -> ArrayDataset:
    """Arrays by role -> a dataset of this domain. `label` names another array, or class, than y."""
    arrays, splits, ids = _joined(arrays)
    x = as_pictures(x_of(arrays), what) if domain == "images" else as_vectors(x_of(arrays), what)
    if domain == "images" and size is not None:
        x = resized(x, size)
    free = {k: v for k, v in arrays.items() if v is not x_of(arrays) and k != "class_names"}
    found_id = next((name for name in IDS if name in free), None)
    if found_id is not None:
        ids = [str(i) for i in free.pop(found_id).tolist()]
    if "split" in free and splits is None:
        words = free["split"]
        words = arrays["split_names"][words] if "split_names" in arrays else words
        splits = from_words(words.tolist())
    found = label or next((name for name in LABELS if name in free), None)
    if found is not None and found not in free:
        raise unknown("label array", found, free)
    values, classes = (None, ()) if found is None else labels_of(free[found], found)
    names = arrays.get("class_names")
    if names is not None and values is not None and values.ndim == 1 and values.dtype.kind == "i" and found != label:
        values, classes = named_classes(free[found], names)
    attributes: dict[str, Any] = {"row": np.arange(len(x))}
    if classes and values is not None and values.shape == (len(x),):
        attributes["class"] = pa.array([classes[c] if c >= 0 else None for c in values], pa.string())
    for name, column in free.items():
        if name not in (found, "split", "split_names") and column.ndim == 1 and len(column) == len(x):
            attributes[name] = pa.array(column.tolist() if column.dtype.kind in "US" else column)
    return assemble(
        domain,
        x,
        ids=ids,
        targets={} if values is None else {"labels": values},
        classes=classes,
        attributes=pa.table(attributes),
        splits=splits,
        seed=seed,
        **known,
    )


def named_classes(y: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Positions in a list of names (-1: unlabelled) -> labels and classes, unused names included."""
    if y.dtype.kind not in "iu" or (len(y) and int(y.max()) >= len(names)):
        raise SemblanceError(
            f"y holds {y.max()} and class_names has {len(names)} names: give a name for every class, from 0"
        )
    return np.maximum(y.astype(np.int64), -1), tuple(str(n) for n in names.tolist())


def _joined(
    arrays: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None, list[str] | None]:
    """train_x, test_x, ... -> x, ..., with the splits and ids they give; arrays of one part are left as they are."""
    present = [part for part in PARTS if f"{part}_x" in arrays]
    if not present or "x" in arrays:
        return dict(arrays), None, None
    joined = {name: a for name, a in arrays.items() if name.partition("_")[0] not in WORDS}
    for role in dict.fromkeys(n.partition("_")[2] for n in arrays if n.partition("_")[0] in PARTS):
        held = [arrays.get(f"{part}_{role}") for part in present]
        if any(a is None for a in held):
            lacking = next(part for part, a in zip(present, held, strict=True) if a is None)
            raise SemblanceError(f"there is no {lacking}_{role} beside {present[0]}_{role}: give it for every part")
        if len({a.shape[1:] for a in held}) > 1:
            raise SemblanceError(
                f"{role} has shapes {', '.join(str(list(a.shape)) for a in held)}: all parts need the same"
            )
        joined[role] = np.concatenate(held)
    lengths = [len(arrays[f"{part}_x"]) for part in present]
    bounds = np.cumsum([0, *lengths])
    splits = {part: np.arange(bounds[k], bounds[k + 1]) for k, part in enumerate(present)}
    ids = [f"{part}/{i}" for part, length in zip(present, lengths, strict=True) for i in range(length)]
    return joined, splits, ids
