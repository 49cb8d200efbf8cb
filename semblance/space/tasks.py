"""Tasks: what a method is asked when methods are ranked, and how each unit's answer is scored.

task            learned from                         a unit, and its score                             beside
labels          the training units                   a test unit: is its vote of 5 neighbours right    the raw input
                                                     (numbers: 1 - squared error / variance of their
                                                     mean; several classes: F1 of the voted set)
one-shot, five-shot  the training units              a test unit: how often the nearest class mean     the raw input
                                                     is right, over 20 draws of so many labelled units
                                                     of each class (of new classes: other test units)
views           the training units                   a test unit: is its other view its nearest        -
links           the graph without a tenth of its     a hidden pair: how many pairs without an edge     the best neighbour-
                edges (events: the latest)           score lower (auc)                                 hood score
hyperedges      without a tenth of the hyperedges    a hidden one: how many mixed ones score lower     -
recommendation  four fifths of every user's items    a user: NDCG of the 20 items put first            what is popular

Links and hyperedges are scored by a regression over products of embeddings (analysis/links.py), learned from what was not
hidden; links of a method with a head for pairs by that head, which reads the edges that were not. `measures` holds
further figures of the same answers: hits, mean reciprocal rank, precision, recall, F1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import sparse

from semblance.analysis.fewshot import FewShot, unseen
from semblance.analysis.links import (
    HEURISTICS,
    Sets,
    learned_scores,
    link_measures,
    mixed_negatives,
    neighbourhood_scores,
)
from semblance.analysis.recommendation import recommendation_measures, top_items
from semblance.analysis.retrieval import neighbours
from semblance.data import interactions
from semblance.data.dataset import ArrayDataset
from semblance.data.link_splits import Hidden, hide_edges, hide_latest, non_edges
from semblance.data.relational import Loaded, RelationalDataset
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph
from semblance.heads.neighbours import vote
from semblance.space.columns import label_kind
from semblance.space.model import Model

NEIGHBOURS = 5
NUMBERS = {1: "one", 5: "five"}
LABEL_METRICS = {"class": "knn5", "number": "r2", "classes": "f1"}
Measures = dict[str, np.ndarray]  # measure -> [units]


@dataclass(frozen=True)
class Task:
    """`learn` is what methods are trained on; `measures(model)` gives the scores of every unit, `metric` first among them;
    `beside` those of a baseline without a model, or None, under the name `baseline`."""

    name: str
    metric: str
    learn: Loaded
    measures: Callable[[Model], Measures]
    beside: Callable[[], np.ndarray | None]
    baseline: str = "raw input"


def task_of(dataset: Loaded, name: str | None = None, seed: int = 0) -> Task:
    """The task of this name, or the data's own: its labels, else recommendation of interactions, links of graphs, views of
    images."""
    name = name or usual_task(dataset)
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name](dataset, seed)


def usual_task(dataset: Loaded) -> str:
    """What is asked of this data where nothing else is said."""
    if label_kind(dataset) != "none":
        return "one-shot" if _new_classes(dataset) else "labels"
    return {"interactions": "recommendation", "hypergraph": "hyperedges", "graph": "links", "events": "links"}.get(
        dataset.domain, "views"
    )


def _labels(dataset: Loaded, seed: int) -> Task:
    kind = _judged(dataset)
    if _new_classes(dataset):
        raise SemblanceError("no training unit has the classes of the test units: rank by --task one-shot or five-shot")
    metric = LABEL_METRICS[kind]

    def scores(train_z: np.ndarray, test_z: np.ndarray, geometry: str) -> np.ndarray:
        return _neighbour_scores(dataset, train_z, test_z, kind, geometry)

    def measures(model: Model) -> Measures:
        z = _both_parts(model, dataset)
        y = [np.asarray(dataset.targets["labels"])[dataset.splits[part]] for part in ("train", "test")]
        few = FewShot(z[0], y[0], z[1], y[1], model.geometry.name).draws(5, seed=seed) if kind == "class" else None
        found = {metric: scores(*z, model.geometry.name)}
        return found if few is None else {**found, "fewshot5_all": few.mean(0)}

    return Task("labels", metric, dataset, measures, lambda: _raw_scores(dataset, scores))


def _few(shots: int) -> Callable[[Loaded, int], Task]:
    """The task of naming test units from so many labelled units of each class."""
    name, metric = f"{NUMBERS[shots]}-shot", f"fewshot{shots}_all"

    def task(dataset: Loaded, seed: int) -> Task:
        if _judged(dataset) != "class":
            raise SemblanceError(
                f"the task {name} asks for one class of each unit: name the column of classes by --label"
            )
        y = [np.asarray(dataset.targets["labels"])[dataset.splits[part]] for part in ("train", "test")]

        def scores(train_z: np.ndarray, test_z: np.ndarray, geometry: str) -> np.ndarray:
            found = FewShot(train_z, y[0], test_z, y[1], geometry).draws(shots, seed=seed)
            if found is None:
                raise SemblanceError(
                    f"fewer than two classes have {shots} labelled training units and a test unit: rank by --task labels"
                )
            mean: np.ndarray = found.mean(0)
            return mean

        def measures(model: Model) -> Measures:
            return {metric: scores(*_both_parts(model, dataset), model.geometry.name)}

        return Task(name, metric, dataset, measures, lambda: _raw_scores(dataset, scores))

    return task


def _judged(dataset: Loaded) -> str:
    """The kind of the labels to be ranked by; refused where there are none, or no test units."""
    kind = label_kind(dataset)
    if kind == "none":
        raise SemblanceError("the data has no labels to be ranked by: name the column by --label, or another --task")
    if not len(dataset.splits["test"]):
        raise SemblanceError("the data has no test units to rank on: give more items, or splits of its own")
    return kind


def _new_classes(dataset: Loaded) -> bool:
    """Whether no training unit has a class of the test units."""
    if label_kind(dataset) != "class":
        return False
    y, none = np.asarray(dataset.targets["labels"]), np.empty(0, np.int64)
    return unseen(y[dataset.splits["train"]], y[dataset.splits.get("test", none)])


def _both_parts(model: Model, dataset: Loaded) -> tuple[np.ndarray, np.ndarray]:
    train_z, test_z = (model.embed(dataset, dataset.splits[part]) for part in ("train", "test"))
    return train_z, test_z


def _views(dataset: Loaded, seed: int) -> Task:
    if not isinstance(dataset, ArrayDataset) or dataset.domain != "images":
        raise SemblanceError(
            f"{dataset.domain} without labels have nothing to be ranked by (images have other views): name the column of "
            "labels by --label"
        )
    if not len(dataset.splits["test"]):
        raise SemblanceError("the data has no test units to rank on: give more items, or splits of its own")

    def measures(model: Model) -> Measures:
        rows = dataset.splits["test"]
        first, second = model.embed_views(dataset, rows)
        index, _ = neighbours(first, second, 1, model.geometry.name)
        return {"view_recall1": (index[:, 0] == np.arange(len(rows))).astype(float)}

    return Task("views", "view_recall1", dataset, measures, lambda: None)


def _links(dataset: Loaded, seed: int) -> Task:
    data = _related(dataset, "links", Graph)
    hide = hide_latest if data.domain == "events" and data.graph.time is not None else hide_edges
    hidden: Hidden = hide(data.graph, 0.1, seed)
    asked = hidden.positives.numpy(), hidden.negatives.numpy()
    known = np.unique(np.sort(hidden.rest.without_loops().edge_index.numpy(), 0), axis=1)
    # Neither the hidden pairs nor the negatives that are asked teach what is no edge.
    away = torch.cat([hidden.rest.edge_index, hidden.positives, hidden.negatives], 1)
    possible = data.graph.num_nodes * (data.graph.num_nodes - 1) // 2 - away.shape[1]
    taught = non_edges(Graph(away, data.graph.num_nodes), max(1, min(known.shape[1], possible // 2)), seed + 1).numpy()
    learn = _hidden(data, hidden.rest, "links", seed)

    def measures(model: Model) -> Measures:
        if getattr(model, "scores_pairs", False):
            positives, negatives = (model.pair_scores(learn, pairs) for pairs in asked)
            return link_measures(positives, negatives)
        z = model.embed(learn)
        links, others, *sets = map(Sets.of_pairs, (known, taught, *asked))
        return link_measures(*learned_scores(z, links, others, (sets[0], sets[1]), seed))

    def beside() -> np.ndarray:
        found = []
        for how in HEURISTICS:
            positives, negatives = (neighbourhood_scores(hidden.rest, pairs, how) for pairs in asked)
            found.append(link_measures(positives, negatives)["auc"])
        return max(found, key=lambda scores: float(scores.mean()))

    return Task("links", "auc", learn, measures, beside, "neighbourhoods")


def _hyperedges(dataset: Loaded, seed: int) -> Task:
    data = _related(dataset, "hyperedges", Hypergraph)
    rows, rng = data.graph.by_edge(), np.random.default_rng(seed)
    every = Sets(rows.start, rows.index.astype(np.int64))
    several = np.flatnonzero(rows.degree > 1)
    if len(several) < 10:
        raise SemblanceError(f"{len(several)} hyperedges have two members or more: ten are needed to hide some")
    order = rng.permutation(several)
    asked, kept = np.sort(order[: len(order) // 10]), np.sort(order[len(order) // 10 :])
    positives, known = every.take(asked), every.take(kept)
    units = data.graph.num_nodes
    negatives, taught = (mixed_negatives(sets, units, rng) for sets in (positives, known))
    stay = torch.ones(data.graph.num_edges, dtype=torch.bool)
    stay[torch.from_numpy(asked)] = False
    learn = _hidden(data, _only_hyperedges(data.graph, stay), "hyperedges", seed)

    def measures(model: Model) -> Measures:
        return link_measures(*learned_scores(model.embed(learn), known, taught, (positives, negatives), seed))

    return Task("hyperedges", "auc", learn, measures, lambda: None)


def _recommendation(dataset: Loaded, seed: int) -> Task:
    data = _related(dataset, "recommendation", Graph)
    if data.domain != "interactions":
        raise SemblanceError(f"items are recommended to users, and this data is {data.domain}: rank it by --task links")
    user, item, _ = interactions.ratings(data)
    train, test = interactions.held_out(data, "random", 0.2, seed)
    users = int(user.max()) + 1
    size = (users, data.graph.num_nodes - users)
    seen, wanted = (sparse.csr_array((np.ones(len(r)), (user[r], item[r])), shape=size) for r in (train, test))
    learn = _hidden(data, interactions.only(data.graph, train), "recommendation", seed)

    def measures(model: Model) -> Measures:
        z = model.embed(learn).astype(np.float64)
        best = top_items(z[:users], z[users:], seen, 20)
        found = recommendation_measures(best, wanted)
        return {"ndcg20": found.pop("ndcg20"), **found}

    def beside() -> np.ndarray:
        popular = np.asarray(seen.sum(0), np.float64).ravel()[:, None]
        best = top_items(np.ones((users, 1)), popular, seen, 20)
        return recommendation_measures(best, wanted)["ndcg20"]

    return Task("recommendation", "ndcg20", learn, measures, beside, "popularity")


TASKS: dict[str, Callable[[Loaded, int], Task]] = {
    "labels": _labels,
    "one-shot": _few(1),
    "five-shot": _few(5),
    "views": _views,
    "links": _links,
    "hyperedges": _hyperedges,
    "recommendation": _recommendation,
}


def _related(dataset: Loaded, task: str, kind: type) -> RelationalDataset:
    if not isinstance(dataset, RelationalDataset) or not isinstance(dataset.graph, kind) or not dataset.whole:
        raise SemblanceError(f"the task {task} asks about what is related, and this data is {dataset.domain}")
    return dataset


def _hidden(data: RelationalDataset, graph: Any, task: str, seed: int) -> RelationalDataset:
    """The data with this graph in place of its own, under a fingerprint of its own."""
    mark = hashlib.blake2b(f"{data.fingerprint} {task} {seed}".encode(), digest_size=16).hexdigest()
    return replace(data, graph=graph, fingerprint=mark)


def _only_hyperedges(graph: Hypergraph, stay: torch.Tensor) -> Hypergraph:
    """The hypergraph of these hyperedges (bool [M]), renumbered."""
    number = torch.cumsum(stay, 0) - 1
    inside = stay[graph.edge]
    return Hypergraph(
        node=graph.node[inside],
        edge=number[graph.edge[inside]],
        num_nodes=graph.num_nodes,
        num_edges=int(stay.sum()),
        weight=None if graph.weight is None else graph.weight[stay],
        time=None if graph.time is None else graph.time[stay],
        membership=None if graph.membership is None else graph.membership[inside],
    )


def _raw_scores(dataset: Loaded, scores: Callable[[np.ndarray, np.ndarray, str], np.ndarray]) -> np.ndarray:
    """The better of the raw input as it is and standardised."""
    train_x, test_x = (dataset.raw(dataset.splits[part]) for part in ("train", "test"))
    mean, std = train_x.mean(0), train_x.std(0)
    std[std < 1e-6] = 1
    both = [scores(train_x, test_x, "cosine"), scores((train_x - mean) / std, (test_x - mean) / std, "cosine")]
    return max(both, key=lambda s: float(s.mean()))


def _neighbour_scores(dataset: Loaded, train_z: np.ndarray, test_z: np.ndarray, kind: str, geometry: str) -> np.ndarray:
    labels = dataset.targets["labels"]
    train_y, test_y = labels[dataset.splits["train"]], labels[dataset.splits["test"]]
    known = (
        train_y >= 0 if kind == "class" else np.isfinite(train_y) if kind == "number" else np.ones(len(train_y), bool)
    )
    k = min(NEIGHBOURS, int(known.sum()))
    index, similarity = neighbours(test_z, train_z[known], k, geometry)
    near = train_y[known][index]
    if kind == "class":
        votes = vote(near, similarity, len(dataset.classes))
        return (votes.argmax(1).numpy() == test_y)[test_y >= 0].astype(float)
    if kind == "number":
        known_test = np.isfinite(test_y)
        error = (near.mean(1) - test_y)[known_test] ** 2
        return 1 - error / test_y[known_test].var()
    guess = near.mean(1) > 0.5
    both = (guess & test_y).sum(1)
    return 2 * both / np.maximum(guess.sum(1) + test_y.sum(1), 1)
