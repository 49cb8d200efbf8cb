"""Gathered: what the parts of an embedding are together, and how they become a space.

What no part knows is said here: which classes there are, and how items are split, as `load` says it of data that it reads
at once. Their vectors become segments of the space without being copied, their items rows of its tables, by one commit.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.data.dataset import ArrayDataset
from semblance.data.decoded import enough
from semblance.data.labels import Labels, labels_of
from semblance.data.parts import Whole
from semblance.data.relational import Loaded
from semblance.data.splits import drawn, from_words
from semblance.memory.adoption import Stretch
from semblance.memory.atomic import all_or_nothing, sync_folder
from semblance.memory.store import Store
from semblance.space import part_files
from semblance.space.columns import attributes_of, label_kind
from semblance.space.fit import record_of
from semblance.space.model import Model
from semblance.space.part_files import Work


def adopt(
    work: Work, target: Path, key: str, seed: int, where: Mapping[str, Any], started: float
) -> tuple[tuple[str, str], ...]:
    """The parts become a space by one commit. Gives what was left out, and why."""
    model, told = work.model, _told(work, key, seed)
    size = list(model.shape.item[1:]) if told.domain == "images" else None
    options = {"domain": told.domain, "label": None, "id_column": None, "size": size}
    asked = {"epochs": None, "seconds": None, "device": "auto", "precision": model.precision}
    record = record_of(told, model.recipe, model.settings, seed, asked, options)
    seconds = round(time.monotonic() - started, 2)
    record["trained"] = {"epochs": 0, "loss": None, "device": model.device, "precision": model.precision, **where}
    record["trained"]["seconds"] = seconds
    content: dict[str, Any] = {
        "files": [file for number in range(len(work)) for file in part_files.segments(work, number)],
        "items": _stretches(work, told),
        "model_tensors": model.tensors(),
        "model_meta": meta_of(model),
        "recipe": record,
        "manifest": {
            "recipe": record["recipe"],
            "classes": list(told.classes),
            "labels": label_kind(told),
            "units": told.units,
            "words": told.domain == "text" or model.captions is not None,
            "name": told.name,
            "embedding": key,
        },
    }
    kind: dict[str, Any] = {"dim": model.dim, "geometry": model.geometry.name, "domain": told.domain}
    with all_or_nothing(target):
        if (target / "space.db").exists():
            with Store.open(target, write=True) as store:
                store.adopt(**content, **kind)
            return told.skipped
        beside = work.folder / "space"
        shutil.rmtree(beside, ignore_errors=True)
        with Store.create(beside, manifest={}, **kind) as store:
            store.adopt(**content, **kind)
        if target.exists():
            target.rmdir()
        os.replace(beside, target)
        sync_folder(target.parent)
    return told.skipped


def meta_of(model: Model) -> dict[str, str]:
    return {"semblance": json.dumps(model.header())}


def _told(work: Work, key: str, seed: int) -> Loaded:
    """The data as far as what was read tells of all of it: which labels and splits the items have. It holds no contents."""
    source = work.source
    if isinstance(source, Whole):
        return source.data
    about = [part_files.about(work, number) for number in range(len(work))]
    units = sum(part["rows"] for part in about)
    skipped = tuple((name, why) for part in about for name, why in part["skipped"])
    if source.domain == "images":
        enough(skipped, source.units)
    columns: dict[str, list[pa.ChunkedArray]] = {"label": [], "split": []}
    for number in range(len(work)):
        for table in part_files.tables(work, number, tuple(columns)):
            for name in table.column_names:
                columns[name].append(table.column(name))
    found = {name: _joined(chunks) for name, chunks in columns.items() if chunks}
    labels = _labels(found["label"]) if "label" in found else None
    targets = {} if labels is None else {"labels": labels.values}
    splits = from_words(_words(found["split"])) if "split" in found else None
    item = () if source.domain == "text" else work.model.shape.item
    return ArrayDataset(
        domain=source.domain,
        x=np.broadcast_to(np.zeros((), np.float32), (units, *item)),
        ids=[],
        targets=targets,
        attributes=pa.table({"row": pa.nulls(units)}),
        splits=drawn(units, targets.get("labels"), seed) if splits is None else splits,
        fingerprint=f"parts {key}",
        classes=() if labels is None else labels.classes,
        units="text" if source.domain == "text" else "item",
        name=Path(source.place).stem if Path(source.place).is_file() else Path(source.place).name,
        source=source.place,
        skipped=skipped,
    )


def _joined(chunks: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for column in chunks for chunk in column.chunks], chunks[0].type)


def _coded(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """The values that occur, the last of them null, and [N] which of them each is."""
    coded = column.dictionary_encode().combine_chunks()
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    values = pa.concat_arrays([coded.dictionary, pa.nulls(1, coded.dictionary.type)])
    return values, coded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)


def _labels(column: pa.ChunkedArray) -> Labels:
    """As `labels_of`, which looks at every value on its own: here at every value that occurs."""
    if pa.types.is_floating(column.type) or pa.types.is_nested(column.type):
        return labels_of(column)
    values, codes = _coded(column)
    found = labels_of(values)
    return Labels(found.values[codes], found.classes)


def _words(column: pa.ChunkedArray) -> list[Any]:
    values, codes = _coded(column)
    words = np.array(values.to_pylist(), dtype=object)
    found: list[Any] = words[codes].tolist()
    return found


def _stretches(work: Work, told: Loaded) -> Iterator[Stretch]:
    """The items of all parts, some at a time, with their labels and splits."""
    settled = None if isinstance(work.source, Whole) else attributes_of(told).drop_columns(["row"])
    first = 0
    for number in range(len(work)):
        for table in part_files.tables(work, number):
            attributes, count = part_files.attributes(table), table.num_rows
            if settled is not None:
                names = [name for name in attributes.column_names if name not in settled.column_names]
                attributes = attributes.select(names)
                for name in settled.column_names:
                    attributes = attributes.append_column(name, settled.column(name).slice(first, count))
            pictures = table.column("thumbnail").to_pylist() if "thumbnail" in table.column_names else None
            yield Stretch(work.told(number), table.column("id").to_pylist(), attributes, pictures)
            first += count
