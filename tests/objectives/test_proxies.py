"""Proxies: means of what was visited, read alike at an epoch's start and in its middle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.objectives.multi_similarity import MultiSimilarity
from semblance.objectives.proxies import Proxies


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(6, 8)

    def embed(self, batch):
        return self.map(batch["x"])


def made(classes: int = 6, attached: bool = True) -> tuple[Proxies, Linear, dict]:
    torch.manual_seed(0)
    return (
        Proxies(MultiSimilarity(), classes, 8, 4, attached=attached),
        Linear(),
        {"x": torch.randn(12, 6), "labels": torch.arange(12) % 3},
    )


@pytest.mark.parametrize("attached", [True, False])
def test_the_short_vectors_learn_and_teach_the_encoder_only_where_they_are_attached(attached):
    proxies, model, batch = made(attached=attached)
    loss, told = proxies(model, batch)
    loss.backward()
    mine = model.map.weight.grad.clone()
    model.map.weight.grad = None
    z = model.embed(batch)
    expected = MultiSimilarity()(z, batch)
    if attached:
        expected = expected + MultiSimilarity()(proxies.short(z), batch)
    expected.backward()
    torch.testing.assert_close(mine, model.map.weight.grad)
    assert proxies.short.weight.grad.abs().sum() > 0 and told["active"] > 0


def test_a_proxy_is_the_mean_of_its_labels_visits():
    proxies, model, batch = made()
    assert proxies.read() is None
    proxies(model, batch)
    labels, vectors = proxies.read()
    short = F.normalize(proxies.short(model.embed(batch)), dim=1).detach()
    assert labels.tolist() == [0, 1, 2]
    for k in range(3):
        np.testing.assert_allclose(vectors[k], short[batch["labels"] == k].mean(0), atol=1e-6)


def test_what_is_read_in_an_epochs_middle_is_what_was_read_at_its_start():
    proxies, _, _ = made()
    draw = lambda: torch.randn(4, 4)  # noqa: E731
    for epoch in range(3):
        start = proxies.read()
        for pair in ([0, 1], [2, 3], [4, 5]):
            if epoch and pair != [0, 1]:  # within an epoch
                again = proxies.read()
                assert again[0].tolist() == start[0].tolist() and np.array_equal(again[1], start[1])
            proxies.remember(draw(), torch.tensor(pair * 2))
        done = proxies.read()
        assert done[0].tolist() == list(range(6)) and (start is None or not np.array_equal(done[1], start[1]))


def test_a_label_without_a_number_is_not_remembered_and_eval_remembers_nothing():
    proxies, model, batch = made()
    proxies.remember(torch.randn(2, 4), torch.tensor([-1, 2]))
    assert proxies.read()[0].tolist() == [2]
    proxies.eval()
    proxies(model, batch)
    assert proxies.read()[0].tolist() == [2]
