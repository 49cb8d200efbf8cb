"""Retrieval: attention as one step, an energy that never rises, masks, heads, and what a set's order may not change."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from semblance.encoders.sequences.bags import Bags, MotifBags, Prototypes
from semblance.encoders.sequences.hopfield import (
    Hopfield,
    HopfieldLayer,
    HopfieldPooling,
    energy,
    held_by,
    kind_of_fixed_point,
    most_patterns,
    retrieve,
    separation,
    stored_report,
    update,
    weights,
)
from semblance.errors import SemblanceError


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer(**settings: object) -> Hopfield:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Hopfield(5, 6, 8, heads=2, **settings).double()  # type: ignore[arg-type]


def test_one_step_is_scaled_dot_product_attention() -> None:
    hopfield, state, stored = layer(norm=False), normal(3, 4, 5), normal(3, 7, 6, seed=1)
    parts = [
        part.unflatten(-1, (2, 4)).transpose(1, 2)
        for part in (hopfield.query(state), hopfield.key(stored), hopfield.value(stored))
    ]
    expected = hopfield.out(F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))
    torch.testing.assert_close(hopfield(state, stored), expected)


@given(st.integers(0, 10_000), st.floats(0.01, 20))
def test_the_energy_never_rises_and_is_never_negative(seed: int, beta: float) -> None:
    stored, state = normal(9, 4, seed=seed), 2 * normal(3, 4, seed=seed + 1)
    before = energy(state, stored, beta)
    for _ in range(5):
        state = update(state, stored, beta)
        after = energy(state, stored, beta)
        assert (after <= before + 1e-9).all() and (after >= -1e-9).all()
        before = after


def test_the_update_is_the_equation_in_loops() -> None:
    stored, state = normal(4, 3), normal(2, 3, seed=1)
    for s, found in zip(state, update(state, stored, 0.7), strict=True):
        scores = [math.exp(0.7 * float(x @ s)) for x in stored]
        expected = sum(score * x for score, x in zip(scores, stored, strict=True)) / sum(scores)
        torch.testing.assert_close(found, expected)


def test_many_steps_are_the_update_many_times_and_a_head_at_rest_stays() -> None:
    stored, state = normal(1, 2, 6, 4), normal(1, 2, 3, 4, seed=1)
    beta = torch.tensor([0.01, 3.0], dtype=torch.float64)[:, None, None]
    again = state
    for _ in range(50):
        again = update(again, stored, beta)
    torch.testing.assert_close(retrieve(state, stored, beta, steps=50), again)
    early = retrieve(state, stored, beta, steps=50, tolerance=1e-3)
    assert not torch.equal(early, again)
    torch.testing.assert_close(early, again, atol=2e-2, rtol=0)


def test_what_is_masked_is_never_retrieved_and_with_everything_masked_nothing_is() -> None:
    hopfield, state, stored = layer(steps=3), normal(2, 3, 5), normal(2, 6, 6, seed=1)
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    changed = stored.clone()
    changed[0, 4:] = 100.0
    torch.testing.assert_close(hopfield(state, stored, mask), hopfield(state, changed, mask))
    torch.testing.assert_close(hopfield(state, stored, mask)[0], hopfield(state[:1], stored[:1, :4])[0])
    assert (weights(state[0] @ normal(5, 6), stored[0], 1.0, torch.zeros(3, 6, dtype=torch.bool)) == 0).all()
    per_state = torch.eye(3, 6, dtype=torch.bool).expand(2, 3, 6)
    picked = hopfield.association(state, stored, per_state)
    torch.testing.assert_close(picked, per_state[:, None].double().expand(2, 2, 3, 6))


def test_a_head_keeps_its_own_beta() -> None:
    hopfield, state, stored = layer(beta=(0.0, 50.0)), normal(1, 1, 5), normal(1, 6, 6, seed=1)
    association = hopfield.association(state, stored)[0, :, 0]
    torch.testing.assert_close(association[0], torch.full((6,), 1 / 6, dtype=torch.float64))
    assert association[1].max() > 0.8


def test_pooling_ignores_the_order_of_a_set_and_what_pads_it() -> None:
    pool, x = HopfieldPooling(6, 4, queries=2, heads=2).double(), normal(3, 5, 6)
    expected = pool(x)
    assert expected.shape == (3, 8)
    torch.testing.assert_close(pool(x[:, torch.tensor([3, 1, 4, 0, 2])]), expected)
    padded = torch.cat([x, normal(3, 2, 6, seed=2)], 1)
    torch.testing.assert_close(pool(padded, torch.tensor([[True] * 5 + [False] * 2] * 3)), expected)


@pytest.mark.parametrize("steps", [1, 3])
def test_every_parameter_gets_a_gradient_through_all_steps(steps: int) -> None:
    for net, x in (
        (HopfieldLayer(4, 4, 7, heads=2, steps=steps), torch.randn(2, 3, 4)),
        (Prototypes(6), torch.randn(4, 6)),
    ):
        out = net(x) if isinstance(net, HopfieldLayer) else net({"x": x})
        out.square().sum().backward()
        for name, parameter in net.named_parameters():
            if not name.endswith("beta"):
                assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_a_bag_is_the_row_of_its_instances_and_motifs_are_found_wherever_they_stand() -> None:
    bags, x = Bags(24, 4, hidden=8), torch.randn(3, 24)
    torch.testing.assert_close(bags({"x": x}), bags({"x": x.view(3, 4, 6)}))
    torch.testing.assert_close(bags({"x": x.view(3, 4, 6).flip(1).flatten(1)}), bags({"x": x}))
    torch.testing.assert_close(bags.association({"x": x}).sum(-1), torch.ones(3, 4, 1))
    motifs = MotifBags(40, 2, letters=4, kernel=3)
    word = torch.full((1, 2, 20), 9.0)
    word[0, 0, 4:7] = torch.tensor([1.0, 2.0, 3.0])
    moved = torch.full((1, 2, 20), 9.0)
    moved[0, 0, 11:14] = word[0, 0, 4:7]
    torch.testing.assert_close(motifs({"x": word.flatten(1)}), motifs({"x": moved.flatten(1)}))


def test_clear_patterns_are_fixed_points_of_their_own_and_hidden_ones_are_not() -> None:
    stored = 3 * torch.eye(6)
    assert (separation(stored) == 9).all()
    report = stored_report(stored, (0.01, 5.0))
    assert [row["single"] for row in report.rows] == [0.0, 1.0] and report.rows[0]["global"] == 1.0
    assert "from beta 5" in str(report) and report.table().num_rows == 2
    assert float(separation(torch.cat([stored, stored[:1] / 2])).min()) < 0


def test_patterns_are_counted_by_what_they_hold() -> None:
    association = torch.tensor([[0.95, 0.05, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.4, 0.1, 0]])
    assert held_by(association).tolist() == [1, 4, 2]
    assert [kind_of_fixed_point(h, 4) for h in (1, 2, 4)] == ["single", "metastable", "global"]


def test_capacity_grows_exponentially_with_the_width() -> None:
    # Theorem 3's own examples: beta 1, K 3 and d 20, and K 1 and d 75, with failure 0.001: c at least 3.1546 and 1.3718.
    for d, radius, c in ((20, 3.0, 3.1546), (75, 1.0, 1.3718)):
        found = most_patterns(d, 1.0, radius, 0.001)
        assert (found / math.sqrt(0.001)) ** (4 / (d - 1)) == pytest.approx(c, abs=2e-3)
    sizes = [math.log(most_patterns(d, radius=3.0)) for d in (50, 100, 150)]
    assert sizes[2] - sizes[1] > 0.9 * (sizes[1] - sizes[0]) > 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Hopfield(4, 4, 4, steps=0), "steps is 0"),
        (lambda: Hopfield(4, 4, 4, heads=2, beta=(1.0,)), "2 heads"),
        (lambda: Hopfield(4, 5, 4, project=False), "equal widths"),
        (lambda: Bags(10, 3), "divide"),
        (lambda: most_patterns(1), "d is 1"),
    ],
)
def test_a_mistake_has_one_line(make, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SemblanceError, match=words):
        make()
