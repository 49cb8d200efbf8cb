"""Cross-entropy: against the equation in loops, at its limits, and on partial labels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from semblance.encoders.vectors import Flat
from semblance.errors import SemblanceError
from semblance.heads.classify import Linear
from semblance.learning.parts import Network
from semblance.objectives.classify import CrossEntropy


def network(classes=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network(Flat(4, (5,)), Linear(5, classes)).double()


def a_batch(labels=(0, 2, 1, 1, 0, 2)):
    x = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return {"x": x, "labels": torch.tensor(labels), "index": torch.arange(len(labels))}


def loops(net, batch, smoothing=0.0, weights=None):
    total, count = 0.0, 0
    for i, (scores, label) in enumerate(zip(net(batch).float().tolist(), batch["labels"].tolist(), strict=True)):
        if label < 0:
            continue
        log_sum = math.log(sum(math.exp(s) for s in scores))
        q = [smoothing / len(scores) + (1 - smoothing) * (k == label) for k in range(len(scores))]
        each = -sum(q[k] * (s - log_sum) for k, s in enumerate(scores))
        total, count = total + each * (1 if weights is None else float(weights[i])), count + 1
    return total / count


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("labels", [(0, 2, 1, 1, 0, 2), (0, -1, 1, -1, -1, 2)])
def test_it_is_the_equation(smoothing, labels):
    net, batch = network(), a_batch(labels)
    loss, metrics = CrossEntropy(smoothing)(net, batch)
    assert float(loss.detach()) == pytest.approx(loops(net, batch, smoothing), rel=1e-5)
    assert metrics["labelled"] == sum(y >= 0 for y in labels) / 6


def test_weights_scale_items_by_function_or_by_index():
    net, batch = network(), a_batch()
    weights = torch.linspace(0.5, 3, 6)
    expected = loops(net, batch, weights=weights)
    by_index, _ = CrossEntropy(weights=weights.flip(0))(net, {**batch, "index": torch.arange(6).flip(0)})
    by_function, _ = CrossEntropy(weights=lambda batch: weights)(net, batch)
    assert float(by_index.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(by_function.detach()) == pytest.approx(expected, rel=1e-5)


def test_weights_of_one_are_no_weights():
    net, batch = network(), a_batch()
    assert torch.equal(CrossEntropy(weights=torch.ones(6))(net, batch)[0], CrossEntropy()(net, batch)[0])


def test_the_order_of_items_does_not_matter():
    net, batch = network(), a_batch()
    weights = torch.linspace(0.5, 3, 6)
    turned = {k: v.flip(0) for k, v in batch.items()}
    torch.testing.assert_close(
        CrossEntropy(weights=weights)(net, turned)[0], CrossEntropy(weights=weights)(net, batch)[0]
    )


def test_unlabelled_items_send_no_gradient():
    net, batch = network(), a_batch((0, -1, 1, 2, -1, 1))
    batch["x"].requires_grad_()
    CrossEntropy()(net, batch)[0].backward()
    assert ((batch["x"].grad.abs().sum(1) > 0) == (batch["labels"] >= 0)).all()


def test_a_batch_without_labels_counts_zero_and_moves_nothing():
    net = network()
    loss, metrics = CrossEntropy()(net, a_batch((-1, -1)))
    loss.backward()
    assert float(loss.detach()) == 0 and metrics["labelled"] == 0
    assert not any(p.grad.abs().sum() for p in net.parameters())


def test_a_side_head_is_scored_instead_of_the_networks_own():
    net, batch = network(), a_batch()
    side = nn.Sequential(nn.Linear(4, 3)).double()

    class OnInputs(nn.Module):
        def forward(self, z, batch):
            return side(z)

    objective = CrossEntropy(side=OnInputs(), read=lambda model, batch: batch["x"])
    loss, _ = objective(net, batch)
    torch.testing.assert_close(loss, nn.functional.cross_entropy(side(batch["x"]).float(), batch["labels"]))
    loss.backward()
    assert net.head.map.weight.grad is None


def test_a_network_without_a_head_is_refused():
    with pytest.raises(SemblanceError, match="needs a head"):
        CrossEntropy()(Network(Flat(4, (5,))).double(), a_batch())


def test_smoothing_of_everything_is_refused():
    with pytest.raises(SemblanceError, match="smoothing is 1"):
        CrossEntropy(smoothing=1.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_several_classes_an_item_are_as_many_yes_or_no_questions(smoothing):
    net, batch = network(), a_batch()
    batch["labels"] = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]]).bool()
    loss, metrics = CrossEntropy(smoothing)(net, batch)
    total, hits, answered, wanted = 0.0, 0, 0, 0
    rows = list(zip(net(batch).float().tolist(), batch["labels"].tolist(), strict=True))
    for scores, row in rows:
        if any(row):  # a row without a class is unlabelled
            for score, yes in zip(scores, row, strict=True):
                q = yes * (1 - smoothing) + smoothing / 2
                total += q * math.log1p(math.exp(-score)) + (1 - q) * math.log1p(math.exp(score))
                hits, answered, wanted = hits + (score > 0 and yes), answered + (score > 0), wanted + yes
    assert float(loss.detach()) == pytest.approx(total / 15, rel=1e-5)
    assert metrics["accuracy"] == pytest.approx(2 * hits / (answered + wanted))
    assert metrics["labelled"] == pytest.approx(5 / 6)
