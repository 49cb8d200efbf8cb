"""Groups of turns: the laws of a group, and that pixels are only moved."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.geometry.groups import FineTurns, Turns, act_each, average, generated, inner, orbit

EXACT = [Turns(1), Turns(2), Turns(4)]


def pictures(side: int = 6, width: int | None = None) -> torch.Tensor:
    return torch.rand(5, 3, side, width or side, generator=torch.Generator().manual_seed(0))


def check_action(group, x):
    """The laws of a group action, to the last bit."""
    for g in range(group.order):
        assert torch.equal(group.act(group.inverse(g), group.act(g, x)), x)
        for h in range(group.order):
            assert torch.equal(group.act(g, group.act(h, x)), group.act(group.compose(g, h), x))
    assert torch.equal(group.act(0, x), x)


@pytest.mark.parametrize("group", EXACT, ids=str)
def test_exact_turns_are_a_group_action(group):
    check_action(group, pictures())


def test_the_action_check_can_fail():
    class Mirrored(Turns):
        def act(self, g, x):
            return super().act(g, x.flip(-1) if g else x)

    with pytest.raises(AssertionError):
        check_action(Mirrored(4), pictures())


def test_turning_four_times_by_ninety_degrees_is_the_identity():
    x = y = pictures()
    for turned in range(4):
        y = Turns(4).act(1, y)
        assert torch.equal(x, y) == (turned == 3)


@given(st.sampled_from([4, 8, 12, 16]), st.data())
def test_numbers_compose_as_angles_do(order, data):
    group = FineTurns(order)
    g, h = (data.draw(st.integers(0, order - 1)) for _ in range(2))
    assert group.compose(g, h) * 360 / order == (g * 360 / order + h * 360 / order) % 360
    assert group.compose(g, group.inverse(g)) == 0


def test_half_turns_are_quarter_turns_taken_twice():
    assert torch.equal(Turns(2).act(1, pictures(4, 7)), Turns(4).act(2, pictures(4, 7)))


def test_a_quarter_turn_of_an_oblong_picture_is_refused():
    with pytest.raises(SemblanceError, match="4 by 7"):
        Turns(4).act(1, pictures(4, 7))
    with pytest.raises(SemblanceError, match="3"):
        Turns(3)


@pytest.mark.parametrize("side", [8, 13, 28, 32, 33])
def test_fine_quarter_turns_move_pixels_only(side):
    x, fine = pictures(side), FineTurns(8)
    seen = fine.act(0, x)
    assert seen.shape[-1] == inner(side) <= side / 2**0.5
    for quarter in range(4):
        assert torch.equal(fine.act(2 * quarter, x), Turns(4).act(quarter, seen))


@pytest.mark.parametrize("side", [8, 28, 32])
def test_no_fine_turn_shows_what_lies_outside_the_picture(side):
    white = torch.ones(1, 1, side, side)
    for g in range(8):
        torch.testing.assert_close(FineTurns(8).act(g, white), torch.ones(1, 1, inner(side), inner(side)))


def test_fine_turns_turn_the_way_quarter_turns_do():
    """On a plane wave the turned picture is the wave of the turned direction."""
    side, order = 32, 16
    at = torch.arange(side) - (side - 1) / 2
    down, across = torch.meshgrid(at, at, indexing="ij")

    def plane(angle: torch.Tensor) -> torch.Tensor:
        return (torch.cos(angle) * across - torch.sin(angle) * down)[None, None]  # rises in direction `angle`, y up

    for g in range(order):
        turned = FineTurns(order).act(g, plane(torch.tensor(0.3)))
        wanted = FineTurns(order).act(0, plane(torch.tensor(0.3) + 2 * torch.pi * g / order))
        torch.testing.assert_close(turned, wanted, atol=1e-4, rtol=0)


def test_an_orbit_holds_the_batch_under_each_element_in_turn():
    x = pictures()
    seen = orbit(Turns(4), x, (1, 3)).unflatten(0, (2, 5))
    assert torch.equal(seen[0], x.rot90(1, (2, 3)))
    assert torch.equal(seen[1], x.rot90(3, (2, 3)))


def test_every_item_gets_its_own_element():
    x, g = pictures(), torch.tensor([3, 0, 1, 1, 2])
    assert torch.equal(act_each(Turns(4), g, x), torch.stack([x[i].rot90(int(g[i]), (1, 2)) for i in range(5)]))
    assert act_each(Turns(4), g[:0], x[:0]).shape == (0, 3, 6, 6)


def test_an_average_over_the_group_forgets_the_turn():
    x = pictures().double()
    weight = 0.1 * torch.randn(108, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def read(y: torch.Tensor) -> torch.Tensor:
        return (y.flatten(1) @ weight).tanh()

    straight = average(Turns(4), read, x)
    for g in range(1, 4):
        torch.testing.assert_close(average(Turns(4), read, Turns(4).act(g, x)), straight)
        assert (read(Turns(4).act(g, x)) - read(x)).abs().max() > 0.01


@pytest.mark.parametrize(
    "elements, subgroup",
    [((), (0,)), ((4,), (0, 4)), ((2,), (0, 2, 4, 6)), ((6, 4), (0, 2, 4, 6)), ((3,), tuple(range(8)))],
)
def test_elements_generate_the_least_subgroup_that_holds_them(elements, subgroup):
    assert generated(FineTurns(8), elements) == subgroup
