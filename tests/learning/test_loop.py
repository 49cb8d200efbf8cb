from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from semblance.errors import Failed, Interrupted, SemblanceError
from semblance.learning.backprop import Backprop
from semblance.learning.parts import Parts
from tests.learning.toy import Noise, budget, feed, parts, weights

RULE = Backprop(lr=0.05, epochs=3)


def run(held: Parts, rule: Backprop = RULE, **changes: object) -> list[dict[str, float]]:
    folder = changes.pop("folder", None)
    return list(rule.run(held, feed(views=Noise()), budget(folder, **changes)))


def without_seconds(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def assert_same_bits(a: Parts, b: Parts) -> None:
    for (name, x), y in zip(weights(a).items(), weights(b).values(), strict=True):
        assert torch.equal(x, y), name


@pytest.mark.parametrize(
    "rule", [RULE, Backprop(optimizer="adam", lr=0.01, accumulate=2)], ids=["sgd", "adam, two a step"]
)
@pytest.mark.parametrize("stop_at", [2, 5, 9])
def test_a_run_stopped_by_ctrl_c_and_resumed_equals_the_uninterrupted_run_bit_for_bit(
    rule: Backprop, stop_at: int, tmp_path: Path
) -> None:
    whole, parted = parts(), parts()
    history = run(whole, rule)

    def stop(done: int, total: int, metrics: dict[str, float]) -> None:
        if done >= stop_at:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="--resume") as stopped:
        run(parted, rule, folder=tmp_path, on_step=stop)
    assert stopped.value.code == 130
    resumed = parts()
    again = run(resumed, rule, folder=tmp_path, resume=True)
    assert_same_bits(whole, resumed)
    assert without_seconds(again) == without_seconds(history)


def test_a_resumed_run_with_another_seed_would_differ() -> None:
    one, other = parts(), parts()
    run(one)
    run(other, seed=1)
    assert any(not torch.equal(x, y) for x, y in zip(weights(one).values(), weights(other).values(), strict=True))


def test_a_killed_run_goes_on_from_its_last_checkpoint_to_the_same_bits(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from tests.learning.test_loop import run
from tests.learning.toy import parts
def kill(done, total, metrics):
    if done >= 8: os.kill(os.getpid(), signal.SIGKILL)
run(parts(), folder=Path(sys.argv[1]), every=0.0, on_step=kill)
"""
    root = Path(__file__).parents[2]
    code = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    ).returncode
    assert code == -signal.SIGKILL
    whole, resumed = parts(), parts()
    run(whole)
    run(resumed, folder=tmp_path, resume=True)
    assert_same_bits(whole, resumed)


def test_the_same_seed_gives_the_same_bits_and_the_global_generator_is_left_alone() -> None:
    one, two = parts(), parts()
    state = torch.random.get_rng_state()
    run(one)
    assert torch.equal(state, torch.random.get_rng_state())
    run(two)
    assert_same_bits(one, two)


def test_two_accumulated_batches_are_one_batch_of_twice_the_size() -> None:
    small, large = parts(dropout=0.0, norm=False), parts(dropout=0.0, norm=False)
    list(Backprop(lr=0.05, epochs=2, accumulate=2).run(small, feed(8, units=32), budget(epochs=2)))
    list(Backprop(lr=0.05, epochs=2).run(large, feed(16, units=32), budget(epochs=2)))
    for x, y in zip(weights(small).values(), weights(large).values(), strict=True):
        # The schedule moves between the two batches of a group, by at most one step's worth.
        torch.testing.assert_close(x, y, atol=2e-2, rtol=0)


def test_an_objective_that_wants_to_know_is_told_before_every_step_how_far_the_run_is(tmp_path: Path) -> None:
    heard: list[float] = []

    def listening() -> Parts:
        held = parts()
        held.objective.advance = heard.append
        return held

    run(listening())
    steps = len(heard)
    assert steps % RULE.epochs == 0 and heard == pytest.approx([k / steps for k in range(steps)])

    def stop(done: int, total: int, metrics: dict[str, float]) -> None:
        if done == 4:
            signal.raise_signal(signal.SIGINT)

    whole, heard[:] = list(heard), []
    with pytest.raises(Interrupted):
        run(listening(), folder=tmp_path, on_step=stop)
    run(listening(), folder=tmp_path, resume=True)
    assert heard == whole, "a run that goes on hears what the uninterrupted one heard"


def test_the_loss_falls_on_a_separable_toy() -> None:
    history = run(parts(dropout=0.0), epochs=8)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]


def test_a_budget_by_the_clock_ends_by_the_clock() -> None:
    begun = time.monotonic()
    history = run(parts(), epochs=None, seconds=0.3)
    assert 0.2 < time.monotonic() - begun < 5
    assert history


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where() -> None:
    held = parts()
    with torch.no_grad():
        held.network.encoder.layers[0].weight.fill_(float("nan"))
    with pytest.raises(Failed, match="epoch 1, step 1"):
        run(held)


def test_one_item_cannot_be_trained_on() -> None:
    with pytest.raises(SemblanceError, match="two or more"):
        list(RULE.run(parts(), feed(units=1), budget()))


def test_collapse_shows_in_the_metrics_of_the_epoch() -> None:
    held = parts()
    with torch.no_grad():
        held.network.encoder.layers[-1].weight.zero_()
    frozen = Backprop(lr=0.0, epochs=1)
    assert next(frozen.run(held, feed(), budget(epochs=1)))["spread"] < 1e-3
