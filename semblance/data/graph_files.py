"""Files of relational domains: which they are, and who reads them.

.csv, .tsv, .parquet        edges, memberships or interactions by their columns        edge_lists.py
.edges, .edgelist           edges without names                                        edge_lists.py
.npz, .mtx                  a sparse matrix, or arrays by role                         graph_objects.py
.graphml, .gml              by networkx                                                networkx_graphs.py
.obj, .off, .simplices      a complex                                                  cells.py
a folder in TU format       many graphs                                                tu_folder.py
a folder of part_0, ...     a graph in the parts of PyG's Partitioner                  partitions.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semblance.data.arrays import domain_of
from semblance.data.cells import FILES as CELLS
from semblance.data.cells import from_cell_file
from semblance.data.domains import in_partitions
from semblance.data.edge_lists import COLUMNS, from_edge_list
from semblance.data.graph_objects import (
    from_data,
    from_data_list,
    from_graph_arrays,
    from_matrix,
    from_networkx,
    is_data,
    is_networkx,
)
from semblance.data.networkx_graphs import library
from semblance.data.partitions import from_partitions
from semblance.data.relational import RelationalDataset
from semblance.data.tu_folder import from_tu
from semblance.errors import SemblanceError

LISTS = (".edges", ".edgelist", ".txt", ".csv", ".tsv", ".parquet", ".pq")


def from_path(
    path: Path,
    domain: str | None,
    *,
    label: str | None = None,
    id_column: str | None = None,
    directed: bool | None = None,
    nodes: Any = None,
    **known: Any,
) -> RelationalDataset:
    """A file or folder of a relational domain; None: of the one that its kind says (a list of edges: graph, or events)."""
    suffix = path.suffix.lower()
    known = {"what": str(path), "name": path.stem, "source": str(path.absolute()), **known}
    known["options"] = {k: v for k, v in (("directed", directed), ("split", known.get("split"))) if v is not None}
    if nodes is not None:
        known["options"]["nodes"] = str(nodes)
    if path.is_dir() and in_partitions(path):
        return from_partitions(path, nodes=nodes, label=label, id_column=id_column, directed=directed, **known)
    if path.is_dir():
        return from_tu(path, directed=directed, **known)
    if suffix in LISTS:
        named = {"nodes": nodes, "label": label, "id_column": id_column, "directed": directed}
        if (domain or "graph") not in COLUMNS:
            raise SemblanceError(f"{path} is a list of edges and cannot be read as {domain}: leave --domain out")
        return from_edge_list(path, domain or "graph", inferred=domain is None, **named, **known)
    if nodes is not None:
        raise SemblanceError(f"nodes goes with a list of edges, and {path} is none: leave it out")
    if suffix in CELLS:
        return from_cell_file(path, **known)
    if suffix == ".mtx":
        from scipy.io import mmread

        try:
            matrix = mmread(path)
        except (ValueError, OSError) as error:
            raise SemblanceError(f"{path} cannot be read as mtx ({str(error).splitlines()[0]}): save it anew") from None
        return from_matrix(matrix, domain or "graph", directed=directed, **known)
    networkx = library()
    try:
        graph = networkx.read_graphml(path) if suffix == ".graphml" else networkx.read_gml(path)
    except Exception as error:  # networkx lets the errors of its parsers through
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SemblanceError(
            f"{path} cannot be read as {suffix[1:]} ({why}): check the file, or save it anew"
        ) from None
    return from_networkx(graph, label=label, directed=directed, **known)


def from_object(
    data: Any, domain: str | None, *, label: str | None = None, directed: bool | None = None, **known: Any
) -> RelationalDataset | None:
    """A graph in memory, or None for what is none."""
    from scipy import sparse

    known = {"what": "the graph", **known}
    known["options"] = {k: v for k, v in (("directed", directed), ("split", known.get("split"))) if v is not None}
    if is_data(data):
        return from_data(data, directed=directed, **known)
    if isinstance(data, list | tuple) and data and all(is_data(item) for item in data):
        return from_data_list(data, **known)
    if is_networkx(data):
        return from_networkx(data, label=label, directed=directed, **known)
    if sparse.issparse(data) and domain != "vectors":
        return from_matrix(data, domain or "graph", directed=directed, **known)
    if isinstance(data, dict):
        return from_graph_arrays(data, domain or domain_of(data), label=label, directed=directed, **known)
    return None
