"""Texts: a column of a table, the lines of a file, the files of a folder, a list -> a dataset of texts.

    column      the named one (`column`), else one of a usual name (text, sentence, body, ...), else the only one of words
    two columns   (sentence1, sentence2; or two names with a comma between) are pairs: every text that occurs is one unit,
                  and the column of labels or scores says of pairs how alike they are (judged.py)
    .txt, .md   a unit a line
    a folder    a unit a file; class folders and folders called train and test mean what they mean for images

The text of every unit is its attribute `text`, so that an answer can be read. Empty texts are left out, and said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from semblance.data.assemble import assemble
from semblance.data.dataset import ArrayDataset
from semblance.data.judged import Judged
from semblance.data.labels import Labels, labels_of
from semblance.data.splits import WORDS, drawn, from_words
from semblance.data.tables import attributes, id_values, is_text, roles
from semblance.errors import SemblanceError, unknown

SUFFIXES = frozenset({".txt", ".md"})
NAMES = (
    "text",
    "texts",
    "sentence",
    "body",
    "document",
    "abstract",
    "content",
    "comment",
    "review",
    "message",
    "question",
)
PAIRED = (("sentence1", "sentence2"), ("text1", "text2"), ("question1", "question2"), ("sentence_a", "sentence_b"))
SCORES = ("score", "similarity", "relatedness", "is_duplicate", "is_paraphrase", "equal")
WORDY = 3.0
"""So many words a cell has on average in a column that is text without being called so."""
LOOKED = 200


def text_columns(table: pa.Table) -> list[str]:
    """The columns of texts by their names: one, or the two of a pair; [] where no name says so."""
    written = {name.lower(): name for name in table.column_names if is_text(table.schema.field(name).type)}
    for one, two in PAIRED:
        if one in written and two in written:
            return [written[one], written[two]]
    return [written[name] for name in NAMES if name in written][:1]


def wordy_columns(table: pa.Table, label: str | None = None, id_column: str | None = None) -> list[str]:
    """The columns of several words a cell, whatever they are called."""
    taken = set(roles(table, label, id_column).values())
    held = [n for n in table.column_names if n not in taken and is_text(table.schema.field(n).type)]
    return [name for name in held if _words(table.column(name)) >= WORDY]


def _words(column: pa.ChunkedArray) -> float:
    cells = [str(v).split() for v in column.slice(0, LOOKED).to_pylist() if v]
    return float(np.mean([len(c) for c in cells])) if cells else 0.0


def from_table(
    table: pa.Table,
    *,
    what: str = "the table",
    column: str | None = None,
    label: str | None = None,
    id_column: str | None = None,
    seed: int = 0,
    **known: Any,
) -> ArrayDataset:
    """A text a row, or a pair of texts a row."""
    names = columns_of_texts(table, what, column, label, id_column)
    if len(names) == 2:
        return _pairs(table, names, what, label, seed, known)
    found = roles(table, label, id_column)
    texts, kept, empty = filled(table.column(names[0]))
    if not len(kept):
        raise SemblanceError(f"{what}: column {names[0]!r} holds no text at all: name another by --column")
    ids = None if found["id"] is None else id_values(table.column(found["id"]), found["id"])
    ids = [str(i) if ids is None else ids[i] for i in kept]
    rows = table.take(pa.array(kept))
    words = None if found["split"] is None else rows.column(found["split"]).to_pylist()
    others, notes = attributes(rows, {names[0], found["id"], found["split"]}, found["label"])
    return _dataset(
        texts,
        ids=ids,
        labels=None if found["label"] is None else labels_of(rows.column(found["label"]), found["label"]),
        attributes=others,
        splits=None if words is None else from_words(words),
        seed=seed,
        skipped=tuple((f"row {i}", "empty") for i in empty),
        notes=(f"domain: text (column {names[0]!r} of {table.num_rows:,} rows)", *_left_out(empty), *notes),
        **known,
    )


def columns_of_texts(
    table: pa.Table, what: str, column: str | None, label: str | None, id_column: str | None
) -> tuple[str, ...] | list[str]:
    """The column of texts, or the two of pairs."""
    written = [n for n in table.column_names if is_text(table.schema.field(n).type)]
    if column is not None:
        names = [column] if column in table.column_names else [part.strip() for part in column.split(",")]
        for name in names:
            if name not in table.column_names:
                raise unknown("column of texts", name, table.column_names)
            if name not in written:
                raise SemblanceError(
                    f"column {name!r} holds {table.schema.field(name).type}, and texts are words: "
                    f"name another by --column ({', '.join(written) or 'none here holds words'})"
                )
        if len(names) > 2:
            raise SemblanceError(f"--column names {len(names)} columns: give one, or the two of a pair")
        return names
    names = text_columns(table) or wordy_columns(table, label, id_column)
    if not names and len(written) == 1:
        names = written
    if len(names) == 1 or (len(names) == 2 and tuple(n.lower() for n in names) in PAIRED):
        return names
    told = ", ".join(names or written) or "none that holds words"
    raise SemblanceError(f"{what} has the columns of texts {told}: name one by --column, or two with a comma for pairs")


def filled(column: pa.ChunkedArray | Sequence[str | None]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The texts there are as an array of objects, their rows, and the rows without."""
    cells = column.cast(pa.large_string()).to_pylist() if isinstance(column, pa.ChunkedArray) else list(column)
    there = np.array([bool(cell and cell.strip()) for cell in cells], bool)
    kept = np.flatnonzero(there)
    texts = np.empty(len(kept), dtype=object)
    texts[:] = [cells[i] for i in kept]
    return texts, kept, np.flatnonzero(~there)


