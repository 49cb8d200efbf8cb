"""Montages: what is put together can be taken apart, and a patch's vector does not know its neighbours' places."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semblance.errors import SemblanceError
from semblance.objectives.montage import JigsawClustering, cut, montage, per_cell


class PerPixel(nn.Module):
    """A backbone that sees one pixel at a time."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.map = nn.Conv2d(3, 8, 1)

    def forward(self, batch):
        return [self.map(batch["x"]).tanh()]


def objective(**how) -> JigsawClustering:
    torch.manual_seed(1)
    return JigsawClustering(nn.Linear(8, 6), nn.Linear(8, 4), **how)


def as_views(x, m=2):
    return {"views": [{"x": patch} for patch in cut(x, m).unbind(1)]}


def pictures(n=5, side=16):
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(2))


def test_without_overlap_every_patch_comes_back():
    x = pictures()
    patches, order = cut(x, 2, 0.0), torch.randperm(20)
    made = montage(patches, order)
    assert made.shape == x.shape
    back = cut(made, 2, 0.0).flatten(0, 1)
    assert torch.equal(back[order.argsort()], patches.flatten(0, 1))
    assert torch.equal(montage(patches, torch.arange(20)), x)


@pytest.mark.parametrize("m", [2, 4])
def test_windows_overlap_and_come_in_the_size_of_a_cell(m):
    x = pictures(2, 32)
    patches = cut(x, m, 0.5)
    assert patches.shape == (2, m * m, 3, 32 // m, 32 // m)
    # The left half of the second window is in the first one, too.
    marked = torch.zeros(1, 1, 32, 32)
    marked[..., 32 // m - 1] = 1
    assert (cut(marked, m, 0.5)[0, 0].sum() > 0) and (cut(marked, m, 0.5)[0, 1].sum() > 0)
    assert cut(marked, m, 0.0)[0, 1].sum() == 0


def test_a_cell_is_the_mean_over_its_own_places():
    maps = torch.randn(3, 5, 8, 8)
    cells = per_cell(maps, 2).view(3, 4, 5)
    torch.testing.assert_close(cells[1, 2], maps[1, :, 4:, :4].mean((1, 2)))
    flat = torch.ones(2, 5, 3, 3) * torch.arange(2.0).view(2, 1, 1, 1)
    torch.testing.assert_close(per_cell(flat, 2), torch.arange(2.0).repeat_interleave(4)[:, None].expand(-1, 5))


def test_with_a_backbone_of_single_pixels_it_does_not_matter_where_a_patch_was_put():
    model, loss, x = PerPixel(), objective(), cut(pictures())
    one, other = torch.randperm(20), torch.randperm(20)
    a, b = (loss.vectors(model, x, order)[order.argsort()] for order in (one, other))
    torch.testing.assert_close(a, b)


def test_a_step_passes_as_many_pictures_as_the_batch_has():
    seen = []

    class Counting(PerPixel):
        def forward(self, batch):
            seen.append(len(batch["x"]))
            return super().forward(batch)

    total, told = objective()(Counting(), as_views(pictures()))
    total.backward()
    assert seen == [5] and 0 <= told["located"] <= 1


def test_patches_of_one_source_are_told_by_features_that_name_it():
    """Pictures of one colour each: the cluster part of the loss is near its least value once vectors follow the colour."""
    x = torch.eye(3)[:, :, None, None].expand(3, 3, 8, 8) * 5
    head = JigsawClustering(nn.Identity(), nn.Linear(3, 4), temperature=0.05, weights=(1.0, 0.0))
    plain = nn.Module()
    plain.forward = lambda batch: [batch["x"]]
    assert float(head(plain, as_views(x))[0]) < 0.01


def test_sides_that_do_not_divide_are_refused():
    with pytest.raises(SemblanceError, match="15 by 15"):
        cut(pictures(2, 15))


def test_other_numbers_of_views_than_patches_are_refused():
    with pytest.raises(SemblanceError, match="2 views"):
        objective()(PerPixel(), {"views": as_views(pictures())["views"][:2]})
