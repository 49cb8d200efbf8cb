"""Images in a folder, in a list, or named by a table, with what their places, their heads and the table say.

Class folders give labels: the first folder below the root, or below train, test, val where the root holds these. A table
beside the images (`metadata.csv`, `attributes.csv`, `labels.csv`, or .parquet) adds its columns. A table of its own names
the images in a column of paths, relative to the table's folder or absolute; label, id, split and further columns are told
apart as in any table (tables.py), and without an id column the path as it stands is the id.
"""

from __future__ import annotations

import datetime
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.data.assemble import assemble
from semblance.data.dataset import ArrayDataset
from semblance.data.decoded import Progress, Size, read_pictures
from semblance.data.labels import Labels, labels_of
from semblance.data.pictures import decode, thumbnail
from semblance.data.sidecar import KEYS, sidecar
from semblance.data.splits import WORDS, from_words
from semblance.data.tables import attributes, id_values, is_text, is_vectors, roles
from semblance.errors import SemblanceError, unknown

__all__ = ["SUFFIXES", "decode", "from_files", "from_folder", "from_table", "image_files", "path_columns", "thumbnail"]

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif", ".mpo"}
    | {".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".ico", ".tga", ".pcx", ".psd", ".icns"}
    | {".dds", ".sgi", ".xbm", ".xpm", ".qoi"}
)


def image_files(root: Path) -> Iterator[str]:
    """Relative paths of the images below a folder, in order; hidden files and folders are passed over."""
    seen = set()
    for place, folders, files in os.walk(root, followlinks=True):
        mark = os.stat(place)
        if (mark.st_dev, mark.st_ino) in seen:  # a link back up
            folders.clear()
            continue
        seen.add((mark.st_dev, mark.st_ino))
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__MACOSX")))
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield os.path.relpath(os.path.join(place, name), root)


