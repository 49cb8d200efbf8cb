"""What claims on embeddings of nodes share: halves of the labelled nodes, and how a class is told from a vector.

half            labelled nodes, drawn by seed: half of them teach, half are asked
tell            multinomial logistic regression on standardised vectors, accuracy (which is micro-F1 for one class a node)
tell_several    one-vs-rest logistic regression on vectors of length 1; a node gets as many of its best ranked classes as it
                has (known, as since Perozzi et al. 2014); micro-F1
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from semblance.claims.settings import linear_probe
from semblance.data.relational import RelationalDataset
from semblance.geometry.graph import Graph
from semblance.recipes.registry import Recipe
from semblance.space.training import train


def half(data: RelationalDataset, seed: int) -> RelationalDataset:
    """The data under the split of this seed: `train` and `test`, half of the labelled nodes each."""
    y = np.asarray(data.targets["labels"])
    known = np.random.default_rng([44, seed]).permutation(np.flatnonzero(y.any(1) if y.ndim == 2 else y >= 0))
    count = len(known) // 2
    return replace(data, splits={"train": np.sort(known[:count]), "test": np.sort(known[count:])})


def vectors(data: RelationalDataset, recipe: Recipe, seed: int) -> np.ndarray:
    """[V, d]: every node as the trained encoder gives it, its length included."""
    model = train(data, recipe, seed=seed)
    with torch.inference_mode():
        found: np.ndarray = model.network.encoder({"graph": data.graph}).numpy()
    return found


def told(z: np.ndarray, data: RelationalDataset) -> float:
    """Micro-F1 on the test nodes, learned from the training nodes."""
    y = np.asarray(data.targets["labels"])
    rows, asked = data.splits["train"], data.splits["test"]
    if y.ndim == 1:
        return linear_probe(z[rows], y[rows], z[asked], y[asked])
    return tell_several(z, y > 0, rows, asked)


def tell_several(z: np.ndarray, y: np.ndarray, rows: np.ndarray, asked: np.ndarray) -> float:
    """z [V, d], y bool [V, K]."""
    unit = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-30)
    scores = np.full((len(asked), y.shape[1]), -np.inf)
    for k in np.flatnonzero(y[rows].any(0) & ~y[rows].all(0)):
        scores[:, k] = LogisticRegression(max_iter=300).fit(unit[rows], y[rows, k]).decision_function(unit[asked])
    wanted = y[asked]
    rank = (-scores).argsort(1, kind="stable").argsort(1, kind="stable")
    hit = (rank < wanted.sum(1, keepdims=True)) & wanted
    return float(hit.sum() / wanted.sum())


def scrambled(graph: Graph, seed: int) -> Graph:
    """As many undirected edges between random nodes."""
    ends = np.random.default_rng([115, seed]).integers(0, graph.num_nodes, (2, graph.num_edges // 2))
    return Graph(torch.from_numpy(np.concatenate([ends, ends[::-1]], 1)), graph.num_nodes)
