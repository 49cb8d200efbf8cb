"""Masks: how many are hidden, and where."""

from __future__ import annotations

import pytest
import torch

from semblance.errors import SemblanceError
from semblance.objectives.masks import KINDS, blocks, places


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("ratio", "hidden"), [(0.75, 36), (0.0, 0), (0.985, 47), (0.5, 24)])
def test_seen_and_hidden_places_part_the_picture_alike_everywhere(kind, ratio, hidden):
    seen, gone = places(20, (6, 8), ratio, kind)
    assert gone.shape == (20, hidden) and seen.shape == (20, 48 - hidden)
    together = torch.cat([seen, gone], 1).sort(1).values
    assert torch.equal(together, torch.arange(48).expand(20, -1))
    assert torch.equal(seen, seen.sort(1).values)


def hiding(kind: str, count: int = 20_000) -> torch.Tensor:
    """How often each cell of a 14 by 14 grid is hidden by a rectangle of half the picture."""
    torch.manual_seed(0)
    return blocks(count, (14, 14), 0.5, kind == "rolled").mean(0)


def test_rolled_rectangles_hide_every_cell_equally_often_and_others_the_middle():
    rolled, still = hiding("rolled"), hiding("block")
    assert rolled.max() - rolled.min() <= 0.03
    assert still.max() - still.min() >= 0.1
    assert still[6:8, 6:8].mean() > still[0, 0] + 0.5


def test_a_block_is_a_rectangle():
    torch.manual_seed(1)
    for block in blocks(50, (8, 9), 0.3):
        rows, columns = block.amax(1).sum(), block.amax(0).sum()
        assert block.sum() == rows * columns > 0


@pytest.mark.parametrize(
    ("ratio", "kind", "words"), [(1.0, "block", "something must be seen"), (0.5, "blocks", "kind of mask")]
)
def test_masks_that_make_no_sense_are_refused(ratio, kind, words):
    with pytest.raises(SemblanceError, match=words):
        places(2, (4, 4), ratio, kind)
