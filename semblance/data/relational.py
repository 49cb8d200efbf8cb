"""A dataset whose units are related: nodes of a graph or hypergraph, graphs among graphs, cells of a complex.

domain         unit             structure                    what a batch holds
graph          node             Graph                        the whole graph, and which nodes are asked for (`nodes`)
events         node             Graph with times             the same
interactions   user or item     bipartite Graph              the same
hypergraph     node             Hypergraph                   the same
graphs         graph            one Graph with `member`      the graphs asked for, joined
complex        vertex, complex  CellComplex                  the whole complex; where there are several, those asked for

A node's embedding depends on its companions, so the whole structure comes with every batch of nodes, as the same object:
what is computed of it is computed once.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from scipy import sparse
from torch import Tensor

from semblance.contracts import Batch
from semblance.data.dataset import ArrayDataset, Shape, told_of
from semblance.errors import SemblanceError
from semblance.geometry.cells import CellComplex
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph

FLOOR = 1e-6
"""Least deviation, so that constant columns can be divided by it."""


@dataclass(frozen=True)
class RelationalDataset:
    """x: features of the nodes, float32 [V, f], dense or a SciPy CSR array, or None; of a complex a list, one array a
    dimension. targets, ids, attributes and splits are of the units, as in `ArrayDataset`. `given_splits` are the published
    ones where there are several; `splits` is one of them."""

    domain: str
    graph: Any
    x: Any
    ids: list[str]
    targets: Mapping[str, np.ndarray]
    attributes: pa.Table
    splits: Mapping[str, np.ndarray]
    fingerprint: str
    classes: tuple[str, ...] = ()
    units: str = "node"
    name: str = ""
    source: str = ""
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    given_splits: tuple[Mapping[str, np.ndarray], ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def whole(self) -> bool:
        """Whether every batch holds the whole structure, so that units are asked for all at once."""
        return self.domain != "graphs" and self.units != "complex"

    @cached_property
    def features(self) -> Any:
        """x as tensors: float32 [V, f], dense or torch.sparse_csr; a list of them for a complex; None without."""
        if isinstance(self.x, list):
            return [None if x is None else as_tensor(x) for x in self.x]
        return None if self.x is None else as_tensor(self.x)

    def read(self, index: np.ndarray) -> Batch:
        """Positions [n] -> the batch of these units (see the table above), with `index` [n] and any `labels` [n]."""
        index = np.asarray(index)
        batch: Batch = {"index": index}
        if self.whole:
            batch |= {"graph": self.graph, "nodes": torch.from_numpy(index.astype(np.int64))}
            x = self.features
        else:
            batch["graph"], cells = self.graph.take(index)
            if isinstance(self.x, list):
                x = [None if x is None else x[c] for x, c in zip(self.features, cells, strict=True)]
            else:
                x = None if self.x is None else as_tensor(self.x[cells])
        if x is not None:
            batch["x"] = x
        if "labels" in self.targets:
            batch["labels"] = self.targets["labels"][index]
        return batch

    def subset(self, index: np.ndarray) -> RelationalDataset:
        """The units at these positions with what relates them; splits renumbered."""
        index = np.asarray(index)
        position = np.full(len(self), -1)
        position[index] = np.arange(len(index))
        at = torch.from_numpy(index.astype(np.int64))
        if self.whole and isinstance(self.graph, CellComplex):
            graph, cells = self.graph.within(index)
        elif self.whole:
            graph, cells = self.graph.part(at), index
        else:
            graph, cells = self.graph.take(index)
        if isinstance(self.x, list):
            x: Any = [None if x is None else x[c] for x, c in zip(self.x, cells, strict=True)]
        else:
            x = None if self.x is None else self.x[cells]
        return replace(
            self,
            graph=graph,
            x=x,
            ids=[self.ids[i] for i in index],
            targets={name: column[index] for name, column in self.targets.items()},
            attributes=self.attributes.take(pa.array(index)),
            splits={name: position[rows][position[rows] >= 0] for name, rows in self.splits.items()},
            given_splits=(),
            fingerprint=hashlib.blake2b(
                self.fingerprint.encode() + index.astype(np.int64).tobytes(), digest_size=16
            ).hexdigest(),
        )

    def with_split(self, number: int) -> RelationalDataset:
        """The same data under its given split of this number."""
        if not 0 <= number < len(self.given_splits):
            known = f"0 to {len(self.given_splits) - 1}" if self.given_splits else "none of its own"
            raise SemblanceError(f"there is no split {number} of {self.name or 'this data'}: it has {known}")
        return replace(self, splits=self.given_splits[number])

    def raw(self, index: np.ndarray) -> np.ndarray:
        """[n, d] float32: what is known of a unit without its neighbours, as a baseline. A node's features, or its degree
        where it has none; a graph's summed features and its numbers of nodes and edges."""
        index = np.asarray(index)
        if self.whole:
            x = self.x[0] if isinstance(self.x, list) else self.x
            if x is None:
                degree = self._degree()[index]
                return np.stack([degree, np.log1p(degree)], 1).astype(np.float32)
            held = x[index]
            return np.asarray(held.toarray() if sparse.issparse(held) else held, np.float32)
        if isinstance(self.graph, Graph):
            assert self.graph.member is not None
            member, count = self.graph.member.numpy(), self.graph.num_graphs
            belongs = sparse.csr_array(
                (np.ones(len(member), np.float32), (member, np.arange(len(member)))), shape=(count, len(member))
            )
            edges = np.bincount(member[self.graph.edge_index[1].numpy()], minlength=count)
            sums = [np.bincount(member, minlength=count)[:, None], edges[:, None]]
            if self.x is not None:
                summed = belongs @ self.x
                sums.append(summed.toarray() if sparse.issparse(summed) else summed)
            return np.concatenate(sums, 1).astype(np.float32)[index]
        return np.asarray(self.graph.counts()[index], np.float32)

    def _degree(self) -> np.ndarray:
        if isinstance(self.graph, Hypergraph):
            return self.graph.by_node().degree
        return self.graph.rows().degree

    def shape(self) -> Shape:
        """What lazy parts need to know; mean and deviation of dense features, over all nodes.

        facts: nodes, edges; several, where units have several classes each; log_degree, the mean of log(degree + 1) over
        the nodes of the training units; of interactions, users; of complexes, their number, 0 where vertices are the
        units; of labels that are numbers, label_mean and label_std over the training units.
        """
        labels = self.targets.get("labels")
        classes = 0
        if labels is not None and labels.dtype.kind != "f":
            classes = labels.shape[1] if labels.ndim == 2 else len(self.classes) or int(labels.max(initial=-1)) + 1
        if isinstance(self.x, list):
            item = tuple(0 if x is None else int(x.shape[1]) for x in self.x)
        else:
            item = (0 if self.x is None else int(self.x.shape[1]),)
        train = self.splits["train"]
        facts = told_of(labels) | {
            str(k): float(v) for k, v in self.options.items() if isinstance(v, int | float) and k in ("users",)
        }
        if isinstance(self.graph, Graph | Hypergraph):
            degree = self._degree()
            if not self.whole and isinstance(self.graph, Graph):
                assert self.graph.member is not None
                seen = np.isin(self.graph.member.numpy(), train)
            else:
                seen = np.isin(np.arange(self.graph.num_nodes), train)
            facts |= {
                "nodes": float(self.graph.num_nodes),
                "edges": float(self.graph.num_edges),
                "log_degree": float(np.log1p(degree[seen]).mean()) if seen.any() else 0.0,
            }
        if self.domain == "complex":
            facts["complexes"] = 0.0 if self.whole else float(len(self))
        if labels is not None and labels.dtype.kind == "f" and labels.ndim == 1 and np.isfinite(labels[train]).any():
            known = labels[train].astype(np.float64)
            facts |= {"label_mean": float(np.nanmean(known)), "label_std": float(np.nanstd(known))}
        mean: tuple[float, ...] = ()
        std: tuple[float, ...] = ()
        if self.whole and isinstance(self.x, np.ndarray) and len(self.x):
            # Of all nodes, which every pass sees: with few training nodes, what is rare among them would be blown up.
            every = self.x.astype(np.float64)
            mean, std = tuple(every.mean(0).tolist()), tuple(np.maximum(every.std(0), FLOOR).tolist())
        return Shape(self.domain, item, classes, len(train), mean, std, facts)


@dataclass(frozen=True)
class Whole:
    """A sampler: all units in one batch, in order, since each needs the whole structure anyway; `times` steps an epoch."""

    times: int = 1

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        return [np.arange(units)] * self.times


def as_tensor(x: Any) -> Tensor:
    """A dense or SciPy CSR array as a float32 tensor."""
    if sparse.issparse(x):
        x = sparse.csr_array(x)
        parts = (x.indptr.astype(np.int64), x.indices.astype(np.int64), x.data.astype(np.float32))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            return torch.sparse_csr_tensor(*map(torch.from_numpy, parts), size=x.shape, check_invariants=False)
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))


Loaded = ArrayDataset | RelationalDataset
"""What loading gives."""
