"""Deconvnet: switches that undo a pooling, reconstructions that stay in their field, and changes with known answers."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.analysis.deconvnet import (
    Field,
    correspondence,
    diagnose,
    energy_window,
    pooled,
    receptive_field,
    reconstruction,
    relative_change,
    renormalise,
    root_mean_square,
    strongest,
    transformed,
    unpooled,
)
from semblance.analysis.saliency import gradient
from semblance.errors import SemblanceError

X = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))


def layers(bent: bool = True, stride: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    between = nn.ReLU if bent else nn.Identity
    return nn.Sequential(
        nn.Conv2d(3, 6, 5, padding=2, stride=stride),
        between(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        between(),
    )


def test_pooling_what_was_unpooled_gives_it_back():
    y, switches = pooled(X, 2)
    back = unpooled(y, switches, (20, 20))
    assert torch.equal(pooled(back, 2)[0], y) and (back > 0).sum() == y.numel()
    assert torch.equal(torch.where(back > 0, X, 0), back)


def test_overlapping_windows_keep_their_switches():
    y, switches = pooled(X, 3, 2)
    assert torch.equal(pooled(unpooled(y, switches, (20, 20)), 3, 2)[0], y)


def test_a_reconstruction_by_hand_is_the_rules():
    net, place = layers(), (4, 5)
    first, _, _, second, _ = net
    with torch.no_grad():
        bent = F.relu(first(X[:1]))
        y, switches = pooled(bent, 2)
        z = F.relu(second(y))
        unit = int(z[0, :, 4, 5].argmax())
        alone = torch.zeros_like(z)
        alone[0, unit, 4, 5] = z[0, unit, 4, 5]
        down = F.conv_transpose2d(F.relu(alone), second.weight, padding=1)
        down = unpooled(down, switches, (20, 20))
        down = F.conv_transpose2d(F.relu(down), first.weight, padding=2)
    torch.testing.assert_close(reconstruction(net, X[:1], unit, place), down[0])


def test_without_relus_a_reconstruction_is_the_gradient():
    net = layers(bent=False)
    found = reconstruction(net, X[:1], 3, (2, 2))
    with torch.no_grad():
        seed = net(X[:1])[0, 3, 2, 2]
    torch.testing.assert_close(found / seed, gradient(lambda x: net(x)[:, 3, 2, 2], X[:1])[0])


@pytest.mark.parametrize("stride", [1, 2])
def test_a_reconstruction_is_zero_outside_the_receptive_field_and_the_field_is_exact(stride):
    net = layers(bent=False, stride=stride)
    for place in itertools.product((0, 2, 4), repeat=2):
        field = receptive_field(net, place, (20, 20))
        x = torch.rand(200, 3, 20, 20, generator=torch.Generator().manual_seed(1))
        seen = (gradient(lambda x, p=place: net(x)[:, :, p[0], p[1]].sum(1), x) != 0).any(0).any(0)
        rows, columns = seen.any(1).nonzero()[:, 0], seen.any(0).nonzero()[:, 0]
        assert field == Field(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def test_the_strongest_pictures_come_first_with_their_place():
    maps = torch.zeros(4, 2, 3, 5)
    maps[2, 1, 2, 3], maps[0, 1, 0, 4] = 5, 3
    assert strongest(maps, 1, 2) == [(2, 2, 3), (0, 0, 4)]


def test_the_window_of_most_energy_is_found():
    picture = torch.zeros(3, 12, 12)
    picture[:, 4:7, 6:9] = -1
    assert energy_window(picture, 3) == (4, 6)


def test_shifts_turns_and_scales_are_what_they_say():
    torch.testing.assert_close(transformed(X, shift=(2, -3))[:, :, 2:, :-3], X[:, :, :-2, 3:], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(transformed(X, turn=90), X.rot90(-1, (2, 3)), atol=1e-5, rtol=1e-4)
    assert transformed(torch.ones(1, 1, 20, 20), scale=0.5).sum() == pytest.approx(100, rel=0.05)
    assert relative_change(lambda x: x, X, X).max() == 0
    assert relative_change(lambda x: x, X, 1.5 * X).tolist() == pytest.approx([0.5, 0.5])


def test_correspondence_is_the_mean_of_hamming_distances():
    x = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)).round()
    signs = x.sign()
    by_hand = [(signs[i] != signs[j]).float().mean() for i in range(5) for j in range(5) if i != j]
    assert correspondence(lambda x: x, x, torch.zeros_like(x)) == pytest.approx(float(torch.stack(by_hand).mean()))
    with pytest.raises(SemblanceError, match="no pair"):
        correspondence(lambda x: x, x[:1], x[:1])


def test_dead_and_aliasing_filters_are_told():
    first = nn.Conv2d(3, 4, 7, stride=2, bias=True)
    with torch.no_grad():
        first.weight.copy_(torch.ones_like(first.weight))
        first.bias.copy_(torch.tensor([0.0, -1e6, 0, 0]))
        first.weight[2] = torch.tensor([1.0, -1.0]).repeat(4)[:7].expand(3, 7, 7)  # as fast as pixels go
    found = diagnose(first, X)
    assert found.dead == 0.25 and found.aliased > 0.25 > diagnose(nn.Conv2d(3, 1, 7), X).aliased
    renormalise(first)
    assert root_mean_square(first).max() == pytest.approx(0.1)
