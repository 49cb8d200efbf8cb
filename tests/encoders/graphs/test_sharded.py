from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy import sparse

from semblance.encoders.graphs.cooccurrence import met
from semblance.encoders.graphs.sharded import Sharded
from semblance.encoders.graphs.windows import walk_counts, windows
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


def full(rows: int = 30, columns: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(20.0, (rows, columns)) + 1.0


def holes(rows: int = 40, columns: int = 25, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(np.outer(rng.gamma(1.0, size=rows), rng.gamma(1.0, size=columns)) * 2) * 1.0


def pmi_of(x: np.ndarray, times: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(times) + np.log(x.sum()) - np.log(x.sum(1))[:, None] - np.log(x.sum(0))


def loss(w: np.ndarray, c: np.ndarray, x: np.ndarray, bounded: bool) -> float:
    total = 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            if x[i].sum() == 0 or x[:, j].sum() == 0:
                continue
            product = w[i] @ c[j]
            pmi = np.log(max(x[i, j], 1)) + np.log(x.sum()) - np.log(x[i].sum()) - np.log(x[:, j].sum())
            if x[i, j] > 0:
                total += 0.5 * (0.1 + 0.25 * x[i, j] ** 0.5) * (product - pmi) ** 2
            elif bounded:
                total += np.log1p(np.exp(product - pmi))
    return total


def test_wide_factors_of_counts_without_zeros_are_the_pmi() -> None:
    x = full()
    w, c = Sharded(epochs=500).of(x, 30, 0)
    assert np.abs(w @ c.T - pmi_of(x, x)).max() < 0.02
    w, c = Sharded(epochs=1000, size=10).of(sparse.csr_array(x), 30, 0)  # 9 shards, sparse
    assert np.abs(w @ c.T - pmi_of(x, x)).max() < 0.05


@pytest.mark.parametrize("bounded", [True, False])
def test_one_step_moves_along_the_gradient_of_the_plain_loss(bounded: bool) -> None:
    # The sums of squares start so high that Adagrad's step is a plain one of lr / sqrt(begin).
    x, how = holes(9, 7), Sharded(epochs=0, bounded=bounded, begin=1e12, lr=1.0)
    w, c = (t.astype(float) for t in how.of(x, 4, 3))
    after = Sharded(epochs=1, bounded=bounded, begin=1e12, lr=100.0).of(x, 4, 3)
    rows, columns = (x.sum(1) > 0).sum(), (x.sum(0) > 0).sum()
    for held, moved, share in ((w, after[0], columns), (c, after[1], rows)):
        gradient = np.zeros_like(held)
        for place in np.ndindex(*held.shape):
            held[place] += 1e-5
            high = loss(w, c, x, bounded)
            held[place] -= 2e-5
            gradient[place] = (high - loss(w, c, x, bounded)) / 2e-5
            held[place] += 1e-5
        np.testing.assert_allclose((moved - held), -1e-4 * gradient / share, atol=2e-7)


@pytest.mark.parametrize("bounded", [True, False])
def test_the_loss_falls_in_shards_of_any_size(bounded: bool) -> None:
    x = holes()
    for size in (7, 16, 64):
        losses = [loss(*Sharded(epochs=n, size=size, bounded=bounded).of(x, 5, 0), x, bounded) for n in (0, 5, 60)]
        assert losses[0] > losses[1] > losses[2]


def test_with_the_bound_pairs_never_met_stay_below_it_and_without_they_do_not() -> None:
    x = holes(60, 60)
    often = np.outer(x.sum(1), x.sum(0)) / x.sum() >= 1
    asked = (x == 0) & often & (x.sum(1) > 0)[:, None] & (x.sum(0) > 0)
    above = {}
    for bounded in (True, False):
        w, c = Sharded(epochs=200, bounded=bounded).of(x, 20, 0)
        above[bounded] = (w @ c.T > pmi_of(x, np.ones_like(x)))[asked].mean()
    assert asked.sum() > 50 and above[True] < 0.2 < 0.35 < above[False]


def test_every_shard_has_frequent_and_rare_rows() -> None:
    from semblance.encoders.graphs.sharded import _Side

    often = np.arange(1, 101.0)
    counts = sparse.coo_array(np.diag(often))
    side = _Side.of(counts, 0, Sharded(size=30), 2, np.random.default_rng(0))
    dealt = [side.order[a:b] for a, b in zip(side.start[:-1], side.start[1:], strict=True)]
    assert [len(d) for d in dealt] == [25] * 4 and sorted(np.concatenate(dealt)) == list(range(100))
    assert all(d.min() < 4 and d.max() > 95 for d in dealt)


def test_what_was_never_met_is_zero_and_empty_counts_are_answered() -> None:
    x = full(6, 5)
    x[2], x[:, 3] = 0, 0
    w, c = Sharded(epochs=5).of(x, 4, 0)
    assert not w[2].any() and not c[3].any() and np.isfinite(w).all() and w[[0, 1, 3]].any(1).all()
    w, c = Sharded(epochs=5).of(np.zeros((3, 4)), 2, 0)
    assert w.shape == (3, 2) and c.shape == (4, 2) and not w.any()
    twice = sparse.coo_array((np.ones(4), ([0, 0, 1, 1], [0, 0, 0, 1])), shape=(2, 2))
    np.testing.assert_array_equal(Sharded(epochs=3).of(twice, 2, 0)[0], Sharded(epochs=3).of(twice.toarray(), 2, 0)[0])
    assert twice.nnz == 4
    with pytest.raises(SemblanceError, match="met -1 times"):
        Sharded().of(np.array([[1.0, -1]]), 2, 0)


def test_scaling_the_counts_moves_only_the_weights_of_pairs() -> None:
    x = full(12, 12)
    one, ten = (Sharded(epochs=1000).of(scale * x, 24, 0) for scale in (1, 10))
    np.testing.assert_allclose(ten[0] @ ten[1].T, one[0] @ one[1].T, atol=0.02)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    x = holes()
    found = [Sharded(epochs=3, size=16).of(x, 4, seed)[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def test_windows_count_pairs_by_their_distance() -> None:
    rng = np.random.default_rng(0)
    words = rng.integers(0, 6, (5, 9)).astype(np.int32)
    words[2, 4:] = -1
    alike, nearer = np.zeros((6, 6)), np.zeros((6, 6))
    for line in words:
        line = line[line >= 0]
        for i in range(len(line)):
            for j in range(len(line)):
                if 0 < abs(i - j) <= 4:
                    alike[line[i], line[j]] += 1
                    nearer[line[i], line[j]] += 1 / abs(i - j)
    np.testing.assert_array_equal(windows(words, 6, 4).toarray(), alike)
    np.testing.assert_allclose(windows(words, 6, 4, "distance").toarray(), nearer)
    with pytest.raises(SemblanceError, match="did you mean distance"):
        windows(words, 6, 4, "distanc")


def test_counts_of_walks_are_those_of_the_walker() -> None:
    graph = Graph(torch.tensor(list(nx.karate_club_graph().edges())).T, 34).undirected()
    counts = walk_counts(graph, 3, walks=4, length=10, window=2)
    assert counts.sum() == 34 * 4 * 2 * (9 + 8) and abs(counts - counts.T).max() == 0
    assert (counts != walk_counts(graph, 4, walks=4, length=10, window=2)).sum() > 0
    assert met(np.array([[0, 1, 2]], np.int32), 3, 1).sum() == 4
