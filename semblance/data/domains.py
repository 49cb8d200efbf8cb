"""Domains: which kind of data each input is, which recipe it gets by default, which ones `rank` compares on it.

One table, `DOMAINS`; a later domain is one row more. What has no row yet is known by its look all the same (`ELSEWHERE`),
and gets a clear answer. Where two domains fit, the user chooses by `--domain`. Other packages bring rows of their own
(plugged.py), with a loader for their kinds of files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from semblance.data import plugged
from semblance.data.arrays import domain_of, read_arrays
from semblance.data.captions import caption_column
from semblance.data.dataset import ArrayDataset
from semblance.data.edge_columns import edge_columns, incidence_columns, interaction_columns
from semblance.data.images import SUFFIXES, image_files, path_columns
from semblance.data.tables import as_table, features, head, roles
from semblance.data.texts import SUFFIXES as TEXTS
from semblance.data.texts import text_columns, text_files, wordy_columns
from semblance.errors import SemblanceError, unknown

if TYPE_CHECKING:
    from semblance.data.relational import Loaded


@dataclass(frozen=True)
class Domain:
    """A row. `files` are the suffixes that lead here by themselves, `fits` says whether a table's columns do and names
    them, `reads` says all of it in words. `default` picks the recipe for a dataset; `ranked` are the recipes that `rank`
    runs when none is named (those whose needs are met).

    A row of another package has a loader, `load(path, label=, id_column=, size=, seed=) -> ArrayDataset`. Its datasets are
    of the domain `makes`: one of ours, whose defaults they then have, or "" for the row's own name. The items of a domain
    of its own are numbers [N, d]."""

    name: str
    reads: str
    files: frozenset[str]
    fits: Callable[[pa.Table], list[str]] = lambda table: []
    default: Callable[[Any], str] = lambda dataset: ""
    ranked: tuple[str, ...] = ()
    load: Callable[..., ArrayDataset] | None = None
    makes: str = ""


def _for_images(dataset: ArrayDataset) -> str:
    return "supcon" if labelled(dataset) >= 0.5 else "simclr"


def _for_vectors(dataset: ArrayDataset) -> str:
    return "as-is"


def _for_graph(dataset: Any) -> str:
    """With features and labels a graph network; without, walks, or random projections where there are many nodes."""
    if _has_labels(dataset) and dataset.x is not None:
        return "gcn"
    if not _has_labels(dataset) and len(dataset) > MANY:
        return "fastrp"
    return "node2vec"


def _for_texts(dataset: ArrayDataset) -> str:
    return "sentence-bert" if dataset.pairs is not None or labelled(dataset) >= 0.5 else "simcse"


def _has_labels(dataset: Any) -> bool:
    labels = dataset.targets.get("labels")
    return labels is not None and bool(labels.any() if labels.dtype == bool else labelled(dataset))


MANY = 20_000
"""Nodes beyond which walks take minutes."""
RELATIONAL = ("graph", "graphs", "hypergraph", "complex", "events", "interactions")
"""Domains whose units are related (relational.py)."""

DOMAINS: dict[str, Domain] = {
    row.name: row
    for row in (
        Domain(
            "images",
            "a folder of images, an image file, a list of image files, a table with a column of their paths, "
            "or uint8 arrays [N, H, W] or [N, H, W, 3]",
            SUFFIXES,
            path_columns,
            _for_images,
            ("simclr", "simsiam", "rotnet", "instance-discrimination", "supcon", "supervised"),
        ),
        Domain(
            "vectors",
            "float arrays [N, d], or tables with numeric columns or one column of vectors",
            frozenset({".npy", ".npz"}),
            lambda table: features(table, roles(table)),
            _for_vectors,
            ("as-is", "icon"),
        ),
        Domain(
            "text",
            "a table with a column of texts, or with two and a score or label (pairs), a .txt file of a text a line, a "
            "folder of .txt files, a list of strings by --domain text",
            TEXTS,
            text_columns,
            _for_texts,
            ("simcse", "sentence-bert"),
        ),
        Domain(
            "graph",
            "an edge list (.csv, .tsv, .parquet, .edges, .edgelist) with columns source and target and, if there are, "
            "weight, sign, time, type, and a table of nodes beside it; a sparse matrix (.npz, .mtx), .graphml, .gml, "
            "arrays with edge_index, a PyG Data, a folder of PyG's Partitioner",
            frozenset({".edges", ".edgelist", ".gml", ".graphml", ".mtx"}),
            edge_columns,
            _for_graph,
            ("gcn", "sgc", "gat", "gin-nodes", "appnp", "mlp", "node2vec", "fastrp"),
        ),
        Domain(
            "graphs",
            "a folder in TU format (DS_A.txt, DS_graph_indicator.txt, ...), or lists of PyG Data",
            frozenset(),
            default=lambda dataset: "gin",
            ranked=("gin", "pna", "sir-gcn"),
        ),
        Domain(
            "hypergraph",
            "an incidence list: a table with columns node and hyperedge and, if there is, time",
            frozenset(),
            incidence_columns,
            lambda dataset: "hgnn" if _has_labels(dataset) else "star-fastrp",
            ("hgnn", "star-fastrp"),
        ),
        Domain(
            "complex",
            "a mesh (.obj, .off, arrays pos and faces), or oriented simplices (.simplices: the vertices of one a line)",
            frozenset({".obj", ".off", ".simplices"}),
            default=lambda dataset: "cw-cnn",
            ranked=("cw-cnn", "cw-at"),
        ),
        Domain(
            "events",
            "an edge list with a column time, by --domain events",
            frozenset(),
            default=lambda dataset: "node2vec",
            ranked=("node2vec", "fastrp"),
        ),
        Domain(
            "interactions",
            "a table with columns user and item and, if there are, rating and time",
            frozenset(),
            interaction_columns,
            lambda dataset: "lightgcn",
            ("lightgcn", "matrix-factorisation"),
        ),
    )
}

NEED_LABELS = frozenset(
    {"supcon", "supervised", "gcn", "sgc", "gat", "gin-nodes", "appnp", "mlp", "gin", "pna", "sir-gcn", "hgnn"}
    | {"cw-cnn", "cw-at"}
)
"""Of the recipes that `rank` compares by itself, those that learn from labels."""
TABLES = frozenset({".csv", ".tsv", ".parquet", ".pq", ".jsonl"})
ARRAYS = frozenset({".npy", ".npz"})
EDGE_FILES = frozenset(suffix for name in RELATIONAL for suffix in DOMAINS[name].files)

ELSEWHERE: dict[str, frozenset[str]] = {
    "points": frozenset({".ply", ".pcd", ".xyz", ".las"}),
    "series": frozenset({".wav", ".ts"}),
}
"""Domains without a row yet, by the files that lead to them."""
PICKLES = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth"})
NAMES = DOMAINS.keys() | ELSEWHERE.keys() | {"networks", "functions"}


def infer(data: Any) -> str:
    """The domain of a path or an object, by file kind, columns and shape."""
    if isinstance(data, str | Path):
        path = Path(data)
        other = plugged.loader(path)
        if other is not None:
            return other.makes or other.name
        kind = kind_of(path)
        if kind in ("folder", "image"):
            return "images"
        if kind in DOMAINS:
            return kind
        return infer(read_arrays(path) if kind == "arrays" else head(path))
    if isinstance(data, Mapping):
        return built(domain_of(data), "the file")
    if isinstance(data, np.ndarray):
        return domain_of({"x": data})
    if isinstance(data, list | tuple):
        return "images"
    table = as_table(data)
    if table is None:
        raise SemblanceError(f"data is a {type(data).__name__}: give a path, the name of a set, an array or a table")
    return of_table(table)


def of_table(table: pa.Table) -> str:
    """The domain whose columns a table has."""
    fits = {name: row.fits(table) for name, row in DOMAINS.items()}
    related = {column for name in RELATIONAL for column in fits[name]}
    if related >= set(fits["vectors"]):  # the ends of edges are numbers, and no vectors
        fits["vectors"] = []
    if related:
        fits["text"] = []
    elif len(fits["text"]) == 2:  # pairs, and the number beside them says how alike they are
        fits["vectors"] = []
    elif fits["images"] and caption_column(table) is not None:  # pictures with captions: numbers are attributes
        fits["vectors"] = fits["text"] = []
    if {name.lower() for name in fits["vectors"]} == {"score"} and (fits["images"] or fits["text"]):
        fits["vectors"] = []  # what a filter wrote beside them
    fits = {name: columns for name, columns in fits.items() if columns}
    if not fits and (wordy := wordy_columns(table)):
        fits["text"] = wordy
    if len(fits) > 1:
        told = " and ".join(f"{name} (columns {_some(columns)})" for name, columns in fits.items())
        known = " or ".join(name for name in fits if name in DOMAINS)
        raise SemblanceError(f"the table fits {told}: choose by --domain {known}")
    if not fits:
        raise SemblanceError(
            f"the table has no column of numbers, vectors, texts or image paths, only {_some(table.column_names)}: "
            "give one, or name --domain"
        )
    return built(next(iter(fits)), "the table")


def kind_of(path: Path) -> str:
    """folder, image, arrays, table, or a relational domain; an error for what is none of these."""
    if not path.exists():
        near = unknown("file, folder or known set", str(path), _near(path))
        raise SemblanceError(f"{near} (semblance data list names the sets)")
    if path.is_dir():
        if tu_sets(path):
            return "graphs"
        if in_partitions(path):
            return "graph"
        if next(image_files(path), None) is None and text_files(path):
            return "text"
        _check_folder(path)
        return "folder"
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return "image"
    if suffix in ARRAYS:
        return "arrays"
    if suffix in TABLES:
        return "table"
    for name in ("text", *RELATIONAL):
        if suffix in DOMAINS[name].files:
            return name
    if suffix in PICKLES:
        raise SemblanceError(f"{path} is a pickle, and these are never read: save the vectors by np.save as .npy")
    for domain, suffixes in ELSEWHERE.items():
        if suffix in suffixes:
            raise not_built(domain, str(path))
    raise SemblanceError(
        f"{path} is of no known kind ({suffix or 'no suffix'}): give a folder of images, .npy, .npz, .csv or .parquet"
        + (f", or {others}" if (others := plugged.suffixes()) else "")
    )


def tu_sets(path: Path) -> list[str]:
    """The sets in TU format that lie in a folder: DS where there are DS_A.txt and DS_graph_indicator.txt."""
    every = {file.name for file in path.iterdir()}
    return sorted(
        n[: -len("_A.txt")] for n in every if n.endswith("_A.txt") and f"{n[:-6]}_graph_indicator.txt" in every
    )


def in_partitions(path: Path) -> bool:
    """Whether a folder is a graph in parts, as PyG's Partitioner writes it."""
    return (path / "META.json").is_file() and (path / "part_0").is_dir()


