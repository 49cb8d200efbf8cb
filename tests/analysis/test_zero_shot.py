"""The runner of zero-shot models: settings, switches, and what is said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from semblance.analysis.zero_shot import posed, zero_shot
from semblance.analysis.zero_shot_settings import SETTINGS, Way, by_class, calibration, harmonic
from semblance.data.class_tables import ClassTable
from semblance.errors import SemblanceError
from semblance.testing.report import check_report

PARTS = {"shape": 4, "colour": 3, "size": 2}
HIDDEN = (1, 9, 14, 22)


def table():
    kinds = list(itertools.product(*(range(n) for n in PARTS.values())))
    values = np.concatenate([np.eye(n)[[k[i] for k in kinds]] for i, n in enumerate(PARTS.values())], 1)
    columns = tuple(f"{part}={v}" for part, n in PARTS.items() for v in range(n))
    return ClassTable(tuple("/".join(map(str, k)) for k in kinds), columns, values)


def items(per, noise=0.6, seed=0, without=()):
    known = table()
    carry = np.random.default_rng(9).normal(size=(known.values.shape[1], 16))
    y = np.repeat([k for k in range(24) if k not in without], per)
    x = known.values[y] @ carry + noise * np.random.default_rng(seed).normal(size=(len(y), 16))
    return x, [known.names[k] for k in y]


@pytest.fixture(scope="module")
def everything():
    return zero_shot(
        items(20, without=HIDDEN), items(8, seed=1), table(), models=["eszsl", "regression"], settings=SETTINGS
    )


def test_every_setting_answers_and_the_report_keeps_the_contract(everything):
    check_report(everything)
    assert {row["setting"] for row in everything.rows} == set(SETTINGS)
    assert (everything.seen, everything.unseen) == (20, 4)
    told = everything.to_dict()
    assert told["sentence"] == str(everything) and len(told["rows"]) == len(everything.rows)
    assert everything.value("eszsl") > 0.9
    assert everything.value("eszsl", "compositional", "colour of unseen") > 0.9
    with pytest.raises(SemblanceError, match="no row of model sae"):
        everything.value("sae")


def test_calibration_only_moves_answers_from_seen_to_unseen(everything):
    for model in ("eszsl", "regression"):
        figure = {
            name: everything.value(model, "generalised", name)
            for name in ("seen", "unseen", "seen calibrated", "unseen calibrated", "harmonic mean calibrated")
        }
        assert figure["seen calibrated"] <= figure["seen"] and figure["unseen calibrated"] >= figure["unseen"]
        both = harmonic(figure["seen calibrated"], figure["unseen calibrated"])
        assert figure["harmonic mean calibrated"] == pytest.approx(both)


def test_calibration_never_helps_the_seen_and_is_drawn_by_seed():
    task, _ = posed(items(20, without=HIDDEN), items(8, seed=1), table())
    levels = [calibration(task, Way("synthesised", seed=seed)) for seed in (0, 0, 1)]
    assert levels[0] == levels[1]
    assert min(levels) > 0  # a mixture of seen classes is most like one of them


def test_one_shown_item_adds_to_the_code():
    # Codes of other classes: only the item shown can help.
    known = table()
    wrong = ClassTable(known.names, known.columns, np.random.default_rng(3).permutation(known.values))
    report = zero_shot(items(20, without=HIDDEN), items(30, seed=1), wrong, models="eszsl", settings=["one-shot"])
    alone = report.value("eszsl", "one-shot", "unseen by the code alone")
    assert report.value("eszsl", "one-shot", "unseen by the item alone") > 0.8
    assert report.value("eszsl", "one-shot") > alone + 0.2


def test_switches_make_a_row_for_every_combination():
    report = zero_shot(
        items(10, without=HIDDEN),
        items(4, seed=1),
        table(),
        models=["regression", "sae", "eszsl"],
        directions=["forward", "reverse"],
        neighbours=["nearest", "corrected"],
        transductive=["none", "retrained", "propagated"],
    )
    ways = {(r["model"], r["direction"], r["neighbours"], r["transductive"]) for r in report.rows}
    assert len(ways) == len(report.rows) == 2 * 2 * 2 * 3  # eszsl has no direction
    assert min(row["value"] for row in report.rows) > 0.5


def test_shuffled_descriptions_leave_chance():
    known = table()
    wrong = ClassTable(known.names, known.columns, np.random.default_rng(3).permutation(known.values))
    found = [
        zero_shot(items(10, without=HIDDEN), items(20, seed=1), wrong, models=m).value(m) for m in ("eszsl", "sae")
    ]
    assert max(found) < 0.6


def test_classes_without_training_items_are_unseen_else_a_quarter_is_drawn():
    task, notes = posed(items(5, without=HIDDEN), items(3, seed=1), table())
    assert tuple(task.unseen.tolist()) == HIDDEN and not notes
    task, notes = posed(items(5), items(3, seed=1), table(), seed=4)
    assert len(task.unseen) == 6 and "played unseen" in notes[0]
    assert not torch.isin(task.seen, task.unseen).any() and len(task.y) == 18 * 5
    task, _ = posed(items(5), items(3, seed=1), table(), unseen=["0/0/0"])
    assert task.unseen.tolist() == [0]


def test_means_over_classes_are_means_over_classes():
    right = torch.tensor([True, True, True, False, True])
    mean, low, high = by_class(right, torch.tensor([0, 0, 0, 1, 1]))
    assert mean == pytest.approx(0.75) and low <= mean <= high
    assert harmonic(0.0, 1.0) == 0.0 and harmonic(0.5, 0.5) == 0.5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"models": "eszls"}, "did you mean eszsl"),
        ({"settings": ["zeroshot"]}, "did you mean zero-shot"),
        ({"neighbours": ["corected"]}, "did you mean corrected"),
        ({"directions": ["forward"], "models": "eszsl"}, "none of eszsl has a direction"),
        ({"unseen": ["nobody"]}, "there is no class of this table 'nobody'"),
        ({"table": ClassTable(("x",), ("a",), np.ones((1, 1)))}, "has no row for class"),
        ({"test": (np.zeros((0, 16)), [])}, "items of unseen ones"),
        ({"test": (np.zeros((3, 16)), ["a"])}, "came with 1 classes"),
    ],
)
def test_what_is_wrong_is_said(change, says):
    given = {"train": items(5, without=HIDDEN), "test": items(3, seed=1), "table": table()}
    with pytest.raises(SemblanceError, match=says):
        zero_shot(**{**given, **change})


def test_composition_needs_parts():
    plain = ClassTable(table().names, tuple(f"a{i}" for i in range(9)), table().values)
    with pytest.raises(SemblanceError, match="the table has 0"):
        zero_shot(items(5, without=HIDDEN), items(3, seed=1), plain, models="eszsl", settings=["compositional"])
