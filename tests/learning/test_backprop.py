from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from semblance.errors import SemblanceError
from semblance.learning.backprop import Backprop
from tests.learning.toy import parts


def rate(rule: Backprop, progress: float, epoch: float = 10.0) -> float:
    optimizer = rule.make_optimizer(parts())
    rule.adjust(optimizer, progress, epoch)
    return float(optimizer.param_groups[0]["lr"])


def test_the_cosine_starts_at_the_rate_and_ends_at_zero() -> None:
    rule = Backprop(lr=0.4)
    assert rate(rule, 0.0) == pytest.approx(0.4)
    assert rate(rule, 0.5) == pytest.approx(0.2)
    assert rate(rule, 1.0) == pytest.approx(0.0)


def test_steps_divide_at_their_milestones() -> None:
    rule = Backprop(lr=1.0, schedule="steps", milestones=(0.5, 0.75), gamma=0.1)
    assert [rate(rule, t) for t in (0.49, 0.5, 0.8)] == pytest.approx([1.0, 0.1, 0.01])


def test_warm_up_rises_linearly_and_then_leaves_the_schedule_alone() -> None:
    rule = Backprop(lr=1.0, schedule="constant", warmup_epochs=2)
    assert rate(rule, 0.1, epoch=1.0) == pytest.approx(0.5, abs=1e-3)
    assert rate(rule, 0.2, epoch=2.0) == 1.0


def test_the_named_parameters_keep_their_rate() -> None:
    rule = Backprop(lr=1.0, constant_lr=("objective.classifier",))
    held = parts()
    optimizer = rule.make_optimizer(held)
    rule.adjust(optimizer, 1.0, 5.0)
    scheduled, constant = optimizer.param_groups
    assert (scheduled["lr"], constant["lr"]) == pytest.approx((0.0, 1.0))
    assert len(constant["params"]) == 2
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(held.modules().parameters()))


def test_what_asks_for_no_gradient_is_left_out() -> None:
    held = parts()
    held.network.requires_grad_(False)
    groups = Backprop().make_optimizer(held).param_groups
    assert sum(len(g["params"]) for g in groups) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": "sdg"}, "sgd"),
        ({"schedule": "cosin"}, "cosine"),
        ({"lr": -1.0}, "-1.0"),
        ({"accumulate": 0}, "0"),
    ],
)
def test_a_wrong_setting_is_answered_with_what_is_right(changes: dict, words: str) -> None:
    with pytest.raises(SemblanceError, match=words):
        Backprop(**changes)


def test_a_batch_s_share_scales_its_gradient() -> None:
    whole, half = parts(dropout=0.0), parts(dropout=0.0)
    batch = {"x": torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), "labels": torch.tensor([0, 1] * 3)}
    Backprop().step(whole, batch, 1.0, nullcontext())
    Backprop().step(half, batch, 0.5, nullcontext())
    for a, b in zip(whole.modules().parameters(), half.modules().parameters(), strict=True):
        torch.testing.assert_close(a.grad * 0.5, b.grad)
