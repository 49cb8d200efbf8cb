"""Modules of the user's as encoders, and encoders read at an earlier stage."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semblance.encoders.vision.stagenet import stage_net
from semblance.encoders.wrapped import AtStage, Wrapped
from semblance.errors import SemblanceError


def some(n, *shape):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(0))


def test_vectors_of_a_wrapped_module_pass_through():
    module = nn.Linear(6, 3)
    encoder, x = Wrapped(module), some(4, 6)
    assert torch.equal(encoder.embed({"x": x}), module(x))
    assert encoder.dim == 3


def test_maps_of_a_wrapped_module_are_averaged_over_places():
    encoder, x = Wrapped(nn.Identity()), some(4, 3, 5, 6)
    torch.testing.assert_close(encoder.embed({"x": x}), x.reshape(4, 3, 30).mean(2))


def test_the_weights_of_a_wrapped_module_are_saved_with_the_encoder():
    encoder, other = Wrapped(nn.Linear(6, 3)), Wrapped(nn.Linear(6, 3))
    other.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder.embed({"x": some(2, 6)}), other.embed({"x": some(2, 6)}))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda x: x[:, 0], r"shape \(4,\)"),
        (lambda x: x[:2], r"4 items with a tensor of shape \(2, 6\)"),
        (lambda x: x[:, None], r"shape \(4, 1, 6\)"),
        (lambda x: (x, x), "a tuple"),
    ],
)
def test_an_answer_that_is_no_embedding_is_refused(answer, says):
    class Odd(nn.Module):
        def forward(self, x):
            return answer(x)

    with pytest.raises(SemblanceError, match=says):
        Wrapped(Odd()).embed({"x": some(4, 6)})


def test_a_width_that_changes_is_refused():
    encoder = Wrapped(nn.Flatten())
    encoder.embed({"x": some(2, 1, 3, 1)})
    with pytest.raises(SemblanceError, match="12 columns after 3"):
        encoder.embed({"x": some(2, 3, 4)})


def test_a_width_asked_for_too_early_says_what_to_do():
    with pytest.raises(SemblanceError, match="embed one item first"):
        _ = Wrapped(nn.Flatten()).dim


def test_an_encoder_read_at_a_stage_gives_that_stages_mean():
    net = stage_net("small", channels=1, width=4).eval()
    x = some(2, 1, 16, 16)
    encoder = AtStage(net, 1)
    torch.testing.assert_close(encoder.embed({"x": x}), net({"x": x})[1].mean((2, 3)))
    assert encoder.dim == encoder.embed({"x": x}).shape[1] == 8


def test_a_stage_that_does_not_exist_is_refused():
    with pytest.raises(SemblanceError, match="stage is 4, but this encoder has stages 0 to 3"):
        AtStage(stage_net("small"), 4)
