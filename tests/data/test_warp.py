"""The compiled warp against slower truths: torch's grid_sample with a colour matrix, and kornia's crops and flips."""

from __future__ import annotations

import os
import time

import kornia
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from semblance.data.blocks import over_blocks
from semblance.data.dataset import Shape
from semblance.data.views import Maps, Prepare, Views, apply


def slow(x: Tensor, maps: Maps, prepare: Prepare, border: str) -> Tensor:
    """The same in plain torch: pixels -> grid_sample's coordinates of -1..1, one batched product for the colours."""
    _, channels, height, width = x.shape
    size = torch.tensor([width, height], dtype=torch.float64)
    a, shift = maps.coordinates[:, :, :2].double(), maps.coordinates[:, :, 2].double()
    v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    looked_at = torch.einsum("nij,hwj->nhwi", a, torch.stack([u, v], -1).double()) + shift[:, None, None]
    padding = {"zero": "zeros", "edge": "border"}[border]
    y = F.grid_sample(x.double() / 255, looked_at / size * 2 - 1, padding_mode=padding, align_corners=False)
    colours = maps.colours.double()
    if channels == 3:
        y = torch.einsum("njk,nkhw->njhw", colours[:, :, :3], y) + colours[:, :, 3, None, None]
    else:
        y = colours[:, 0, 0, None, None, None] * y + colours[:, 0, 1, None, None, None]
    mean, std = prepare.moments
    return ((y.clamp(0, 1) - mean[:, None, None]) / std[:, None, None]).float()


def case(channels: int, height: int, width: int, views: Views, seed: int, n: int = 9):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (n, channels, height, width), dtype=torch.uint8, generator=generator)
    shape = Shape("images", (channels, height, width), 0, n, (0.45,) * channels, (0.3,) * channels)
    return x, views.draw(n, shape.item, generator), Prepare(shape)


AXES = {
    "crop and flip": Views(),
    "turned": Views(turn=40.0, zoom=(0.6, 1.5), shift=5.0),
    "shifted": Views(scale=None, flip=False, shift=9.0, zoom=(0.5, 1.0)),
}


@settings(deadline=None, max_examples=40)
@given(
    channels=st.sampled_from([1, 2, 3, 4]),
    height=st.integers(1, 33),
    width=st.integers(1, 33),
    axes=st.sampled_from(sorted(AXES)),
    border=st.sampled_from(["edge", "zero"]),
    seed=st.integers(0, 1000),
)
def test_the_kernel_agrees_with_grid_sample_and_a_colour_matrix(channels, height, width, axes, border, seed):
    x, maps, prepare = case(channels, height, width, AXES[axes], seed)
    # float32 positions of up to 33 pixels are exact to 4e-6, and neighbouring pixels differ by up to 1 / 0.3.
    torch.testing.assert_close(apply(x, maps, prepare, border), slow(x, maps, prepare, border), atol=3e-5, rtol=1e-5)


def test_the_comparison_can_fail():
    x, maps, prepare = case(3, 16, 16, AXES["turned"], 0)
    wrong = maps._replace(coordinates=maps.coordinates + torch.tensor([[0.0, 0.0, 0.01], [0.0, 0.0, 0.0]]))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(apply(x, wrong, prepare), slow(x, maps, prepare, "edge"), atol=3e-5, rtol=1e-5)


def test_both_paths_agree_where_the_map_is_straight():
    x, maps, prepare = case(3, 20, 24, AXES["crop and flip"], 1)
    bent = maps.coordinates.clone()
    bent[:, 0, 1] = 1e-7  # not straight by the letter, so the general path is taken
    torch.testing.assert_close(
        apply(x, maps._replace(coordinates=bent), prepare), apply(x, maps, prepare), atol=1e-4, rtol=0
    )


def test_far_outside_there_is_zero_or_the_edge():
    x = torch.full((1, 1, 4, 4), 255, dtype=torch.uint8)
    prepare = Prepare(Shape("images", (1, 4, 4), 0, 1))
    plain = torch.tensor([[[1.0, 0.0]]])
    away = Maps(torch.tensor([[[1.0, 0.0, 1e9], [0.0, 1.0, -1e9]]]), plain)
    assert torch.equal(apply(x, away, prepare, "zero"), torch.zeros(1, 1, 4, 4))
    assert torch.equal(apply(x, away, prepare, "edge"), torch.ones(1, 1, 4, 4))


def test_whole_pixel_crops_and_flips_agree_with_kornia():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (7, 3, 32, 32), dtype=torch.uint8, generator=generator)
    left, top = torch.randint(0, 12, (2, 7), generator=generator)
    wide, tall = torch.randint(8, 20, (2, 7), generator=generator)
    flip = torch.rand(7, generator=generator) < 0.5
    corners = torch.stack(
        [torch.stack([left + i * wide, top + j * tall], 1) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))], 1
    ).double()
    # Kornia's crop as a perspective map between outer corners, in its half-pixel convention (align_corners=False).
    target = torch.tensor([[0.0, 0.0], [32, 0], [32, 32], [0, 32]], dtype=torch.float64).repeat(7, 1, 1)
    half = torch.tensor([[1.0, 0, -0.5], [0, 1, -0.5], [0, 0, 1]], dtype=torch.float64)
    between = half @ kornia.geometry.get_perspective_transform(corners, target) @ torch.linalg.inv(half)
    expected = kornia.geometry.warp_affine(
        x.double() / 255, between[:, :2], (32, 32), padding_mode="border", align_corners=True
    )
    expected = torch.where(flip[:, None, None, None], kornia.geometry.hflip(expected), expected)
    sign, zero = torch.where(flip, -1.0, 1.0), torch.zeros(7)
    across = torch.stack([sign * wide / 32, zero, left + torch.where(flip, wide, 0)], 1)
    down = torch.stack([zero, tall / 32, top.float()], 1)
    same = torch.cat([torch.eye(3), torch.zeros(3, 1)], 1).repeat(7, 1, 1)
    shape = Shape("images", (3, 32, 32), 0, 7)
    y = apply(x, Maps(torch.stack([across, down], 1), same), Prepare(shape))
    torch.testing.assert_close(y.double(), expected, atol=1e-5, rtol=0)


def test_no_picture_gives_no_picture():
    x, maps, prepare = case(3, 8, 8, Views(), 0, n=0)
    assert apply(x, maps, prepare).shape == (0, 3, 8, 8)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_row_is_worked_on_once_whatever_the_threads(threads):
    seen = np.zeros(103, int)

    def work(start: int, stop: int) -> None:
        assert start % 10 == 0 and stop <= 103
        seen[start:stop] += 1

    over_blocks(work, 103, 10, threads)
    assert (seen == 1).all()


def test_an_error_in_a_block_reaches_the_caller():
    def work(start: int, stop: int) -> None:
        raise ArithmeticError(f"block {start}")

    with pytest.raises(ArithmeticError, match="block"):
        over_blocks(work, 100, 10, 3)


def test_a_forked_process_has_threads_of_its_own():
    seen = np.zeros(20, int)

    def work(start: int, stop: int) -> None:
        seen[start:stop] += 1

    over_blocks(work, 20, 1, 2)
    child = os.fork()
    if child == 0:
        over_blocks(work, 20, 1, 2)
        os._exit(0 if (seen == 2).all() else 1)
    for _ in range(1000):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.01)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert done and os.waitstatus_to_exitcode(status) == 0
