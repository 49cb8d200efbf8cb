from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from scipy import sparse

from semblance.data.relational import as_tensor
from semblance.encoders.graphs import visits as visits_file
from semblance.encoders.graphs.attributed import Attributed, known_by
from semblance.encoders.graphs.cooccurrence import edges
from semblance.encoders.graphs.implied import least, noise_of
from semblance.encoders.graphs.visits import Visits, closed_form, features_of, met_features, pairs
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.walks import sample

QUICK = Visits(walks=5, length=20, lr=0.2, end=0.05, epochs=4)


def karate() -> Graph:
    return Graph(torch.tensor(list(nx.karate_club_graph().edges())).T, 34).undirected()


def binary(rows: int, columns: int = 20, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = (rng.random((rows, columns)) < 0.3).astype(float)
    x[np.arange(rows), rng.integers(columns, size=rows)] = 1
    return x


def towns(seed: int = 0) -> tuple[dict, np.ndarray]:
    """Two groups of 20, of which one has features 0 to 4 and the other 5 to 9."""
    ends = torch.tensor(list(nx.planted_partition_graph(2, 20, 0.4, 0.02, seed=seed).edges())).T
    y, rng = np.repeat([0, 1], 20), np.random.default_rng(seed)
    x = np.zeros((40, 10), np.float32)
    for v in range(40):
        x[v, 5 * y[v] + rng.choice(5, 2, replace=False)] = 1
    return {"graph": Graph(ends, 40).undirected(), "x": torch.from_numpy(x)}, y


def solved(batch: dict, **more) -> Attributed:
    encoder = Attributed(batch["graph"].num_nodes, batch["x"].shape[1], 12, QUICK, **more)
    encoder.solve(batch, seed=0)
    return encoder


@pytest.mark.parametrize("offsets", [[1], [2], [3], [1, 2, 3]])
def test_the_closed_form_is_where_the_expected_loss_is_least(offsets: list[int]) -> None:
    graph, x = karate(), binary(34)
    met = met_features(graph, x, offsets)
    u, c = least(met, noise_of(met.sum(0), 1.0), 5, 20, 0)
    form = closed_form(graph, x, offsets, 5, power=1.0)
    there = np.isfinite(form)
    assert there.sum() > 300 and np.abs(u @ c.T - form)[there].max() < 1e-3
    # The catalogue's form, spelled out: log((c / t) sum_r P^r F E^-1) - log b.
    a = edges(graph).toarray()
    degree, f = a.sum(1), x / x.sum(1, keepdims=True)
    p = a / degree[:, None]
    mean = sum(np.linalg.matrix_power(p, r) for r in offsets) / len(offsets)
    with np.errstate(divide="ignore"):
        spelled = np.log(degree.sum() * mean @ f / (degree @ f)) - np.log(5)
    np.testing.assert_allclose(form[there], spelled[there], atol=1e-10)


def test_visits_meet_features_as_often_as_the_powers_say() -> None:
    graph, x = karate(), binary(34)
    found = np.zeros((34, 20))
    for walked, drawn in drawn_visits(graph, x):
        for offsets in ([2],):
            left, right = pairs(walked, drawn, offsets)
            np.add.at(found, (left, right), 1)
    expected = met_features(graph, x, [2])
    np.testing.assert_allclose(found / found.sum(), expected / expected.sum(), atol=1e-3)


def drawn_visits(graph: Graph, x: np.ndarray):
    from semblance.geometry.walks import moves, starts

    begin = starts(moves(graph), 300, "degree", np.random.default_rng(0))
    walked = sample(moves(graph), begin, 30, seed=0)
    held = features_of(torch.from_numpy(x.astype(np.float32)))
    yield walked, sample(held, walked.ravel(), 2, seed=1)[:, 1].reshape(1, *walked.shape)


def test_pairs_are_those_of_plain_loops() -> None:
    rng = np.random.default_rng(0)
    walked = rng.integers(0, 9, (4, 6)).astype(np.int32)
    walked[1, 3:] = -1
    found = rng.integers(-1, 5, (2, 4, 6)).astype(np.int32)
    found[:, walked < 0] = -1
    expected = []
    for offsets in ([1], [2, 5], [6]):
        left, right = pairs(walked, found, offsets)
        expected = sorted(
            (walked[w, i], found[d, w, j])
            for d in range(2)
            for w in range(4)
            for i in range(6)
            for j in range(6)
            if abs(i - j) in offsets and walked[w, i] >= 0 and found[d, w, j] >= 0
        )
        assert sorted(zip(left.tolist(), right.tolist(), strict=True)) == expected
        assert left.dtype == right.dtype == np.int32


def test_features_are_drawn_by_their_value_and_what_is_not_positive_is_not_there() -> None:
    x = torch.tensor([[1.0, 3.0, 0.0], [-2.0, 0.0, 5.0], [0.0, -1.0, 0.0]])
    for given in (x, as_tensor(sparse.csr_array(x.numpy()))):
        held = features_of(given)
        drawn = sample(held, np.repeat([0, 1, 2], 20_000), 2, seed=0)[:, 1].reshape(3, -1)
        np.testing.assert_allclose(np.bincount(drawn[0], minlength=3) / 20_000, [0.25, 0.75, 0], atol=0.02)
        assert (drawn[1] == 2).all() and (drawn[2] == -1).all()
    named = sample(features_of(x, names=True), np.repeat([0, 2], 20_000), 2, seed=0)[:, 1].reshape(2, -1)
    assert set(named[0].tolist()) == {0, 1, 3} and set(named[1].tolist()) == {5}


@pytest.mark.parametrize("more", [{}, {"pooled": True}, {"ego": True}, {"pooled": True, "ego": True}])
def test_nodes_with_like_features_around_are_near_and_another_graph_joins(more: dict) -> None:
    batch, y = towns()
    encoder = solved(batch, **more)
    other, y2 = towns(seed=1)
    z, new = (torch.nn.functional.normalize(encoder(b)).numpy() for b in (batch, other))
    for one, two, a, b in ((z, z, y, y), (new, new, y2, y2), (z, new, y, y2)):
        likeness, same = one @ two.T, a[:, None] == b
        assert likeness[same].mean() > likeness[~same].mean() + 0.3


def test_features_decide_where_another_graph_joins() -> None:
    (batch, y), (other, y2) = towns(), towns(seed=1)
    encoder = solved(batch)
    swapped = {**other, "x": other["x"].flip(1)}  # each group has the features that the other one had
    z, new = (torch.nn.functional.normalize(encoder(b)).numpy() for b in (batch, swapped))
    likeness, same = z @ new.T, y[:, None] == y2
    assert likeness[~same].mean() > likeness[same].mean() + 0.3


def test_the_graph_that_was_learned_from_is_known_and_features_stay_when_others_come() -> None:
    batch, _ = towns()
    encoder = solved(batch)
    before = encoder.features.clone()
    again = {**batch, "graph": Graph(batch["graph"].edge_index.clone(), 40)}
    assert torch.equal(encoder(again), encoder.vectors)
    other, _ = towns(seed=1)
    larger = {"graph": Graph(other["graph"].edge_index, 41), "x": torch.cat([other["x"], torch.ones(1, 10)])}
    new = encoder(larger)
    assert new.shape == (41, 12) and not new[40].any() and new[:40].any(1).all()
    assert torch.equal(encoder.features, before) and encoder(larger) is not encoder.vectors
    assert known_by(batch["graph"]) != known_by(other["graph"])


def test_a_saved_encoder_embeds_another_graph_as_the_first_did() -> None:
    batch, _ = towns()
    encoder, other = solved(batch), towns(seed=1)[0]
    copy = Attributed(40, 10, 12, QUICK)
    copy.load_state_dict(load(save(encoder.state_dict())))
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # several threads write into the same rows
    try:
        assert torch.equal(copy(other), encoder(other)) and torch.equal(copy(batch), encoder(batch))
    finally:
        torch.set_num_threads(before)


def test_blocks_change_what_is_in_memory_and_little_else(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, y = towns()
    monkeypatch.setattr(visits_file, "BLOCK", 16)
    z = torch.nn.functional.normalize(solved(batch)(batch)).numpy()
    likeness, same = z @ z.T, y[:, None] == y
    assert likeness[same].mean() > likeness[~same].mean() + 0.3


def test_scales_share_the_dimensions_and_are_learned_apart() -> None:
    encoder = Attributed(40, 10, 8, QUICK)
    assert encoder.scales == [[1], [2], [3]] and encoder.dim == 8
    assert Attributed(40, 10, 8, QUICK, pooled=True).scales == [[1, 2, 3]]
    assert Attributed(40, 10, 8, QUICK, ego=True).features.shape == (50, 8)


def test_what_cannot_be_learned_is_refused_with_the_remedy() -> None:
    batch, _ = towns()
    with pytest.raises(SemblanceError, match="take node2vec"):
        Attributed(40, 10, 12).solve({"graph": batch["graph"]}, 0)
    with pytest.raises(SemblanceError, match="39 rows and the graph 40"):
        Attributed(39, 10, 12).solve(batch, 0)
    with pytest.raises(SemblanceError, match="10 features and the method learned 9"):
        Attributed(40, 9, 12).solve(batch, 0)
    with pytest.raises(SemblanceError, match="3 scales share 2 dimensions"):
        Attributed(40, 10, 2)


def test_nodes_without_features_or_edges_are_answered() -> None:
    batch, _ = towns()
    blank = {**batch, "x": torch.zeros(40, 10)}
    encoder = solved(blank)
    assert torch.isfinite(encoder(blank)).all()
    empty = {"graph": Graph(torch.empty(2, 0, dtype=torch.int64), 40), "x": batch["x"]}
    assert not solved(empty)(empty).any()