def built(domain: str, what: str = "the data") -> str:
    """This domain, if it has a row, here or in another package."""
    if domain in DOMAINS or domain in plugged.names():
        return domain
    if domain in NAMES:
        raise not_built(domain, what)
    raise unknown("domain", domain, [*DOMAINS, *plugged.names()])


def _check_folder(path: Path) -> None:
    """A folder is images: say so clearly where it is empty, holds something else, or both."""
    beside = sorted(f.name for f in path.iterdir() if not f.name.startswith("."))
    arrays = [f for f in beside if os.path.splitext(f)[1].lower() in ARRAYS]
    if next(image_files(path), None) is not None:
        if arrays:
            raise SemblanceError(
                f"{path} holds images and {_some(arrays)}, so images and vectors both fit: choose by --domain images, "
                "or give the file"
            )
        return
    if not beside:
        raise SemblanceError(f"{path} is empty: give a folder that holds images")
    others = [f for f in beside if os.path.splitext(f)[1].lower() in ARRAYS | TABLES | EDGE_FILES]
    if others:
        raise SemblanceError(f"{path} holds no images, but {_some(others)}: give that file")
    for domain, suffixes in ELSEWHERE.items():
        if any(os.path.splitext(f)[1].lower() in suffixes for f in beside):
            raise not_built(domain, str(path))
    raise SemblanceError(f"{path} holds no images, only {_some(beside)}: give a folder of .png, .jpg, .tif, ... files")


