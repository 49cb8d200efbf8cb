"""Tables of classes: a row of numbers for every class, which describes it. What zero-shot heads know a class by.

class_table    a CSV or Parquet file: one column names the class, the others describe it. Numbers stay (yes and no become 1
               and 0), words become a 0-or-1 column each, called column=word
of_words       vectors of class names from the company they keep in texts: positive pointwise mutual information of words
               within a window, cut to `dim` directions
of_texts       a text for each class: its words weighed by how few classes have them (tf-idf)
of_tree        child -> parent: 1 for the class itself and everything above it

Columns called part=value with several values are one part of a class (`parts`): colour=red, colour=blue. Classes may then
be composed of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from semblance.data.tables import read_table
from semblance.errors import SemblanceError, unknown

NAMES = ("class", "label", "name", "id")
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class ClassTable:
    """names [K], columns [m], values [K, m] float64."""

    names: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.names), len(self.columns)):
            raise SemblanceError(
                f"values {list(self.values.shape)} do not fit {len(self.names)} classes of {len(self.columns)} columns"
            )
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise SemblanceError(f"class {twice[0]!r} has several rows: give every class one")
        bad = np.argwhere(~np.isfinite(self.values))
        if len(bad):
            row, column = bad[0]
            raise SemblanceError(
                f"class {self.names[row]!r} has no number in column {self.columns[column]!r}: fill it, or leave the row out"
            )

    def rows(self, names: Sequence[str]) -> np.ndarray:
        """[len(names), m]"""
        at = {name: i for i, name in enumerate(self.names)}
        lost = [name for name in names if name not in at]
        if lost:
            raise unknown("class of this table", lost[0], self.names)
        return self.values[[at[name] for name in names]]

    def parts(self) -> dict[str, list[int]]:
        """Part -> its columns, of those called part=value of which a part has two or more."""
        found: dict[str, list[int]] = {}
        for i, column in enumerate(self.columns):
            if "=" in column:
                found.setdefault(column.split("=", 1)[0], []).append(i)
        return {part: at for part, at in found.items() if len(at) > 1}


def class_table(source: str | Path | pa.Table, name: str | None = None) -> ClassTable:
    """The file or table; `name` is the column that names classes (else class, label, name, id or the first of words)."""
    table = source if isinstance(source, pa.Table) else read_table(_there(Path(source)))
    words = [f.name for f in table.schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    if name is None:
        name = next((c for c in NAMES if c in table.column_names), words[0] if words else None)
    if name is None or name not in table.column_names:
        raise unknown("column that names the classes", str(name), table.column_names)
    names = tuple(str(value) for value in table.column(name).to_pylist())
    columns: list[str] = []
    values: list[np.ndarray] = []
    for column in table.column_names:
        if column == name:
            continue
        told = table.column(column)
        if column in words or pa.types.is_dictionary(told.type):
            said = np.array([str(value) for value in told.to_pylist()], object)
            for word in sorted(set(said)):
                columns.append(f"{column}={word}")
                values.append((said == word).astype(float))
        elif _counts(told.type):
            columns.append(column)
            values.append(np.array([np.nan if v is None else float(v) for v in told.to_pylist()]))
        else:
            raise SemblanceError(f"column {column!r} holds {told.type}, neither numbers nor words: leave it out")
    if not values:
        raise SemblanceError(f"the table names {len(names)} classes and describes none: give it a column of attributes")
    return ClassTable(names, tuple(columns), np.stack(values, 1))


def of_words(names: Sequence[str], texts: Iterable[str], dim: int = 50, window: int = 5) -> ClassTable:
    """Every class name has to occur in the texts; a name of several words is the mean of theirs."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import svds

    lines = [[w.lower() for w in WORD.findall(text)] for text in texts]
    place: dict[str, int] = {}
    numbers = [np.array([place.setdefault(w, len(place)) for w in line], np.int64) for line in lines]
    wanted = [[w.lower() for w in WORD.findall(name)] for name in names]
    lost = [w for words in wanted for w in words if w not in place]
    if lost or not place:
        raise SemblanceError(
            f"the texts never say {lost[0] if lost else 'anything'!r}: give texts that name every class"
        )
    pairs = [np.stack([n[:-s], n[s:]]) for n in numbers for s in range(1, window + 1) if len(n) > s]
    if not pairs:
        raise SemblanceError("no text has two words or more, and words are known by their company: give longer texts")
    one, other = np.concatenate(pairs, 1)
    size = len(place)
    met = coo_matrix((np.ones(2 * len(one)), (np.r_[one, other], np.r_[other, one])), (size, size)).tocsr().tocoo()
    total = np.asarray(met.sum(1)).ravel()
    kept = np.log(met.data * total.sum() / (total[met.row] * total[met.col])).clip(0)
    shared = coo_matrix((kept, (met.row, met.col)), met.shape).tocsr()
    count = min(dim, size - 1)
    u, s, _ = svds(shared, k=count, v0=np.ones(size), random_state=0)
    vectors = (u * np.sqrt(s))[:, ::-1]
    rows = np.stack([vectors[[place[w] for w in words]].mean(0) for words in wanted])
    return ClassTable(tuple(names), tuple(f"direction {i}" for i in range(count)), rows)


def of_texts(descriptions: Mapping[str, str]) -> ClassTable:
    """Class -> text."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    silent = [name for name, text in descriptions.items() if not WORD.search(text)]
    if silent or not descriptions:
        raise SemblanceError(f"class {silent[0] if silent else ''!r} has an empty text: describe every class")
    machine = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", sublinear_tf=True)
    values = machine.fit_transform(descriptions.values()).toarray()
    return ClassTable(tuple(descriptions), tuple(machine.get_feature_names_out()), values)


def of_tree(names: Sequence[str], parent: Mapping[str, str]) -> ClassTable:
    """`parent` of each class and of whatever stands between it and the root, which has none."""
    above: list[list[str]] = []
    for name in names:
        if name not in parent:
            raise unknown("class of this tree", name, parent)
        path = [name]
        while path[-1] in parent:
            if parent[path[-1]] in path:
                raise SemblanceError(f"{name!r} is its own ancestor by way of {path[-1]!r}: parents make a tree")
            path.append(parent[path[-1]])
        above.append(path)
    columns = sorted({node for path in above for node in path})
    at = {node: i for i, node in enumerate(columns)}
    values = np.zeros((len(names), len(columns)))
    for row, path in enumerate(above):
        values[row, [at[node] for node in path]] = 1
    return ClassTable(tuple(names), tuple(columns), values)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise SemblanceError(f"there is no table {path}: give a CSV or Parquet file with a row for every class")
    if path.suffix.lower() not in (".csv", ".tsv", ".txt", ".parquet", ".pq"):
        raise SemblanceError(f"{path} is no table: give a CSV or Parquet file with a row for every class")
    return path


def _counts(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
