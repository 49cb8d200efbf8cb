"""Axes of channels: permuting one leaves the function, whatever the network joins by residual sums, maps or norms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semblance.analysis.channel_axes import channel_axes
from semblance.analysis.channels import Axis, axis_named, permuted, slices, with_channels
from semblance.encoders.vision.stagenet import stage_net
from semblance.errors import SemblanceError
from semblance.heads.classify import Linear
from semblance.learning.parts import Network


def convolutional() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 5, 1), nn.Tanh(), nn.Flatten()),
        *(nn.Linear(5 * 16, 9), nn.BatchNorm1d(9), nn.GELU(), nn.Dropout(), nn.Linear(9, 4)),
    )


class Tokens(nn.Module):
    """A layer over positions [N, T, C], with a residual sum, and a mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.up, self.down, self.last = nn.Linear(3, 8), nn.Linear(8, 12), nn.Linear(12, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        h = h + self.down(torch.relu(self.up(h)))
        return self.last(h).mean(1)


class Recurrent(nn.Module):
    """One layer, called twice: what makes a channel reads it, too."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.turn, self.last = nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.turn(torch.relu(self.turn(torch.relu(self.first(x)))))))


def stages(row: str, **axes) -> nn.Module:
    net = stage_net(row, channels=3, size=(16, 16), **axes)
    return Network(net, Linear(net.dim, 4))


NETS = {
    "convolutions, norms, a flattened map": (convolutional(), torch.randn(5, 2, 14, 14)),
    "tokens with a residual sum": (Tokens(), torch.randn(5, 7, 3)),
    "a stage net": (stages("small"), {"x": torch.randn(4, 3, 16, 16)}),
    "a residual net": (stages("resnet18-small-image", width=4), {"x": torch.randn(4, 3, 16, 16)}),
}


def evaluated(net: nn.Module) -> nn.Module:
    """In float64, with norms that have seen something."""
    torch.manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_(), layer.running_var.uniform_(0.5, 2), layer.weight.data.uniform_(0.5, 2)
    return net.double().eval()


def doubled(x):
    return {"x": x["x"].double()} if isinstance(x, dict) else x.double()


@pytest.mark.parametrize("name", NETS)
def test_channels_in_another_order_give_the_same_outputs(name):
    net, x = evaluated(NETS[name][0]), doubled(NETS[name][1])
    free = [axis for axis in channel_axes(net, x) if not axis.fixed]
    assert free
    changed = net
    for axis in free:
        changed = permuted(changed, axis, torch.randperm(axis.size))
    torch.testing.assert_close(changed(x), net(x), rtol=1e-9, atol=1e-9)


def test_a_table_that_lacks_a_tensor_is_found_out():
    net, x = evaluated(NETS["a residual net"][0]), doubled(NETS["a residual net"][1])
    axis = next(axis for axis in channel_axes(net, x) if not axis.fixed)
    lame = Axis(axis.name, axis.size, axis.slots[:-1])
    assert (permuted(net, lame, torch.arange(axis.size).flip(0))(x) - net(x)).abs().max() > 1e-3


def test_channels_joined_by_residual_sums_are_one_axis():
    x = torch.zeros(2, 7, 3)
    axes = {axis.name: axis for axis in channel_axes(Tokens(), x)}
    assert set(axes) == {"first", "up", "last"}  # what `down` makes is what `first` made
    assert {slot.tensor for slot in axes["first"].slots} == {
        *("first.weight", "first.bias", "up.weight", "down.weight", "down.bias", "last.weight")
    }
    assert axes["last"].fixed and not axes["first"].fixed


def test_a_flattened_map_gives_every_channel_its_places():
    net = convolutional()
    axes = channel_axes(net, torch.zeros(2, 2, 14, 14))
    (slot,) = [s for s in axis_named(axes, "5").slots if s.reads]
    assert (slot.tensor, slot.block) == ("8.weight", 16)
    assert slices(net, axis_named(axes, "5")).shape == (5, 6 + 1 + 16 * 9)


def test_a_depthwise_layer_is_of_the_axis_that_it_reads():
    names = [axis.name for axis in channel_axes(convolutional(), torch.zeros(2, 2, 14, 14))]
    assert names == ["0", "5", "8", "12"]


def test_a_layer_that_is_called_twice_keeps_its_channels_and_those_it_reads():
    assert all(axis.fixed for axis in channel_axes(Recurrent(), torch.zeros(2, 3)))


def test_fewer_channels_are_an_ordinary_smaller_module():
    net = convolutional().eval()
    x = torch.randn(3, 2, 14, 14)
    axis = axis_named(channel_axes(net, x), "0")
    choice = torch.eye(6, dtype=torch.float64)[[0, 2, 5]]
    thin = with_channels(net, axis, choice, choice)
    assert (thin[0].out_channels, thin[1].num_features) == (3, 3)
    assert (thin[4].groups, thin[4].in_channels, thin[5].in_channels) == (3, 3, 3)
    assert thin(x).shape == (3, 4) and net[0].out_channels == 6
    thin(x).sum().backward()
    assert thin[0].weight.grad is not None


def test_what_cannot_be_narrowed_is_refused_in_one_line():
    net, x = convolutional(), torch.randn(3, 2, 14, 14)
    axes = channel_axes(net, x)
    with pytest.raises(SemblanceError, match="input or output"):
        permuted(net, axis_named(axes, "12"), torch.arange(4))
    with pytest.raises(SemblanceError, match="no axis of channels"):
        axis_named(axes, "13")

    class Forked(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(SemblanceError, match="cannot be traced"):
        channel_axes(Forked(), x)
