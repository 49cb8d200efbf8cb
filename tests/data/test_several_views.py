"""Views of different kinds, one within another, and small ones."""

from __future__ import annotations

import pytest
import torch

from semblance.data.dataset import Shape
from semblance.data.prepare import Prepare
from semblance.data.views import Maps, Several, Views, inside
from semblance.errors import SemblanceError

STILL = Views(scale=None, flip=False, jitter=0.0, grey=0.0)


def pictures(n: int = 3, side: int = 16):
    x = torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return x, Prepare(Shape("images", (3, side, side), 0, n), standardise=False)


def chances(count: int, seed: int = 0):
    return [torch.Generator().manual_seed(seed + k) for k in range(count)]


def test_each_kind_is_drawn_once_from_its_own_chance():
    x, prepare = pictures()
    kinds = (STILL, Views(scale=(0.3, 0.6)), Views(shrink=2))
    seen = Several(kinds).all(x, chances(3), prepare)
    assert [tuple(view.shape[2:]) for view in seen] == [(16, 16), (16, 16), (8, 8)]
    for view, kind, chance in zip(seen, kinds, chances(3), strict=True):
        assert torch.equal(view, kind(x, chance, prepare))


def test_a_small_view_is_the_mean_of_squares():
    x, prepare = pictures()
    small = Views(scale=None, flip=False, jitter=0.0, grey=0.0, shrink=4)(x, chances(1)[0], prepare)
    torch.testing.assert_close(small, prepare(x).unfold(2, 4, 4).unfold(3, 4, 4).mean((4, 5)))


def test_a_crop_inside_shows_nothing_that_the_outer_crop_does_not():
    views = Several((Views(scale=(0.2, 0.5)), Views(scale=(0.3, 0.5))), nested=True)
    item = (3, 16, 16)
    outer, inner = (kind.draw(200, item, chance) for kind, chance in zip(views.each, chances(2), strict=True))
    composed = inside(outer.coordinates, inner.coordinates)
    corners = torch.tensor([[0.0, 16, 0, 16], [0, 0, 16, 16]])

    def box(maps):
        at = maps[:, :, :2] @ corners + maps[:, :, 2:]
        return at.amin(2), at.amax(2)

    (low, high), (least, most) = box(outer.coordinates), box(composed)
    assert (least >= low - 1e-4).all() and (most <= high + 1e-4).all()
    assert ((most - least).prod(1) < 0.55 * (high - low).prod(1)).all()


def test_a_view_of_a_still_view_is_that_view_and_a_still_one_inside_is_the_outer():
    x, prepare = pictures()
    crop = Views(scale=(0.3, 0.6), flip=False, jitter=0.0, grey=0.0)
    same = Several((crop, STILL), nested=True).all(x, chances(2), prepare)
    torch.testing.assert_close(same[0], same[1])
    plain = Several((STILL, crop), nested=True).all(x, chances(2), prepare)[1]
    torch.testing.assert_close(plain, crop(x, chances(2)[1], prepare))
    assert isinstance(crop.draw(1, (3, 16, 16), chances(1)[0]), Maps)


def test_turned_views_come_in_reverse():
    x, prepare = pictures()
    kinds = (Views(scale=(0.5, 1.0)), Views(scale=(0.3, 0.5)))
    forth, back = (Several(kinds, nested=True, turned=turned).all(x, chances(2), prepare) for turned in (False, True))
    assert torch.equal(forth[0], back[1]) and torch.equal(forth[1], back[0])


def test_views_are_not_made_larger():
    with pytest.raises(SemblanceError, match="shrink is 0"):
        Views(shrink=0)
