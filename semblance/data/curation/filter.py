"""Filter: keep of a pool what scores best, and learn from that.

    kept = { i : s_i among the top share }    or    { i : s_i >= t },  t such that a clean set keeps a given share

Scores are a column, an array, or a function of a dataset that gives one number a unit: `space.agreement` of a space that
was learned from a small clean set of captioned pictures (a data filtering network), a classifier of quality, the error of
an autoencoder (`analysis/quality.py`), rules or chance (`rules.py`). Who scores is no matter here: pairs of picture and
caption, of item and label, or items alone are filtered by the same call. What became of the pool is told by a report.

A function is asked shard after shard; with a folder for the scores, each shard's are written as they come, and a run that
stopped goes on where it was.

Fang et al. 2023, Data Filtering Networks, arXiv:2309.17425.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from semblance.data.curation.report import FilterReport, report_on
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.data.tables import is_number, is_text
from semblance.errors import Failed, SemblanceError, unknown

Scorer = Callable[[ArrayDataset], np.ndarray]
Progress = Callable[[int, int, str], None]
SHARD = 4096
SCORE = "score"


class Kept(NamedTuple):
    """What is kept, with its scores as the attribute `score`; every unit's score [N]; and what to know of it."""

    dataset: ArrayDataset
    scores: np.ndarray
    report: FilterReport


def filter_pool(
    data: Any,
    scores: str | Sequence[float] | np.ndarray | Scorer,
    *,
    top: float | None = None,
    threshold: float | None = None,
    clean: Any = None,
    clean_share: float = 0.9,
    truth: str | np.ndarray | None = None,
    store: str | Path | None = None,
    shard: int = SHARD,
    out: str | Path | None = None,
    progress: Progress | None = None,
    **reading: Any,
) -> Kept:
    """Keep of data what scores best.

    data: whatever `load` takes, with its keywords (captions, label, ...). scores: the name of a column of numbers, an array
    [N], or a function of a dataset. One of: top, the share that is kept; threshold, the least score; clean, a data set
    that is known to be good, of which the threshold keeps `clean_share` (the function scores it too). truth: a column or
    an array that says of each unit whether it is good, where that is known: the report then has precision, recall and AUC.
    store: a folder where the scores of a function are kept, shard by shard. out: a table (.csv, .parquet) of what is kept,
    which `fit` reads again. The kept data set has the splits of the pool.
    """
    pool = load(data, **reading)
    if not isinstance(pool, ArrayDataset):
        raise SemblanceError(f"a filter keeps single items, and the data is {pool.domain}: its units are related")
    if sum(given is not None for given in (top, threshold, clean)) != 1:
        raise SemblanceError("what is kept? give one of top (a share), threshold (a score), clean (a good data set)")
    found = score_of(pool, scores, store, shard, progress)
    if clean is not None:
        if not callable(scores) and not isinstance(scores, str):
            raise SemblanceError("scores as an array say nothing of the clean set: give a function, or a threshold")
        good = load(clean, **reading)
        threshold = threshold_of(score_of(good, scores, None, shard, progress), clean_share)
    rows = kept(found, top, threshold)
    if not len(rows):
        raise SemblanceError(
            f"no unit scores {threshold:g} or more (the best has {found.max():g}): lower the threshold"
        )
    table = pool.attributes
    if SCORE in table.column_names:
        table = table.drop_columns([SCORE])
    table = table.append_column(SCORE, pa.array(found))
    chosen = replace(pool, attributes=table).subset(rows)
    report = report_on(pool, found, rows, _truth(pool, truth))
    chosen = replace(chosen, notes=(*pool.notes, str(report)))
    if out is not None:
        write(chosen, Path(out))
    return Kept(chosen, found, report)


def kept(scores: np.ndarray, top: float | None = None, threshold: float | None = None) -> np.ndarray:
    """Positions, in order, of the top share (one at least; the earlier of equals) or of the scores from a threshold on."""
    if top is not None:
        if not 0 < top <= 1:
            raise SemblanceError(f"top is {top}, but it is a share of the pool: give above 0 to 1")
        count = max(1, round(top * len(scores)))
        return np.sort(np.argsort(-scores, kind="stable")[:count])
    if threshold is None:
        raise SemblanceError("what is kept? give top (a share) or threshold (a score)")
    return np.flatnonzero(scores >= threshold)


def threshold_of(scores: np.ndarray, share: float = 0.9) -> float:
    """The score that this share of a clean set reaches."""
    if not 0 < share <= 1:
        raise SemblanceError(f"clean_share is {share}, but it is a share of the clean set: give above 0 to 1")
    below = int((1 - share) * len(scores) + 1e-9)  # 0.1 * 10 is a little less than 1
    return float(np.sort(scores)[below])


def score_of(
    pool: ArrayDataset,
    scores: str | Sequence[float] | np.ndarray | Scorer,
    store: str | Path | None = None,
    shard: int = SHARD,
    progress: Progress | None = None,
) -> np.ndarray:
    """float64 [N], whichever way they are given."""
    if isinstance(scores, str):
        numbers = [field.name for field in pool.attributes.schema if is_number(field.type)]
        if scores not in numbers:
            raise unknown("column of scores", scores, numbers)
        found = pool.attributes.column(scores).to_numpy().astype(np.float64)
    elif callable(scores):
        return scored(pool, scores, store, shard, progress)
    else:
        found = np.asarray(scores, np.float64)
    return _checked(found, len(pool))


