"""Signals: rules against autograd and their own formulas, integrals that sum up, and the test that weights matter."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.analysis.backward_rules import RULES, backward_rule
from semblance.analysis.saliency import (
    cells,
    class_model,
    gradient,
    integrated,
    occluded,
    over_crops,
    places,
    squares,
    strength,
    upsampled,
)
from semblance.encoders.vision.stagenet import stage_net
from semblance.errors import SemblanceError

X = torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Two convolutions, every spelling of a ReLU, a pooling."""

    def __init__(self, bent: bool = True):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second, self.last = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 8, 3), nn.Linear(8 * 16, 4)
        self.relu = nn.ReLU(inplace=True) if bent else nn.Identity()
        self.bent = bent

    def forward(self, x):
        y = F.max_pool2d(self.relu(self.first(x)), 2)
        y = self.second(F.pad(y, (1, 1, 1, 1)))[:, :, :4, :4]
        return self.last((torch.relu(y) if self.bent else y).flatten(1))


def score(net):
    return lambda x: net(x)[:, 2]


def test_the_rule_gradient_is_autograd():
    net, x = Net(), X.clone().requires_grad_()
    (expected,) = torch.autograd.grad(net(x)[:, 2].sum(), x)
    assert torch.equal(gradient(score(net), X), expected)


@pytest.mark.parametrize("rule", RULES)
def test_without_relus_every_rule_is_the_gradient(rule):
    straight = Net(bent=False)
    torch.testing.assert_close(gradient(score(straight), X, rule), gradient(score(straight), X))


@pytest.mark.parametrize("bend", [F.relu, torch.relu, nn.ReLU(inplace=True), torch.Tensor.relu])
@pytest.mark.parametrize(
    ("rule", "expected"), [("gradient", [0, -2, 3]), ("deconvnet", [1, 0, 3]), ("guided", [0, 0, 3])]
)
def test_rules_are_their_formulas_in_every_spelling(bend, rule, expected):
    x = torch.tensor([-1.0, 1.0, 2.0], requires_grad=True)
    with backward_rule(rule):
        y = (bend(x * 1) * torch.tensor([1.0, -2.0, 3.0])).sum()
    assert torch.autograd.grad(y, x)[0].tolist() == expected


def test_a_rule_ends_with_its_block_and_leaves_values_alone():
    net = stage_net("small", channels=1).eval()  # its norms take the ReLU along
    with torch.no_grad(), backward_rule("guided"):
        inside = net.embed({"x": X})
    with torch.no_grad():
        assert torch.equal(inside, net.embed({"x": X}))

    def one(x):
        return net.embed({"x": x})[:, 0]

    guided, plain = gradient(one, X, "guided"), gradient(one, X)
    assert not torch.allclose(guided, plain)
    torch.testing.assert_close(gradient(one, X), plain)


def test_integrals_sum_to_what_was_gained():
    net = Net()
    shares = integrated(score(net), X, steps=200)
    with torch.no_grad():
        gained = score(net)(X) - score(net)(torch.zeros_like(X))
    torch.testing.assert_close(shares.flatten(1).sum(1), gained, atol=0.01, rtol=0.01)


def test_occlusion_is_the_target_of_the_hidden_picture():
    net, hidden = Net(), squares((12, 12), 4, 4)
    found = occluded(score(net), X, hidden, 0.5)
    assert found.shape == (3, 9) and hidden.sum((1, 2)).tolist() == [16] * 9
    by_hand = X[1:2].clone()
    by_hand[0, 0, 4:8, 0:4] = 0.5
    with torch.no_grad():
        assert found[1, 3].item() == pytest.approx(score(net)(by_hand).item())


def test_cells_are_sums_over_a_grid():
    w = torch.arange(24.0).view(1, 4, 6)
    assert cells(w, (2, 3)).tolist() == [[w[0, i : i + 2, j : j + 2].sum().item() for i in (0, 2) for j in (0, 2, 4)]]
    assert places((4, 6), (2, 3))[3, 5] == 5
    assert upsampled(cells(w, (2, 3)), (2, 3), (4, 6)).shape == (1, 4, 6)


def test_the_class_model_of_a_linear_classifier_is_its_weights():
    weight = torch.randn(5, 9, generator=torch.Generator().manual_seed(2))
    found = class_model(lambda x: x.flatten(1) @ weight.T, torch.tensor([1, 4]), (1, 3, 3), penalty=0.2, steps=400)
    torch.testing.assert_close(found.flatten(1), weight[[1, 4]] / 0.4, atol=1e-4, rtol=1e-4)
    assert torch.equal(
        strength(gradient(lambda x: x.flatten(1) @ weight[3], found)), weight[[3, 3]].abs().view(2, 3, 3)
    )


def test_crops_are_put_back_where_they_were():
    weight = torch.rand(8, 8)
    found = over_crops(lambda x: (x[:, 0] * weight).sum((1, 2)), torch.zeros(2, 1, 8, 8), 8)
    torch.testing.assert_close(found[0], (weight + weight.flip(1)) / 2)
    assert over_crops(lambda x: x.sum((1, 2, 3)), torch.zeros(1, 1, 10, 10), 8).allclose(torch.ones(10, 10))
    with pytest.raises(SemblanceError, match="crop is 11"):
        over_crops(lambda x: x.sum((1, 2, 3)), torch.zeros(1, 1, 10, 10), 11)


def test_what_cannot_be_done_is_said():
    with pytest.raises(SemblanceError, match="use occlusion"):
        gradient(lambda x: x.detach().sum((1, 2, 3)), X)
    with pytest.raises(SemblanceError, match="did you mean guided"):
        gradient(score(Net()), X, "guide")
    with pytest.raises(SemblanceError, match="steps is 0"):
        integrated(score(Net()), X, steps=0)
    with pytest.raises(SemblanceError, match="did you mean score"):
        class_model(Net(), torch.tensor([0]), (1, 12, 12), objective="scores")
    with pytest.raises(SemblanceError, match="grows for ever"):
        class_model(Net(), torch.tensor([0]), (1, 12, 12), penalty=0)
