"""Cut out: objects found from a rough map, the cheapest of all cuts, boxes by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from semblance.analysis import cutout
from semblance.analysis.cutout import box_of, cut_out, largest_piece, overlap
from semblance.errors import SemblanceError


def test_an_object_is_found_from_a_map_that_lights_some_of_it():
    rng = np.random.default_rng(0)
    mask = np.zeros((24, 24), bool)
    mask[6:15, 8:20] = True
    picture = np.where(mask[..., None], [0.9, 0.2, 0.3], [0.1, 0.1, 0.1]) + rng.normal(0, 0.1, (24, 24, 3))
    saliency = rng.random((24, 24)) * 0.3
    saliency[8:12, 10:16] += 1
    found = cut_out(picture, saliency)
    assert (found & mask).sum() / (found | mask).sum() > 0.95
    assert overlap(box_of(found), (6, 8, 15, 20)) > 0.9


def test_the_cut_is_the_cheapest_of_all():
    rng = np.random.default_rng(0)
    picture, tie = rng.random((3, 3, 2)), 1.0
    for _ in range(5):
        mine, ground = rng.random(9) * 2, rng.random(9) * 2
        found = cutout._cheapest_cut(mine, ground, picture, tie)
        costs = {}
        flat, pairs = (
            picture.reshape(9, 2),
            [(i, i + 1) for i in range(9) if i % 3 < 2] + [(i, i + 3) for i in range(6)],
        )
        gaps = np.array([((flat[a] - flat[b]) ** 2).sum() for a, b in pairs])
        held = tie * np.exp(-gaps / (2 * gaps.mean()))
        for chosen in itertools.product((False, True), repeat=9):
            label = np.array(chosen)
            parted = sum(h for h, (a, b) in zip(held, pairs, strict=True) if label[a] != label[b])
            costs[chosen] = mine[label].sum() + ground[~label].sum() + parted
        assert costs[tuple(found.ravel().tolist())] <= min(costs.values()) + 0.02


def test_pieces_boxes_and_overlaps_by_hand():
    mask = np.zeros((6, 6), bool)
    mask[0, 0] = mask[2:5, 1:3] = True
    assert box_of(largest_piece(mask)) == (2, 1, 5, 3)
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7) and overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0


def test_a_map_in_which_nothing_stands_out_is_refused():
    with pytest.raises(SemblanceError, match="too flat"):
        cut_out(np.random.default_rng(0).random((8, 8, 3)), np.ones((8, 8)))
    with pytest.raises(SemblanceError, match="give one size"):
        cut_out(np.zeros((8, 8, 3)), np.ones((7, 8)))
