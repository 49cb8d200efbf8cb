"""Series on graphs: convolutions do not see the future, filters act at every step alike, depth 0 hears no neighbour."""

import numpy as np
import pytest
import torch

from semblance.data.heat import heat_on_a_ring
from semblance.encoders.graphs.bases import Chebyshev
from semblance.encoders.graphs.propagate import Filter, Matrices
from semblance.encoders.graphs.temporal import DiffusionGru, Dilated, Gated, GatedTime, at_every_step
from semblance.errors import SemblanceError

DATA = heat_on_a_ring({"train": 4, "val": 2, "test": 2}, sensors=8, history=6)


def windows(count=3):
    batch = DATA.read(np.arange(count))
    return batch["x"].double()[:, :, None], batch["graph"]


@pytest.mark.parametrize("dilation", [1, 2])
def test_a_convolution_over_time_does_not_see_the_future(dilation):
    x, layer = torch.randn(3, 7, 2, dtype=torch.float64), GatedTime(2, 4, 3, dilation).double()
    found = layer(x)
    other = x.clone()
    other[:, 4:] = 9.0
    assert torch.allclose(layer(other)[:, :4], found[:, :4]) and (layer(other)[:, 4:] != found[:, 4:]).all()
    steps = [x[:, 6 - back * dilation] if back * dilation <= 6 else 0 * x[:, 0] for back in (2, 1, 0)]
    mapped = sum(s @ layer.map.weight[:, :, k].T for k, s in enumerate(steps)) + layer.map.bias
    value = mapped[:, :4] + torch.nn.functional.pad(x[:, 6], (0, 2))
    assert torch.allclose(found[:, 6], value * torch.sigmoid(mapped[:, 4:]))


def test_a_filter_over_a_series_is_the_filter_at_every_step():
    x, graph = windows()
    layer = Filter(2, Matrices(1, 3, 2), Chebyshev(), "symmetric").double()
    wanted = torch.stack([layer(step, graph) for step in x.unbind(1)], 1)
    assert torch.allclose(at_every_step(layer, x, graph), wanted)


def test_a_unit_of_depth_zero_hears_no_neighbour_and_is_the_usual_one():
    x, graph = windows()
    layer = DiffusionGru(3, 0).double()
    state = torch.zeros(len(x), 3, dtype=torch.float64)
    gates, candidate = layer.gates.mix, layer.candidate.mix
    for step in x.unbind(1):
        keep, reset = torch.sigmoid(torch.cat([step, state], 1) @ gates.weight[0] + gates.bias).chunk(2, 1)
        found = torch.tanh(torch.cat([step, reset * state], 1) @ candidate.weight[0] + candidate.bias)
        state = keep * state + (1 - keep) * found
    assert torch.allclose(layer(x, graph), state)
    other = x.clone()
    other[0] += 1
    assert torch.equal(layer(other, graph)[1:], state[1:])
    near = DiffusionGru(3, 1).double()
    moved = (near(other, graph) != near(x, graph)).any(1)
    assert moved[:8].all() and not moved[8:].any()  # over six steps the whole ring hears of it, other rings do not


def test_the_learned_graph_mixes_within_a_window_by_place():
    x, graph = windows()
    layer = Dilated(4, layers=1, sensors=8).double()
    states = torch.randn(24, 6, 4, dtype=torch.float64)
    weight = torch.relu(layer.target @ layer.source.T).softmax(1)
    wanted = torch.einsum("ij,wjtc->witc", weight, states.view(3, 8, 6, 4)).reshape(24, 6, 4)
    assert torch.allclose(layer.over_learned(states, graph), wanted)
    with pytest.raises(SemblanceError, match="set sensors=8"):
        Dilated(4, sensors=5).double()(x, graph)


def test_what_is_learned_reaches_every_network_of_series():
    x, graph = windows()
    for network in (Gated([Filter(1, Matrices(4, 4, 1)) for _ in range(2)], 4), Dilated(4, 2, 1, 0), DiffusionGru(4)):
        network.double()(x, graph).sum().backward()
        assert all(p.grad is not None for p in network.parameters())


def test_heat_moves_by_its_equation_and_nothing_is_heated_after_the_window():
    data = heat_on_a_ring({"train": 30, "test": 2}, sensors=10, history=5, ahead=2, flow=0.6, loss=0.1, seed=4)
    x = data.x.reshape(32, 10, 5).astype(np.float64)

    def cooled(u):
        return 0.9 * (0.4 * u + 0.3 * (np.roll(u, 1, 1) + np.roll(u, -1, 1)))

    heated = np.stack([x[..., t + 1] - cooled(x[..., t]) for t in range(4)])
    assert (heated > -1e-5).all() and 0.02 < (heated > 1e-4).mean() < 0.08
    assert np.allclose(cooled(cooled(x[..., 4])), data.node_targets["node_labels"].reshape(32, 10), atol=1e-5)
