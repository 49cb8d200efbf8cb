"""Clusters of the network's own features as targets, alone and times turns."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.data.dataset import ArrayDataset
from semblance.errors import Interrupted, SemblanceError
from semblance.geometry.groups import Turns
from semblance.geometry.spaces import Euclidean
from semblance.objectives.pretext import Acted, Pretext
from semblance.objectives.reassigned import Factorised, Reassigned, whitened
from semblance.recipes.reassigned import deeper_cluster
from semblance.space.training import train
from semblance.testing import small


class Flat(nn.Module):
    def __init__(self, dim: int = 12):
        super().__init__()
        self.dim, self.geometry = dim, Euclidean()
        self.map = nn.Linear(3 * 4 * 4, dim)

    def embed(self, batch):
        return self.map(batch["x"].flatten(1).to(self.map.weight.dtype))


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 60) -> torch.Tensor:
    return torch.randn(n, 3, 4, 4, generator=chance())


def reviewed(**axes) -> tuple[Flat, Reassigned, torch.Tensor]:
    torch.manual_seed(0)
    model, x = Flat(), pictures()
    objective = Reassigned(len(x), 12, **{"groups": 3, "parts": 4, "kept": 6, **axes})
    objective.review(model, [{"x": x[:40]}, {"x": x[40:]}], 0, chance())
    return model, objective, x


def test_probabilities_of_all_products_sum_to_one_and_the_loss_is_their_logarithm():
    torch.manual_seed(0)
    heads, z = Factorised(12, 8, 5).double(), torch.randn(9, 12).double()
    all_of_them = heads.log_probabilities(z)
    torch.testing.assert_close(all_of_them.exp().sum((1, 2)), torch.ones(9).double())
    of, within = torch.randint(8, (9,)), torch.randint(5, (9,))
    told, told_within = heads(z, of)
    loss = F.cross_entropy(told, of) + F.cross_entropy(told_within, within)
    torch.testing.assert_close(loss, -all_of_them[torch.arange(9), of, within].mean())


def test_an_item_touches_the_rows_of_the_super_head_and_of_one_head_within():
    heads = Factorised(12, 8, 5)
    told, told_within = heads(torch.randn(1, 12), torch.tensor([3]))
    (F.cross_entropy(told, torch.tensor([3])) + F.cross_entropy(told_within, torch.tensor([2]))).backward()
    rows = (heads.weight.grad.abs().sum(1) > 0).sum() + (heads.sub_weight.grad.abs().sum(2) > 0).sum()
    assert int(rows) == 8 + 5
    assert int((heads.sub_weight.grad.abs().sum((1, 2)) > 0).sum()) == 1


def test_the_loss_is_that_of_the_products_probability():
    model, objective, x = reviewed(turns=1)
    index = torch.arange(20)
    loss, told = objective(model, {"x": x[:20], "index": index})
    p = objective.heads.log_probabilities(model.embed({"x": x[:20]}))
    want = -p[index, objective.group[:20, 0], objective.part[:20, 0]].mean()
    torch.testing.assert_close(loss, want)
    assert 0 <= told["groups"] <= 1 and 0 <= told["parts"] <= 1


@pytest.mark.parametrize("turned", [False, True])
def test_the_target_is_the_turn_and_the_cluster(turned):
    _, objective, x = reviewed(turned=turned)
    index = torch.arange(len(x))
    for turn in range(4):
        of, within = objective.targets(index, torch.full_like(index, turn))
        assert torch.equal(of % 4, torch.full_like(index, turn))
        column = turn if turned else 0
        assert torch.equal(of // 4, objective.group[:, column]) and torch.equal(within, objective.part[:, column])
    assert objective.group.shape == (len(x), 4 if turned else 1)


def test_turned_clusters_are_those_of_the_turned_pictures():
    model, objective, x = reviewed(turned=True)
    features = torch.cat([model.embed({"x": torch.rot90(x, t, (2, 3))}) for t in range(4)])
    z = whitened(features.detach(), 6)
    group = objective.group.T.flatten()
    for g in range(3):
        centre = z[group == g].mean(0)
        own = (z[group == g] - centre).square().sum(1).mean()
        assert own < (z[group != g] - centre).square().sum(1).mean()


def test_review_finds_the_clusters_that_are_there_and_draws_new_heads():
    torch.manual_seed(0)
    model = Flat()
    kind = torch.arange(60) % 3
    x = 10 * torch.randn(3, 3, 4, 4, generator=chance(5))[kind] + 0.1 * pictures()
    objective = Reassigned(60, 12, turns=1, groups=1, parts=3, kept=2)
    before = objective.heads.sub_weight.clone()
    objective.review(model, [{"x": x}], 4, chance())
    found = torch.from_numpy(objective.labels)
    assert torch.equal(found[:, None] == found, kind[:, None] == kind)
    assert not torch.equal(before, objective.heads.sub_weight) and int(objective.latest) == 4


def test_clusters_are_renewed_every_so_many_epochs():
    objective = Reassigned(10, 4, every=3, first=2)
    due = []
    for epoch in range(10):
        due.append(objective.due(epoch))
        if due[-1]:
            objective.latest.fill_(epoch)
    assert [e for e, d in enumerate(due) if d] == [2, 5, 8]
    assert not Reassigned(10, 4, groups=1, parts=1).due(0)  # turns alone: nothing to cluster


def test_whitened_features_have_unit_length_and_their_components_unit_variance():
    z = torch.randn(500, 8, generator=chance()) * torch.tensor([9.0, 5, 3, 2, 1, 0.5, 0, 0])
    for kept in (4, 8):
        w = whitened(z, kept)
        assert w.shape == (500, min(kept, 6))
        torch.testing.assert_close(w.norm(dim=1), torch.ones(500))
        spread = w.T @ w / len(w)
        assert float((spread - torch.eye(len(spread)) / len(spread)).abs().max()) < 0.06
    assert whitened(torch.ones(5, 3), 2).shape == (5, 0) or not whitened(torch.ones(5, 3), 2).any()


@pytest.mark.parametrize("wrong", [{"turns": 1, "groups": 1, "parts": 1}, {"groups": 0}, {"every": 0}])
def test_what_cannot_be_asked_is_refused(wrong):
    with pytest.raises(SemblanceError, match=r"give 1 or more|count epochs"):
        Reassigned(10, 4, **wrong)


def a_run(made, epochs: int, **how):
    data: ArrayDataset = small("images")
    return train(data, made, seed=0, epochs=epochs, **how)


@pytest.mark.parametrize("at", [7, 12])  # within an epoch whose clusters are to be kept, and at the end of one
def test_a_run_that_stops_and_goes_on_ends_with_the_same_weights(tmp_path, at):
    made = deeper_cluster(parts=3, every=1, least=1, batch=8)

    def stop(done, total, metrics):
        if done == at:
            signal.raise_signal(signal.SIGINT)

    whole = a_run(made, 4)
    with pytest.raises(Interrupted):
        a_run(made, 4, checkpoints=tmp_path, on_step=stop)
    resumed = a_run(made, 4, checkpoints=tmp_path, resume=True)
    for one, two in zip(whole.network.state_dict().values(), resumed.network.state_dict().values(), strict=True):
        assert torch.equal(one, two)
    assert np.array_equal(whole.objective.labels, resumed.objective.labels)


def test_the_corner_without_clusters_tells_turns_apart():
    model = a_run(deeper_cluster(groups=1, parts=1, least=256, batch=16, lr=3e-3), 15)
    assert model.history[-1]["groups"] > model.history[0]["groups"]
    assert model.history[-1]["parts"] == 1.0
    assert np.array_equal(model.objective.labels, np.zeros(model.objective.group.shape[0], int))


def test_with_one_cluster_it_is_rotnet_and_without_turns_cross_entropy_of_the_clusters():
    model, x = Flat(), pictures(10)
    turns = Reassigned(10, 12, groups=1, parts=1)
    head = nn.Linear(12, 4)
    head.weight, head.bias = turns.heads.weight, turns.heads.bias
    losses = []
    for objective in (turns, Pretext(Acted(Turns(4), every=False), head)):
        torch.manual_seed(3)
        losses.append(objective(model, {"x": x, "index": torch.arange(10)})[0])
    torch.testing.assert_close(*losses)
    model, clusters, x = reviewed(turns=1, groups=1, parts=5)
    loss, _ = clusters(model, {"x": x, "index": torch.arange(len(x))})
    logits = F.linear(model.embed({"x": x}), clusters.heads.sub_weight[0], clusters.heads.sub_bias[0])
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.from_numpy(clusters.labels)))
