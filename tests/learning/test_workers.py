"""Joined answers against enumeration and simulation; bad workers are found."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from semblance.errors import SemblanceError
from semblance.learning.workers import Answers, Simulated, dawid_skene, judge_answers, outvoted, reject


def simulated(errors: list[float], answers: int, items: int = 2000, share: float = 0.3, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = rng.random(items) < share
    return truth, Simulated(truth, np.array(errors), answers, rng)(np.arange(items))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_being_outvoted_is_as_likely_as_all_cases_say(count):
    error = 0.2
    chance = 0.0
    for wrong in itertools.product([0, 1], repeat=count):
        weight = math.prod(error if w else 1 - error for w in wrong)
        chance += weight * (1.0 if sum(wrong) > count / 2 else 0.5 if sum(wrong) == count / 2 else 0.0)
    assert outvoted(error, count) == pytest.approx(chance)


def test_majority_is_the_plain_count_and_its_error_rate_is_what_is_seen():
    truth, answers = simulated([0.1] * 5, 3)
    found = judge_answers(answers, "majority")
    wanted = [answers.yes[answers.item == i].sum() > 1 for i in range(200)]
    np.testing.assert_array_equal(found.yes[:200], wanted)
    seen = np.mean(found.yes[~truth])
    assert found.false_yes == pytest.approx(seen, abs=0.012) and found.false_yes == pytest.approx(0.028, abs=0.01)


def test_dawid_and_skene_find_the_error_rates_and_beat_the_majority_where_people_differ():
    errors = [0.02, 0.05, 0.4, 0.45, 0.4]
    truth, answers = simulated(errors, 5)
    posterior, found = dawid_skene(answers.item, answers.worker, answers.yes, len(truth))
    np.testing.assert_allclose(found.mean(1), errors, atol=0.05)
    by_count = judge_answers(answers, "majority").yes
    assert ((posterior > 0.5) != truth).mean() < 0.5 * (by_count != truth).mean()


def test_with_one_answer_an_item_the_answers_stand():
    answers = simulated([0.3], 1)[1]
    found = judge_answers(answers)
    np.testing.assert_array_equal(found.yes, answers.yes)
    assert (found.false_yes, found.false_no) == (0, 0)


def test_known_items_reject_the_bad_and_nobody_else():
    truth, answers = simulated([0.02, 0.5, 0.05, 0.45], 4, items=60)
    known = {i: bool(truth[i]) for i in range(40)}
    assert reject(answers, known).tolist() == [1, 3]
    assert reject(answers, {0: True, 1: False}).tolist() == []  # too few to tell


def test_mistakes_are_named():
    none = Answers(np.empty(0, int), np.empty(0, int), np.empty(0, bool))
    with pytest.raises(SemblanceError, match="nobody has answered"):
        judge_answers(none)
    with pytest.raises(SemblanceError, match="majority"):
        judge_answers(simulated([0.1], 1)[1], "majoriti")
    with pytest.raises(SemblanceError, match="most is 2"):
        reject(none, {}, 2)
    with pytest.raises(SemblanceError, match="4 answers"):
        simulated([0.1], 4)
