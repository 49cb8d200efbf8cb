"""Teachers: the exact relations between one copy and several, who answers whom, and what receives a gradient."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from semblance.errors import SemblanceError
from semblance.objectives.branches import Branches, Copied, negative_cosine
from semblance.objectives.codes import Balanced, Centred
from semblance.objectives.teachers import Teachers, risen, unit_squares


class Linear(nn.Module):
    def __init__(self, seed: int = 0):
        super().__init__()
        self.map = nn.Parameter(torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))

    def embed(self, batch):
        return (batch["x"] @ self.map).tanh()


def views(count: int = 3, n: int = 16):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 6, dtype=torch.float64, generator=generator)
    return [{"x": x + 0.3 * torch.randn(n, 6, dtype=torch.float64, generator=generator)} for _ in range(count)]


def predictor() -> nn.Module:
    made = nn.Linear(5, 5, bias=False).double()
    made.weight.data = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return made


def teachers(count: int = 2, momenta=(0.99, 0.9)) -> list[Copied]:
    return [Copied(Linear(seed=3), None, momenta[k]) for k in range(count)]


def apart(objective: Teachers, model: nn.Module, batch) -> None:
    """Copies with weights of their own, different ones."""
    objective(model, batch)
    for k, teacher in enumerate(objective.teachers):
        teacher.encoder.map.data = Linear(seed=10 + k).map.data


def of(objective, model, batch):
    model.zero_grad()
    loss, _ = objective(model, batch)
    loss.backward()
    return loss.detach(), model.map.grad.clone()


def test_with_equal_views_and_teachers_three_views_are_twice_byol():
    one, two = views(2)
    model, h = Linear(), predictor()
    byol = Teachers(None, copy.deepcopy(h), teachers(1), rotated=True, symmetric=False)
    triple = Teachers(None, copy.deepcopy(h), teachers(2), rotated=True, symmetric=False)
    apart(byol, model, {"views": [one, two]})
    apart(triple, model, {"views": [one, two, two]})
    triple.teachers[1].encoder.map.data = triple.teachers[0].encoder.map.data.clone()
    loss, gradient = of(byol, model, {"views": [one, two]})
    doubled, twice = of(triple, model, {"views": [one, two, two]})
    torch.testing.assert_close(doubled, 2 * loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(twice, 2 * gradient, rtol=1e-12, atol=1e-15)


def test_the_loss_is_the_papers_sum_of_two_squares():
    one, two, three = views(3)
    model, h = Linear(), predictor()
    objective = Teachers(None, h, teachers(2), rotated=True, symmetric=False)
    apart(objective, model, {"views": [one, two, three]})
    q = h(model.embed(one))
    targets = [t.encoder.embed(view) for t, view in zip(objective.teachers, (two, three), strict=True)]
    unit = [v / v.norm(dim=1, keepdim=True) for v in (q, *targets)]
    expected = sum((unit[0] - t).square().sum(1).mean() for t in unit[1:])
    torch.testing.assert_close(objective(model, {"views": [one, two, three]})[0], expected, rtol=1e-12, atol=0)


def test_turning_the_views_leaves_the_symmetric_loss_unchanged():
    seen = views(3)
    model = Linear()
    objective = Teachers(None, predictor(), teachers(2), rotated=True)
    apart(objective, model, {"views": seen})
    loss = objective(model, {"views": seen})[0]
    for turned in (seen[1:] + seen[:1], seen[2:] + seen[:2]):
        torch.testing.assert_close(objective(model, {"views": turned})[0], loss, rtol=1e-12, atol=0)
    objective.teachers[1].encoder.map.data = objective.teachers[0].encoder.map.data.clone()
    loss = objective(model, {"views": seen})[0]
    # Where both teachers are equal, any order of the views is.
    torch.testing.assert_close(objective(model, {"views": seen[::-1]})[0], loss, rtol=1e-12, atol=0)


def test_teachers_get_no_gradient_and_follow_each_at_its_own_pace():
    model, batch = Linear(), {"views": views(3)}
    objective = Teachers(None, predictor(), teachers(2), rotated=True)
    apart(objective, model, batch)
    objective(model, batch)[0].backward()
    before = [t.encoder.map.clone() for t in objective.teachers]
    assert all(t.encoder.map.grad is None for t in objective.teachers)
    objective.after_step(model, batch)
    for teacher, was, momentum in zip(objective.teachers, before, (0.99, 0.9), strict=True):
        torch.testing.assert_close(teacher.encoder.map, momentum * was + (1 - momentum) * model.map, rtol=1e-12, atol=0)


def test_without_a_teacher_the_targets_are_the_nets_own_and_constant():
    """Then it is SimSiam: the branches' loss, up to the constant between a cosine and a square."""
    model, h, batch = Linear(), predictor(), {"views": views(2)}
    ours, gradient = of(Teachers(None, h), model, batch)
    theirs, expected = of(Branches(None, h, compare=negative_cosine), model, batch)
    torch.testing.assert_close(ours, 2 + 2 * theirs)
    torch.testing.assert_close(gradient, 2 * expected)


@pytest.mark.parametrize("compare", [unit_squares, Balanced(), Centred(5).double()])
def test_views_beyond_the_answered_ones_only_ask(compare):
    model, batch = Linear(), {"views": views(4)}
    told: list[int] = []

    class Spy(Copied):
        def forward(self, online, z, batch):
            told.append(len(batch["views"]))
            return super().forward(online, z, batch)

    objective = Teachers(None, None, [Spy(Linear(), None, 0.9)], compare=compare, answered=2)
    loss, _ = objective(model, batch)
    assert told == [2]
    pairs = [(i, j) for i in range(4) for j in range(2) if i != j]
    z, t = (
        [model.embed(v) for v in batch["views"]],
        objective.teachers[0](nn.ModuleList([model]), [], {"views": batch["views"][:2]}),
    )
    torch.testing.assert_close(loss, torch.stack([compare(z[i], t[j]) for i, j in pairs]).mean())
    objective.after_step(model, batch)


@pytest.mark.parametrize(
    ("how", "words"),
    [({"answered": 0}, "give 1 view"), ({"rotated": True}, "take turns")],
)
def test_settings_that_contradict_are_refused(how, words):
    with pytest.raises(SemblanceError, match=words):
        Teachers(**how)


def test_one_view_is_refused():
    with pytest.raises(SemblanceError, match="draw 2 or more"):
        Teachers()(Linear(), {"views": views(1)})


def test_rising_momenta_start_as_they_are_given_and_end_at_one():
    objective = Teachers(None, None, teachers(2), rotated=True, rising=True)
    for progress, share in ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0)):
        objective.advance(progress)
        momenta = [teacher.momentum for teacher in objective.teachers]
        assert momenta == pytest.approx([1 - 0.01 * share, 1 - 0.1 * share])
    assert risen(0.99, 0.25) == pytest.approx(1 - 0.01 * (1 + 2**-0.5) / 2)
    still = Teachers(None, None, teachers(2), rotated=True)
    still.advance(0.5)
    assert [teacher.momentum for teacher in still.teachers] == [0.99, 0.9]
