"""Degenerate embeddings: each fault is named once, the gravest first, and healthy ones are left in peace."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

import semblance as sb
from semblance.analysis.degenerate import degenerate

CHANCE = np.random.default_rng(0)
NORMAL = CHANCE.normal(size=(300, 64)).astype(np.float32)
CLASSES = np.arange(300) % 5
FAULTS = {
    "collapse: embeddings point in nearly one direction": (5 + 1e-3 * NORMAL, None),
    "collapse: all 300 embeddings are equal": (np.ones_like(NORMAL), None),
    "duplicates: 100% of the items": (np.repeat(NORMAL[:100], 3, 0), None),
    "few directions: 64 numbers of an embedding are used as if they were 4.0": (NORMAL[:, :4] @ NORMAL[:4], None),
    "classes only: items of a class have nearly one embedding": (np.eye(64)[CLASSES] + 0.01 * NORMAL, CLASSES),
}


@pytest.mark.parametrize("said", FAULTS)
def test_a_fault_is_named_in_one_line_with_a_remedy(said):
    line = degenerate(*FAULTS[said])
    assert line is not None and line.startswith(said) and "usual remedies: " in line and "\n" not in line


def test_healthy_embeddings_are_left_in_peace():
    x, y = load_digits(return_X_y=True)
    assert degenerate(x.astype(np.float32), y) is None
    assert degenerate(NORMAL, CLASSES) is None
    assert degenerate(np.eye(64)[CLASSES] + 0.3 * NORMAL, CLASSES) is None


@pytest.mark.parametrize("dim", [1, 2, 3, 8])
def test_few_numbers_or_few_items_are_no_fault(dim):
    assert degenerate(NORMAL[:, :dim]) is None
    assert degenerate(NORMAL[: dim + 2]) is None


def test_some_copies_are_no_fault_and_many_are():
    z = NORMAL.copy()
    z[:6] = z[6:12]  # 12 of 300 items have a double
    assert degenerate(z) is None
    z[:20] = z[20:40]
    assert "13% of the items" in (degenerate(z) or "")


def test_a_common_direction_is_no_loss_where_lengths_count():
    assert degenerate(5 + 1e-3 * NORMAL, geometry="euclidean") is None
    assert "are equal" in (degenerate(np.ones_like(NORMAL), geometry="euclidean") or "")


def test_unlabelled_items_and_classes_of_one_item_say_nothing_of_classes():
    z = np.eye(64)[CLASSES] + 0.01 * NORMAL
    assert "few directions" not in (degenerate(z, CLASSES) or "few directions")
    assert "classes only" not in (degenerate(z, np.where(np.arange(300) < 5, CLASSES, -1)) or "")
    assert degenerate(NORMAL, np.arange(300)) is None


def test_constant_numbers_are_counted_among_few_directions():
    z = np.pad(NORMAL[:, :4], ((0, 0), (0, 60)))
    assert "60 are constant" in (degenerate(z) or "")


@pytest.mark.parametrize(
    ("z", "said"),
    [(5 + 1e-3 * NORMAL, "collapse"), (NORMAL[:, :4] @ NORMAL[:4], "few directions"), (NORMAL, None)],
    ids=["collapsed", "low rank", "healthy"],
)
def test_evaluating_a_space_says_what_is_wrong_with_it(z, said, tmp_path):
    with sb.fit(z.astype(np.float32), labels=CLASSES, recipe="as-is", out=tmp_path / "s.space") as space:
        faults = [note for note in space.evaluate()["notes"] if "usual remedies" in note]
    assert [fault.partition(":")[0] for fault in faults] == ([said] if said else [])
