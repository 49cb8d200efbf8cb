"""Objectives on hypergraphs: what they ask for is learned, and what they hide is hidden."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from semblance.errors import SemblanceError
from semblance.objectives.hyperedges import WAYS, Hyperedges, moments
from semblance.objectives.hypergraph_contrast import HypergraphContrast
from semblance.objectives.hypergraph_generation import HypergraphGeneration
from semblance.objectives.turned import turned
from tests.data.test_hyperedge_negatives import groups

NODES, DIM = 48, 12


def model(free=True):
    """A table of states; `seen` holds the hypergraphs that it was asked about."""
    torch.manual_seed(0)
    table = torch.nn.Parameter(torch.randn(NODES, DIM), requires_grad=free)
    seen = []

    def encoder(batch):
        seen.append(batch)
        return table

    return SimpleNamespace(encoder=encoder, table=table, seen=seen)


def learned(objective, batch, steps=60):
    """Losses before and after some steps, each the mean of five draws."""
    held = model()
    optimiser = torch.optim.Adam([held.table, *objective.parameters()], lr=0.03)

    def asked():
        with torch.no_grad():
            return sum(float(objective(held, batch)[0]) for _ in range(5)) / 5

    torch.manual_seed(1)
    before = asked()
    for _ in range(steps):
        optimiser.zero_grad()
        objective(held, batch)[0].backward()
        optimiser.step()
    return before, asked()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Hyperedges(DIM, NODES, "size"),
        lambda: Hyperedges(DIM, NODES, "motif"),
        lambda: HypergraphContrast(DIM),
        lambda: HypergraphGeneration(DIM),
        lambda: HypergraphGeneration(DIM, "features", 4),
    ],
)
def test_every_objective_can_be_learned(make):
    torch.manual_seed(0)
    batch = {"graph": groups(), "x": torch.randn(NODES, 4)}
    before, after = learned(make(), batch)
    assert after < before - 0.05


def test_the_encoder_does_not_see_the_hyperedges_that_are_asked_for():
    held, objective = model(), Hyperedges(DIM, NODES, "size", batch=7)
    objective(held, {"graph": groups()})
    left = held.seen[0]["graph"]
    assert left.num_edges == 60 and (left.by_edge().degree == 0).sum() == 7


@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_reaches_the_states_and_all_that_trains_along(way):
    held, objective = model(), Hyperedges(DIM, NODES, way)
    loss, metrics = objective(held, {"graph": groups()})
    loss.backward()
    assert held.table.grad.abs().sum() > 0 and 0 <= metrics["accuracy"] <= 1
    assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.parameters())


def test_a_generator_learns_to_be_taken_for_real():
    """Of a judge that stays as it is, who loves nodes 0 to 9, the generator comes to choose these."""
    torch.manual_seed(0)
    objective = Hyperedges(DIM, NODES, "learned")
    z = torch.zeros(NODES, DIM)
    z[:10, 0] = 1
    sizes = torch.full((64,), 4)
    judge = lambda: objective._generated(z, sizes)[0][:, 0]  # noqa: E731  how many of the chosen are loved
    optimiser = torch.optim.Adam(objective.generator.parameters(), lr=0.02)
    before = float(judge().detach().mean())
    for _ in range(80):
        optimiser.zero_grad()
        torch.nn.functional.softplus(judge()).mean().backward()  # what the judge would make small
        optimiser.step()
    assert before < 0.5 < 0.9 < float(judge().detach().mean())


def test_the_turned_gradient_is_the_other_way():
    x = torch.ones(3, requires_grad=True)
    (2 * turned(x)).sum().backward()
    assert x.grad.tolist() == [-2, -2, -2]


def test_moments_are_those_of_the_members():
    held, z = groups(2), torch.randn(NODES, 3, dtype=torch.float64)
    mean, variance = moments(z, held)
    for e in range(5):
        members = z[held.node[held.edge == e]]
        torch.testing.assert_close(mean[e], members.mean(0))
        torch.testing.assert_close(variance[e], members.var(0, unbiased=False))


def test_contrast_is_the_sum_of_its_levels_and_draws_two_views():
    held = model()
    objective = HypergraphContrast(DIM, drop="hyperedge")
    loss, metrics = objective(held, {"graph": groups()})
    assert loss.item() == pytest.approx(sum(metrics[level] for level in ("node", "hyperedge", "membership")), rel=1e-5)
    one, two = (batch["graph"] for batch in held.seen)
    assert len(one.node) != len(two.node) or not torch.equal(one.node, two.node)
    only = HypergraphContrast(DIM, ("node",))
    assert only.judge is None and set(only(model(), {"graph": groups()})[1]) == {"loss", "node"}


def test_masked_memberships_and_features_are_hidden_from_the_encoder():
    batch = {"graph": groups(), "x": torch.ones(NODES, 4)}
    held = model()
    HypergraphGeneration(DIM, mask=0.5)(held, batch)
    assert len(held.seen[0]["graph"].node) == len(batch["graph"].node) - round(0.5 * len(batch["graph"].node))
    held = model()
    HypergraphGeneration(DIM, "features", 4, mask=0.25)(held, batch)
    assert int((held.seen[0]["x"].sum(1) == 0).sum()) == 12


def test_wrong_settings_are_refused():
    with pytest.raises(SemblanceError, match="way to draw negatives"):
        Hyperedges(DIM, NODES, "sizes")
    with pytest.raises(SemblanceError, match="level"):
        HypergraphContrast(DIM, ("nodes",))
    with pytest.raises(SemblanceError, match="no features to give back"):
        HypergraphGeneration(DIM, "features")
    with pytest.raises(SemblanceError, match="two such"):
        Hyperedges(DIM, 2)(model(), {"graph": groups(0, 1)})
