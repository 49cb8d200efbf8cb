"""Mixed blocks: one-hot weights are the trunk, and what a task reads is linear in its weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semblance.encoders.vision.stagenet import stage_net
from semblance.encoders.vision.units import Units
from semblance.errors import SemblanceError


@pytest.fixture
def mixed() -> Units:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Units(stage_net("small"), 3).double().eval()


def pictures() -> torch.Tensor:
    return torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_last_block_alone_is_the_trunk(mixed):
    last = Units(mixed.trunk, 3, start="last").double().eval()
    batch = {"x": pictures()}
    torch.testing.assert_close(last.embed(batch), mixed.trunk.embed(batch), atol=1e-12, rtol=0)
    torch.testing.assert_close(last.read(batch, last.share[1]), mixed.trunk(batch)[-1], atol=1e-12, rtol=0)
    assert (mixed.embed(batch) - mixed.trunk.embed(batch)).abs().max() > 1e-3


def test_a_block_of_another_size_is_meaned_over_cells_and_widened_by_zeros(mixed):
    maps = mixed({"x": pictures()})
    first = torch.zeros(len(maps), dtype=torch.float64)
    first[0] = 1.0
    read = mixed.read({"x": pictures()}, first)
    side = maps[0].shape[2] // maps[-1].shape[2]
    for row in range(maps[-1].shape[2]):
        cell = maps[0][:, :, row * side : (row + 1) * side, :side].mean((2, 3))
        torch.testing.assert_close(read[:, : cell.shape[1], row, 0], cell)
    assert read[:, maps[0].shape[1] :].abs().sum() == 0
    assert read.shape[1] == mixed.dim == 128


def test_what_is_read_is_linear_in_the_weights(mixed):
    a, b = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    batch = {"x": pictures()}
    torch.testing.assert_close(mixed.read(batch, a + 2 * b), mixed.read(batch, a) + 2 * mixed.read(batch, b))


def test_weights_learn_and_nets_without_blocks_are_refused(mixed):
    mixed.embed({"x": pictures()}).square().sum().backward()
    assert mixed.share.grad is not None and (mixed.share.grad != 0).all()
    with pytest.raises(SemblanceError, match="no blocks"):
        Units(nn.Linear(2, 2), 1)
    with pytest.raises(SemblanceError, match="start of the mixture"):
        Units(stage_net("small"), 1, start="first")
