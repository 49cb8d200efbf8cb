"""Codes that gather around centres, and what labels and links do to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.errors import SemblanceError
from semblance.geometry.k_means import k_means
from semblance.heads.prototypes.centres import Centres
from semblance.learning.parts import Network
from semblance.objectives.constrained import ConstrainedClusters, Linked
from semblance.recipes.constrained import clusternet, deep_k_means
from semblance.space.training import train
from semblance.testing import small

K, D = 4, 3


class AsItIs(nn.Module):
    dim = D

    def embed(self, batch):
        return batch["x"]


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(each: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    y = torch.arange(K).repeat(each)
    return 6 * torch.randn(K, D, generator=chance(3))[y] + torch.randn(len(y), D, generator=chance(4)), y


def begun(
    labels: torch.Tensor | None = None, links: Linked | None = None, **axes
) -> tuple[Network, ConstrainedClusters]:
    torch.manual_seed(0)
    x, _ = blobs()
    network = Network(AsItIs(), Centres(D, K, labels is not None))
    axes = {"cluster": 1.0, "pair": 1.0, "warm": 0, "ramp": 0.0, **axes}
    objective = ConstrainedClusters(nn.Linear(D, D), D, K, len(x), links=links, **axes)
    batches = [{"x": x[i : i + 20], **({} if labels is None else {"labels": labels[i : i + 20]})} for i in (0, 20, 40)]
    objective.review(network, batches, 0, chance())
    return network, objective


def a_batch(rows: slice = slice(0, 48)):
    x, _ = blobs()
    return {"x": x[rows].clone().requires_grad_(), "index": torch.arange(len(x))[rows]}


def some(y: torch.Tensor) -> torch.Tensor:
    labels = torch.full_like(y, -1)
    labels[:16] = y[:16]
    return labels


def test_without_labels_the_loss_is_deep_k_means():
    network, objective = begun(cluster=0.3)
    batch = a_batch()
    loss, told = objective(network, batch)
    rebuilt = F.mse_loss(objective.decoder(batch["x"]), batch["x"])
    nearest = (batch["x"][:, None] - network.head.points).square().sum(2).amin(1).mean()
    torch.testing.assert_close(loss, rebuilt + 0.3 * nearest / objective.unit)
    torch.testing.assert_close(nearest / objective.unit, torch.tensor(1.0))  # all items, at the beginning
    assert told["pairs"] == 0


def test_the_cluster_term_pulls_each_item_to_one_centre_only():
    _, y = blobs()
    network, objective = begun(some(y))
    batch = a_batch()
    group = objective.group
    apart = (batch["x"][:, None] - network.head.points).square().sum(2)
    objective.within(apart, group).backward()
    own = torch.where(group >= 0, group, apart.argmin(1))
    wanted = 2 * (batch["x"] - network.head.points[own]) / len(own)
    torch.testing.assert_close(batch["x"].grad, wanted.detach())


def test_a_labelled_item_goes_to_its_classs_centre_even_where_another_is_nearer():
    _, y = blobs()
    labels = some(y)
    labels[0] = (y[0] + 1) % K
    _, objective = begun(labels)
    apart = torch.arange(float(K)).expand(48, K)
    own = objective.within(apart, objective.group)
    expected = torch.where(labels >= 0, labels, 0).float().mean()
    torch.testing.assert_close(own, expected)


def test_pairs_are_as_the_equation_says_and_their_members_may_be_swapped():
    _, y = blobs()
    _, objective = begun(some(y), margin=2.0)
    scores, group = torch.randn(9, K, generator=chance(7)).double(), torch.tensor([0, 1, 1, 2, 0, 3, 0, 2, 1])
    p = scores.softmax(1)
    must, cannot = [], []
    for i in range(9):
        for j in range(i):
            one, two = (float((a * (a / b).log()).sum()) for a, b in ((p[i], p[j]), (p[j], p[i])))
            if group[i] == group[j]:
                must.append(one + two)
            else:
                cannot.append(max(0.0, 2 - one) + max(0.0, 2 - two))
    loss = objective.pairs(scores, group)
    assert float(loss) == pytest.approx(np.mean(must) + np.mean(cannot))
    order = torch.randperm(9, generator=chance(1))
    torch.testing.assert_close(objective.pairs(scores[order], group[order]), loss)
    assert float(objective.pairs(scores[:1], group[:1])) == 0


def test_centres_of_labelled_data_are_constrained_k_means_with_a_centre_for_each_class():
    x, y = blobs()
    labels = some(y)
    labels[labels == 2] = -1  # a class nobody named: its centre is the one that is left
    network, objective = begun(labels)
    points = network.head.points.detach()
    truth = torch.stack([x[y == k].mean(0) for k in range(K)])
    torch.testing.assert_close(points, truth, atol=1e-4, rtol=0)
    assert torch.equal(objective.place, torch.arange(K))


def test_links_without_labels_work_the_same():
    _, y = blobs()
    labels = some(y)
    known = (labels >= 0).nonzero()[:, 0]
    pairs = torch.combinations(known)
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    links = Linked(len(y), pairs[same], pairs[~same])
    by_labels, one = begun(labels)
    by_links, two = begun(None, links)
    assert two.apart.sum() == K * (K - 1) and torch.equal(two.group >= 0, one.group >= 0)
    batch = a_batch()
    two.decoder.load_state_dict(one.decoder.state_dict())
    torch.testing.assert_close(one(by_labels, batch)[0], two(by_links, batch)[0])


def test_links_are_joined_and_contradictions_named():
    links = Linked(8, torch.tensor([[0, 1], [1, 2], [5, 6]]), torch.tensor([[2, 5], [7, 0]]))
    group = links.group.tolist()
    assert group[0] == group[1] == group[2] and group[5] == group[6] and group[3] == group[4] == -1 != group[7]
    assert bool(links.apart[group[0], group[6]]) and bool(links.apart[group[7], group[2]])
    assert not bool(links.apart[group[7], group[5]])
    with pytest.raises(SemblanceError, match=r"\[0, 2\] cannot"):
        Linked(8, torch.tensor([[0, 1], [1, 2]]), torch.tensor([[0, 2]]))
    with pytest.raises(SemblanceError, match="links name items"):
        Linked(3, torch.tensor([[0, 3]]), torch.zeros(0, 2, dtype=torch.int64))


def test_reconstruction_leads_and_clusters_follow():
    objective = ConstrainedClusters(nn.Identity(), D, K, 10, warm=2, ramp=0.5)
    assert [objective.due(epoch) for epoch in range(4)] == [False, False, True, True]
    objective.began.fill_(0.2)
    weights = []
    for progress in (0.2, 0.4, 0.6, 0.9):
        objective.advance(progress)
        weights.append(objective.weight())
    assert weights == pytest.approx([0.0, 0.5, 1.0, 1.0]) and not objective.due(3)
    network = Network(AsItIs(), Centres(D, K))
    warm = ConstrainedClusters(nn.Linear(D, D), D, K, 48)
    batch = a_batch()
    loss, _ = warm(network, batch)
    torch.testing.assert_close(loss, F.mse_loss(warm.decoder(batch["x"]), batch["x"]))


def test_recomputed_centres_are_the_means_of_what_they_own_and_learn_nothing():
    x, y = blobs()
    network, objective = begun(some(y), recomputed=True)
    with torch.no_grad():
        network.head.points.add_(0.3)
    loss, _ = objective(network, a_batch())
    loss.backward()
    assert network.head.points.grad is None and objective.due(7)
    objective.review(network, [{"x": x, "labels": some(y)}], 7, chance())
    truth = torch.stack([x[y == k].mean(0) for k in range(K)])
    torch.testing.assert_close(network.head.points.detach(), truth, atol=1e-4, rtol=0)


def test_a_layer_of_its_own_may_say_the_clusters():
    _, y = blobs()
    network, objective = begun(some(y), read="layer")
    loss, _ = objective(network, a_batch())
    loss.backward()
    assert objective.layer.weight.grad.abs().sum() > 0


def test_more_classes_than_clusters_are_refused():
    _, y = blobs()
    with pytest.raises(SemblanceError, match="labels go to 7"):
        begun(y + 4)
    with pytest.raises(SemblanceError, match="margin"):
        ConstrainedClusters(nn.Identity(), D, K, 10, margin=-1.0)


def test_a_few_labels_name_the_clusters_of_pictures():
    data = small("images")
    few = np.asarray(data.targets["labels"]).copy()
    few[data.splits["train"][30:]] = -1
    given = {"least": 200, "batch": 20, "epochs": 7, "warm": 2, "dim": 6, "lr": 3e-3, "cluster": 0.1, "ramp": 0.5}
    model = train(replace(data, targets={"labels": few}), clusternet(**given, pair=0.1), seed=0)
    answers, truth = np.array(model.predict(data)), np.asarray(data.targets["labels"])
    rows = data.splits["train"][30:]
    right = (answers[rows] == np.array(data.classes)[truth[rows]]).mean()
    assert right > 0.5
    without = train(data, deep_k_means(**given, clusters=3), seed=0)
    assert set(without.predict(data)) <= {"cluster 0", "cluster 1", "cluster 2"}
    assert k_means(torch.from_numpy(without.embed(data)), 3, chance()).within > 0
