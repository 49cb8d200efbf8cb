"""Squared error of predicted numbers."""

import pytest
import torch
from torch import nn

from semblance.heads.regress import Regress
from semblance.learning.parts import Network
from semblance.objectives.regress import SquaredError


class Given(nn.Module):
    """An encoder that hands on what the batch has."""

    def embed(self, batch):
        return batch["x"]


def network(mean=0.0, deviation=1.0):
    return Network(Given(), Regress(4, mean, deviation))


def test_the_loss_is_the_mean_square_over_labelled_units_in_deviations():
    model, x = network(3.0, 2.0), torch.randn(5, 4)
    labels = torch.tensor([1.0, float("nan"), 3.0, 4.0, float("nan")])
    loss, metrics = SquaredError()(model, {"x": x, "labels": labels})
    error = model({"x": x})[[0, 2, 3]] - labels[[0, 2, 3]]
    torch.testing.assert_close(loss, (error**2).mean() / 4)
    assert metrics["rmse"] == pytest.approx(float((error.detach() ** 2).mean().sqrt()))
    assert metrics["labelled"] == pytest.approx(0.6)


def test_no_label_gives_no_loss_and_no_gradient():
    model = network()
    loss, _ = SquaredError()(model, {"x": torch.randn(2, 4), "labels": torch.full((2,), float("nan"))})
    loss.backward()
    assert loss == 0
    assert not model.head.map.weight.grad.any()


def test_always_answering_the_mean_costs_one():
    labels = torch.randn(400) * 7 + 3
    model = network(float(labels.mean()), float(labels.std(correction=0)))
    nn.init.zeros_(model.head.map.weight)
    nn.init.zeros_(model.head.map.bias)
    loss, _ = SquaredError()(model, {"x": torch.randn(400, 4), "labels": labels})
    assert float(loss) == pytest.approx(1.0, abs=1e-5)
