"""Captions: what somebody wrote of each picture, beside it.

    photos/captions.csv     file_name, caption        joined by the name, as any table beside the images
    --captions FILE         a table of one's own, or the column of a table that holds them
    a table of image paths  its column of a usual name (caption, text, alt, description, ...)

A picture without a caption stays in the space and is not learned from where captions are what is learned. Captions are
attributes too, so that an answer can be read and asked for by a condition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from semblance.data.dataset import ArrayDataset
from semblance.data.pieces import Pieces
from semblance.data.sidecar import joined_to
from semblance.data.tables import is_text
from semblance.errors import SemblanceError, unknown

NAMES = ("caption", "captions", "text", "alt", "alt_text", "description")
COLUMN = "caption"


def with_captions(dataset: ArrayDataset, given: str | Path | Sequence[str] | None = None) -> ArrayDataset:
    """The images with what was written of them: by a column's name, a table's path, or as many texts; else by the column
    of a usual name, where there is one. The dataset itself where there is none."""
    if dataset.domain != "images":
        if given is not None:
            raise SemblanceError(f"captions are of images, and the data is {dataset.domain}: leave them out")
        return dataset
    table, note = dataset.attributes, ""
    if given is None or isinstance(given, str | Path):
        column = caption_column(table, None if given is None else str(given))
        if column is None and given is not None:
            path = Path(given).expanduser()
            if not path.is_file():
                raise unknown("column of captions, or file", str(given), _columns(table))
            beside, key, missing = joined_to(path, list(dataset.ids))
            column = caption_column(beside) or next(iter(_columns(beside)), None)
            if column is None:
                raise SemblanceError(f"{path} has no column of words: give it one called {COLUMN}")
            note = f"{path.name}, joined by {key!r}" + (f"; {missing:,} images are not in it" if missing else "")
            table = beside
        if column is None:
            return dataset
        note = note or f"column {column!r}"
        texts = [value or "" for value in table.column(column).cast(pa.large_string()).to_pylist()]
    else:
        texts = [str(text or "") for text in given]
        if len(texts) != len(dataset):
            raise SemblanceError(f"there are {len(texts)} captions for {len(dataset)} images: give one for each")
        column, note = COLUMN, "as given"
    captions = np.empty(len(texts), dtype=object)
    captions[:] = [text.strip() for text in texts]
    if not captions.any():
        raise SemblanceError(f"every caption is empty ({note}): name another column or file by --captions")
    kept = dataset.attributes
    if column not in kept.column_names:
        kept = kept.append_column(column, pa.array(captions.tolist(), pa.string()))
    digest = hashlib.blake2b(dataset.fingerprint.encode(), digest_size=16)
    digest.update("\0".join(captions).encode("utf-8", "surrogateescape"))
    return replace(
        dataset,
        captions=captions,
        attributes=kept,
        fingerprint=digest.hexdigest(),
        notes=(*dataset.notes, f"captions: {note}"),
    )


def learned_from(dataset: ArrayDataset) -> ArrayDataset:
    """The dataset whose training units are those that have a caption; a note says how many have none."""
    if dataset.captions is None:
        raise SemblanceError("this recipe learns from captions and the data has none: give captions=, or --captions")
    rows = np.asarray(dataset.splits["train"])
    written = np.array([bool(text) for text in dataset.captions], bool)[rows]
    if written.sum() < 2:
        raise SemblanceError(f"{int(written.sum())} of {len(rows):,} training images have a caption: give two or more")
    if written.all():
        return dataset
    note = f"{int((~written).sum()):,} of {len(rows):,} training images have no caption and are not learned from"
    return replace(dataset, splits={**dataset.splits, "train": rows[written]}, notes=(*dataset.notes, note))


def cut(pieces: Pieces, dataset: ArrayDataset) -> ArrayDataset:
    """The dataset with its captions as numbers."""
    texts = pieces.cut(replace(dataset, domain="text", x=dataset.captions, notes=()))
    notes = tuple(note.replace("texts", "captions") for note in texts.notes)
    return replace(dataset, captions=texts.x, notes=(*dataset.notes, *notes))


def numbers_of(pieces: Pieces, texts: Sequence[str]) -> np.ndarray:
    """int64 [n, T]: these texts as numbers, cut as captions are."""
    held = np.empty(len(texts), dtype=object)
    held[:] = list(texts)
    empty = ArrayDataset("text", held, [], {}, pa.table({}), {}, "")
    numbers: np.ndarray = pieces.cut(empty).x[np.arange(len(texts))]
    return numbers


def caption_column(table: pa.Table, named: str | None = None) -> str | None:
    """The column of this name, or of a usual one; None where there is none."""
    lower = {name.lower(): name for name in reversed(_columns(table))}
    if named is not None:
        return named if named in _columns(table) else None
    return next((lower[name] for name in NAMES if name in lower), None)


def _columns(table: pa.Table) -> list[str]:
    return [field.name for field in table.schema if is_text(field.type) and field.name not in ("file", "class")]
