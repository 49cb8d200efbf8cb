"""What a propagation filter does to a graph's frequencies, and what a linear classifier behind it reads.

    response(lambda) = sum_k c_k (1 - lambda)^k        over the eigenvalues lambda of the normalised Laplacian I - S

Frequencies are near 0 for signals that neighbours share and near 2 for signals that alternate between them. Self-loops
shrink the largest frequency, so that (1 - lambda)^k, which is large again near 2, stays a low pass.

Reference: Wu et al. 2019, arXiv:1902.07153 (section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse.linalg import eigsh
from torch import nn

from semblance.encoders.graphs.operators import operator_of
from semblance.encoders.graphs.propagate import Propagation, last
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.heads.classify import Linear
from semblance.reports import TableReport

EVERY = 3000  # nodes up to which all eigenvalues are computed, of a dense matrix
KINDS = {"with self-loops": "symmetric-loops", "without": "symmetric"}


def largest_frequency(graph: Graph, loops: bool = True) -> float:
    """The largest eigenvalue of the normalised Laplacian, of A + I or of A; by Lanczos iteration on large graphs."""
    s = operator_of(graph, "symmetric-loops" if loops else "symmetric").matrix()
    if graph.num_nodes < 64:
        return 1 - float(np.linalg.eigvalsh(s.toarray())[0]) if graph.num_nodes else 0.0
    start = np.random.default_rng(0).normal(size=graph.num_nodes)
    return 1 - float(eigsh(s, 1, which="SA", v0=start, return_eigenvectors=False, tol=1e-10)[0])


def frequency_response(graph: Graph, coefficients: Sequence[float] = tuple(last(2)), points: int = 41) -> TableReport:
    """A filter's response from frequency 0 to the graph's largest, with self-loops and without; of graphs up to 3,000 nodes
    also the share of its frequencies below. Undirected graphs only: others have no real frequencies."""
    if not graph.is_symmetric():
        raise SemblanceError("the graph is directed, so its frequencies are not real numbers: give graph.undirected()")
    rows: list[dict[str, Any]] = []
    top = {}
    for name, kind in KINDS.items():
        top[name] = largest_frequency(graph, kind == "symmetric-loops")
        every = None
        if graph.num_nodes <= EVERY:
            every = np.sort(1 - np.linalg.eigvalsh(operator_of(graph, kind).matrix().toarray()))
        for at in np.linspace(0, top[name], points):
            response = float(np.polynomial.polynomial.polyval(1 - at, coefficients))
            row: dict[str, Any] = {"frequency": float(at), "laplacian": name, "response": response}
            if every is not None:
                row["share below"] = float(np.searchsorted(every, at + 1e-9) / max(len(every), 1))
            rows.append(row)
    low, high = top["with self-loops"], top["without"]
    verdict = (
        f"self-loops bring the largest frequency from {high:.4f} to {low:.4f}: there the filter answers "
        f"{np.polynomial.polynomial.polyval(1 - low, coefficients):.3f} instead of "
        f"{np.polynomial.polynomial.polyval(1 - high, coefficients):.3f}"
    )
    return TableReport("Frequency response", verdict, tuple(rows), "frequency", ("response",), "laplacian")


def class_weights(
    encoder: nn.Module, head: nn.Module, features: Sequence[str] = (), classes: Sequence[str] = (), top: int = 10
) -> TableReport:
    """The features with the largest weights for every class, of a linear head on propagated features (SGC)."""
    plain = isinstance(encoder, Propagation) and encoder.before is None and encoder.after is None
    if not (plain and isinstance(head, Linear)):
        raise SemblanceError(
            f"a {type(head).__name__} on a {type(encoder).__name__} has no weight for each feature and class: "
            "fit the recipe sgc"
        )
    weights = head.map.weight.detach().numpy()
    names = list(features) or [f"feature {i}" for i in range(weights.shape[1])]
    words = list(classes) or list(head.names) or [f"class {k}" for k in range(len(weights))]
    rows = []
    for k, row in enumerate(weights):
        for rank, i in enumerate(np.argsort(-row, kind="stable")[:top]):
            rows.append({"class": words[k], "rank": rank + 1, "feature": names[i], "weight": float(row[i])})
    best = [f"{words[k]}: {names[int(row.argmax())]}" for k, row in enumerate(weights)]
    return TableReport("Class weights", "most telling " + ", ".join(best), tuple(rows), "rank", ("weight",), "class")
