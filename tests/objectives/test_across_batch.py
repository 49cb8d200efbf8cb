"""Looking across the batch: gradients between items, indifference to their order, and nothing left at test."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.errors import SemblanceError
from semblance.heads.batch_attention import BatchAttention
from semblance.heads.classify import Linear
from semblance.learning.parts import Network
from semblance.objectives.across_batch import AcrossBatch


class AsItIs(nn.Module):
    def embed(self, batch):
        return batch["x"]


def made(across: bool = True, **how):
    torch.manual_seed(0)
    looked = BatchAttention(8, 2, dropout=0.0) if across else None
    return AcrossBatch(3, looked, **how), Network(AsItIs(), Linear(8, 3)), torch.randn(10, 8), torch.arange(10) % 3


@pytest.mark.parametrize("across", [True, False])
def test_an_items_loss_reaches_other_items_only_with_the_module(across):
    objective, model, x, labels = made(across)
    shares = objective.from_others(x, labels, model.head)
    assert (shares > 0.01).all() if across else (shares.abs() < 1e-6).all()


def test_the_module_commutes_with_permuting_the_batch():
    objective, _, x, _ = made()
    order = torch.randperm(10)
    torch.testing.assert_close(objective.across(x[order]), objective.across(x)[order], rtol=1e-5, atol=1e-5)
    maps = torch.randn(5, 8, 2, 3)
    seen = objective.across(maps)
    torch.testing.assert_close(seen[:, :, 1, 2], objective.across(maps[:, :, 1, 2]), rtol=1e-5, atol=1e-5)


def test_the_loss_is_over_both_readings_and_alone_it_is_cross_entropy():
    objective, model, x, labels = made()
    batch = {"x": x, "labels": labels}
    both = [model.head(part, batch) for part in (x, objective.across(x))]
    expected = sum(F.cross_entropy(logits, labels) for logits in both) / 2
    torch.testing.assert_close(objective(model, batch)[0], expected)
    alone, network, _, _ = made(across=False)
    torch.testing.assert_close(alone(network, batch)[0], F.cross_entropy(network.head(x, batch), labels))


def test_a_balanced_softmax_adds_the_log_shares_of_the_classes():
    objective, model, x, _ = made(across=False, balanced=True)
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
    objective.survey([{"labels": labels}, {"labels": torch.tensor([-1])}])
    torch.testing.assert_close(objective.prior.exp(), torch.tensor([0.6, 0.3, 0.1]))
    batch = {"x": x, "labels": labels}
    logits = model.head(x, batch) + torch.tensor([0.6, 0.3, 0.1]).log()
    torch.testing.assert_close(objective(model, batch)[0], F.cross_entropy(logits, labels))


def test_unlabelled_items_are_left_out_and_none_labelled_is_refused():
    objective, model, x, labels = made()
    some = torch.where(torch.arange(10) < 6, labels, -1)
    torch.testing.assert_close(
        objective(model, {"x": x, "labels": some})[0], objective(model, {"x": x[:6], "labels": labels[:6]})[0]
    )
    with pytest.raises(SemblanceError, match="none of the 10 items"):
        objective(model, {"x": x, "labels": -torch.ones(10).long()})