def from_folder(
    root: Path,
    *,
    size: Size = None,
    label: str | None = None,
    id_column: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> ArrayDataset:
    """Every image below a folder. Ids are relative paths.

    size: (height, width) or one number; by default the common size of all pictures where that is at most 64 pixels a
    side, else 64 x 64. Pictures of other shapes are resized by their short side and the middle is kept.
    """
    names = list(image_files(root))
    if not names:
        raise SemblanceError(f"{root} holds no images ({'.png, .jpg, .tif'}, ...): give a folder that does")
    parts = [tuple(Path(name).parts[:-1]) for name in names]
    tops = {p[0].lower() for p in parts if p}
    apart = all(parts) and tops <= WORDS.keys() and "train" in {WORDS[t] for t in tops}
    classes = [(p[1:] if apart else p)[:1] for p in parts]
    found, facts = read_pictures(
        [root / n for n in names], [as_text(n) for n in names], str(root.resolve()), size, progress
    )
    kept = facts["kept"]
    folders = [classes[i][0] if classes[i] else None for i in kept]
    splits = from_words([parts[i][0] for i in kept]) if apart else None
    ids = [as_text(Path(names[i]).as_posix()) for i in kept]
    columns = file_columns(ids, facts)
    notes = [f"domain: images (folder of {len(kept):,} files)"]
    targets = None
    if len(set(folders) - {None}) > 1:
        targets = labels_of(pa.array([None if f is None else as_text(f) for f in folders], pa.string()), "class")
    if any(folders):
        columns["class"] = pa.array([None if f is None else as_text(f) for f in folders], pa.string())
        if targets is None:
            notes.append(f"there is one class folder only ({next(filter(None, folders))}): no labels are made of it")
    beside = sidecar(root, ids, id_column)
    if beside is not None:
        columns |= {name: beside.table.column(name) for name in beside.table.column_names}
        notes.append(beside.note)
        splits = beside.splits or splits
    if label is not None or (beside is not None and beside.label is not None):
        targets = _chosen(label or beside.label, columns)
    return _dataset(
        found, facts, ids, targets, columns, splits, seed, notes, source=str(root.absolute()), name=root.resolve().name
    )


def from_files(
    paths: Sequence[str | Path],
    *,
    size: Size = None,
    label: str | None = None,
    labels: Any = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> ArrayDataset:
    """These files, each of which has to be an image; in memory, without a cache. Ids are the paths as given; `label` names
    one of the attributes, `labels` are the files' own."""
    ids = [as_text(Path(p).as_posix()) for p in paths]
    for path in map(Path, paths):
        if not path.is_file():
            raise SemblanceError(f"there is no image {str(path)!r}: check the path")
    found, facts = read_pictures([Path(p) for p in paths], ids, None, size, progress)
    if facts["skipped"]:
        name, why = facts["skipped"][0]
        raise SemblanceError(f"image {name!r} cannot be read: {why}")
    notes = [f"domain: images ({len(ids):,} files)" if len(ids) > 1 else "domain: images (a file)"]
    columns = file_columns(ids, facts)
    targets = None if label is None else _chosen(label, columns)
    targets = targets if labels is None else labels_of(labels)
    source = str(Path(paths[0]).absolute()) if len(ids) == 1 else ""
    return _dataset(found, facts, ids, targets, columns, None, seed, notes, source=source, name=Path(paths[0]).stem)


def path_columns(table: pa.Table) -> list[str]:
    """The columns of text all of whose values end as image files do; none where a column of vectors says that these are
    what is learned from, and the paths no more than names."""
    if any(is_vectors(field.type) for field in table.schema):
        return []
    return [field.name for field in table.schema if is_text(field.type) and _all_paths(table.column(field.name))]


def from_table(
    table: pa.Table,
    root: Path,
    *,
    what: str = "the table",
    place: str = "",
    size: Size = None,
    label: str | None = None,
    id_column: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **known: Any,
) -> ArrayDataset:
    """The images that a column of paths names, relative to `root` or absolute. `place` names the cache's entry."""
    column, role = path_column(table, what), roles(table, label, id_column)
    key, label, split = role["id"] or column, role["label"], role["split"]
    paths = [v.replace("\\", "/") if v else "" for v in table.column(column).to_pylist()]
    files = [root.resolve() / path for path in paths]
    place = place or "table " + hashlib.blake2b("\0".join(map(str, files)).encode(), digest_size=16).hexdigest()
    names = [path or f"row {row}" for row, path in enumerate(paths)]
    found, facts = read_pictures(files, names, place, size, progress)
    rows, names = table.take(pa.array(facts["kept"], pa.int64())), [names[i] for i in facts["kept"]]
    others, left_out = attributes(rows, {key, split}, label)
    return _dataset(
        found,
        facts,
        names if key == column else id_values(rows.column(key), key),
        None if label is None else labels_of(rows.column(label), label),
        file_columns(names, facts) | {name: others.column(name) for name in others.column_names},
        None if split is None else from_words(rows.column(split).to_pylist()),
        seed,
        [f"domain: images (table of {table.num_rows:,} rows, paths in column {column!r})", *left_out],
        **known,
    )


def path_column(table: pa.Table, what: str) -> str:
    """The one column of image paths; where values do not tell, its name does."""
    lower = {name.lower(): name for name in reversed(table.column_names)}
    called = [lower[key] for key in KEYS if key in lower and is_text(table.schema.field(lower[key]).type)]
    sure = [f.name for f in table.schema if is_text(f.type) and _all_paths(table.column(f.name))]
    both = [name for name in called if name in sure]
    if not both and len(sure) > 1:
        raise SemblanceError(
            f"{what} has several columns of image paths ({', '.join(sure)}): name the one to learn from 'path'"
        )
    if not sure and not called:
        held = ", ".join(f"{field.name} ({field.type})" for field in table.schema)
        raise SemblanceError(
            f"{what} has no column of image paths, only {held}: give one named path, with .png, .jpg, ..."
        )
    return (both or sure or called)[0]


def _all_paths(column: pa.ChunkedArray) -> bool:
    values = [v for v in column.to_pylist() if v]
    return bool(values) and all(os.path.splitext(v)[1].lower() in SUFFIXES for v in values)


def _dataset(
    x: np.ndarray,
    facts: dict[str, Any],
    ids: list[str],
    labels: Labels | None,
    columns: dict[str, Any],
    splits: dict[str, np.ndarray] | None,
    seed: int,
    notes: list[str],
    **known: Any,
) -> ArrayDataset:
    if facts["skipped"]:
        name, why = facts["skipped"][0]
        notes.append(f"left out, since they cannot be read: {len(facts['skipped']):,} images (first {name}: {why})")
    return assemble(
        "images",
        x,
        ids=ids,
        targets={} if labels is None else {"labels": labels.values},
        classes=() if labels is None else labels.classes,
        attributes=pa.table(columns),
        splits=splits,
        seed=seed,
        content=facts["content"],
        skipped=tuple((str(name), str(why)) for name, why in facts["skipped"]),
        notes=tuple(notes),
        **known,
    )


def _chosen(label: str, columns: dict[str, Any]) -> Labels:
    if label not in columns:
        raise unknown("label column", label, columns)
    return labels_of(columns[label], label)


def file_columns(ids: list[str], facts: dict[str, Any]) -> dict[str, Any]:
    """The attributes that every file has."""
    taken = [None if t is None else datetime.datetime.fromisoformat(t) for t in facts["taken"]]
    return {
        "file": pa.array([i.rpartition("/")[2] for i in ids], pa.string()),
        "bytes": pa.array(facts["bytes"], pa.int64()),
        "width": pa.array(facts["width"], pa.int32()),
        "height": pa.array(facts["height"], pa.int32()),
        "taken": pa.array(taken, pa.timestamp("s")),
    }


def as_text(name: str) -> str:
    """A file name as text that can be stored, whatever its bytes are."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
