"""Sanity: explanations of a trained network change when its weights are drawn anew, or are known not to."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.analysis.explain_images import METHODS as OFFERED
from semblance.analysis.sanity import FAILS, METHODS, MOST, randomisation, redrawn
from semblance.data.scenes import shape_scenes
from semblance.encoders.vision.stagenet import stage_net


@pytest.fixture(scope="module")
def network():
    """A small net that has begun to tell four shapes apart."""
    scenes = shape_scenes(400, 0)
    torch.manual_seed(0)
    net, head = stage_net("half", strides=(2, 2, 1, 1)), nn.Linear(64, 4)
    optimiser = torch.optim.Adam([*net.parameters(), *head.parameters()], lr=3e-3)
    x, y = torch.from_numpy(scenes.x), torch.from_numpy(scenes.present.argmax(1))
    for _ in range(4):
        for start in range(0, 400, 40):
            loss = F.cross_entropy(head(net.embed({"x": x[start : start + 40]})), y[start : start + 40])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return net.eval()


X = torch.from_numpy(shape_scenes(10, 1).x)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_passes_or_its_failure_is_stated(network, name):
    r = randomisation(METHODS[name], network, X)
    assert (r >= MOST) == (name in FAILS), f"{name}: rank correlation {r:.2f}"


def test_the_methods_that_explain_offers_are_all_tried():
    assert set(OFFERED) <= set(METHODS) and set(FAILS) <= set(METHODS)


def test_an_edge_detector_is_found_out(network):
    def edges(encoder, x):
        return x.diff(dim=2).abs().sum(1)

    assert randomisation(edges, network, X) == 1


def test_weights_are_drawn_anew_and_the_network_is_left_alone(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    other = redrawn(network, 0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    changed = [name for name, value in other.state_dict().items() if not torch.equal(value, before[name])]
    assert changed and all(before[name].ndim > 1 for name in changed)
