"""Pretexts: what is seen and what is asked belong together, and scores are what their equations say."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.data.dataset import Shape
from semblance.encoders.vision.patches import Patches
from semblance.encoders.vision.stagenet import stage_net
from semblance.errors import SemblanceError
from semblance.objectives.pretexts import known, moments, pieces, pixels
from semblance.objectives.pretexts.asked import (
    Asked,
    PerPlace,
    Posed,
    Several,
    Together,
    ToPixels,
    how_far,
    last_map,
    reading,
    towards,
    trunk_of,
    which,
    yes_or_no,
)
from semblance.objectives.pretexts.both_ways import BothWays
from semblance.objectives.pretexts.colours import ColourBins, Shown, Uncoloured, bins_near_grey, lab
from semblance.objectives.pretexts.copied import CopiedColours
from semblance.objectives.pretexts.matched import Matched, flow, sound
from semblance.objectives.pretexts.table import TABLE, rows_of, suited

SHAPE = Shape("images", (3, 32, 32), 10, 40, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


@pytest.fixture(autouse=True)
def _chance():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def net() -> nn.Module:
    return stage_net("small", width=4)


def pictures(n: int = 8, side: int = 32, channels: int = 3) -> torch.Tensor:
    return torch.rand(n, channels, side, side)


def numbered(side: int = 36) -> torch.Tensor:
    """A picture whose pixels tell their own column and row, -1 to 1."""
    at = (torch.arange(side) + 0.5) / side * 2 - 1
    return torch.stack([at.expand(side, side), at[:, None].expand(side, side), torch.zeros(side, side)])[None]


def test_an_asked_objective_is_its_four_parts(net):
    x, head = pictures(), nn.Linear(net.dim, 2)
    asked = Asked(lambda x: Posed(x.flip(3), torch.arange(8) % 2), head, which)
    wanted = F.cross_entropy(head(net.embed({"x": x.flip(3)})), torch.arange(8) % 2)
    loss, told = asked(net, {"x": x})
    torch.testing.assert_close(loss, wanted)
    assert told["loss"] == pytest.approx(float(wanted)) and 0 <= told["accuracy"] <= 1
    with pytest.raises(SemblanceError, match="reading"):
        Asked(lambda x: Posed(x, x), head, which, "tokens")


def test_parts_of_a_picture_pass_the_trunk_each_for_itself(net):
    net.eval()
    parts = torch.rand(5, 3, 3, 16, 16)
    z = reading(net, parts)
    assert z.shape == (5, 3, net.dim)
    for i, p in itertools.product(range(5), range(3)):
        torch.testing.assert_close(z[i, p], net.embed({"x": parts[i, p][None]})[0], atol=1e-5, rtol=0)


def test_a_transformer_has_a_map_too():
    patches = Patches(patch=4, width=16, blocks=1)
    x = pictures(2, 32)[:, :, :, :24]
    maps = last_map(patches, x)
    assert maps.shape == (2, 16, 8, 6)
    torch.testing.assert_close(maps.flatten(2).transpose(1, 2), patches({"x": x})[0])
    assert trunk_of(patches, (3, 32, 24)) == (16, 16, (8, 6))


def test_the_decoder_paints_pictures_of_any_size():
    for grid, size in (((4, 4), (32, 32)), ((3, 4), (20, 27)), ((2, 2), (7, 7))):
        assert ToPixels(8, 3, grid, size)(torch.rand(2, 8, *grid)).shape == (2, 3, *size)
    assert ToPixels(16, 1, (2, 2), (8, 8))(torch.rand(2, 2, 8, 2, 2)).shape == (2, 1, 8, 8)  # two parts side by side
    assert PerPlace(8, 5)(torch.rand(2, 8, 4, 4)).shape == (2, 5, 4, 4)
    assert Together(8, 3, 5, 6)(torch.rand(2, 3, 8, 4, 4)).shape == (2, 5)


def test_several_questions_are_the_sum_of_each():
    answer, target = torch.randn(6, 9), torch.randint(3, (6, 3))
    wanted = sum(F.cross_entropy(answer[:, 3 * t : 3 * t + 3], target[:, t]) for t in range(3))
    torch.testing.assert_close(Several((3, 3, 3))(answer, target)[0], wanted)


def test_numbers_are_only_compared_where_they_are_asked():
    target = torch.tensor([1.0, float("nan"), 3.0])
    assert float(how_far(torch.tensor([0.0, 99.0, 1.0]), target)[0]) == pytest.approx((1 + 4) / 2)
    with pytest.raises(SemblanceError, match="nothing is asked"):
        how_far(torch.zeros(2), torch.full((2,), float("nan")))


def test_directions_of_any_length_agree_or_do_not():
    target = F.normalize(torch.randn(4, 3, 5, 5), dim=1)
    assert float(towards(3 * target, target)[0]) == pytest.approx(0, abs=1e-6)
    assert float(towards(-target, target)[0]) == pytest.approx(2, abs=1e-6)


def test_a_piece_lies_within_its_cell_and_covers_what_the_gap_leaves():
    x = numbered().expand(50, -1, -1, -1)
    for cell in range(9):
        cut = pieces.pieces(x, 3, torch.full((50, 1), cell), 0.25)[:, 0]
        assert cut.shape == (50, 3, 18, 18)
        for axis, place in ((0, cell % 3), (1, cell // 3)):
            low, high = -1 + 2 * place / 3, -1 + 2 * (place + 1) / 3
            assert cut[:, axis].amin() >= low - 0.03 and cut[:, axis].amax() <= high + 0.03
            span = cut[:, axis].amax((1, 2)) - cut[:, axis].amin((1, 2))
            torch.testing.assert_close(span, torch.full((50,), 0.75 * 2 / 3 * 17 / 18), atol=0.04, rtol=0)
            assert cut[:, axis].mean((1, 2)).std() > 0.02  # jittered


def test_the_neighbour_lies_where_the_target_says():
    seen, target = pieces.Beside()(numbered().expand(200, -1, -1, -1))
    gap = seen.mean((3, 4))[:, 1, :2] - seen.mean((3, 4))[:, 0, :2]
    column, row = (gap * 1.5).round().long().T
    assert torch.equal(torch.tensor(pieces.AROUND)[target], 3 * (row + 1) + column + 1)
    assert target.bincount(minlength=8).min() > 8


def test_pieces_stand_in_the_order_of_the_target():
    pose = pieces.Ordered(2, 24)
    seen, target = pose(numbered().expand(100, -1, -1, -1))
    centre = seen.mean((3, 4))
    cell = (centre[..., 0] > 0).long() + 2 * (centre[..., 1] > 0).long()
    assert torch.equal(cell, pose.orders[target])


@pytest.mark.parametrize("count", [4, 8])
def test_chosen_orders_are_as_far_apart_as_a_plain_search_has_them(count):
    every = list(itertools.permutations(range(4)))
    chosen = [every[0]]
    while len(chosen) < count:
        chosen.append(max(every, key=lambda p: min(sum(a != b for a, b in zip(p, c, strict=True)) for c in chosen)))
    assert pieces.far_apart(4, count).tolist() == [list(p) for p in chosen]


def test_orders_of_nine_pieces_are_far_apart_and_too_many_are_refused():
    orders = pieces.far_apart(9, 40).numpy()
    apart = (orders[:, None] != orders[None]).sum(2) + 9 * np.eye(40, dtype=int)
    assert apart.min() >= 7
    assert sorted(map(tuple, pieces.far_apart(3, 6).tolist())) == sorted(itertools.permutations(range(3)))
    with pytest.raises(SemblanceError, match="give 2 to 24"):
        pieces.far_apart(4, 25)
    with pytest.raises(SemblanceError, match="2 to 9"):
        pieces.far_apart(12, 5)
    with pytest.raises(SemblanceError, match="no 3 by 3 pieces"):
        pieces.Beside()(pictures(2, 5))


def test_the_middle_is_hidden_and_only_it_is_asked():
    x = pictures()
    seen, target = pixels.Hidden(0.5)(x)
    assert torch.equal(seen[..., 8:24, 8:24], torch.zeros(8, 3, 16, 16))
    torch.testing.assert_close(target[..., 8:24, 8:24], x[..., 8:24, 8:24])
    outside = target.isnan()
    assert int(outside.sum()) == 8 * 3 * (32 * 32 - 16 * 16)
    torch.testing.assert_close(seen[outside], x[outside])
    with pytest.raises(SemblanceError, match="share is 1"):
        pixels.Hidden(1)


def test_a_shrunk_picture_knows_the_means_of_its_squares_only():
    x = pictures()
    other = x + 0.1 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16)
    torch.testing.assert_close(pixels.Shrunk(4)(x).seen, pixels.Shrunk(4)(other).seen)
    assert torch.equal(pixels.Shrunk(2)(x).target, x)
    with pytest.raises(SemblanceError, match="factor is 1"):
        pixels.Shrunk(1)


def straight(x: torch.Tensor, frames: int) -> torch.Tensor:
    """A film whose moments tell their own number."""
    return torch.arange(frames, dtype=x.dtype)[None, :, None, None, None].expand(len(x), -1, *x.shape[1:])


def test_moments_are_in_order_when_the_target_says_so():
    seen, target = moments.Verified(straight)(pictures(200))
    number = seen.mean((2, 3, 4))
    ordered = (number.diff(dim=1) > 0).all(1)
    assert torch.equal(ordered, target > 0.5)
    assert 60 < int(ordered.sum()) < 140
    assert {tuple(row) for row in number[~ordered].tolist()} == {(1.0, 0.0, 3.0), (1.0, 4.0, 3.0)}


def test_twelve_orders_of_four_moments_are_told_apart_and_their_mirrors_are_not():
    pose = moments.Sorted(straight)
    seen, target = pose(pictures(300))
    assert torch.equal(seen.mean((2, 3, 4)).long(), pose.orders[target])
    orders = [tuple(order) for order in pose.orders.tolist()]
    assert len(orders) == 12 and not {order[::-1] for order in orders} & set(orders)


def test_the_next_moment_is_asked_and_not_seen():
    seen, target = moments.Next(straight)(pictures(3))
    assert seen[:, 1].unique().tolist() == [1.0] and target.unique().tolist() == [2.0]


def test_the_camera_went_where_the_target_says():
    seen, target = moments.Went(turn=0.0)(numbered().expand(120, -1, -1, -1))
    gap = seen.mean((3, 4))[:, 1, :2] - seen.mean((3, 4))[:, 0, :2]
    assert torch.equal((gap / 0.2).round().long() + 1, target[:, :2])


def test_edges_are_where_brightness_steps():
    x = torch.zeros(1, 3, 8, 8)
    x[..., 4:] = 1.0
    target = known.edges(x).target[0, 0]
    assert target[:, 3:5].min() == pytest.approx(0.5) and target[:, :3].abs().max() == 0 == target[:, 5:].abs().max()


def test_known_labels_fit_their_pictures():
    x = pictures()
    for pose, shape in ((known.moving, (8, 32, 32)), (known.depth, (8, 1, 32, 32)), (known.normals, (8, 3, 32, 32))):
        seen, target = pose(x)
        assert seen.shape == x.shape and target.shape == shape
        assert not torch.equal(seen, x) and 0.02 < float((target != target[:1]).float().mean()) < 1


def test_shown_colours_come_back_and_grey_has_one_value_a_pixel():
    shown = Shown(SHAPE)
    raw = pictures()
    x = (raw - shown.mean) / shown.std
    torch.testing.assert_close(shown.colours(x), raw, atol=1e-6, rtol=0)
    grey = shown.colours(shown.grey(x))
    torch.testing.assert_close(grey, (0.299 * raw[:, :1] + 0.587 * raw[:, 1:2] + 0.114 * raw[:, 2:]).expand_as(raw))


def test_grey_pictures_have_no_colour_and_red_ones_do():
    shown = Shown(SHAPE)
    grey, red = torch.full((1, 3, 32, 32), 0.5), torch.zeros(1, 3, 32, 32)
    red[:, 0] = 1.0
    pose = Uncoloured(SHAPE, (4, 4))
    for raw, wanted in ((grey, (0.0, 0.0)), (red, (80.1, 67.2))):  # a, b of Lab as published tables have them
        seen, target = pose((raw - shown.mean) / shown.std)
        torch.testing.assert_close(
            target, torch.tensor(wanted)[None, :, None, None].expand(1, 2, 4, 4), atol=0.3, rtol=0
        )
        assert shown.colours(seen).std(1).max() < 1e-5
    with pytest.raises(SemblanceError, match="1 channel"):
        Uncoloured(Shape("images", (1, 8, 8), 0, 9), (2, 2))


def test_bins_are_grid_points_of_real_colours_around_grey():
    bins = bins_near_grey(32)
    assert bins[0].tolist() == [0, 0] and torch.equal(bins % 10, torch.zeros(32, 2))
    assert len(bins.unique(dim=0)) == 32 and bins.norm(dim=1).max() <= 33
    assert torch.equal(bins_near_grey(9), bins[:9])
    every = bins_near_grey(200)
    assert not [p for p in every.tolist() if p == [-80, -80]]
    with pytest.raises(SemblanceError, match="bins is 100000"):
        bins_near_grey(100_000)


def test_a_soft_code_weighs_the_five_nearest_bins_by_distance():
    score = ColourBins(32)
    ab = torch.tensor([3.0, -4.0])
    code = score.soft(ab[None, :, None, None])[0, :, 0, 0]
    far = (score.points - ab).norm(dim=1)
    nearest = far.argsort()[:5]
    weight = torch.exp(-far[nearest].square() / 50)
    wanted = torch.zeros(32)
    wanted[nearest] = weight / weight.sum()
    torch.testing.assert_close(code, wanted)
    assert float(score.soft(torch.full((1, 2, 1, 1), 500.0)).sum()) == pytest.approx(1)


def test_rare_colours_weigh_more_and_the_mean_weight_is_one():
    score = ColourBins(4, mix=0.5)
    ab = score.points[torch.tensor([0] * 14 + [1, 2])].T[None, :, :, None]
    loss, _ = score(torch.zeros(1, 4, 16, 1), ab)
    w = score.weights()
    assert w[3] > w[1] == w[2] > w[0]
    p = score.seen / score.seen.sum()
    assert float((p * w).sum()) == pytest.approx(1)
    raw = 1 / (0.5 * p + 0.125)
    torch.testing.assert_close(w, raw / (p * raw).sum())
    assert float(loss) == pytest.approx(math.log(4), rel=1e-5)  # the mean weight is 1
    plain = ColourBins(4, balanced=False)
    wanted = -(plain.soft(ab) * torch.zeros(1, 4, 16, 1).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(plain(torch.zeros(1, 4, 16, 1), ab)[0], wanted)


def test_lab_is_that_of_published_tables():
    colours = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])[:, :, None, None]
    wanted = torch.tensor([[100.0, 0.0, 0.0], [32.3, 79.2, -107.9]])
    torch.testing.assert_close(lab(colours)[..., 0, 0], wanted, atol=0.1, rtol=0)


class Place(nn.Module):
    """A trunk whose map says where a place is."""

    dim = 16

    def __call__(self, batch):
        return [torch.eye(16).view(16, 4, 4).expand(len(batch["x"]), -1, -1, -1)]


def test_colours_are_copied_from_the_place_that_is_pointed_at():
    x = pictures()
    still = CopiedColours(SHAPE, nn.Identity(), temperature=0.01, of=lambda x, frames: torch.stack([x, x], 1))
    assert float(still(Place(), {"x": x})[0]) == pytest.approx(0, abs=1e-6)
    moved = CopiedColours(SHAPE, nn.Identity(), temperature=0.01, of=lambda x, _: torch.stack([x, x.roll(8, 3)], 1))
    cells = F.adaptive_avg_pool2d(x, 4)
    assert float(moved(Place(), {"x": x})[0]) == pytest.approx(
        float((cells - cells.roll(1, 3)).square().mean()), rel=1e-4
    )
    with pytest.raises(SemblanceError, match="temperature is 0"):
        CopiedColours(SHAPE, nn.Identity(), temperature=0)


@pytest.mark.parametrize(("pairs", "channels"), [(sound, 1), (flow, 2)])
def test_companions_are_matched_with_their_own_and_with_their_neighbours(net, pairs, channels):
    matched, x = Matched(pairs, channels, net.dim).eval(), pictures()
    net.eval()
    torch.manual_seed(3)
    loss, told = matched(net, {"x": x})
    torch.manual_seed(3)
    seen, other = pairs(x)
    z, s = matched.project(net({"x": seen})[-1]), matched.aside(other)
    terms = []
    for i in range(8):
        for j, right in ((i, 1.0), ((i - 1) % 8, 0.0)):
            logit = matched.judge(torch.cat([z[i], s[j], z[i] * s[j]])[None])[0, 0]
            terms.append(F.binary_cross_entropy_with_logits(logit, torch.tensor(right)))
    torch.testing.assert_close(loss, torch.stack(terms).mean())
    assert 0 <= told["accuracy"] <= 1
    with pytest.raises(SemblanceError, match="2 or more"):
        matched(net, {"x": x[:1]})


def test_the_flow_is_the_step_where_the_blob_lies():
    seen, going = flow(pictures(4, 32))
    assert seen.shape == (4, 3, 32, 32) and going.shape == (4, 2, 32, 32)
    assert all(len(going[i].flatten(1).unique(dim=1).T) == 2 for i in range(4))  # the step, and none


def test_the_judge_learns_to_tell_and_the_generator_and_the_trunk_learn_to_fool_it(net):
    both, x = BothWays(net.dim, (3, 32, 32)), pictures()

    def judged() -> tuple[torch.Tensor, float]:
        torch.manual_seed(5)
        loss, told = both(net, {"x": x})
        return loss, told["judge"]

    for part, falls in ((both.judge, True), (both.start, False), (net, False)):
        loss, before = judged()
        gradients = torch.autograd.grad(loss, list(part.parameters()))
        length = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
        assert float(length) > 0
        with torch.no_grad():
            for parameter, g in zip(part.parameters(), gradients, strict=True):
                parameter -= 0.01 * g / length
        assert (judged()[1] < before) is falls


@pytest.mark.parametrize("name", TABLE)
def test_every_task_of_the_menu_gives_every_weight_of_the_trunk_a_finite_gradient(name, net):
    row = TABLE[name]
    objective = row.make(trunk_of(net, (3, 32, 32)), SHAPE)
    views = [{"x": pictures()} for _ in range(2)]
    if hasattr(objective, "review"):
        objective.review(net, [{"x": pictures(40), "index": torch.arange(40)}], 0, torch.Generator().manual_seed(0))
    loss, told = objective(net, {"x": pictures(), "views": views, "index": torch.arange(8)})
    assert loss.ndim == 0 and math.isfinite(float(loss)) and told["loss"] == pytest.approx(float(loss), rel=1e-4)
    loss.backward()
    for parameter in net.parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all())
    assert sum(float(p.grad.abs().sum()) for p in net.parameters()) > 0


def test_the_menu_holds_all_families_and_names_what_it_does_not_know():
    assert len(TABLE) >= 16 and len({row.family for row in TABLE.values()}) == 4
    assert list(rows_of("jigsaw, rotation")) == ["jigsaw", "rotation"]
    assert "colourisation" not in suited(TABLE, 1) and len(suited(TABLE, 3)) == len(TABLE)
    for wrong, words in (("jigsav", "jigsaw"), ("", "name one or more"), ("rotation,rotation", "twice")):
        with pytest.raises(SemblanceError, match=words):
            rows_of(wrong)


def test_a_yes_is_a_positive_logit():
    answer = torch.tensor([[2.0], [-1.0]])
    loss, told = yes_or_no(answer, torch.tensor([1.0, 1.0]))
    assert told["accuracy"] == 0.5
    assert float(loss) == pytest.approx((math.log1p(math.exp(-2)) + math.log1p(math.exp(1))) / 2, rel=1e-6)
