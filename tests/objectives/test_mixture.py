"""The losses of experts, as loops; and who gets a gradient."""

import pytest
import torch
from torch import nn

from semblance.heads.experts import Confidence, Mixed
from semblance.objectives.mixture import Mixture

LABELS = torch.tensor([0, 2, 1, -1])


class Answers(nn.Module):
    def __init__(self, seed):
        super().__init__()
        self.table = nn.Parameter(torch.randn(4, 3, generator=torch.Generator().manual_seed(seed)))

    def forward(self, batch):
        return self.table


class Held(nn.Module):
    def forward(self, states, batch):
        return states


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.experts = nn.ModuleList([Answers(0), Answers(1)])
        self.encoder.forward = lambda batch: [expert(batch) for expert in self.encoder.experts]
        self.head = Mixed([Held(), Held()], [Confidence()])

    @property
    def tables(self):
        return [expert.table for expert in self.encoder.experts]


def by_loops(network, joint):
    total = 0.0
    weak, strong = (t.softmax(1) for t in network.tables)
    for i, y in enumerate(LABELS.tolist()):
        if y >= 0:
            c = (3 * weak[i].square().sum() - 1) / 2
            if joint:
                total -= (c * weak[i, y] + (1 - c) * strong[i, y]).log()
            else:
                total -= c * weak[i, y].log() + (1 - c) * strong[i, y].log()
    return total / 3


@pytest.mark.parametrize("joint", [False, True])
def test_the_loss_and_its_gradients_are_those_of_loops(joint):
    network = Network()
    loss, metrics = Mixture(joint)(network, {"labels": LABELS})
    slow = by_loops(network, joint)
    torch.testing.assert_close(loss, slow)
    for one, two in zip(
        torch.autograd.grad(loss, network.tables), torch.autograd.grad(slow, network.tables), strict=True
    ):
        torch.testing.assert_close(one, two)
    assert metrics["labelled"] == 0.75 and 0 < metrics["confidence"] < 1


def test_without_gradients_through_the_weights_each_expert_has_its_own_cross_entropy():
    network = Network()
    loss, _ = Mixture(through=False)(network, {"labels": LABELS})
    found = torch.autograd.grad(loss, network.tables)
    weak, strong = (t.softmax(1).detach() for t in network.tables)
    c = (3 * weak.square().sum(1, keepdim=True) - 1) / 2
    target = torch.nn.functional.one_hot(LABELS.clamp(min=0), 3) * (LABELS >= 0)[:, None]
    known = (LABELS >= 0)[:, None] / 3
    torch.testing.assert_close(found[0], known * c * (weak - target))
    torch.testing.assert_close(found[1], known * (1 - c) * (strong - target))


def test_an_expert_alone_learns_as_if_there_were_no_other():
    network, objective = Network(), Mixture()
    objective.turn(1, alone=True)
    loss, _ = objective(network, {"labels": LABELS})
    wanted = torch.nn.functional.cross_entropy(network.tables[1][:3], LABELS[:3])
    torch.testing.assert_close(loss, wanted)


def test_those_whose_turn_it_is_not_answer_without_dropout():
    network, objective = Network(), Mixture()
    network.train()
    objective.train().turn(0)
    objective(network, {"labels": LABELS})
    assert [expert.training for expert in network.encoder.experts] == [True, False]
    assert [head.training for head in network.head.heads] == [True, False]


def test_a_batch_without_labels_teaches_nothing():
    network = Network()
    loss, metrics = Mixture()(network, {"labels": torch.full((4,), -1)})
    assert loss.item() == 0 and metrics["labelled"] == 0 and loss.requires_grad
