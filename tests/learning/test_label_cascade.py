"""The cascade: bounds hold, nothing is asked twice, and what people say is never overruled."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import binom

from semblance.data.duplicates import groups, without_duplicates
from semblance.errors import SemblanceError
from semblance.learning.label_cascade import (
    UNSURE,
    YES,
    Cascade,
    Rules,
    audit,
    fit_scorer,
    lower_bound,
    thresholds,
    upper_bound,
)
from semblance.learning.workers import Answers, Simulated

QUICK = {"sample": 120, "rest": 120, "hidden": 8, "missed": 0.05}


def candidates(n: int = 2400, seed: int = 0, share: float = 0.3, apart: float = 3.0):
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < share
    z = rng.normal(size=(n, 5))
    z[:, 0] += apart * truth
    return z.astype(np.float32), truth


def people(truth, error=0.0, answers=1, workers=3, seed=0):
    return Simulated(truth, np.full(workers, error), answers, np.random.default_rng(seed))


def test_the_bound_is_the_rate_at_which_so_many_hits_become_unlikely():
    for hits, of in ((1, 10), (95, 100), (100, 100)):
        rate = float(lower_bound(np.array([hits]), np.array([of]), 0.95)[0])
        assert binom.sf(hits - 1, of, rate) == pytest.approx(0.05)
    assert lower_bound(np.array([0]), np.array([10]), 0.95)[0] == 0
    assert upper_bound(np.array([3]), np.array([50]), 0.8)[0] == 1 - lower_bound(np.array([47]), np.array([50]), 0.8)[0]


def test_thresholds_keep_their_bounds_on_what_was_held_out():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=3000)
    yes = rng.random(3000) < 1 / (1 + np.exp(-6 * scores))
    rules = Rules(precision=0.95, missed=0.02)
    upper, lower = thresholds(scores, yes, rules)
    above, below = scores >= upper, scores < lower
    assert lower_bound(np.array([yes[above].sum()]), np.array([above.sum()]), 0.95)[0] >= 0.95
    assert yes[below].sum() <= 0.02 * yes.sum()
    assert above.sum() > 800 and below.sum() > 500
    stricter = thresholds(scores, yes, Rules(precision=0.99, missed=0.005))
    assert stricter[0] > upper and stricter[1] < lower


def test_where_nothing_is_sure_nothing_is_decided():
    rng = np.random.default_rng(0)
    assert thresholds(rng.normal(size=200), rng.random(200) < 0.5, Rules()) == (np.inf, -np.inf)
    assert thresholds(np.empty(0), np.empty(0, bool), Rules()) == (np.inf, -np.inf)


def test_errors_of_people_are_put_right():
    """A pure region that people call yes in 94% of the cases is as sure as one they always call yes."""
    scores = np.r_[np.linspace(2, 1, 1000), np.linspace(-1, -2, 1000)]
    rng = np.random.default_rng(1)
    yes = np.r_[rng.random(1000) >= 0.06, rng.random(1000) < 0.06]
    blind, aware = thresholds(scores, yes, Rules()), thresholds(scores, yes, Rules(), 0.06, 0.06)
    assert blind[0] == np.inf and blind[1] < -1.8
    assert aware[0] < 1.2 and aware[1] > -1.5


def test_few_are_shown_and_the_bounds_hold_on_the_truth():
    for seed in range(3):
        z, truth = candidates(seed=seed)
        made = Cascade(z, Rules(**QUICK), seed)
        rounds = list(made.run(people(truth)))
        assert not len(made.pool) and made.shown < 0.6 * len(z)
        assert truth[made.labels == YES].mean() >= 0.95
        assert (made.labels[truth] == YES).mean() >= 0.85
        assert rounds[0].pool == len(z)
        assert all(later.pool == earlier.unsure for earlier, later in itertools.pairwise(rounds))
        assert sum(r.shown for r in rounds) == made.shown


def test_nobody_is_asked_twice_and_what_people_say_stands():
    z, truth = candidates()
    asked: list[int] = []
    someone = people(truth)

    def watched(items):
        asked.extend(items.tolist())
        return someone(items)

    made = Cascade(z, Rules(**QUICK))
    list(made.run(watched))
    assert len(asked) == len(set(asked)) == made.shown
    np.testing.assert_array_equal(made.labels[asked] == YES, truth[asked])


def test_the_same_seed_asks_the_same_and_kept_answers_are_enough_to_go_on():
    z, truth = candidates()
    kept: dict[int, bool] = {}

    def until_tired(items, patience):
        for item in items:
            if int(item) not in kept:
                if patience and len(kept) >= patience:
                    raise KeyboardInterrupt
                kept[int(item)] = bool(truth[item])
        return Answers(items, np.zeros(len(items), int), np.array([kept[int(i)] for i in items]))

    with pytest.raises(KeyboardInterrupt):
        list(Cascade(z, Rules(**QUICK), 5).run(lambda items: until_tired(items, 150)))
    resumed, whole = Cascade(z, Rules(**QUICK), 5), Cascade(z, Rules(**QUICK), 5)
    list(resumed.run(lambda items: until_tired(items, 0)))
    list(whole.run(people(truth, workers=1)))
    np.testing.assert_array_equal(resumed.labels, whole.labels)
    assert len(kept) == whole.shown


def test_features_that_say_nothing_leave_nearly_everything_to_people():
    z, truth = candidates(600)
    made = Cascade(z[np.random.default_rng(0).permutation(600)], Rules(**QUICK))
    list(made.run(people(truth)))
    assert made.shown > 500 and all(found.yes == 0 for found in made.rounds)
    assert (made.labels[truth] == YES).mean() >= 1 - 0.05 * len(made.rounds)


def test_a_worker_who_guesses_is_found_by_known_items_and_left_out():
    z, truth = candidates(1200)
    errors = np.array([0.0, 0.0, 0.0, 0.0, 0.5])
    guessing = Simulated(truth, errors, 3, np.random.default_rng(0))
    made = Cascade(z, Rules(**QUICK, known=40))
    list(made.run(guessing))
    assert made.rejected == {4}
    shown = made.by_people
    assert ((made.labels[shown] == YES) == truth[shown]).mean() > 0.99


def test_a_pool_of_one_kind_is_answered_by_people_alone():
    z, _ = candidates(300)
    made = Cascade(z, Rules(**QUICK))
    list(made.run(people(np.zeros(300, bool))))
    assert made.shown == 300 and (made.labels == 0).all()


def test_an_audit_holds_the_truth():
    z, truth = candidates(apart=2.0)
    labels = (z[:, 0] > 1.0).astype(np.int8)
    found = audit(labels, people(truth), np.random.default_rng(0), sample=400, answers=900)
    precision, recall = truth[labels == YES].mean(), labels[truth].mean()
    assert found.precision[1] <= precision <= found.precision[2]
    assert found.recall[1] <= recall <= found.recall[2]
    assert found.answers_per_item == pytest.approx(900 / 2400)
    with pytest.raises(SemblanceError, match="nothing to audit"):
        audit(np.zeros(10, np.int8), people(truth), np.random.default_rng(0))


@pytest.mark.parametrize("hidden", [0, 8])
def test_a_scorer_tells_apart_what_can_be_told(hidden):
    z, truth = candidates()
    score = fit_scorer(z[:400], truth[:400], torch.Generator().manual_seed(0), hidden)
    again = fit_scorer(z[:400], truth[:400], torch.Generator().manual_seed(0), hidden)
    assert ((score(z[400:]) > 0) == truth[400:]).mean() > 0.9
    np.testing.assert_array_equal(score(z), again(z))


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"precision": 1.0}, "precision is 1.0"),
        ({"missed": 0}, "missed is 0"),
        ({"sample": 1}, "sample is 1"),
        ({"way": "vote"}, "majority"),
        ({"rounds": 0}, "rounds is 0"),
    ],
)
def test_wrong_rules_are_one_line(rules, says):
    with pytest.raises(SemblanceError, match=says):
        Rules(**rules)


def test_wrong_features_and_missing_answers_are_named():
    with pytest.raises(SemblanceError, match="finite"):
        Cascade(np.full((3, 2), np.nan))
    with pytest.raises(SemblanceError, match="got no answer"):
        Cascade(np.zeros((3, 2))).step(lambda items: Answers(items[:1], np.zeros(1, int), np.ones(1, bool)))
    assert (Cascade(np.zeros((3, 2))).labels == UNSURE).all()


def test_copies_of_copies_are_one_item_and_the_first_stays():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(50, 16)).astype(np.float32)
    z[20], z[30], z[31] = z[3] * 2, z[20], z[7]
    assert np.flatnonzero(groups(z) != np.arange(50)).tolist() == [20, 30, 31]
    assert groups(z)[[20, 30, 31]].tolist() == [3, 3, 7]
    assert without_duplicates(z).tolist() == [i for i in range(50) if i not in (20, 30, 31)]
    assert groups(z[:1]).tolist() == [0]
    with pytest.raises(SemblanceError, match="similarity is 2"):
        groups(z, 2)
