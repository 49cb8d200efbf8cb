"""Nested codes, the spread, and teachers of tokens."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from semblance.encoders.vision.patches import Patches
from semblance.encoders.vision.unplaced import Unplaced
from semblance.errors import SemblanceError
from semblance.objectives.branches import Copied
from semblance.objectives.codes import Balanced, sinkhorn
from semblance.objectives.masks import blocks, places
from semblance.objectives.nested import Nested, PerLevel, halvings
from semblance.objectives.spread import spread
from semblance.objectives.token_teachers import AllTokens, TokenHeads, TokenTeachers, shown


def encoder():
    torch.manual_seed(0)
    return Patches(1, 4, 16, 2, 2, readout="class")


def heads(levels=2):
    return Nested(halvings(16, levels), 8, 12, 6)


def objective(model, **axes):
    torch.manual_seed(1)
    widths = heads().widths
    teacher = Copied(AllTokens(copy.deepcopy(model)), TokenHeads(heads(), heads()))
    return TokenTeachers(
        16,
        TokenHeads(heads(), heads()),
        teacher,
        PerLevel(lambda _: Balanced(), widths),
        PerLevel(lambda _: Balanced(), widths),
        **axes,
    )


def views(n=6):
    chance = torch.Generator().manual_seed(2)
    sizes = (16, 16, 8)
    return {"views": [{"x": torch.randn(n, 1, size, size, generator=chance)} for size in sizes]}


def test_a_level_reads_its_prefix_and_nothing_behind_it():
    torch.manual_seed(0)
    head = Nested((16, 8, 4), 16, 12, 6)
    assert head.widths == (16, 8, 4)
    z = torch.randn(5, 16, requires_grad=True)
    for dim, part in zip(head.dims, head(z).split(head.widths, 1), strict=True):
        (slope,) = torch.autograd.grad(part.sum(), z, retain_graph=True)
        assert (slope[:, dim:] == 0).all() and (slope[:, :dim] != 0).any(0).all()


def test_levels_are_compared_apart_and_one_level_is_the_plain_comparison():
    p, t = torch.randn(6, 12), torch.randn(6, 12)
    each = PerLevel(lambda _: Balanced(), (8, 4))
    plain = Balanced()
    expected = (plain(p[:, :8], t[:, :8]) + plain(p[:, 8:], t[:, 8:])) / 2
    torch.testing.assert_close(each(p, t), expected)
    torch.testing.assert_close(PerLevel(lambda _: Balanced(), (12,))(p, t), plain(p, t))


def test_heads_read_tokens_as_they_read_rows():
    head, tokens = heads(), torch.randn(3, 5, 16)
    torch.testing.assert_close(head(tokens).flatten(0, 1), head(tokens.flatten(0, 1)))


def test_the_spread_is_its_plain_loop_and_falls_where_items_part():
    z = torch.randn(7, 4, generator=torch.Generator().manual_seed(3))
    unit = F.normalize(z, dim=1)
    near = [min(float((unit[i] - unit[j]).norm()) for j in range(7) if j != i) for i in range(7)]
    assert float(spread(z)) == pytest.approx(-sum(torch.tensor(near).log()).item() / 7, abs=1e-5)
    assert float(spread(torch.eye(4))) < float(spread(torch.eye(4) + 0.5))
    assert float(spread(z[:1])) == 0.0
    twice = z[:2].repeat(2, 1).requires_grad_()
    (slope,) = torch.autograd.grad(spread(twice), twice)
    assert slope.isfinite().all()


def test_what_is_hidden_does_not_reach_the_student():
    model, x = encoder(), torch.randn(4, 1, 16, 16)
    gone = places(2, (4, 4), 0.5, "rolled")[1]
    changed = x.clone()
    for picture, hidden in enumerate(gone.tolist()):
        for place in hidden:
            row, column = divmod(place, 4)
            changed[picture, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 9
    token = torch.zeros(16)
    torch.testing.assert_close(shown(model, x, gone, token), shown(model, changed, gone, token))
    assert not torch.allclose(model.visible(x)[:2], model.visible(changed)[:2])  # the check can fail
    torch.testing.assert_close(shown(model, x, gone, token)[2:], model.visible(x)[2:])  # pictures without a mask


def test_teachers_get_no_gradient_and_everything_else_does():
    model = encoder()
    loss = objective(model)
    value, told = loss(model, views())
    value.backward()
    assert set(told) >= {"loss", "class", "patch", "std", "rank"}
    assert all(p.grad is None for p in loss.teacher.parameters())
    learned = [*model.named_parameters(), *loss.heads.named_parameters(), ("hidden", loss.hidden)]
    assert [name for name, p in learned if p.grad is None or not p.grad.isfinite().all()] == []


def test_without_patches_and_spread_it_is_the_cross_entropy_of_class_tokens():
    model, batch = encoder(), views()
    loss = objective(model, patch=0.0, apart=0.0)
    value, _ = loss(model, batch)
    said = [loss.heads.first(model.embed(view)) for view in batch["views"]]
    with torch.no_grad():
        answers = [loss.heads.first(model.embed(view)) for view in batch["views"][:2]]  # a copy of the first step
    pairs = [(i, j) for i in range(3) for j in range(2) if i != j]
    expected = torch.stack([loss.compare(said[i], answers[j]) for i, j in pairs]).mean()
    torch.testing.assert_close(value, expected)


def test_the_teacher_follows_a_network_whose_tokens_are_mapped_afterwards():
    model = Unplaced(encoder())
    loss = objective(model.bare)
    value, _ = loss(model, views())
    value.backward()
    with torch.no_grad():
        for p in model.parameters():
            p += 1
    loss.after_step(model, views())
    mine, theirs = next(loss.teacher.encoder.parameters()), next(model.bare.parameters())
    torch.testing.assert_close(theirs - mine, torch.full_like(mine, 0.99))


def test_rolled_masks_hide_every_cell_equally_often_and_blocks_do_not():
    torch.manual_seed(0)
    ranges = {}
    for rolled in (True, False):
        often = blocks(20_000, (14, 14), 0.4, rolled).mean(0)
        ranges[rolled] = float(often.max() - often.min())
    assert ranges[True] <= 0.03 and ranges[False] >= 0.1


def test_columns_of_sinkhorn_are_even_within_a_hundredth():
    scores = F.normalize(torch.randn(2048, 32, generator=torch.Generator().manual_seed(4)), dim=1)
    code = sinkhorn(scores @ torch.eye(32), 0.07, 10)
    torch.testing.assert_close(code.sum(0), torch.full((32,), 64.0), rtol=0.01, atol=0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: objective(encoder(), mask="rolling"), "did you mean rolled"),
        (lambda: objective(encoder(), ratio=1.5), "1.5 of the patches"),
        (lambda: objective(encoder(), answered=0), "somebody has to answer"),
        (lambda: objective(encoder())(encoder(), {"views": views()["views"][:1]}), "each item has 1 view"),
        (lambda: objective(encoder())(torch.nn.Linear(2, 2), views()), "has none: take the transformer"),
        (lambda: objective(encoder())(Patches(1, 4, 16, 2, 2), views()), "no class token"),
        (lambda: halvings(20, 4), "20 numbers cannot be halved"),
        (lambda: Nested((16, 4), 4, 4, 4), "leave 1 for a prefix"),
    ],
)
def test_what_is_wrong_is_said(wrong, says):
    with pytest.raises(SemblanceError, match=says):
        wrong()