def scored(
    pool: ArrayDataset,
    by: Scorer,
    store: str | Path | None = None,
    shard: int = SHARD,
    progress: Progress | None = None,
) -> np.ndarray:
    """float64 [N] by a function that is asked about `shard` units at a time. A folder keeps them: what it holds is not
    asked again, and scores of another pool or by somebody else are refused."""
    if shard < 1:
        raise SemblanceError(f"shard is {shard}: give 1 unit or more at a time")
    folder = None if store is None else Path(store)
    if folder is not None:
        _open(folder, {"pool": pool.fingerprint, "units": len(pool), "shard": shard, "by": called(by)})
    found = np.empty(len(pool))
    for start in range(0, len(pool), shard):
        rows = np.arange(start, min(start + shard, len(pool)))
        part = None if folder is None else folder / f"{start:010d}.npy"
        if part is not None and part.exists():
            found[rows] = np.load(part, allow_pickle=False)
        else:
            found[rows] = _checked(np.asarray(by(pool.subset(rows)), np.float64), len(rows))
            if part is not None:
                _put(part, found[rows])
        if progress is not None:
            progress(int(rows[-1]) + 1, len(pool), "scoring")
    return found


def called(by: Any) -> str:
    """What a function is known by: its own name and whose it is, so that scores are not taken for another's."""
    whose = getattr(by, "__self__", None)
    name = getattr(by, "__qualname__", "") or repr(by)
    return f"{name} of {whose!r}" if whose is not None else name


def write(chosen: ArrayDataset, path: Path) -> None:
    """A table of what is kept, best first: where it lies (`path`, relative to the table), or the item itself, its caption,
    label and attributes."""
    table = {name: chosen.attributes.column(name) for name in chosen.attributes.column_names}
    columns: dict[str, Any] = {"id": pa.array(chosen.ids)}
    if chosen.domain == "text":
        columns["text"] = pa.array(list(getattr(chosen.x, "texts", chosen.x)))
    elif chosen.domain == "images":
        files = [Path(chosen.source) / name for name in chosen.ids]
        if chosen.source and all(file.is_file() for file in files):
            place = path.absolute().parent
            columns = {"path": pa.array([os.path.relpath(file, place) for file in files])}
    elif path.suffix.lower() == ".parquet":
        columns["vector"] = pa.array(list(np.asarray(chosen.x, np.float32)))
    labels = chosen.targets.get("labels")
    if labels is not None and labels.dtype.kind == "i" and chosen.classes:
        columns["label"] = pa.array([None if k < 0 else chosen.classes[k] for k in labels], pa.string())
    split = np.full(len(chosen), None, dtype=object)
    for name, rows in chosen.splits.items():
        split[rows] = name
    columns |= {"split": pa.array(split.tolist(), pa.string())}
    # What every file has (its name, its bytes) is read from the files again.
    columns |= {name: column for name, column in table.items() if name not in {*columns, *OWN}}
    order = np.argsort(-np.asarray(table[SCORE]), kind="stable")
    whole = pa.table(columns).take(pa.array(order))
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            pq.write_table(whole, path)
        elif path.suffix.lower() == ".csv":
            from pyarrow import csv

            csv.write_csv(whole, path)
        else:
            raise unknown("kind of table", path.suffix or path.name, (".csv", ".parquet"))
    except OSError as error:
        raise Failed(f"{path} could not be written ({error.strerror or error})") from error


OWN = ("file", "bytes", "width", "height", "taken", "class", "row")
"""Attributes that loading gives."""


def _truth(pool: ArrayDataset, given: str | np.ndarray | None) -> np.ndarray | None:
    """bool [N], or None where nobody knows."""
    if given is None:
        return None
    if isinstance(given, str):
        columns = [field.name for field in pool.attributes.schema if not is_text(field.type)]
        if given not in columns:
            raise unknown("column of truth", given, columns)
        given = np.asarray(pool.attributes.column(given).to_pylist())
    truth = np.asarray(given).astype(bool)
    if len(truth) != len(pool):
        raise SemblanceError(f"truth says {len(truth)} things of {len(pool)} units: give one of each")
    return truth


def _checked(scores: np.ndarray, units: int) -> np.ndarray:
    """One finite number a unit, or an error."""
    if scores.shape != (units,):
        raise SemblanceError(f"scores have the shape {list(scores.shape)} for {units} units: give one number for each")
    wrong = np.flatnonzero(np.isnan(scores))
    if len(wrong):
        raise SemblanceError(f"unit {wrong[0]} has no score (NaN): give every unit a number")
    return scores


def _open(folder: Path, about: dict[str, Any]) -> None:
    """A folder for these scores: made, or found to be theirs."""
    file = folder / "about.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(about, indent=1))
        return
    held = json.loads(file.read_text())
    other = [f"{key} {held.get(key)!r}, not {value!r}" for key, value in about.items() if held.get(key) != value]
    if other:
        raise SemblanceError(f"{folder} holds other scores ({'; '.join(other)}): name another folder, or remove it")


def _put(path: Path, values: np.ndarray) -> None:
    """Whole or not at all."""
    partial = path.with_suffix(".partial.npy")
    np.save(partial, values)
    os.replace(partial, path)
