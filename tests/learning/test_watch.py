from __future__ import annotations

import pytest
import torch

from semblance.learning.watch import spread, warning


def test_uniform_directions_have_spread_one_and_full_rank() -> None:
    z = torch.randn(20_000, 16, generator=torch.Generator().manual_seed(0))
    assert spread(z)["spread"] == pytest.approx(1.0, abs=0.01)
    assert spread(z)["effective_rank"] == pytest.approx(16, abs=0.05)


def test_one_direction_is_a_collapse_and_is_said_with_its_remedy() -> None:
    z = torch.ones(50, 16) + 1e-4 * torch.randn(50, 16, generator=torch.Generator().manual_seed(0))
    measured = spread(z)
    assert measured["spread"] < 0.01
    assert "remedies" in str(warning(measured))


def test_a_line_has_effective_rank_one_and_identical_rows_too() -> None:
    line = torch.linspace(-1, 1, 30)[:, None] * torch.ones(8)
    assert spread(line)["effective_rank"] == pytest.approx(1.0, abs=1e-3)
    assert spread(torch.ones(30, 8))["effective_rank"] == pytest.approx(1.0, abs=1e-3)


def test_healthy_embeddings_draw_no_warning() -> None:
    assert warning(spread(torch.randn(100, 8, generator=torch.Generator().manual_seed(0)))) is None
    assert warning({"loss": 1.0}) is None
