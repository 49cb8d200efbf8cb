"""Loading: whatever the user has -> a dataset, with the domain inferred and said.

a folder of images, an image, a list of images        images.py
.npy, .npz, NumPy arrays, tensors                     arrays.py
.csv, .parquet, data frames of any library            tables.py, then vectors.py, images.py for a column of image paths, or
                                                      texts.py for one of words
.txt, folders of these                                texts.py
map-style datasets of torch                           map_style.py
edge lists, meshes, graphs in files and in memory     graph_files.py
the name of a known set                               named.py
a kind of file that another package reads             plugged.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.data import map_style, named, plugged, tables, texts, vectors
from semblance.data.arrays import domain_of, from_arrays, read_arrays
from semblance.data.captions import with_captions
from semblance.data.dataset import ArrayDataset
from semblance.data.domains import DOMAINS, RELATIONAL, built, infer, kind_of, row_of
from semblance.data.images import from_files, from_folder, from_table
from semblance.data.moments import shape_of
from semblance.errors import SemblanceError

__all__ = ["load", "shape_of"]


def load(
    data: Any,
    *,
    domain: str | None = None,
    label: str | None = None,
    id_column: str | None = None,
    size: int | tuple[int, int] | None = None,
    labels: Any = None,
    directed: bool | None = None,
    split: int | str | None = None,
    nodes: str | Path | None = None,
    column: str | None = None,
    captions: Any = None,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Any:
    """Data as a dataset: an ArrayDataset, or a RelationalDataset where units are related (graphs, interactions, ...).

    data: a path, the name of a known set, an array (uint8 [N, H, W] or [N, H, W, 3]: images; numbers [N, d]: vectors), a
    tensor, a table of any library (numbers, vectors, or paths of images), a list of image files, or a dataset, which
    passes through. domain overrides what is inferred. label and id_column name columns; `labels` gives the labels of
    arrays themselves. size is that of images, (height, width) or one number. seed draws the splits where none are given.
    Of graphs only: directed says whether an edge and its reverse differ (default: no, unless the data says so), split takes
    a published split by number or draws one by shares ("random:0.6/0.2/0.2"), nodes is the path of the table of nodes.
    Of texts only: column is the one that holds them, or two with a comma between for pairs. Of images only: captions are
    what is written of them, as a column's name, a table's path or as many texts; by default the column of a usual name
    where there is one. Dataset.notes say what was chosen.
    """
    if domain is not None:
        built(domain, f"--domain {domain}")
    if isinstance(data, ArrayDataset) or getattr(data, "domain", None) in RELATIONAL:
        _refuse(labels, "a dataset")
        return data if captions is None else with_captions(data, captions)
    related = {"directed": directed, "split": split, "nodes": nodes}
    if column is not None and domain is None:
        domain = "text"
    if domain == "text" and not named.is_name(data):
        dataset = _texts(data, column, label, id_column, labels, seed)
    else:
        dataset = _load(data, domain, label, id_column, size, labels, seed, progress, related)
    if column is not None and dataset.domain != "text":
        raise SemblanceError(f"column names one of texts, and the data is {dataset.domain}: leave it out")
    if dataset.domain not in RELATIONAL and any(value is not None for value in related.values()):
        raise SemblanceError(
            f"directed, split and nodes are for graphs, and the data is {dataset.domain}: leave them out"
        )
    if domain is not None and dataset.domain not in (domain, row_of(domain).makes):
        raise SemblanceError(f"the data is {dataset.domain} and cannot be read as {domain}: leave --domain out")
    return with_captions(dataset, captions) if isinstance(dataset, ArrayDataset) or captions is not None else dataset


def _load(
    data: Any,
    domain: str | None,
    label: str | None,
    id_column: str | None,
    size: int | tuple[int, int] | None,
    labels: Any,
    seed: int,
    progress: Callable[[int, int, str], None] | None,
    related: dict[str, Any],
) -> Any:
    if named.is_name(data):
        _refuse(labels, "a known set")
        if related["nodes"] is not None:
            raise SemblanceError(f"nodes names the table of a file of edges, and {data} is a known set: leave it out")
        of_graphs = {"directed": related["directed"], "split": related["split"]}
        dataset = named.read(data, label=label, size=size, seed=seed, **of_graphs)
        if Path(data).exists():
            hint = f"{data} is the known set: for the file or folder of this name say ./{data}"
            dataset = replace(dataset, notes=(*dataset.notes, hint))
        return dataset
    known: dict[str, Any] = {}
    what = "the data"
    if isinstance(data, str | Path):
        path = Path(data).expanduser()
        other = plugged.loader(path, domain)
        if other is not None:
            _refuse(labels, f"a file of the domain {other.name}")
            return plugged.read(other, path, label=label, id_column=id_column, size=size, seed=seed)
        if domain == "images" and path.is_dir():
            kind = "folder"
        elif domain in RELATIONAL and path.suffix.lower() == ".txt":
            kind = str(domain)
        else:
            kind = kind_of(path)
        if kind == "table" and domain in (None, *RELATIONAL):
            kind = domain or _of_columns(path)
        if kind in RELATIONAL:
            _refuse(labels, "a file of edges")
            from semblance.data.graph_files import from_path

            only = None if domain is None and kind == "graph" else domain or kind
            return from_path(path, only, label=label, id_column=id_column, seed=seed, **related)
        if kind == "text":
            _refuse(labels, "a file of texts")
            return _texts(path, None, label, id_column, None, seed)
        if kind == "folder":
            _refuse(labels, "a folder")
            return from_folder(path, size=size, label=label, id_column=id_column, seed=seed, progress=progress)
        if kind == "image":
            return from_files([path], size=size, label=label, labels=labels, seed=seed)
        what, known = str(data), {"source": str(path.absolute()), "name": path.stem}
        data = read_arrays(path) if kind == "arrays" else tables.read_table(path)
    elif isinstance(data, list | tuple) and data and all(isinstance(item, str | Path) for item in data):
        return from_files(data, size=size, label=label, labels=labels, seed=seed, progress=progress)
    if domain is None or domain in RELATIONAL:
        found = _related(data, domain, label, id_column, labels, seed, known, related)
        if found is not None:
            return found
    if isinstance(data, list | tuple):
        data = _stacked(data)
    if map_style.is_map_style(data):
        data = map_style.read_items(data)
    map_style.refuse_streams(data)
    data = _as_numpy(data)
    if isinstance(data, np.ndarray):
        data = {"x": data}
    if isinstance(data, Mapping):
        arrays = dict(data)
        if labels is not None:
            arrays["labels"] = _column(labels)
        domain = domain or infer(arrays)
        dataset = from_arrays(arrays, domain, label=label, size=size, seed=seed, what=what, **known)
        return replace(dataset, notes=(f"domain: {domain} (array {list(dataset.x.shape)})", *dataset.notes))
    table = tables.as_table(data)
    if table is None:
        raise SemblanceError(f"data is a {type(data).__name__}: give a path, the name of a set, an array or a table")
    if not table.num_rows:
        raise SemblanceError(f"{what} is empty ({table.num_columns} columns and no row): give at least one row")
    if labels is not None:
        table = table.append_column("labels", pa.array(_column(labels).tolist()))
        label = "labels"
    tables.roles(table, label, id_column)  # a mistyped column is the first thing to say
    chosen: dict[str, Any] = {"label": label, "id_column": id_column, "seed": seed}
    domain = domain or infer(table)
    if domain == "text":
        return texts.from_table(table, what=what, **chosen, **known)
    if domain == "images":
        folder, place = (path.parent, str(path.resolve())) if known else (Path(), "")
        return from_table(table, folder, what=what, place=place, size=size, progress=progress, **chosen, **known)
    return _vectors(table, what, known, **chosen)


def _texts(
    data: Any, column: str | None, label: str | None, id_column: str | None, labels: Any, seed: int
) -> ArrayDataset:
    """Data that is to be texts, whatever else it might be."""
    known: dict[str, Any] = {"seed": seed}
    if isinstance(data, str | Path):
        path = Path(data).expanduser()
        known |= {"source": str(path.absolute()), "name": path.resolve().stem}
        kind = "folder" if path.is_dir() else "text" if path.suffix.lower() in texts.SUFFIXES else kind_of(path)
        if kind != "table" or not path.exists():
            given = {"column": column, "label": label, "id_column": id_column, "labels": labels}
            for what, value in given.items():
                if value is not None:
                    raise SemblanceError(f"{what} goes with a table, and {path} is none: leave it out")
        if kind == "folder":
            return texts.from_folder(path, **known)
        if kind == "text":
            return texts.from_lines(path, **known)
        data, known["what"] = tables.read_table(path), str(path)
    elif isinstance(data, list | tuple | np.ndarray):
        return texts.from_list(list(data), labels=None if labels is None else _column(labels), **known)
    table = tables.as_table(data)
    if table is None:
        raise SemblanceError(f"a {type(data).__name__} holds no texts: give a path, a table or a list of strings")
    if labels is not None:
        table, label = table.append_column("labels", pa.array(_column(labels).tolist())), "labels"
    return texts.from_table(table, column=column, label=label, id_column=id_column, **known)


def _of_columns(path: Path) -> str:
    """The domain of a table, where its columns are those of a relational one; else "table". Reads its first rows only."""
    top = tables.head(path)
    if any(DOMAINS[name].fits(top) for name in RELATIONAL):
        return infer(top)
    return "table"


def _related(
    data: Any,
    domain: str | None,
    label: str | None,
    id_column: str | None,
    labels: Any,
    seed: int,
    known: dict[str, Any],
    related: dict[str, Any],
) -> Any:
    """Graphs in memory, or None for what is none."""
    kind = type(data).__module__.partition(".")[0]
    table = (
        None if isinstance(data, Mapping) or kind in ("networkx", "torch_geometric", "scipy") else tables.as_table(data)
    )
    if isinstance(data, Mapping):
        if domain is None and domain_of(data) not in RELATIONAL:
            return None
        if labels is not None:
            data = {**data, "labels": _column(labels)}
    elif table is not None:
        if domain is None and not (
            any(DOMAINS[name].fits(table) for name in RELATIONAL) and infer(table) in RELATIONAL
        ):
            return None
        _refuse(labels, "a table of edges")
        from semblance.data.edge_lists import from_edge_list

        inferred = domain is None and infer(table) == "graph"
        options = {k: v for k, v in related.items() if v is not None and k != "nodes"}
        named = {"what": "the table", "label": label, "id_column": id_column, "options": options}
        return from_edge_list(table, domain or infer(table), inferred=inferred, seed=seed, **named, **related)
    elif domain is None and kind not in ("networkx", "torch_geometric", "scipy") and not isinstance(data, list | tuple):
        return None
    from semblance.data.graph_files import from_object

    of_graph = {"directed": related["directed"], "split": related["split"]}
    return from_object(
        dict(data) if isinstance(data, Mapping) else data, domain, label=label, seed=seed, **of_graph, **known
    )


def _vectors(
    table: pa.Table, what: str, known: dict[str, Any], label: str | None, id_column: str | None, seed: int
) -> ArrayDataset:
    found = tables.parts(table, label, id_column)
    note = f"domain: vectors (table of {table.num_rows:,} rows, {found.x.shape[1]:,} numbers each)"
    return vectors.from_parts(found, what=what, seed=seed, notes=(note, *found.notes), **known)


def _refuse(labels: Any, what: str) -> None:
    if labels is not None:
        raise SemblanceError(f"labels= goes with arrays, tables and files; {what} has its own: name them by label=")


def _stacked(items: list[Any] | tuple[Any, ...]) -> np.ndarray:
    """Rows in a list -> one array; an error where they have different lengths."""
    if not items:
        raise SemblanceError("the data is an empty list: give at least one item")
    try:
        rows = [np.asarray(_as_numpy(item)) for item in items]
    except ValueError as error:
        raise SemblanceError(f"the data is ragged ({str(error).splitlines()[0]}): give rows of one length") from None
    shapes = [row.shape for row in rows]
    if len(set(shapes)) > 1:
        row = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
        raise SemblanceError(
            f"the data is ragged: row {row} has shape {list(shapes[row])}, row 0 {list(shapes[0])}: give rows of one length"
        )
    return np.stack(rows)


def _as_numpy(data: Any) -> Any:
    """Tensors as arrays; anything else as it is."""
    if type(data).__module__.partition(".")[0] == "torch" and hasattr(data, "detach"):
        return data.detach().cpu().float().numpy() if data.is_floating_point() else data.detach().cpu().numpy()
    return data


def _column(labels: Any) -> np.ndarray:
    labels = _as_numpy(labels)
    if hasattr(labels, "to_numpy"):
        labels = labels.to_numpy()
    if isinstance(labels, np.ndarray):
        return labels
    held = np.empty(len(labels), dtype=object)
    held[:] = list(labels)
    return held
