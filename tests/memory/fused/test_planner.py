"""The planner's depths reach the share on queries that calibration has not seen, and it says what it does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from semblance.memory.fused.part import Part, Window
from semblance.memory.fused.planner import (
    COUNTS,
    NARROW,
    NEVER,
    SHARES,
    SLACK,
    Plan,
    Step,
    cautious,
    share_at_least,
)
from semblance.memory.masks import Column
from semblance.memory.where import parse_where
from tests.memory.fused.made import items

COUNT, DIM, ASKED, K = 16_000, 32, 80, 10


@pytest.fixture(scope="module", params=["uniform", "correlated"])
def made(request: pytest.FixtureRequest) -> tuple[Part, np.ndarray]:
    """A part, and queries that are not in it."""
    vectors, table = items(COUNT + ASKED, DIM, kind=request.param)
    columns = {name: Column.of(table[:COUNT][name], name) for name in table.column_names}
    return Part.build(np.arange(COUNT), vectors[:COUNT], columns), vectors[COUNT:]


def reached(part: Part, queries: np.ndarray, window: Window, step: Step) -> float:
    """The share of the true neighbours that a step finds."""
    _, exact, count = part.search(queries, K, window, Step(0, 0, 0, 0.0))
    _, found, same = part.search(queries, K, window, step)
    assert (count == same).all()
    return float(np.mean([len({*a} & {*b}) / K for a, b in zip(exact.tolist(), found.tolist(), strict=True)]))


@pytest.mark.parametrize("share", [0.95, 0.99])
def test_every_arm_reaches_the_share_at_the_depth_it_was_given(made: tuple[Part, np.ndarray], share: float) -> None:
    part, queries = made
    rng, line = np.random.default_rng(0), share_at_least(share)
    tried = 0
    for name, plan in part.plans.items():
        for (size, probes), depths in plan.needs.items():
            found = []
            for octave, needed in enumerate(depths):
                if needed[0][line] != NEVER and (probes, octave) not in ((128, 0),):
                    width = plan.length >> octave
                    start = int(rng.integers(0, plan.length - width + 1))
                    window = Window(name, start, start + width, width, np.empty(0, np.uint64), 0, None)
                    found.append(reached(part, queries, window, Step(size, probes, needed[0][line], 0.0)))
            if found:
                tried += 1
                assert np.mean(found) > share - 0.015, (name, size, probes, found)
    assert tried > 10


@pytest.mark.parametrize(
    "where",
    ["flag", "score < 0.6 and flag", "year > 1950 and city in ('Oslo', 'Rome')", "not year between 1920 and 2080"],
)
def test_a_plan_for_the_rows_that_a_condition_leaves_keeps_the_recall(
    made: tuple[Part, np.ndarray], where: str
) -> None:
    part, queries = made
    _, table = items(10, DIM)
    window = part.window(parse_where(where, {field.name: field.type for field in table.schema}))
    assert window.blocks is not None and 0 < window.matches < window.end - window.start
    for share in (0.95, 0.99):
        step = part.step(window, K, share_at_least(share))
        assert reached(part, queries, window, step) > share - 0.02, str(step)
        deep = Step(1, 0, part.plan(window).needs[1, 0][0][0][share_at_least(share)], 0.0)
        assert reached(part, queries, window, deep) > share - 0.02


def test_rows_under_a_mask_are_planned_by_the_hardest_order() -> None:
    shallow, deep = ({(s, 0): [[[d] * len(SHARES)] * len(COUNTS)] for s in range(2)} for d in (20, 70))
    never = {(s, 0): [[[NEVER] * len(SHARES)] * len(COUNTS)] * 2 for s in range(2)}
    plans = [Plan(1000, needs, {}, [0, 0], [[0, 0, 0, 0]] * 2, []) for needs in (shallow, deep, never)]
    assert cautious(plans[:2]) == deep
    assert cautious(plans[:2])[1, 0][0][0][0] == 70 and cautious(plans)[0, 0][0][1][2] == NEVER
    lists = {(0, 8): [[[20, 30, 40, 50, 60, 70, NEVER]] * len(COUNTS)]}
    found = cautious([plans[0]._replace(needs=shallow | lists), plans[1]._replace(needs=deep | lists)])
    assert found == deep | {(0, 8): [[[30, 40, 50, 60, 70, 70, NEVER]] * len(COUNTS)]}
    assert (
        cautious([plans[0]._replace(needs=shallow | lists), plans[1]]) == deep
    )  # lists that one order knows nothing of
    assert cautious([plans[0]._replace(needs={}), plans[0]]) == shallow and cautious([]) == {}


def test_steps_for_rows_here_and_there_are_those_of_the_planner() -> None:
    needs = {(0, 0): [[[100, 300, 300, 300, 400, 500, NEVER]] * len(COUNTS)] * 9}
    plan = Plan(64_000, needs, {}, [0, 1.0], [[0, 8.0, 1.0, 0]] * 2, [])
    steps = plan.steps(1)
    assert steps.shape == (len(COUNTS), 16, 16, 4)
    assert steps[0, 0, 0, :3].tolist() == [0, 0, 300] == list(plan.step(64_000, 64_000, 10, 1, 1_001)[:3])
    assert steps[0, 0, 8, :3].tolist() == list(plan.step(64_000, 250, 10, 1, 1_001 * (1 - (1 - 1 / 256) ** 64))[:3])
    assert (
        not steps[:, 15, :, :3].any() and not steps[:, 5, 4].any()
    )  # few rows are measured; more match than there are: never


def test_the_cheapest_arm_that_reaches_the_share_is_taken_and_none_that_does_not() -> None:
    needs = {(0, 0): 300, (1, 0): 60, (0, 8): 40, (1, 8): NEVER}
    whole = {key: [[[depth] * len(SHARES)] * len(COUNTS)] * 3 for key, depth in needs.items()}
    plan = Plan(
        64_000, whole, {8: [0.1] * 3}, [0, 1.0], [[0, 8.0, 1.0, 0], [0, 16.0, 1.0, 0]], [[0, 8.0, 1.0, 5.0]] * 2
    )
    wide = plan.step(64_000, 64_000, 10, 1)
    assert wide[:3] == (0, 8, 40)  # lists: 0.1 of the blocks
    assert plan.step(64_000, 63_000, 10, 1, blocks=1_000)[:3] == (0, 8, 40)
    bare = plan._replace(listed=[[np.inf, 0.0, 0.0, 0.0]] * 2)  # an order over which no lists lie
    assert bare.step(64_000, 63_000, 10, 1, blocks=1_000)[:3] == (0, 0, 300)
    assert plan.step(64_000, 200, 10, 1, blocks=150).depth == 0  # 200 rows are measured sooner than 150 blocks scanned
    assert plan.step(64_000, NARROW - 1, 10, 1).depth == 0
    assert plan.step(64_000, 64_000, 10, len(SHARES) - 1).depth == 0
    assert plan.step(64_000, 64_000, COUNTS[-1] + 1, 0).depth == 0
    assert (
        Plan(64_000, {(1, 8): whole[1, 8]}, {8: [0.1] * 3}, [0, 1.0], [], plan.listed).step(64_000, 64_000, 10, 1)[2]
        == 0
    )


def test_a_window_takes_the_depths_of_one_that_is_hardly_narrower() -> None:
    plan = Plan(1 << 16, {(0, 0): [[[9]]] * 8}, {}, [0, 1.0], [[0, 0, 0]], [])
    for rows, octave in (
        (1 << 16, 0),
        (60_000, 0),
        (40_000, 0),
        ((1 << 15) + 2_000, 1),
        (1 << 15, 1),
        (1 << 13, 3),
        (9, 7),
    ):
        assert plan.octave(rows) == octave
        assert rows <= SLACK * (plan.length >> octave) or octave == 7


def test_compiled_code_counts_octaves_as_the_planner_does() -> None:
    from semblance.memory.fused.kernels import _octave

    plan = Plan(100_000, {(0, 0): [[[9]]] * 17}, {}, [0, 1.0], [[0, 0, 0]], [])
    for rows in [
        1,
        2,
        3,
        1_562,
        1_563,
        781,
        391,
        100_000,
        *np.random.default_rng(0).integers(1, 100_000, 500).tolist(),
    ]:
        own = _octave.py_func(100_000, rows, 17)
        near = math.log2(SLACK * 100_000 / rows)
        assert own == plan.octave(rows) or abs(near - round(near)) < 1e-3


def test_a_clock_that_did_not_move_leaves_a_plan_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semblance.memory.fused.planner.time.thread_time", lambda: 1.0)
    vectors, table = items(4_000, DIM)
    part = Part.build(np.arange(4_000), vectors, {name: Column.of(table[name], name) for name in table.column_names})
    for plan in part.plans.values():
        assert all(math.isfinite(weight) for weight in plan.exact)
    everything = Window(part.natural, 0, 4_000, 4_000, np.empty(0, np.uint64), 0, None)
    _, found, _ = part.search(vectors[:20], 1, everything, Step(0, 0, 0, 0.0))
    assert (part.keys[found[:, 0]] == np.arange(20)).all()


def test_a_step_says_what_it_does() -> None:
    assert str(Step(0, 0, 0, 1.0)) == "exact scan"
    assert str(Step(0, 0, 64, 1.0)) == "window by coarse codes, 64 measured again"
    assert str(Step(1, 16, 32, 1.0)) == "16 lists by fine codes, 32 measured again"


def test_a_recall_is_rounded_up_to_one_that_was_calibrated() -> None:
    assert [SHARES[share_at_least(recall)] for recall in (0.1, 0.95, 0.951, 0.999, 1.0)] == [0.9, 0.95, 0.97, 1.0, 1.0]
