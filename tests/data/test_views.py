"""What views promise: the whole picture is the picture, draws stay in their ranges, and chance comes from the generator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.data.dataset import Shape
from semblance.data.views import (
    LUMINANCE,
    Maps,
    Prepare,
    Views,
    apply,
    cifar_views,
    default_views,
    digit_views,
    two_crops,
    views_picture,
)
from semblance.errors import SemblanceError

COLOUR = Shape("images", (3, 12, 10), 4, 20, (0.5, 0.45, 0.4), (0.25, 0.24, 0.26))
GREY = Shape("images", (1, 12, 12), 4, 20, (0.1,), (0.3,))
STILL = Views(scale=None, flip=False, jitter=0.0, grey=0.0)


def pictures(shape: Shape = COLOUR, n: int = 6, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, *shape.item), dtype=torch.uint8, generator=generator)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(maps: Maps) -> np.ndarray:
    return maps.coordinates[:, :, :2].numpy()


def test_preparation_gives_mean_zero_and_deviation_one_per_channel():
    x = pictures(n=50).float()
    x[:, 1] *= 0.3
    x = x.to(torch.uint8)
    unit = x.double() / 255
    mean, std = unit.mean((0, 2, 3)), unit.std((0, 2, 3), correction=0)
    y = Prepare(Shape("images", (3, 12, 10), 0, 50, tuple(mean.tolist()), tuple(std.tolist())))(x)
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_preparation_without_standardising_divides_images_by_255_and_leaves_vectors():
    x = pictures()
    torch.testing.assert_close(Prepare(COLOUR, standardise=False)(x), x.float() / 255)
    v = torch.randn(5, 3, generator=chance())
    torch.testing.assert_close(Prepare(Shape("vectors", (3,), 0, 5, (1.0,) * 3, (2.0,) * 3), standardise=False)(v), v)


def test_a_constant_column_is_centred_and_not_divided_by_zero():
    v = torch.full((4, 2), 7.0)
    y = Prepare(Shape("vectors", (2,), 0, 4, (7.0, 7.0), (0.0, 0.0)))(v)
    assert torch.equal(y, torch.zeros(4, 2))


@pytest.mark.parametrize("shape", [COLOUR, GREY, Shape("images", (4, 9, 9), 0, 5, (0.5,) * 4, (0.2,) * 4)], ids=str)
def test_a_view_that_changes_nothing_is_the_prepared_picture(shape):
    x, prepare = pictures(shape), Prepare(shape)
    torch.testing.assert_close(STILL(x, chance(), prepare), prepare(x), atol=1e-5, rtol=1e-5)


def test_the_same_generator_gives_the_same_view_and_the_global_seed_none():
    x, prepare, views = pictures(), Prepare(COLOUR), cifar_views()
    first = views(x, chance(3), prepare)
    torch.manual_seed(99)
    assert torch.equal(first, views(x, chance(3), prepare))
    assert not torch.equal(first, views(x, chance(4), prepare))


def test_the_number_of_threads_does_not_change_a_bit():
    x, prepare, before = pictures(n=70), Prepare(COLOUR), torch.get_num_threads()
    seen = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            seen.append(cifar_views()(x, chance(), prepare))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])


def test_colour_views_lie_in_channels_last_memory():
    y = cifar_views()(pictures(), chance(), Prepare(COLOUR))
    assert y.shape == (6, 3, 12, 10) and y.is_contiguous(memory_format=torch.channels_last)
    assert cifar_views()(pictures(), chance(), Prepare(COLOUR), torch.bfloat16).dtype == torch.bfloat16


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), low=st.floats(0.1, 0.9), height=st.integers(4, 40), width=st.integers(4, 40))
def test_crops_stay_inside_the_picture_and_keep_their_share_of_the_area(seed, low, height, width):
    maps = Views(scale=(low, 1.0), flip=False).draw(40, (3, height, width), chance(seed))
    across, down = maps.coordinates[:, 0, 0] * width, maps.coordinates[:, 1, 1] * height
    left, top = maps.coordinates[:, 0, 2], maps.coordinates[:, 1, 2]
    assert bool((left >= -1e-3).all() and (top >= -1e-3).all())
    assert bool((left + across <= width + 1e-3).all() and (top + down <= height + 1e-3).all())
    assert bool((across * down / (height * width) >= low - 1e-3).all())


def test_crop_areas_and_ratios_fill_their_ranges():
    maps = Views(scale=(0.2, 1.0), flip=False).draw(4000, (3, 32, 32), chance())
    share = maps.coordinates[:, 0, 0] * maps.coordinates[:, 1, 1]
    ratio = maps.coordinates[:, 0, 0] / maps.coordinates[:, 1, 1]
    assert share.min() < 0.22 and share.max() > 0.97 and 0.5 < share.mean() < 0.62
    assert 0.74 < ratio.min() < 0.78 and 1.28 < ratio.max() < 1.34


def test_half_of_the_views_are_mirrored():
    maps = Views(scale=None).draw(4000, (3, 32, 32), chance())
    assert abs(float((maps.coordinates[:, 0, 0] < 0).float().mean()) - 0.5) < 0.03
    mirrored = maps.coordinates[maps.coordinates[:, 0, 0] < 0][0]
    torch.testing.assert_close(mirrored, torch.tensor([[-1.0, 0.0, 32.0], [0.0, 1.0, 0.0]]))


def test_turns_and_zooms_are_a_rotation_over_a_scale_about_the_centre():
    views = digit_views()
    maps = views.draw(2000, (1, 28, 28), chance())
    a = linear(maps)
    zoom = 1 / np.sqrt(np.linalg.det(a))
    angle = np.degrees(np.arctan2(a[:, 1, 0], a[:, 0, 0]))
    assert 0.8 <= zoom.min() < 0.81 and 1.24 < zoom.max() <= 1.25 + 1e-4
    assert 29.5 < angle.max() <= 30.001 and -30.001 <= angle.min() < -29.5
    np.testing.assert_allclose(
        a @ a.transpose(0, 2, 1) * zoom[:, None, None] ** 2, np.tile(np.eye(2), (2000, 1, 1)), atol=1e-5
    )
    # Where the content's centre lands: the point that looks at (14, 14) is off the centre by the shift.
    looked_at = np.linalg.solve(a, 14 - maps.coordinates[:, :, 2].numpy()[:, :, None])[:, :, 0] - 14
    assert np.abs(looked_at).max() <= 4.001 and np.abs(looked_at).max() > 3.9


def test_a_positive_turn_of_a_quarter_turns_the_picture_by_a_quarter():
    x = pictures(GREY)
    quarter = torch.tensor([[[0.0, 1.0, 0.0], [-1.0, 0.0, 12.0]]]).repeat(len(x), 1, 1)
    views = Views(scale=None, flip=False, turn=90.0, jitter=0.0, grey=0.0)
    a = linear(views.draw(500, (1, 12, 12), chance()))
    assert np.abs(np.degrees(np.arcsin(a[:, 1, 0]))).max() > 85
    y = apply(x, Maps(quarter, torch.tensor([[[1.0, 0.0]]]).repeat(len(x), 1, 1)), Prepare(GREY, standardise=False))
    torch.testing.assert_close(y, torch.rot90(x, -1, (2, 3)).float() / 255, atol=1e-5, rtol=0)


def test_greyscale_views_have_three_equal_channels_of_the_pictures_luminance():
    x, prepare = pictures(), Prepare(COLOUR, standardise=False)
    y = Views(scale=None, flip=False, jitter=0.0, grey=1.0)(x, chance(), prepare)
    expected = torch.einsum("nchw,c->nhw", x.float() / 255, LUMINANCE)
    for channel in range(3):
        torch.testing.assert_close(y[:, channel], expected, atol=1e-5, rtol=0)


def test_hue_turns_leave_greys_as_they_are_and_keep_the_sum_of_colours():
    colours = (
        Views(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.3, jitter=1.0, grey=0.0)
        .draw(50, (3, 8, 8), chance())
        .colours
    )
    grey = torch.full((50, 3, 1), 0.6)
    torch.testing.assert_close(colours[:, :, :3] @ grey + colours[:, :, 3:], grey)
    assert float((colours[:, :, :3] - torch.eye(3)).abs().amax((1, 2)).max()) > 0.5


def test_contrast_leaves_its_pivot_and_brightness_leaves_black():
    contrast = (
        Views(brightness=0.0, saturation=0.0, hue=0.0, jitter=1.0, grey=0.0).draw(50, (3, 8, 8), chance()).colours
    )
    middle = torch.full((50, 3, 1), 0.5)
    torch.testing.assert_close(contrast[:, :, :3] @ middle + contrast[:, :, 3:], middle)
    bright = Views(contrast=0.0, jitter=1.0).draw(50, (1, 8, 8), chance()).colours
    assert torch.equal(bright[:, :, 1], torch.zeros(50, 1)) and bright[:, 0, 0].std() > 0.1


def test_digits_keep_their_black_ground():
    x = torch.zeros(20, 1, 28, 28, dtype=torch.uint8)
    y = digit_views()(x, chance(), Prepare(Shape("images", (1, 28, 28), 0, 20), standardise=False))
    assert torch.equal(y, torch.zeros_like(y))


def test_blur_lowers_the_detail_and_keeps_the_mean():
    x = pictures(Shape("images", (3, 64, 64), 0, 8), n=8)
    prepare = Prepare(Shape("images", (3, 64, 64), 0, 8), standardise=False)
    plain = STILL(x, chance(), prepare)
    maps = STILL.draw(8, (3, 64, 64), chance())
    blurred = apply(x, maps._replace(blur=torch.tensor([0.0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5])), prepare)
    torch.testing.assert_close(blurred[0], plain[0])
    spread = blurred.std((1, 2, 3))
    assert bool((spread[1:] < spread[:-1]).all())
    torch.testing.assert_close(blurred.mean((1, 2, 3)), plain.mean((1, 2, 3)), atol=0.01, rtol=0)
    assert Views(blur=1.0).draw(9, (3, 224, 224), chance()).blur.max() > 1


def test_defaults_suit_the_pictures_they_meet():
    assert default_views((1, 8, 8)).border == "zero" and not default_views((1, 8, 8)).flip
    assert math.isclose(default_views((1, 8, 8)).shift, 8 / 7)
    assert default_views((1, 28, 28)).turn == 15 and default_views((1, 28, 28)).shift == 2
    assert default_views(Shape("images", (3, 32, 32), 10, 5)) == cifar_views()
    assert default_views((3, 224, 224)).blur > 0 and cifar_views().blur == 0
    assert two_crops(count=4).count == 4
    x, prepare = pictures(), Prepare(COLOUR)
    assert torch.equal(two_crops()(x, chance(), prepare), cifar_views()(x, chance(), prepare))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"border": "mirror"}, "mirror"),
        ({"count": 0}, "count is 0"),
        ({"scale": (0.5, 0.2)}, r"scale is \(0.5, 0.2\)"),
        ({"scale": (0.5, 2.0)}, "at most the whole"),
        ({"zoom": (0.0, 1.0)}, "zoom"),
        ({"grey": 1.5}, "grey is 1.5"),
        ({"turn": -3.0}, "turn is -3.0"),
    ],
)
def test_impossible_axes_are_refused_by_name(wrong, said):
    with pytest.raises(SemblanceError, match=said):
        Views(**wrong)


def test_vectors_have_no_views():
    prepare = Prepare(Shape("vectors", (4,), 0, 3))
    with pytest.raises(SemblanceError, match="without views"):
        cifar_views()(torch.zeros(3, 4), chance(), prepare)


def test_the_picture_of_views_has_a_row_per_item():
    import pyarrow as pa

    from semblance.data.dataset import ArrayDataset

    x = pictures(n=12).numpy()
    data = ArrayDataset(
        "images", x, [str(i) for i in range(12)], {}, pa.table({"id": list(range(12))}), {"train": np.arange(12)}, "f"
    )
    figure = views_picture(data, two_crops(), seed=1)
    assert len(figure.axes) == 10 * 7
    again = views_picture(data, two_crops(), seed=1)
    assert np.array_equal(figure.axes[5].images[0].get_array(), again.axes[5].images[0].get_array())
