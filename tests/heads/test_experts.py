"""Confidence and mixtures: bounds, equations, and what the loss of a mixture makes a weak expert do."""

import math

import pytest
import torch
from torch import nn

from semblance.errors import SemblanceError
from semblance.heads.experts import Confidence, Mixed


class Held(nn.Module):
    """A head that answers with the states themselves."""

    def forward(self, states, batch):
        return states


def mixed(count=2, **settings):
    return Mixed([Held() for _ in range(count)], [Confidence() for _ in range(count - 1)], **settings)


@pytest.mark.parametrize("dispersion", ["variance", "entropy"])
@pytest.mark.parametrize("classes", [2, 5])
def test_confidence_is_nothing_for_an_even_answer_all_for_a_sure_one_and_grows_between(dispersion, classes):
    scale = torch.linspace(0, 60, 40)[:, None]
    found = Confidence(dispersion, power=1.5)(scale * torch.eye(classes)[0])
    assert found[0] == pytest.approx(0, abs=1e-6) and found[-1] == pytest.approx(1)
    assert (found.diff() >= 0).all() and found[10] > found[1]


def test_dispersions_are_their_equations():
    logits = torch.tensor([[0.3, -0.2, 1.0]])
    p = logits.softmax(1)[0].tolist()
    spread = sum((q - 1 / 3) ** 2 for q in p) / ((1 - 1 / 3) ** 2 + 2 / 9)
    assert Confidence("variance")(logits).item() == pytest.approx(spread, rel=1e-5)
    entropy = -sum(q * math.log(q) for q in p)
    assert Confidence("entropy", 2.0)(logits).item() == pytest.approx((1 - entropy / math.log(3)) ** 2, rel=1e-5)
    learned = Confidence("learned")(torch.randn(50, 3))
    assert ((learned > 0) & (learned < 1)).all()


def test_a_cascade_leaves_to_each_what_those_before_do_not_claim():
    torch.manual_seed(0)
    states = [torch.randn(6, 3) for _ in range(3)]
    head = mixed(3)
    logits, weight = head.told(states, {})
    one, two = (Confidence()(s) for s in states[:2])
    torch.testing.assert_close(weight, torch.stack([one, (1 - one) * two, (1 - one) * (1 - two)], 1))
    torch.testing.assert_close(weight.sum(1), torch.ones(6))
    wanted = sum(weight[:, m : m + 1] * logits[m].softmax(1) for m in range(3))
    torch.testing.assert_close(head(states, {}).softmax(1), wanted)


def test_what_is_drawn_is_the_mean_over_draws():
    torch.manual_seed(0)
    states = [torch.randn(4, 3) for _ in range(2)]
    found = mixed(answer="drawn")(states, {}).softmax(1)
    logits, weight = mixed().told(states, {})
    votes = torch.zeros(4, 3)
    for _ in range(4000):
        weak = torch.rand(4) < weight[:, 0]
        best = torch.where(weak, logits[0].argmax(1), logits[1].argmax(1))
        votes[torch.arange(4), best] += 1 / 4000
    assert (votes - found).abs().max() < 0.04


def test_heads_of_embeddings_answer_for_the_nodes_asked_for():
    states = [torch.randn(5, 3), torch.randn(5, 3)]
    nodes = torch.tensor([4, 1])
    torch.testing.assert_close(mixed()(states, {"nodes": nodes}), mixed()(states, {})[nodes])


@pytest.mark.parametrize("dispersion", ["variance", "entropy"])
@pytest.mark.parametrize("better", [True, False])
def test_a_weak_expert_that_is_beaten_withdraws_and_one_that_wins_is_surer_than_its_shares(dispersion, better):
    """Theorem of Mowst: of C(p) CE(a, p) + (1 - C(p)) L the minimiser has C = 0 where L < H(a), else C >= C(a)."""
    torch.manual_seed(0)
    a = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    entropy = -(a * a.log()).sum()
    strong = entropy * (1.3 if better else 0.7)
    confidence = Confidence(dispersion)
    logits = torch.randn(64, 3, dtype=torch.float64).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.05)
    for _ in range(600):
        c = confidence(logits)
        loss = c * -(a * logits.log_softmax(1)).sum(1) + (1 - c) * strong
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
    best = confidence(logits.detach()[loss.argmin()][None]).item()
    if better:
        assert best >= confidence(a.log()[None]).item()
    else:
        assert best < 1e-3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Confidence("varance"), "variance"),
        (lambda: Confidence(power=0), "positive"),
        (lambda: Mixed([Held(), Held()], []), "1 confidences"),
        (lambda: mixed(answer="drown"), "drawn"),
    ],
)
def test_wrong_settings_are_told(make, words):
    with pytest.raises(SemblanceError, match=words):
        make()
