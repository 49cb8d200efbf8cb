"""Drawn scenes: masks that are where the objects are, and the same pictures for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.data.mining import Mining
from semblance.data.scenes import SHAPES, TINTS, ground_scenes, shape_masks, shape_scenes, two_digits
from semblance.errors import SemblanceError


@pytest.mark.parametrize("objects", [1, 2, 4])
def test_a_scene_holds_its_objects_where_the_masks_say(objects):
    found = shape_scenes(60, 0, objects=objects, noise=0.0, radius=(4, 6))
    assert (found.present.sum(1) == objects).mean() > 0.9  # one of four may be hidden
    lit = (found.x > 0).all(1)
    assert np.array_equal(lit, found.masks.any(1)) and not (found.masks.sum(1) > 1).any()
    assert found.x.max() <= 1 and found.x[found.masks.any(1)[:, None].repeat(3, 1)].min() >= 0.4


def test_scenes_come_from_the_seed_alone():
    one, two, three = shape_scenes(8, 3), shape_scenes(8, 3), shape_scenes(8, 4)
    assert np.array_equal(one.x, two.x) and not np.array_equal(one.x, three.x)
    assert np.array_equal(ground_scenes(8, 3).x, ground_scenes(8, 3).x)


def test_every_shape_is_its_formula():
    masks = shape_masks(np.arange(4), np.full((4, 2), 10), np.full(4, 6), 21)
    disk, ring, cross, triangle = masks
    assert disk[10, 16] and not disk[5, 5] and ring[4, 10] and not ring[10, 10]
    assert cross[10, 4] and cross[4, 10] and not cross[5, 5] and triangle[16, 5] and not triangle[5, 5]
    assert len(SHAPES) == 4 and all(mask.any() for mask in masks)


def test_centred_shapes_have_their_middle_in_the_middle():
    found = shape_scenes(10, 0, noise=0.0, centred=True)
    rows = found.masks.any((1, 3))
    assert (np.abs(rows.argmax(1) + rows.shape[1] - 1 - rows[:, ::-1].argmax(1) - 32) <= 1).all()


def test_two_digits_stand_in_their_quadrants_on_their_tint():
    rng = np.random.default_rng(0)
    digits, labels = np.zeros((40, 1, 28, 28), np.uint8), np.arange(40) % 10
    digits[:, :, 5:20, 5:20] = 255
    found = two_digits(digits, labels, 30, 0)
    assert found.x.shape == (30, 3, 56, 56) and (found.digits[:, 0] != found.digits[:, 1]).all()
    assert (found.quadrants[:, 0] != found.quadrants[:, 1]).all()
    for x, quadrants, tint in zip(found.x, found.quadrants, found.tint, strict=True):
        for q in range(4):
            part = x[:, 28 * (q // 2) :, 28 * (q % 2) :][:, 5:20, 5:20]
            assert (part == 255).all() == (q in quadrants)
        assert (x == np.round(255 * TINTS[tint])[:, None, None]).all(0).mean() > 0.2
    with pytest.raises(SemblanceError, match="28, 28"):
        two_digits(rng.integers(0, 255, (4, 1, 8, 8), dtype=np.uint8), labels[:4], 3, 0)


def test_disks_are_above_and_blocks_on_the_ground():
    found = ground_scenes(400, 0)
    disk, block = found.masks[:, 0], found.masks[:, 1]
    assert found.present.mean(0) == pytest.approx(0.6, abs=0.08)
    assert not disk[:, 12:].any() and not block[:, :6].any()
    assert (found.x[:, 0][disk] > 0.9).all() and (found.x[:, 1][block] > 0.8).all()


def test_items_of_several_classes_are_alike_where_they_share_one():
    member = torch.tensor([[1, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)
    distances = torch.rand(5, 5, generator=torch.Generator().manual_seed(0))
    a, p, n = Mining("all")(distances, member)
    found = set(zip(a.tolist(), p.tolist(), n.tolist(), strict=True))
    share = (member.float() @ member.float().T > 0).tolist()
    known = range(4)
    wanted = {(i, j, k) for i in known for j in known for k in known if i != j and share[i][j] and not share[i][k]}
    assert found == wanted and len(found) == 2 * 1 + 2 * 1 + 1 * 2 + 1 * 2
