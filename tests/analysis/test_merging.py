"""Merging: split channels are joined again, exactly; others only as far as they are told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from semblance.analysis.channel_axes import channel_axes
from semblance.analysis.channels import axis_named, permuted
from semblance.analysis.fine_tuning import drawn_module
from semblance.analysis.merging import (
    correlations_on,
    feature_complexity,
    joined,
    merge_channels,
    prune_channels,
    split_channels,
)
from semblance.errors import SemblanceError
from semblance.objectives.projector import perceptron
from semblance.testing import check_report


def plain(seed: int = 0) -> nn.Module:
    return drawn_module(lambda: perceptron((6, 12, 10, 3), hidden_norm=False), seed).double()


X = torch.randn(40, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def split(net: nn.Module, seed: int, most: int = 3) -> nn.Module:
    chance = np.random.default_rng(seed)
    for layer in ("0", "2"):
        axis = axis_named(channel_axes(net, X), layer)
        net = split_channels(net, axis, chance.integers(1, most + 1, axis.size))
    return net


@settings(max_examples=12)
@given(st.integers(0, 1000))
def test_split_channels_are_joined_again(seed):
    net = plain(seed)
    wide = split(net, seed)
    torch.testing.assert_close(wide(X), net(X), rtol=0, atol=1e-12)
    found = merge_channels(wide, X, beta=1e-6, least=0)
    assert found.kept == {"0": 12, "2": 10}
    torch.testing.assert_close(found.module(X), net(X), rtol=0, atol=1e-10)


def test_split_convolutions_with_norms_are_joined_again():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 16, 3)).double()
    net[1].running_mean.normal_(), net[1].running_var.uniform_(0.5, 2)
    x = torch.randn(7, 1, 6, 6, dtype=torch.float64)
    net.eval()
    (axis, _) = channel_axes(net, x)
    wide = split_channels(net, axis, np.array([1, 3, 2, 1, 2]))
    found = merge_channels(wide, x, beta=1e-6, least=0)
    assert found.kept == {"0": 5} and list(found.groups["0"]) == [0, 1, 1, 1, 2, 2, 3, 4, 4]
    torch.testing.assert_close(found.module(x), net(x), rtol=0, atol=1e-10)


def pairs_by_loops(points: np.ndarray, beta: float, least: int) -> list[list[int]]:
    """The rule as it is written: means of the points within, all distances made anew."""
    groups = [[i] for i in range(len(points))]
    largest = max(np.linalg.norm(a - b) for a in points for b in points)
    while len(groups) > least:
        far = {}
        for j in range(len(groups)):
            for i in range(j):
                one, two = groups[i], groups[j]
                weight = 2 * len(one) * len(two) / (len(one) + len(two))
                far[i, j] = weight**0.5 * np.linalg.norm(points[one].mean(0) - points[two].mean(0))
        (i, j), smallest = min(far.items(), key=lambda item: item[1])
        if not smallest < beta * largest:
            break
        groups[i] += groups.pop(j)
    return sorted(sorted(g) for g in groups)


@given(st.integers(0, 1000), st.floats(0.1, 0.9), st.integers(1, 12))
def test_groups_are_those_of_the_rule(seed, beta, least):
    points = np.random.default_rng(seed).normal(size=(14, 3))
    group = joined(points, beta, least)
    assert sorted(np.flatnonzero(group == k).tolist() for k in range(group.max() + 1)) == pairs_by_loops(
        points, beta, least
    )


def test_the_order_of_channels_does_not_matter():
    net = split(plain(), 1)
    other = net
    for layer in ("0", "2"):
        axis = axis_named(channel_axes(net, X), layer)
        other = permuted(other, axis, torch.randperm(axis.size, generator=torch.Generator().manual_seed(2)))
    for beta in (0.01, 0.3, 0.6, 0.9):
        one, two = merge_channels(net, X, beta), merge_channels(other, X, beta)
        assert one.kept == two.kept
        torch.testing.assert_close(one.module(X), two.module(X), rtol=0, atol=1e-9)


def test_a_network_without_equal_channels_stays_as_it_is():
    net = plain()
    found = merge_channels(net, X, beta=1e-3)
    assert found.kept == {"0": 12, "2": 10}
    assert torch.equal(found.module(X), net(X))


def test_joining_stops_at_the_least_share_or_goes_to_the_number_asked():
    net = plain()
    assert merge_channels(net, X, beta=1.0, least=0.5).kept == {"0": 6, "2": 5}
    assert merge_channels(net, X, to=3).kept == {"0": 3, "2": 3}
    assert merge_channels(net, X, to={"0": 4}).kept == {"0": 4, "2": 10}
    assert merge_channels(net, X, to=11).kept == {"0": 11, "2": 10}


def test_pruning_keeps_the_rows_of_largest_weights():
    net = plain()
    found = prune_channels(net, X, {"0": 4})
    rows = torch.cat([net[0].weight, net[0].bias[:, None]], 1).abs().sum(1)
    assert set(np.flatnonzero(found.groups["0"] >= 0)) == set(rows.topk(4).indices.tolist())
    torch.testing.assert_close(found.module[0].weight, net[0].weight[found.groups["0"] >= 0])


def test_correlation_joins_what_says_the_same_with_another_scale():
    net = plain()
    with torch.no_grad():
        net[0].weight[3], net[0].bias[3] = 5 * net[0].weight[1], 5 * net[0].bias[1]
    by_weights, by_correlation = (
        merge_channels(net, X, to={"0": 11}),
        merge_channels(net, X, to={"0": 11}, describe=correlations_on(X)),
    )
    assert by_correlation.groups["0"][1] == by_correlation.groups["0"][3]
    assert by_weights.groups["0"][1] != by_weights.groups["0"][3]


def test_complexity_is_a_report_of_one_network_or_of_its_training():
    net = plain()
    one = feature_complexity(split(net, 3), X, betas=(1e-6, 0.5), least=0)
    assert [row["left"] for row in one.rows if row["beta"] == 1e-6] == [12, 10]
    check_report(one)
    two = feature_complexity({0: net, 100: split(net, 3)}, X, betas=(1e-6,), least=0)
    assert [(row["moment"], row["left"]) for row in two.rows] == [(0, 12), (0, 10), (100, 12), (100, 10)]
    assert "22 of" in str(two) and "at 100" in str(two)
    check_report(two)


def test_wrong_settings_are_refused_in_one_line():
    net = plain()
    with pytest.raises(SemblanceError, match="beta is 0"):
        merge_channels(net, X, beta=0)
    with pytest.raises(SemblanceError, match="no axis is called 7"):
        merge_channels(net, X, to={"7": 3})
    with pytest.raises(SemblanceError, match="0 channels"):
        merge_channels(net, X, to=0)
    with pytest.raises(SemblanceError, match="inside"):
        merge_channels(nn.Linear(6, 3).double(), X)
    with pytest.raises(SemblanceError, match="copies"):
        split_channels(net, axis_named(channel_axes(net, X), "0"), np.zeros(12, int))
