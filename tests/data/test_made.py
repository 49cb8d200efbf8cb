"""Pictures that a program made: what moves, where it goes, how near it is and how it sounds are known exactly."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from semblance.data.motion import WINDOW, film, look
from semblance.data.pasted import blob, displaced, pasted
from semblance.data.sounds import SAMPLES, sounds, spectrogram
from semblance.data.spheres import spheres
from semblance.errors import SemblanceError


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 6, side: int = 24, channels: int = 3) -> torch.Tensor:
    return torch.rand(n, channels, side, side, generator=chance(1))


def test_a_look_without_motion_and_of_the_whole_side_is_the_picture():
    x = pictures()
    still = torch.zeros(6, 2)
    seen = look(x, torch.zeros(6, 2, 2), still, torch.ones(6, 2))
    torch.testing.assert_close(seen, x[:, None].expand_as(seen))


def test_a_look_to_the_right_shows_what_lies_to_the_right():
    x = pictures()
    shift = torch.tensor([4 * 2 / 24, 0.0]).expand(6, 1, 2)  # four of 24 pixels, in half sides
    seen = look(x, shift, torch.zeros(6, 1), torch.ones(6, 1))[:, 0]
    torch.testing.assert_close(seen[..., :-4], x[..., 4:], atol=1e-5, rtol=0)


def test_a_quarter_turn_is_a_quarter_turn():
    x = pictures()
    seen = look(x, torch.zeros(6, 1, 2), torch.full((6, 1), math.pi / 2), torch.ones(6, 1))[:, 0]
    torch.testing.assert_close(seen, x.rot90(1, (2, 3)), atol=1e-4, rtol=0)


def test_a_film_goes_at_an_even_pace_through_what_stands_still_in_its_middle():
    x = pictures()
    frames = film(x, 3, turn=0.0, generator=chance())
    torch.testing.assert_close(frames[:, 1], look(x, torch.zeros(6, 1, 2), torch.zeros(6, 1))[:, 0])
    assert (frames[:, 0] - frames[:, 2]).abs().mean() > 0.05
    assert torch.equal(frames, film(x, 3, turn=0.0, generator=chance()))
    assert WINDOW < 1
    with pytest.raises(SemblanceError, match="frames is 1"):
        film(x, 1)


def test_the_blob_of_the_second_frame_is_that_of_the_first_moved_by_its_step():
    x = pictures(8, 32)
    found = pasted(x, generator=chance())
    for i in range(8):
        right, down = (int(v) for v in found.step[i])
        for row, column in found.moved[i].nonzero().tolist():
            torch.testing.assert_close(found.first[i, :, row, column], x[(i - 1) % 8, :, row, column])
            if 0 <= row + down < 32 and 0 <= column + right < 32:
                there = found.second[i, :, row + down, column + right]
                torch.testing.assert_close(there, found.first[i, :, row, column])
    outside = found.moved[:, None] == 0
    torch.testing.assert_close(found.first.masked_fill(~outside, 0), x.masked_fill(~outside, 0))
    length = found.step.square().sum(1).sqrt()
    assert length.min() >= 1 and length.max() <= 6.5 + math.sqrt(0.5)


def test_a_blob_without_waves_is_a_disc():
    disc = blob(torch.tensor([[8.0, 10.0]]), torch.tensor([5.0]), torch.zeros(1, 3), torch.zeros(1, 3), (20, 16))[0]
    assert disc.shape == (20, 16)
    assert abs(float(disc.sum()) - math.pi * 25) < 6
    assert disc[10, 8] == 1 and disc[10, 14] == 0


def test_what_is_displaced_is_rolled_without_coming_in_again():
    x = pictures(2, 8)
    step = torch.tensor([[3.0, -2.0], [0.0, 0.0]])
    moved = displaced(x, step)
    torch.testing.assert_close(moved[1], x[1])
    torch.testing.assert_close(moved[0, :, :6, 3:], x[0, :, 2:, :5])
    assert moved[0, :, 6:].abs().sum() == 0 and moved[0, :, :, :3].abs().sum() == 0


def test_normals_have_length_one_and_are_the_slope_of_the_depth():
    scene = spheres(torch.zeros(4, 3, 64, 64), 1, radius=(0.3, 0.3), generator=chance())
    torch.testing.assert_close(scene.normals.norm(dim=1), torch.ones(4, 64, 64), atol=1e-5, rtol=0)
    assert scene.depth.min() == 0 and scene.depth.max() <= 1
    # z = sqrt(r^2 - d^2) has the slope -dx/z, which is -n_x/n_z; depth counts in half sides over 1 + 2 r.
    slope = (scene.depth[:, :, 2:] - scene.depth[:, :, :-2]) / 2 * 32 * (1 + 2 * 0.3)
    inner = scene.normals[:, 2, :, 1:-1] > 0.6
    inner &= scene.depth[:, :, 1:-1] > 0
    wanted = -scene.normals[:, 0, :, 1:-1] / scene.normals[:, 2, :, 1:-1]
    assert int(inner.sum()) > 500
    torch.testing.assert_close(slope[inner], wanted[inner], atol=0.05, rtol=0.05)


def test_the_nearest_sphere_hides_the_others_and_the_picture_stays_behind():
    x = pictures(5, 32)
    scene = spheres(x, 3, generator=chance(2))
    free = scene.depth == 0
    assert free.any()
    torch.testing.assert_close(scene.picture.movedim(1, -1)[free], x.movedim(1, -1)[free])
    flat = torch.tensor([0.0, 0.0, 1.0]).expand(int(free.sum()), 3)
    torch.testing.assert_close(scene.normals.movedim(1, -1)[free], flat)


def test_a_bright_row_is_a_tone_and_the_upper_row_the_higher_one():
    x = torch.zeros(2, 1, 16, 16)
    x[0, :, 2], x[1, :, 13] = 1.0, 1.0
    heard = spectrogram(sounds(x, noise=0.0, generator=chance()))  # [2, 1, 33, moments]
    loudest = heard.mean(3).argmax(2)[:, 0]
    assert heard.shape[2] == SAMPLES // 2 + 1
    assert int(loudest[0]) == round(30 - 2 * 28 / 15) and int(loudest[1]) == round(30 - 13 * 28 / 15)


def test_pictures_that_look_alike_sound_alike():
    x = F.avg_pool2d(pictures(2, 32), 2)
    heard = [sounds(part, noise=0.0, generator=chance(3)) for part in (x, x + 0.001)]
    torch.testing.assert_close(heard[0], heard[1], atol=1e-4, rtol=0)
    assert not torch.allclose(heard[0][0], heard[0][1], atol=1e-2)
