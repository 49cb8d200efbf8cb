"""The transformer on patches: what a token sees, which pictures it reads, and what a hidden patch costs."""

from __future__ import annotations

import pytest
import torch

from semblance.data.dataset import Shape
from semblance.encoders.vision.patches import Patches, patches_of, positions
from semblance.errors import SemblanceError


def net(**axes) -> Patches:
    torch.manual_seed(0)
    return Patches(3, patch=4, width=16, blocks=2, heads=2, **axes).eval()


def pictures(n: int = 2, height: int = 16, width: int = 12) -> torch.Tensor:
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_patches_are_cut_row_by_row():
    x = pictures()
    patches = net().cut(x)
    assert patches.shape == (2, 12, 48)
    torch.testing.assert_close(patches[:, 4], x[:, :, 4:8, 4:8].flatten(1))


@pytest.mark.parametrize("readout", ["mean", "class"])
def test_seeing_all_places_is_seeing_the_picture(readout):
    model, x = net(readout=readout), pictures()
    everywhere = torch.arange(12).expand(2, -1)
    torch.testing.assert_close(model.visible(x, everywhere), model.visible(x))
    torch.testing.assert_close(model.embed({"x": x, "places": everywhere}), model.embed({"x": x}))
    tokens, present = model({"x": x})
    assert tokens.shape == (2, 12, 16) and present.all() and model.embed({"x": x}).shape == (2, model.dim)


def test_the_order_of_places_only_orders_the_tokens():
    model, x = net(), pictures()
    some = torch.tensor([[7, 2, 5]] * 2)
    back = torch.tensor([[5, 7, 2]] * 2)
    torch.testing.assert_close(model.visible(x, some)[:, [2, 0, 1]], model.visible(x, back))


def test_where_a_patch_stands_matters():
    model, x = net(), pictures(1, 8, 8)
    turned = x.roll(4, 3)  # the same patches at other places
    assert (model.embed({"x": x}) - model.embed({"x": turned})).abs().max() > 1e-3
    assert positions(3, 4, 16, x).shape == (12, 16) and len(positions(3, 4, 16, x).unique(dim=0)) == 12


def test_smaller_crops_are_read_too_and_others_refused_in_words():
    assert net().embed({"x": pictures(2, 8, 8)}).shape == (2, 16)
    with pytest.raises(SemblanceError, match="10 by 12 pixels do not divide into patches of 4"):
        net().embed({"x": pictures(2, 10, 12)})


@pytest.mark.parametrize(("side", "patch"), [(8, 2), (28, 4), (32, 4), (224, 14), (96, 6), (65, 1)])
def test_the_patch_suits_the_picture(side, patch):
    assert patches_of()(Shape("images", (1, side, side), 0, 10)).patch == patch


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: net(readout="last"), "read-out"),
        (lambda: Patches(width=18), "multiple of 4"),
        (lambda: patches_of(5)(Shape("images", (1, 28, 28), 0, 1)), "patches of 5"),
        (lambda: patches_of()(Shape("vectors", (7,), 0, 1)), "cut from images"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(make, words):
    with pytest.raises(SemblanceError, match=words):
        make()