def _near(path: Path) -> list[str]:
    from semblance.data.named import sets

    beside = [str(path.parent / f) for f in os.listdir(path.parent)] if path.parent.is_dir() else []
    return [*sets(), *(f.removeprefix("./") for f in beside)]


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4:,} more" if len(names) > 4 else "")


def labelled(dataset: Loaded) -> float:
    """The share of units with one class each; 0 where all have the same class, which tells nothing apart."""
    labels = dataset.targets.get("labels")
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        return 0.0
    known = labels >= 0
    return float(known.mean()) if len(np.unique(labels[known])) > 1 else 0.0


def default_recipe(dataset: Loaded) -> str:
    """The recipe that `fit` takes when none is named."""
    name = row_of(dataset.domain).default(dataset)
    if not name:
        raise SemblanceError(f"the domain {dataset.domain} has no default recipe: name one by --recipe")
    return name


def rank_set(dataset: Loaded) -> list[str]:
    """The recipes that `rank` runs when none is named."""
    known = _has_labels(dataset) if dataset.domain in RELATIONAL else labelled(dataset) > 0
    return [name for name in row_of(dataset.domain).ranked if known or name not in NEED_LABELS]


def row_of(domain: str) -> Domain:
    """The row of a domain, ours or another package's."""
    return DOMAINS[built(domain)] if domain in DOMAINS else plugged.row_of(built(domain))


def not_built(domain: str, what: str) -> SemblanceError:
    """The answer to data of a domain that has no row yet."""
    return SemblanceError(
        f"{what} is of the domain {domain}, which is not built yet: today there are {', '.join(DOMAINS)} "
        "(--domain takes one of them)"
    )
