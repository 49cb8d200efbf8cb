"""Windows: each view is its own part of the picture, in the size of a cell, changed by itself."""

from __future__ import annotations

import pytest
import torch

from semblance.data.dataset import Shape
from semblance.data.prepare import Prepare
from semblance.data.views import ByShape, Views
from semblance.data.windows import Windows, spans
from semblance.errors import SemblanceError
from semblance.objectives.montage import cut

STILL = Views(scale=None, flip=False, jitter=0.0, grey=0.0)


def pictures(n=3, side=32):
    x = torch.randint(0, 256, (n, 3, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return x, Prepare(Shape("images", (3, side, side), 0, n), standardise=False)


def drawn(windows, x, prepare, seed=0):
    return windows.all(x, [torch.Generator().manual_seed(seed + k) for k in range(windows.count)], prepare)


@pytest.mark.parametrize("m", [2, 4])
def test_without_overlap_and_changes_the_windows_are_the_cells(m):
    x, prepare = pictures()
    seen = torch.stack(drawn(Windows(STILL, m, 0.0), x, prepare), 1)
    # A cell is read at 1/m of its pixels' pitch and meant over m by m of them: smooth pictures come back.
    smooth = torch.linspace(0, 255, 32).to(torch.uint8).expand(3, 3, 32, 32).contiguous()
    back = torch.stack(drawn(Windows(STILL, m, 0.0), smooth, prepare), 1)
    torch.testing.assert_close(back, cut(prepare(smooth), m, 0.0), rtol=0, atol=0.02)
    assert seen.shape == (3, m * m, 3, 32 // m, 32 // m)


def test_a_window_shows_its_own_part_and_a_rim_of_its_neighbours():
    x, prepare = pictures()
    marked = torch.zeros_like(x)
    marked[..., 17] = 255  # just right of the middle: in the second window, and in the rim of the first one
    for overlap, seen in ((0.3, True), (0.0, False)):
        left = drawn(Windows(STILL, 2, overlap), marked, prepare)[0]
        assert bool(left.max() > 0.1) is seen


def test_windows_are_changed_each_on_its_own():
    x, prepare = pictures(40)
    mirrored = Windows(ByShape(lambda item: Views(scale=None, jitter=0.0, grey=0.0), 1))
    seen, still = (torch.stack(drawn(w, x, prepare), 1) for w in (mirrored, Windows(STILL)))
    flipped = (seen - still).abs().amax((2, 3, 4)) > 1e-3
    assert 0.3 < flipped.float().mean() < 0.7 and (flipped != flipped[:, :1]).any()
    torch.testing.assert_close(
        torch.where(flipped[..., None, None, None], seen.flip(-1), seen), still, rtol=0, atol=0.02
    )


def test_sides_that_do_not_divide_are_refused():
    with pytest.raises(SemblanceError, match="15 by 16"):
        spans(15, 16, 2, 0.3)
