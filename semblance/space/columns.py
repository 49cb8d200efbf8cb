"""What a dataset's targets and splits become in a space: columns that can be filtered by."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from semblance.data.relational import Loaded


def label_kind(dataset: Loaded) -> str:
    """none, class, classes (several a unit) or number."""
    labels = dataset.targets.get("labels")
    if labels is None:
        return "none"
    if labels.ndim == 2:
        return "classes"
    return "number" if labels.dtype.kind == "f" else "class"


def attributes_of(dataset: Loaded) -> pa.Table:
    """The dataset's attributes with `split` and, where there are labels, `label` (several joined by ;)."""
    split = np.full(len(dataset), "", dtype=object)
    for name, rows in dataset.splits.items():
        split[rows] = name
    found = dataset.attributes
    kind = label_kind(dataset)
    columns: dict[str, pa.Array] = {"split": pa.array(split, pa.string())}
    if kind != "none":
        labels, names = dataset.targets["labels"], np.array(dataset.classes, dtype=object)
        if kind == "class":
            columns["label"] = pa.array([None if c < 0 else str(names[c]) for c in labels], pa.string())
        elif kind == "number":
            columns["label"] = pa.array(labels, pa.float64(), from_pandas=True)
        else:
            columns["label"] = pa.array([";".join(names[row]) for row in labels], pa.string())
    for name, column in columns.items():
        if name in found.column_names:
            found = found.drop_columns([name])
        found = found.append_column(name, column)
    return found