def _left_out(empty: np.ndarray) -> list[str]:
    if not len(empty):
        return []
    told = "1 empty text is" if len(empty) == 1 else f"{len(empty):,} empty texts are"
    return [f"{told} left out (first: row {empty[0]}, from 0)"]


def _pairs(
    table: pa.Table, names: Sequence[str], what: str, label: str | None, seed: int, known: dict[str, Any]
) -> ArrayDataset:
    """Two columns: their texts are the units, each once, and the rows are judged pairs of them."""
    lower = {name.lower(): name for name in reversed(table.column_names)}
    found = roles(table, label)
    said = found["label"] or next((lower[n] for n in SCORES if n in lower and lower[n] not in names), None)
    sides = [[(cell or "").strip() for cell in table.column(n).cast(pa.large_string()).to_pylist()] for n in names]
    kept = np.array([i for i, pair in enumerate(zip(*sides, strict=True)) if all(pair)], np.int64)
    empty = np.setdiff1d(np.arange(table.num_rows), kept)
    if not len(kept):
        raise SemblanceError(f"{what} holds no pair of two texts in {names[0]!r} and {names[1]!r}: fill them in")
    number: dict[str, int] = {}
    ends = np.array([[number.setdefault(side[i], len(number)) for side in sides] for i in kept], np.int64)  # [P, 2]
    labels = Labels(np.full(len(kept), np.nan), ())
    if said is not None:
        labels = labels_of(table.column(said).take(pa.array(kept)), said)
    if labels.values.ndim == 2:
        raise SemblanceError(f"column {said!r} gives a pair several classes: give one, or a number")
    split = (
        None if found["split"] is None else from_words(table.column(found["split"]).take(pa.array(kept)).to_pylist())
    )
    if split is None:
        split = drawn(len(kept), labels.values, seed)
    pairs = Judged(ends[:, 0], ends[:, 1], labels.values, labels.classes, split)
    judged = f"judged by {said!r}" if said is not None else "and no column (--label) says how alike they are"
    texts = np.empty(len(number), dtype=object)
    texts[:] = list(number)
    return _dataset(
        texts,
        ids=[str(i) for i in range(len(texts))],
        pairs=None if said is None else pairs,
        splits=_of_units(pairs, len(texts)),
        seed=seed,
        skipped=tuple((f"row {i}", "empty") for i in empty),
        notes=(
            f"domain: text ({len(texts):,} texts of {len(kept):,} pairs, {judged})",
            *_left_out(empty),
        ),
        **known,
    )


def _of_units(pairs: Judged, units: int) -> dict[str, np.ndarray]:
    """A text that stands in a training pair is learned from; the others go with the first other part they stand in."""
    order = ["train", *(name for name in pairs.splits if name != "train")]
    part = np.full(units, -1)
    for k, name in reversed(list(enumerate(order))):
        rows = pairs.splits.get(name, np.empty(0, np.int64))
        part[pairs.first[rows]] = part[pairs.second[rows]] = k
    return {name: np.flatnonzero(part == k) for k, name in enumerate(order)}


def from_lines(path: Path, *, seed: int = 0, **known: Any) -> ArrayDataset:
    """A file of texts, one a line; ids are line numbers from 1."""
    lines = _decoded(path).splitlines()
    texts, kept, empty = filled(lines)
    if not len(kept):
        raise SemblanceError(f"{path} holds no text: give at least one line of words")
    if not any(letter.isalpha() for text in texts[:LOOKED] for letter in text):
        raise SemblanceError(
            f"{path} holds numbers and no words ({texts[0][:30]!r}): for a list of edges say --domain graph"
        )
    return _dataset(
        texts,
        ids=[str(i + 1) for i in kept],
        seed=seed,
        notes=(f"domain: text ({len(texts):,} lines)", *_left_out(empty)),
        **known,
    )


