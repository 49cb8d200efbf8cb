"""What is asked when methods are ranked: nothing hidden is learned from, and the scores are those of the hidden part."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from semblance.data.dataset import ArrayDataset
from semblance.data.interactions import bipartite, ratings
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph
from semblance.space.rank import rank
from semblance.space.tasks import TASKS, task_of


class Told:
    """A model that answers with given embeddings."""

    def __init__(self, z):
        self.z = z

    def embed(self, dataset, rows=None):
        return self.z if rows is None else self.z[rows]


class Space(Told):
    """Such a model of vectors, whose geometry is asked."""

    class geometry:
        name = "cosine"


def related(domain, graph, nodes, labels=None):
    return RelationalDataset(
        domain,
        graph,
        None,
        [str(v) for v in range(nodes)],
        {} if labels is None else {"labels": labels},
        pa.table({"row": np.arange(nodes)}),
        {"train": np.arange(nodes), "test": np.empty(0, np.int64)},
        f"{domain} of a test",
        classes=() if labels is None else ("a", "b"),
    )


@pytest.fixture
def blocks():
    """Two groups of 40 nodes, linked within."""
    rng = np.random.default_rng(0)
    group = np.arange(80) % 2
    low, high = np.triu_indices(80, 1)
    there = (group[low] == group[high]) & (rng.random(len(low)) < 0.3)
    ends = torch.from_numpy(np.stack([low[there], high[there]]))
    return related("graph", Graph(torch.cat([ends, ends.flip(0)], 1), 80), 80), group


def test_hidden_links_are_not_in_what_is_learned_and_the_groups_find_them(blocks):
    data, group = blocks
    task = task_of(data)
    before = {tuple(sorted(e)) for e in data.graph.edge_index.T.tolist()}
    left = {tuple(sorted(e)) for e in task.learn.graph.edge_index.T.tolist()}
    assert left < before
    assert len(before - left) == round(0.1 * len(before))
    assert task.learn.fingerprint != data.fingerprint
    known = task.measures(Told(np.where(group, 1.0, -1.0)[:, None] * np.ones((80, 2))))
    assert len(known["auc"]) == len(before - left)
    # Half of the pairs without an edge lie across the groups, half within, where they cannot be told from edges.
    assert 0.65 < known["auc"].mean() < 0.95
    nothing = task.measures(Told(np.random.default_rng(1).normal(size=(80, 2))))
    assert nothing["auc"].mean() < 0.65
    assert {"auc", "mrr", "hits10"} <= set(known)
    assert len(task.beside()) == len(known["auc"])


def test_another_seed_hides_other_links(blocks):
    data, _ = blocks
    one, other = (task_of(data, "links", seed).learn for seed in (0, 1))
    assert one.fingerprint != other.fingerprint
    assert one.graph.edge_index.tolist() != other.graph.edge_index.tolist()
    assert task_of(data, "links", 0).learn.graph.edge_index.tolist() == one.graph.edge_index.tolist()


def test_events_hide_the_latest(blocks):
    data, _ = blocks
    time = torch.arange(data.graph.num_edges, dtype=torch.float64)
    graph = Graph(data.graph.edge_index, 80, directed=True, time=time)
    task = task_of(related("events", graph, 80))
    assert task.name == "links"
    assert task.learn.graph.time.max() < time[-len(time) // 10 :].min() + 1


def test_hidden_hyperedges_are_not_in_what_is_learned():
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 5, 60)
    group = rng.integers(0, 2, 60)
    members = [rng.choice(np.arange(20) * 2 + g, size, replace=False) for g, size in zip(group, sizes, strict=True)]
    graph = Hypergraph(
        torch.from_numpy(np.concatenate(members)), torch.from_numpy(np.repeat(np.arange(60), sizes)), 40, 60
    )
    task = task_of(related("hypergraph", graph, 40))
    assert task.name == "hyperedges"
    assert task.learn.graph.num_edges == 54
    held = {tuple(sorted(m)) for m in members}
    rows = task.learn.graph.by_edge()
    left = {tuple(rows.index[a:b].tolist()) for a, b in zip(rows.start, rows.start[1:], strict=False)}
    assert left <= held
    z = np.where(np.arange(40) % 2, 1.0, -1.0)[:, None]
    assert task.measures(Told(z))["auc"].mean() > 0.65


@pytest.fixture
def liked():
    """30 users, 40 items: users like the items of their own half."""
    rng = np.random.default_rng(0)
    user, item = np.nonzero((np.arange(30)[:, None] % 2 == np.arange(40) % 2) & (rng.random((30, 40)) < 0.6))
    return bipartite(user, item, user_ids=[str(u) for u in range(30)], item_ids=[str(i) for i in range(40)])


def test_items_held_out_are_recommended_by_what_knows_the_halves(liked):
    task = task_of(liked)
    assert (task.name, task.metric) == ("recommendation", "ndcg20")
    learned = {tuple(e) for e in zip(*ratings(task.learn)[:2], strict=True)}
    every = {tuple(e) for e in zip(*ratings(liked)[:2], strict=True)}
    assert learned < every
    side = np.concatenate([np.arange(30) % 2, np.arange(40) % 2])
    measures = task.measures(Told(np.eye(2)[side]))
    assert measures["recall20"].mean() == 1.0  # twenty items a half, the seen ones left out
    assert task.measures(Told(np.eye(2)[1 - side]))["recall20"].mean() == 1.0  # both halves renamed alike
    turned = np.concatenate([np.arange(30) % 2, 1 - np.arange(40) % 2])
    assert task.measures(Told(np.eye(2)[turned]))["recall10"].mean() == 0.0
    assert 0 < task.beside().mean() < measures["ndcg20"].mean()


def test_a_ranking_of_a_task_keeps_all_measures_and_the_baseline(liked, tmp_path):
    found = rank(liked, ["lightgcn", "matrix-factorisation"], seeds=2, epochs=5, out=tmp_path / "r", progress=None)
    names = {row["recipe"] for row in found.rows}
    assert names == {"lightgcn", "matrix-factorisation", "popularity"}
    assert {"ndcg20", "precision10", "recall20", "f1_20"} <= found.rows[0]["measures"].keys() | found.rows[1][
        "measures"
    ].keys()


def test_a_task_that_the_data_cannot_answer_is_refused(blocks, liked):
    data, group = blocks
    plain = ArrayDataset(
        "vectors", np.eye(4, dtype=np.float32), list("abcd"), {}, pa.table({}), {"train": np.arange(4)}, "f"
    )
    for dataset, name, told in (
        (plain, "links", "this data is vectors"),
        (data, "recommendation", "rank it by --task links"),
        (liked, "labels", "no labels to be ranked by"),
        (data, "views", "images have other views"),
        (data, "link", "did you mean links"),
        (replace(data, targets={"labels": group}, classes=("a", "b")), "labels", "no test units"),
    ):
        with pytest.raises(SemblanceError, match=told):
            task_of(dataset, name)
    assert set(TASKS) == {"labels", "one-shot", "five-shot", "views", "links", "hyperedges", "recommendation"}


def of_classes(new: bool = False):
    """60 vectors of three classes; `new`: the test units' classes are others than the training units'."""
    y = np.arange(60) % 3 + 3 * (new & (np.arange(60) >= 30))
    x = np.eye(8, dtype=np.float32)[y]
    parts = {"train": np.arange(30), "test": np.arange(30, 60)}
    kept = {"targets": {"labels": y}, "classes": tuple("abcdef"), "fingerprint": f"classes of a test, new {new}"}
    return ArrayDataset("vectors", x, [str(i) for i in range(60)], attributes=pa.table({"y": y}), splits=parts, **kept)


@pytest.mark.parametrize("new", [False, True])
def test_a_few_examples_a_class_name_the_test_units(new):
    data = of_classes(new)
    task = task_of(data, "one-shot")
    y = data.targets["labels"]
    assert (task.measures(Space(data.x))["fewshot1_all"] == 1).all() and len(task.beside()) == 30
    turned = data.x.copy()
    turned[30:] = np.eye(8)[(y[30:] + 1) % 3 + 3 * new] if not new else np.eye(8)[np.arange(30) % 5]
    assert task.measures(Space(turned))["fewshot1_all"].mean() < 0.5


def test_data_whose_test_classes_are_new_is_asked_in_one_shot():
    assert task_of(of_classes()).name == "labels" and task_of(of_classes(new=True)).name == "one-shot"
    with pytest.raises(SemblanceError, match=r"no training unit has the classes .* --task one-shot"):
        task_of(of_classes(new=True), "labels")


def test_labels_are_told_beside_their_five_shot_figure():
    found = task_of(of_classes()).measures(Space(of_classes().x))
    assert list(found) == ["knn5", "fewshot5_all"] and found["fewshot5_all"].shape == (30,)


def test_another_task_in_the_same_folder_is_run_anew(tmp_path):
    data = of_classes()
    first = rank(data, ["as-is"], seeds=1, out=tmp_path)
    again = rank(data, ["as-is"], seeds=1, out=tmp_path, task="five-shot")
    assert [first.rows[0]["metric"], again.rows[0]["metric"]] == ["knn5", "fewshot5_all"]
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 2
