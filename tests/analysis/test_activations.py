"""What layers of any module say of the same inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from semblance.analysis.activations import activations, layers_named
from semblance.errors import SemblanceError

NET = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 36, 5))
BATCHES = [torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(n)) for n in (6, 3)]


def test_a_layer_s_activations_are_its_output() -> None:
    found = activations(NET, BATCHES, ["0", "4"])
    with torch.no_grad():
        np.testing.assert_allclose(found["0"], NET[0](torch.cat(BATCHES)).flatten(1), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found["4"], NET.eval()(torch.cat(BATCHES)), rtol=1e-5, atol=1e-6)


def test_channels_are_averaged_over_positions_or_every_position_is_a_sample() -> None:
    flat, mean, position = (activations(NET, BATCHES, ["0"], unit)["0"] for unit in ("flat", "mean", "position"))
    maps = flat.reshape(9, 4, 36)
    np.testing.assert_allclose(mean, maps.mean(2), atol=1e-6)
    np.testing.assert_allclose(position, maps.transpose(0, 2, 1).reshape(-1, 4))


@pytest.mark.parametrize("training", [True, False])
def test_the_module_is_left_as_it_was(training: bool) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).train(training)
    before = net[1].running_mean.clone()
    batch = torch.randn(5, 3)
    activations(net, [(batch, torch.zeros(5)), {"input": batch}], ["1"])
    assert net.training is training
    assert not net[1]._forward_hooks
    assert torch.equal(net[1].running_mean, before)


def test_layers_are_found_by_pattern_in_the_order_of_the_module() -> None:
    net = nn.ModuleDict({"b": nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), "a": nn.Linear(2, 2)})
    assert layers_named(net, ["a", "b.*"]) == ["b.0", "b.1", "a"]


class Odd(nn.Module):
    """Layers in a list, which is never called; one that counts, one that nobody calls, one that gives a number."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 4), nn.Linear(4, 2)])
        self.unused, self.flat = nn.Linear(2, 2), nn.Flatten(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.flat(x)


def test_a_pattern_leaves_out_what_has_no_row_an_item_and_a_name_does_not() -> None:
    batches = [torch.ones(5, 3)]
    assert list(activations(Odd(), batches, ["*"])) == ["layers.0", "layers.1"]
    for name, said in (("layers", "never called"), ("unused", "never called"), ("flat", "not a tensor of a row")):
        with pytest.raises(SemblanceError, match=said):
            activations(Odd(), batches, ["layers.0", name])
    with pytest.raises(SemblanceError, match="the layer unused was never called"):
        activations(Odd(), batches, ["unuse?"])


def test_what_is_no_layer_is_said() -> None:
    with pytest.raises(SemblanceError, match="layer"):
        activations(NET, BATCHES, ["conv1"])
    with pytest.raises(SemblanceError, match="the layer 0 was never called"):
        activations(NET, [], ["0"])
    with pytest.raises(SemblanceError, match="not a tensor of a row an item"):
        activations(nn.Sequential(nn.Linear(3, 3), nn.Flatten(0)), [torch.ones(2, 3)], ["1"])
    assert not NET[0]._forward_hooks