def text_files(root: Path) -> list[str]:
    """Relative paths of the text files below a folder, in order; hidden ones are passed over."""
    found = (p.relative_to(root) for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return sorted(p.as_posix() for p in found if not any(part.startswith(".") for part in p.parts))


def from_folder(root: Path, *, seed: int = 0, **known: Any) -> ArrayDataset:
    """Every text file below a folder, a unit each; ids are relative paths."""
    texts, ids, skipped = [], [], []
    for name in text_files(root):
        try:
            text = _decoded(root / name)
        except SemblanceError as error:
            skipped.append((name, str(error)))
            continue
        if text.strip():
            texts.append(text.strip())
            ids.append(name)
        else:
            skipped.append((name, "empty"))
    if not texts:
        why = f": {skipped[0][1]}" if skipped else ""
        raise SemblanceError(f"{root} holds no text that can be read{why}")
    parts = [Path(name).parts[:-1] for name in ids]
    tops = {p[0].lower() for p in parts if p}
    apart = all(parts) and tops <= WORDS.keys() and "train" in {WORDS[t] for t in tops}
    folders = [(p[1:] if apart else p)[:1] for p in parts]
    classes = pa.array([f[0] if f else None for f in folders], pa.string())
    labelled = pc.count_distinct(classes).as_py() > 1
    held = np.empty(len(texts), dtype=object)
    held[:] = texts
    told = [f"{len(skipped):,} files are left out (first: {skipped[0][0]}, {skipped[0][1]})"] if skipped else []
    return _dataset(
        held,
        ids=ids,
        labels=labels_of(classes, "class") if labelled else None,
        attributes=pa.table({"class": classes}) if labelled else None,
        splits=from_words([p[0] for p in parts]) if apart else None,
        seed=seed,
        skipped=tuple(skipped),
        notes=(f"domain: text (folder of {len(texts):,} files)", *told),
        **known,
    )


def from_list(given: Sequence[str], *, labels: Any = None, seed: int = 0, **known: Any) -> ArrayDataset:
    """Texts in memory."""
    strange = next((i for i, text in enumerate(given) if not isinstance(text, str)), None)
    if strange is not None:
        raise SemblanceError(f"text {strange} is a {type(given[strange]).__name__}: give strings")
    texts, kept, empty = filled(given)
    if not len(kept):
        raise SemblanceError(f"there is no text among the {len(given)} given: give at least one word")
    if len(empty) and labels is not None:
        raise SemblanceError(f"text {empty[0]} is empty, and labels are one for each: leave both out")
    return _dataset(
        texts,
        ids=[str(i) for i in kept],
        labels=None if labels is None else labels_of(labels),
        seed=seed,
        notes=(f"domain: text ({len(texts):,} texts)", *_left_out(empty)),
        **known,
    )


def _dataset(
    texts: np.ndarray,
    *,
    ids: Sequence[str],
    labels: Labels | None = None,
    pairs: Judged | None = None,
    attributes: pa.Table | None = None,
    **known: Any,
) -> ArrayDataset:
    """Assembled, with the texts as an attribute."""
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        digest.update(f"{len(content)} ".encode() + content)
    if pairs is not None:
        for column in (pairs.first, pairs.second, pairs.said):
            digest.update(np.ascontiguousarray(column).tobytes())
    written = pa.array(texts.tolist(), pa.string())
    table = pa.table({"text": written})
    for name in () if attributes is None else attributes.column_names:
        if name != "text":
            table = table.append_column(name, attributes.column(name))  # type: ignore[union-attr]
    return assemble(
        "text",
        texts,
        ids=ids,
        targets={} if labels is None else {"labels": labels.values},
        classes=() if labels is None else labels.classes,
        attributes=table,
        content=digest.hexdigest(),
        pairs=pairs,
        units="text",
        **known,
    )


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SemblanceError(f"{path} cannot be read ({error.strerror})") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SemblanceError(
            f"{path} is not UTF-8 (byte {error.start} is 0x{content[error.start]:02x}): save it again as UTF-8"
        ) from None


def titled(table: pa.Table, title: str, text: str) -> pa.Table:
    """The table with its titles before its texts, a line apart."""
    parts = [pc.fill_null(table.column(name).cast(pa.string()), "") for name in (title, text)]
    joined = pc.binary_join_element_wise(*parts, "\n")
    return table.set_column(table.column_names.index(text), text, joined).drop_columns([title])


def of_roles(table: pa.Table, role: dict[str, Any], **known: Any) -> ArrayDataset:
    """A named set whose entry says which columns are text (or text1 and text2), title, y and attributes."""
    if "title" in role:
        table = titled(table, role["title"], role["text"])
    column = role["text"] if "text" in role else f"{role['text1']},{role['text2']}"
    dataset = from_table(table, column=column, label=known.pop("label", None) or role["y"], **known)
    return replace(
        dataset, notes=(f"domain: text (the set {dataset.name}, {len(dataset):,} texts)", *dataset.notes[1:])
    )
