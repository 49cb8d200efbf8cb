"""Similarities taken apart: cells that sum to the embedding under every pooling, and maps that sum to the cosine."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.analysis.attribution import (
    best_groups,
    cell_vectors,
    pair_matrix,
    pooled_cells,
    region_vectors,
    share_inside,
    similarity_maps,
)
from semblance.encoders.vision.stagenet import pool, stage_net
from semblance.encoders.wrapped import AtStage, Wrapped
from semblance.errors import SemblanceError

MAPS = torch.randn(6, 5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).relu()


def linear(width: int, bias: bool) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(width, 7, bias=bias).double()


@pytest.mark.parametrize("pooling", ["mean", "max", "flatten"])
@pytest.mark.parametrize("after", ["nothing", "linear", "without bias"])
def test_cells_sum_to_the_embedding_and_maps_to_the_cosine(pooling, after):
    width = 60 if pooling == "flatten" else 5
    then = None if after == "nothing" else linear(width, after == "linear")
    pooled = pool(MAPS, pooling)
    z = pooled if then is None else then(pooled)
    cells = cell_vectors(MAPS, pooling, then)
    torch.testing.assert_close(cells.sum(1), z)
    torch.testing.assert_close(similarity_maps(cells[:3], z[3:]).sum(1), F.cosine_similarity(z[:3], z[3:]))
    matrix = pair_matrix(cells[0], cells[3])
    torch.testing.assert_close(matrix.sum(1), similarity_maps(cells[:1], z[3:4])[0])
    torch.testing.assert_close(pair_matrix(cells[3], cells[0]), matrix.T)


def test_ties_of_the_maximum_share_equally():
    maps = torch.tensor([[[[2.0, 2.0], [1.0, 0.0]]]])
    assert cell_vectors(maps, "max")[0, :, 0].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("row", ["small", "conv4", "offshelf4"])
def test_the_cells_of_an_encoder_are_its_embedding(row):
    torch.manual_seed(0)
    net = stage_net(row, channels=1, size=(16, 16)).eval()
    batch = {"x": torch.randn(2, 1, 16, 16)}
    for encoder in (net, AtStage(net, 1), Wrapped(nn.Conv2d(1, 8, 3))):
        cells, grid = pooled_cells(encoder, batch)
        assert cells.shape[1] == grid[0] * grid[1]
        torch.testing.assert_close(cells.sum(1), encoder.embed(batch), rtol=1e-4, atol=1e-5)
    assert pooled_cells(Wrapped(nn.Flatten()), batch) is None


def test_a_region_is_found_by_its_own_vector():
    cells = cell_vectors(MAPS)
    inside = torch.zeros(6, 12)
    inside[:, [5, 6, 9, 10]] = 1
    found = F.cosine_similarity(region_vectors(cells, inside)[2:3], region_vectors(cells, inside), dim=1)
    assert found.argmax() == 2
    assert best_groups(cells, region_vectors(cells, inside)[2], (3, 4), 2)[2] == pytest.approx(1)
    with pytest.raises(SemblanceError, match="draw it larger"):
        region_vectors(cells, torch.zeros(6, 12))


def test_the_share_inside_counts_positive_mass_only():
    maps = torch.tensor([[3.0, -5.0, 1.0]])
    assert share_inside(maps, torch.tensor([[1.0, 1.0, 0.0]])).item() == 0.75


def test_an_unknown_pooling_is_answered_with_the_known():
    with pytest.raises(SemblanceError, match="did you mean mean"):
        cell_vectors(MAPS, "means")
