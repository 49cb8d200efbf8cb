from __future__ import annotations

import pytest
import torch

from semblance.learning.parts import Network
from semblance.learning.watch import agreement, of_views, spread, warning, watch
from semblance.objectives.branches import Branches, variance_covariance


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


def test_a_line_is_said_with_its_remedy_unless_labels_agree() -> None:
    found = {"spread": 0.4, "effective_rank": 1.1}
    assert "vicreg" in str(warning(found)) and "vicreg" in str(warning({**found, "agreement": 0.5}))
    assert warning({**found, "agreement": 0.95}) is None and warning({"spread": 0.4, "effective_rank": 6.0}) is None


def test_alignment_is_the_distance_of_views_and_uniformity_that_of_items() -> None:
    z = torch.eye(4)
    same = of_views(z, 3 * z)
    assert same["alignment"] == pytest.approx(0) and same["uniformity"] == pytest.approx(-4)
    assert of_views(z, -z)["alignment"] == pytest.approx(4)
    assert of_views(torch.ones(4, 3), torch.ones(4, 3))["uniformity"] == pytest.approx(0, abs=1e-6)


def test_neighbours_that_share_their_label_are_counted_among_the_labelled() -> None:
    z = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 0.02]])
    assert agreement(z, torch.tensor([0, 0, 1, 1, -1]))["agreement"] == 1
    assert agreement(z, torch.tensor([0, 1, 0, 1, -1]))["agreement"] == 0
    assert agreement(z, torch.tensor([0, -1, -1, -1, -1])) == {}


class AsItIs(torch.nn.Module):
    def embed(self, batch):
        return batch["x"]


def test_a_batch_is_watched_for_what_it_has() -> None:
    x = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    network = Network(AsItIs())
    assert set(watch(network, {"x": x})) == {"spread", "effective_rank"}
    full = watch(network, {"x": x, "views": [{"x": x}, {"x": x}], "labels": torch.arange(12) % 2})
    assert (
        set(full) == {"spread", "effective_rank", "alignment", "uniformity", "agreement"} and full["alignment"] < 1e-9
    )
    assert network.training
    several = watch(network, {"x": x, "labels": torch.ones(12, 3, dtype=torch.bool)})
    assert set(several) == {"spread", "effective_rank"}


def test_branches_are_watched_where_they_compare() -> None:
    x = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    one_direction = torch.nn.Linear(8, 6)
    torch.nn.init.zeros_(one_direction.weight)
    network, batch = Network(AsItIs()), {"x": x, "views": [{"x": x}, {"x": x}]}
    collapsed = watch(network, batch, Branches(one_direction))
    assert collapsed["spread"] > 0.8 and collapsed["projected_spread"] < 1e-6
    assert "branches compare is nearly one" in str(warning(collapsed)) and "stop-gradient" in str(warning(collapsed))
    healthy = watch(network, batch, Branches(torch.nn.Linear(8, 6)))
    assert warning(healthy) is None
    for other in (torch.nn.Linear(8, 6), Branches(one_direction, compare=variance_covariance)):
        assert "projected_spread" not in watch(network, batch, other)


def test_a_run_without_stop_gradient_collapses_and_is_told_and_one_with_it_is_not() -> None:
    """Linear encoder, no batch norm to hold the coordinates up: both branches fall to one point."""
    told = {}
    for stop in (False, True):
        torch.manual_seed(0)
        network = Network(Straight())
        objective = Branches(torch.nn.Linear(8, 8), torch.nn.Linear(8, 8), stop_gradient=stop)
        rule = torch.optim.Adam([*network.parameters(), *objective.parameters()], 0.02)
        x = torch.randn(64, 8)
        for _ in range(150):
            views = [{"x": x + 0.3 * torch.randn(64, 8)} for _ in range(2)]
            loss, _ = objective(network, {"views": views})
            rule.zero_grad()
            loss.backward()
            rule.step()
        told[stop] = warning(watch(network, {"x": x, "views": views}, objective))
    assert told[False] is not None and told[True] is None


class Straight(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = torch.nn.Linear(8, 8)

    def embed(self, batch):
        return self.map(batch["x"])
