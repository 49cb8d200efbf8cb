"""Units: names that planted detectors must get, hooks that leave nothing behind, attacks that arrive."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from semblance.analysis.units import (
    Quantile,
    accuracy_without,
    attack,
    balanced_accuracy,
    dissect,
    edited,
    importance,
)
from semblance.errors import SemblanceError
from semblance.testing.report import check_report

RNG = np.random.default_rng(0)


def planted(n: int = 120):
    """Masks of two squares at random places, and maps of five units: detectors of either, and three of nothing."""
    masks = np.zeros((n, 2, 16, 16), bool)
    for mask in masks:
        for k in range(2):
            r, c = RNG.integers(0, 13, 2)
            mask[k, r : r + 4, c : c + 4] = True
    noise = RNG.random((n, 3, 16, 16))
    return torch.from_numpy(np.concatenate([masks, noise], 1)).float(), masks


def test_planted_detectors_are_named_and_noise_is_not():
    x, masks = planted()
    found = dissect(lambda x: x, x.split(50), np.split(masks, [50, 100]), ("one", "two"), share=0.07)
    assert found.named.tolist() == [0, 1, -1, -1, -1] and found.count == {"one": 1, "two": 1}
    assert found.iou[0, 0] > 0.9 and found.best(1, 2)[0] == 1
    check_report(found)


def test_the_iou_is_the_one_of_the_whole_set():
    x, masks = planted(30)
    found = dissect(lambda x: x, x.split(10), np.split(masks, 3), ("one", "two"), share=0.07)
    on = x.numpy() > found.threshold[:, None, None]
    for unit in range(5):
        for k in range(2):
            both, either = (on[:, unit] & masks[:, k]).sum(), (on[:, unit] | masks[:, k]).sum()
            assert found.iou[unit, k] == pytest.approx(both / either)


def test_detectors_of_no_picture_in_particular_are_what_shuffled_masks_count():
    same = np.zeros((40, 1, 8, 8), bool)
    same[:, :, 2:6, 2:6] = True  # in one place in every picture, so that their order does not matter
    found = dissect(lambda x: x, [torch.from_numpy(same).float()], [same], ("fixed",), share=0.3)
    assert found.shuffled == 1
    with pytest.raises(SemblanceError, match="give one each"):
        dissect(lambda x: x, [], [same], ("fixed",))


def test_a_running_quantile_is_the_quantile_of_all():
    rows = np.random.default_rng(1).normal(size=(200_000, 2))
    sketch = Quantile(np.random.default_rng(0), 20_000)
    for part in np.array_split(rows, 33):
        sketch.add(part)
    assert len(sketch.kept) == 20_000 and sketch.seen == 200_000
    above = (rows > sketch.value(0.05)).mean(0)
    assert above == pytest.approx([0.05, 0.05], abs=0.006)
    small = Quantile(np.random.default_rng(0))
    small.add(rows[:100])
    np.testing.assert_array_equal(small.value(0.25), np.quantile(rows[:100], 0.75, axis=0))
    with pytest.raises(SemblanceError, match="no activation"):
        Quantile(np.random.default_rng(0)).value(0.1)


class Sum(nn.Module):
    """Two channels, the class being the larger of their sums."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, x):
        return self.layer(x).sum((2, 3))


def test_units_are_set_within_the_block_and_region_only():
    net, x = Sum(), torch.ones(3, 2, 4, 4)
    where = torch.zeros(4, 4, dtype=torch.bool)
    where[:2, :2] = True
    with edited(net.layer, [1], 0.0):
        assert net(x).tolist() == [[16, 0]] * 3
    with edited(net.layer, [0, 1], torch.tensor([2.0, 5.0]), where):
        assert net(x).tolist() == [[20, 32]] * 3
    assert net(x).tolist() == [[16, 16]] * 3 and not net.layer._forward_hooks


def test_what_a_class_needs_is_important_to_it():
    x = torch.rand(40, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    net, y = Sum(), torch.arange(40) % 2
    x[torch.arange(40), y] += 1
    found = importance(net, net.layer, 2, x, y, 2)
    assert found.min() == 0.5
    assert accuracy_without(net, net.layer, [], x, y, 0) == 1.0
    assert balanced_accuracy(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 1]), 0) == 0.75


def test_an_attack_reaches_its_class_by_a_small_change():
    torch.manual_seed(0)
    net, x = nn.Linear(6, 3), torch.randn(8, 6)
    target = (net(x).argmax(1) + 1) % 3
    found = attack(net, x, target, c=10.0, margin=0.1, steps=400)
    assert (net(found).argmax(1) == target).all()
    # The nearest point of the target's side, were it not for the margin.
    gap = net(x).amax(1) - net(x).gather(1, target[:, None])[:, 0]
    step = (net.weight[net(x).argmax(1)] - net.weight[target]).norm(dim=1)
    assert ((found - x).norm(dim=1) < 2 * (gap + 0.1) / step + 0.3).all()
