"""Vectors, and pictures read as one long vector."""

from __future__ import annotations

import pytest
import torch

from semblance.data.dataset import Shape
from semblance.encoders.vectors import Flat, Identity, flat
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Euclidean, Sphere

WIDTHS = [(), (5,), (16, 5)]


def made(widths, seed=0, inputs=12, **kwargs):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Flat(inputs, widths, **kwargs)


def some(n, *shape, seed=0):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


def test_the_identity_hands_vectors_on_untouched():
    x = some(3, 7)
    assert Identity(7).embed({"x": x}) is x
    assert Identity(7).geometry == Sphere()
    assert Identity(7, Euclidean()).geometry == Euclidean()


def test_without_widths_a_picture_is_its_pixels():
    x = some(3, 1, 3, 4)
    assert torch.equal(made(()).embed({"x": x}), x.reshape(3, 12))


def test_with_one_width_it_is_a_linear_map():
    encoder, a, b = made((5,)).eval(), some(2, 12), some(2, 12, seed=1)
    zero = encoder.embed({"x": torch.zeros(2, 12)})
    together = encoder.embed({"x": a + 2 * b}) - zero
    apart = encoder.embed({"x": a}) - zero + 2 * (encoder.embed({"x": b}) - zero)
    torch.testing.assert_close(together, apart)


def test_with_two_widths_it_is_not():
    encoder, a = made((16, 5)).eval(), some(2, 12)
    zero = encoder.embed({"x": torch.zeros(2, 12)})
    assert not torch.allclose(encoder.embed({"x": -a}) - zero, zero - encoder.embed({"x": a}))


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("norm", [True, False])
def test_an_embedding_does_not_depend_on_its_companions(widths, norm):
    encoder, x = made(widths, norm=norm).eval(), some(6, 12)
    torch.testing.assert_close(encoder.embed({"x": x})[:2], encoder.embed({"x": x[:2]}))


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("items", [0, 1])
def test_one_item_and_none_are_answered(widths, items):
    encoder = made(widths).eval()
    assert encoder.embed({"x": some(3, 12)[:items]}).shape == (items, encoder.dim)


@pytest.mark.parametrize("widths", WIDTHS[1:], ids=str)
def test_every_parameter_receives_a_gradient(widths):
    encoder = made(widths)
    (encoder.embed({"x": some(8, 12)}) * some(8, 5, seed=1)).sum().backward()
    assert not [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_float32_agrees_with_float64_and_a_copy_by_state_with_both(widths):
    encoder, exact, copy = made(widths).eval(), made(widths).double().eval(), made(widths, seed=1).eval()
    copy.load_state_dict(encoder.state_dict())
    x = some(4, 12)
    torch.testing.assert_close(encoder.embed({"x": x}).double(), exact.embed({"x": x.double()}))
    assert torch.equal(encoder.embed({"x": x}), copy.embed({"x": x}))


def test_the_lazy_part_counts_the_inputs_of_any_item():
    assert flat(5)(Shape("images", (3, 4, 2), 0, 9)).embed({"x": some(2, 3, 4, 2)}).shape == (2, 5)
    assert flat()(Shape("vectors", (7,), 0, 9)).dim == 7


def test_a_layer_without_units_is_refused():
    with pytest.raises(SemblanceError, match=r"\(3, 0\)"):
        Flat(4, (3, 0))
