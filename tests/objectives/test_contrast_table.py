"""The table of methods: each row is the method's own equation, or has its limit or its property."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from semblance.errors import SemblanceError
from semblance.objectives.contrast import Contrast
from semblance.objectives.contrast_table import METHODS, method
from semblance.objectives.kernels import SharedCluster
from semblance.objectives.neighbours import Gaussian

N, D = 12, 5


def points(seed: int = 0, width: int = D) -> torch.Tensor:
    return torch.randn(N, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def a_graph(seed: int = 0) -> np.ndarray:
    """Symmetric weights on N nodes."""
    w = np.random.default_rng(seed).random((N, N)) * (np.random.default_rng(seed + 1).random((N, N)) < 0.6)
    return w + w.T + 0.1


ARGUMENTS = {
    "sne": {"perplexity": 4.0},
    "t-sne": {"perplexity": 4.0},
    "moco": {"dim": D, "size": 7},
    "cross-entropy": {"classes": 4, "dim": D},
    "harmonic": {"classes": 4, "dim": D},
    "look": {"k": 5},
    "normalised-cuts": {"graph": a_graph()},
    "graph-embedding": {"graph": a_graph() / a_graph().sum(1, keepdims=True)},
}


def a_batch() -> dict:
    return {
        "x": points(1),
        "item": torch.arange(N // 2).repeat(2),
        "view": torch.arange(2).repeat_interleave(N // 2),
        "labels": torch.arange(N) % 3,
        "index": torch.arange(N),
        "keys": F.normalize(points(2), dim=1),
        "bank": F.normalize(points(3), dim=1),
    }


@pytest.mark.parametrize("name", METHODS)
def test_a_row_needs_what_it_says_and_learns(name):
    batch, z = a_batch(), points().requires_grad_()
    loss = method(name, **ARGUMENTS.get(name, {})).double()
    value = loss(z, {key: batch[key] for key in METHODS[name].needs})
    value.backward()
    assert value.isfinite() and z.grad.isfinite().all() and z.grad.abs().sum() > 0
    for key in METHODS[name].needs:
        with pytest.raises(KeyError, match=key):
            loss(z, {k: batch[k] for k in METHODS[name].needs if k != key})


def test_an_unknown_method_is_answered_with_the_nearest():
    with pytest.raises(SemblanceError, match="did you mean simclr"):
        method("simcrl")


def test_sne_and_t_sne_are_their_published_sums():
    x, z = points(1), points(2, width=2)
    p = Gaussian(perplexity=4.0)({"x": x})
    rows, pairs, heavy = 0.0, 0.0, 0.0
    square = torch.cdist(z, z).square()
    for i in range(N):
        heavy += sum(1 / (1 + square[i, k]) for k in range(N) if k != i)
    for i in range(N):
        bell = sum((-square[i, k]).exp() for k in range(N) if k != i)
        for j in range(N):
            if j != i:
                rows += p[i, j] * (p[i, j] / ((-square[i, j]).exp() / bell)).log() / N
                both = (p[i, j] + p[j, i]) / (2 * N)
                pairs += both * (both / (1 / (1 + square[i, j]) / heavy)).log()
    torch.testing.assert_close(method("sne", perplexity=4.0)(z, {"x": x}), rows, atol=1e-9, rtol=0)
    torch.testing.assert_close(method("t-sne", perplexity=4.0)(z, {"x": x}), pairs, atol=1e-9, rtol=0)


def test_a_very_wide_gaussian_measures_variance_and_is_lowest_on_the_principal_axes():
    x = points(1) * torch.tensor([3.0, 2.0, 1.0, 0.5, 0.2], dtype=torch.float64)
    width = 1e4
    loss = method("pca", width=width)

    def lost(axes: torch.Tensor) -> float:
        return float((math.log(N) - loss(x @ axes, {"x": x})) * width**2)

    centred = x - x.mean(0)
    principal = torch.linalg.svd(centred).Vh[:2].T
    assert lost(principal) == pytest.approx(float((centred @ principal).square().sum() / N), rel=1e-5)
    for seed in range(20):
        axes = torch.linalg.qr(points(seed)[:D, :2]).Q
        assert lost(axes) < lost(principal)


def test_clip_is_the_mean_of_both_directions():
    z, batch = points(), a_batch()
    images, texts = F.normalize(z, dim=1).chunk(2)
    logits = images @ texts.T / 0.07
    own = torch.arange(N // 2)
    expected = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    torch.testing.assert_close(method("clip")(z, batch), expected, atol=1e-6, rtol=0)


def test_the_harmonic_loss_is_minus_log_of_the_share_of_inverse_powers():
    z, batch = points(), a_batch()
    loss = method("harmonic", classes=4, dim=D).double()
    share = torch.cdist(z, loss.candidates.weight) ** -8.0
    chance = share / share.sum(1, keepdim=True)
    expected = -chance[torch.arange(N), batch["labels"]].log().mean()
    torch.testing.assert_close(loss(z, batch), expected, atol=1e-9, rtol=0)


def hard(cluster: torch.Tensor, clusters: int) -> torch.Tensor:
    """Logits of certainty."""
    return F.one_hot(cluster, clusters).double() * 1e4


@pytest.mark.parametrize("seed", range(50))
def test_hard_clusters_as_q_give_twice_the_k_means_variance(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    cluster = torch.randint(4, (40,), generator=generator)
    q = SharedCluster()(hard(cluster, 4), hard(cluster, 4)).exp()
    spread = (q * torch.cdist(x, x).square()).sum(1).mean()
    within = sum((x[cluster == c] - x[cluster == c].mean(0)).square().sum() for c in cluster.unique()) / 40
    torch.testing.assert_close(spread, 2 * within, atol=1e-6, rtol=0)


def test_clusters_that_count_members_by_degree_give_the_normalised_cut():
    weights = a_graph()
    degrees = weights.sum(1)
    cluster = np.arange(N) % 3
    cut = sum(weights[np.ix_(cluster == c, cluster != c)].sum() / degrees[cluster == c].sum() for c in range(3))
    logits = hard(torch.from_numpy(cluster), 3)
    q = SharedCluster(torch.from_numpy(degrees))(logits, logits).exp()
    # The chance to step along the graph from j to i, where q led from i to j, summed over i: what the cut leaves.
    stays = float((q * torch.from_numpy(weights / degrees[:, None]).T).sum())
    assert 3 - stays == pytest.approx(cut, abs=1e-9)


def test_fewer_cut_edges_mean_a_lower_loss_of_normalised_cuts():
    block = np.kron(np.eye(3), np.ones((4, 4))) + 0.01
    loss = method("normalised-cuts", graph=block)
    batch = {"index": torch.arange(N)}
    right = loss(hard(torch.arange(N) // 4, 3).float(), batch)
    wrong = loss(hard(torch.arange(N) % 3, 3).float(), batch)
    assert right < wrong


def test_graph_embedding_is_the_cross_entropy_of_steps_less_their_entropy():
    graph = a_graph() / a_graph().sum(1, keepdims=True)
    z = points()
    p = torch.from_numpy(graph)
    expected = F.cross_entropy(z @ z.T, p) + torch.xlogy(p, p).sum(1).mean()
    value = method("graph-embedding", graph=graph)(z, {"index": torch.arange(N)})
    torch.testing.assert_close(value, expected, atol=1e-6, rtol=0)


def test_clusters_of_views_are_lowest_where_both_views_share_one_and_items_do_not():
    item = torch.arange(4).repeat(2)
    loss: Contrast = method("infonce-clusters")
    assert loss(hard(item, 4), {"item": item}) < 1e-6
    assert loss(hard(torch.cat([item[:4], item[1:5]]), 4), {"item": item}) > 100
    assert loss(torch.zeros(8, 4), {"item": item}) == pytest.approx(math.log(7), abs=1e-5)


def test_look_is_minus_log_of_the_knn_vote_where_all_are_neighbours():
    z, batch = points(), a_batch()
    unit = F.normalize(z, dim=1)
    vote = (unit @ unit.T / 0.1).fill_diagonal_(-math.inf).softmax(1)
    own = (vote * (batch["labels"][:, None] == batch["labels"])).sum(1)
    torch.testing.assert_close(method("look", k=N)(z, batch), -own.log().mean(), atol=1e-6, rtol=0)
