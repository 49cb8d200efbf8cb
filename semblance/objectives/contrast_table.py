"""The table of neighbour contrast: published methods as (p, kernel of q, candidates), after I-Con's.

`method("t-sne", perplexity=30.0)` builds the loss of a row. What a row cannot say stays outside: which network makes z,
which views make the batch, what follows a step (`bank.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
import torch

from semblance.errors import unknown
from semblance.objectives import kernels, neighbours
from semblance.objectives.bank import Queue, stored
from semblance.objectives.contrast import Contrast, Points, everyone, other_views
from semblance.objectives.kernels import Cosine, Dot, Harmonic, SharedCluster, StudentT
from semblance.objectives.neighbours import Gaussian, Walks

Graph: TypeAlias = "np.ndarray | sp.spmatrix"


@dataclass(frozen=True)
class Method:
    """A row: what it says in words, and its loss. `needs` are keys of the batch."""

    p: str
    kernel: str
    candidates: str
    needs: tuple[str, ...]
    paper: str
    build: Callable[..., Contrast]


def sne(perplexity: float = 30.0) -> Contrast:
    """Hinton & Roweis: every bell of the data as wide as its perplexity asks, one width in z."""
    return Contrast(Gaussian(perplexity=perplexity), kernels.Gaussian())


def tsne(perplexity: float = 30.0) -> Contrast:
    """van der Maaten & Hinton: pairs instead of rows, and heavy tails."""
    return Contrast(Gaussian(perplexity=perplexity, joint=True), StudentT(), joint=True)


def pca(width: float = 1e3) -> Contrast:
    """p is the row itself and q a bell much wider than the data: with z an orthonormal projection of x, the loss is
    log N - (variance of z) / width^2 up to the fourth order, so the most variance wins."""
    return Contrast(neighbours.itself, kernels.Gaussian(width), candidates=everyone)


def of_views(temperature: float = 0.1) -> Contrast:
    """The other view among all others of the batch."""
    return Contrast(neighbours.other_view, Cosine(temperature))


def moco(dim: int = 128, size: int = 4096, temperature: float = 0.07) -> Contrast:
    """The key of the same item, among it and a queue of earlier keys."""
    return Contrast(neighbours.itself, Cosine(temperature), candidates=Queue(size, dim))


def of_classes(kernel: kernels.Kernel, classes: int = 10, dim: int = 128) -> Contrast:
    """The point of the row's class among learned points."""
    return Contrast(neighbours.same_class, kernel, candidates=Points(classes, dim))


def kmeans(width: float = 1.0) -> Contrast:
    """Bells in the data against shared clusters: q with hard clusters makes mean_i sum_j q(j|i) |x_i - x_j|^2 twice the
    variance within clusters."""
    return Contrast(Gaussian(width=width, with_self=True), SharedCluster(), candidates=everyone)


def normalised_cuts(graph: Graph) -> Contrast:
    """A step on a weighted graph against shared clusters whose members count by degree, all nodes in order."""
    weights = sp.csr_matrix(graph)
    degrees = np.asarray(weights.sum(1)).ravel()
    mass = torch.from_numpy(degrees).float()
    return Contrast(Walks(sp.diags(1 / degrees) @ weights), SharedCluster(mass), candidates=everyone)


def graph_embedding(graph: Graph) -> Contrast:
    """A step of the walk on a graph, scored by inner products; a node may be its own neighbour if the graph says so."""
    return Contrast(Walks(graph), Dot(), candidates=everyone)


def infonce_clusters(debias: float = 0.0) -> Contrast:
    """The other view, reached through a shared cluster."""
    return Contrast(neighbours.other_view, SharedCluster(), debias=debias)


METHODS: dict[str, Method] = {
    "sne": Method("bells in x of one perplexity", "Gaussian", "others", ("x",), "Hinton & Roweis 2002", sne),
    "t-sne": Method("the same, symmetric", "Student-t, one normaliser", "others", ("x",), "van der Maaten 2008", tsne),
    "pca": Method("itself", "very wide Gaussian", "all", ("x",), "Pearson 1901", pca),
    "infonce": Method("other view", "cosine", "others", ("item",), "van den Oord et al. 2018", of_views),
    "simclr": Method("other view", "cosine", "others", ("item",), "Chen et al. 2020", partial(of_views, 0.2)),
    "supcon": Method(
        "same label", "cosine", "others", ("labels",), "Khosla et al. 2020", lambda: Contrast(neighbours.same_label)
    ),
    "moco": Method("own key", "cosine", "own key and queue", ("keys", "x"), "He et al. 2020", moco),
    "clip": Method(
        "the pair's other half",
        "cosine",
        "other modality",
        ("item", "view"),
        "Radford et al. 2021",
        lambda temperature=0.07: Contrast(neighbours.other_view, Cosine(temperature), candidates=other_views),
    ),
    "instance-discrimination": Method(
        "itself",
        "cosine",
        "bank of all items",
        ("index", "bank"),
        "Wu et al. 2018",
        lambda: Contrast(neighbours.own_point, Cosine(0.07), candidates=stored),
    ),
    "cross-entropy": Method(
        "own class", "inner product", "class weights", ("labels",), "Cox 1958", partial(of_classes, Dot())
    ),
    "harmonic": Method(
        "own class",
        "power of distance",
        "class centres",
        ("labels",),
        "Baek et al. 2025",
        partial(of_classes, Harmonic()),
    ),
    "look": Method(
        "q within the label",
        "cosine",
        "k nearest others",
        ("labels",),
        "Feng et al. 2021",
        lambda k=20: Contrast(neighbours.same_label, nearest=k, restrict=True),
    ),
    "k-means": Method("bells in x of one width", "shared cluster", "all", ("x",), "MacQueen 1967", kmeans),
    "normalised-cuts": Method(
        "a step on the graph", "shared cluster by degree", "all nodes", ("index",), "Shi & Malik 2000", normalised_cuts
    ),
    "graph-embedding": Method(
        "a step on the graph", "inner product", "all nodes", ("index",), "Tang et al. 2015", graph_embedding
    ),
    "infonce-clusters": Method("other view", "shared cluster", "others", ("item",), "Adaloglou 2023", infonce_clusters),
}


def method(name: str, **settings: Any) -> Contrast:
    """The loss of this row.

    >>> method("clip", temperature=0.05).kernel
    Cosine(temperature=0.05)
    """
    if name not in METHODS:
        raise unknown("method of neighbour contrast", name, METHODS)
    return METHODS[name].build(**settings)
