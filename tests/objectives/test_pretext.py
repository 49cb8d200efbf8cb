"""Pretexts: what is asked, and what cannot be answered."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.errors import SemblanceError
from semblance.geometry.groups import FineTurns, Turns, average
from semblance.objectives.pretext import Acted, Pretext, attention, pooled_blocks


class Net(nn.Module):
    """Pixels through one tanh layer; averaged over the turns on request."""

    def __init__(self, side: int = 6, invariant: bool = False):
        super().__init__()
        self.map, self.invariant = nn.Linear(3 * side * side, 16), invariant

    def read(self, x):
        return self.map(x.flatten(1)).tanh()

    def embed(self, batch):
        return average(Turns(4), self.read, batch["x"]) if self.invariant else self.read(batch["x"])


@pytest.fixture(autouse=True)
def _chance():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def pictures(n: int = 10, side: int = 6) -> torch.Tensor:
    return torch.rand(n, 3, side, side, dtype=torch.float64)


def test_the_loss_is_the_mean_cross_entropy_over_all_four_turns():
    net, head, x = Net().double(), nn.Linear(16, 4).double(), pictures()
    terms = [F.cross_entropy(head(net.read(x.rot90(k, (2, 3)))), torch.full((10,), k)) for k in range(4)]
    torch.testing.assert_close(Pretext(Acted(Turns(4)), head)(net, {"x": x})[0], sum(terms) / 4)


def test_turning_the_batch_only_permutes_the_labels():
    net, x = Net().double(), pictures()
    objective = Pretext(Acted(Turns(4)), nn.Linear(16, 4).double())
    loss = objective(net, {"x": x})[0]
    for g in range(4):
        changed, target = objective.change(Turns(4).act(g, x))
        torch.testing.assert_close(objective.score(net, changed, (target + g) % 4)[0], loss, atol=1e-6, rtol=0)
    assert abs(objective.score(net, changed, target)[0].item() - loss.item()) > 1e-4  # labels left as they were


def test_invariant_features_cannot_answer():
    net, x = Net(invariant=True).double(), pictures()
    objective = Pretext(Acted(Turns(4)), nn.Linear(16, 4).double())
    logits = objective.answers(net, objective.change(x)[0])[0].unflatten(0, (4, 10))
    torch.testing.assert_close(logits, logits[:1].expand_as(logits))
    loss, metrics = objective(net, {"x": x})
    assert metrics["accuracy"] == 0.25
    assert float(loss) >= math.log(4) - 1e-9


def test_one_random_turn_per_item_is_what_its_target_says():
    x = pictures(200)
    changed, target = Acted(Turns(4), every=False)(x)
    assert torch.equal(changed, torch.stack([x[i].rot90(int(target[i]), (1, 2)) for i in range(200)]))
    assert target.flatten().bincount(minlength=4).min() > 25


def test_two_turns_that_are_no_subgroup_are_a_task_too():
    change = Acted(Turns(4), (1, 3))
    changed, target = change(pictures())
    assert change.factors == (2,)
    assert changed.shape[0] == 20
    assert target.flatten().bincount().tolist() == [10, 10]


def test_eight_turns_are_seen_through_the_centre():
    changed, target = Acted(FineTurns(8))(pictures(side=32).float())
    assert changed.shape == (80, 3, 22, 22)
    assert target.flatten().bincount().tolist() == [10] * 8


def test_a_factorised_target_is_the_sum_of_its_factors():
    class Both:
        """A turn, and whether black was exchanged with white."""

        factors = (4, 2)

        def __call__(self, x):
            changed, turn = Acted(Turns(4))(x)
            negative = torch.arange(len(changed)) % 2
            return torch.where(negative[:, None, None, None] == 1, 1 - changed, changed), torch.cat(
                [turn, negative[:, None]], 1
            )

    net, head, x = Net().double(), nn.Linear(16, 6).double(), pictures()
    changed, target = Both()(x)
    logits = head(net.read(changed))
    expected = F.cross_entropy(logits[:, :4], target[:, 0]) + F.cross_entropy(logits[:, 4:], target[:, 1])
    torch.testing.assert_close(Pretext(Both(), head)(net, {"x": x})[0], expected)


@pytest.mark.parametrize("elements", [(1,), (0, 4), ()])
def test_what_cannot_be_told_apart_is_refused(elements):
    with pytest.raises(SemblanceError, match="numbered 0 to 3"):
        Acted(Turns(4), elements)


def test_turns_are_learned_where_there_is_an_up():
    net, head = Net(), nn.Linear(16, 4)
    objective = Pretext(Acted(Turns(4)), head)
    x = pictures(64).float() * 0.5
    x[:, :, :2] += 1.0  # the sky is bright
    optimizer = torch.optim.Adam([*net.parameters(), *head.parameters()], 0.01)
    for _ in range(60):
        loss, metrics = objective(net, {"x": x})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert metrics["accuracy"] > 0.9


def test_blocks_are_pooled_and_attention_is_the_channels_power():
    maps = [torch.randn(2, 5, 4, 4), torch.randn(2, 7, 2, 2)]
    assert [tuple(block.shape) for block in pooled_blocks(maps)] == [(2, 5), (2, 7)]
    seen = attention(maps[0], 3.0)
    assert seen.amax((1, 2)).tolist() == [1.0, 1.0]
    plain = (
        sum(maps[0][0, c, 1, 2].abs() ** 3 for c in range(5)) / sum(maps[0][0, c].abs() ** 3 for c in range(5)).max()
    )
    torch.testing.assert_close(seen[0, 1, 2], plain)
    assert torch.equal(attention(torch.zeros(1, 3, 2, 2)), torch.zeros(1, 2, 2))
