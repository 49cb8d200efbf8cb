"""The whole judgement: right figures where the answer is known, nulls with a reason where there is none."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits
from sklearn.metrics import f1_score, r2_score
from sklearn.neighbors import KNeighborsClassifier

from semblance.analysis.judge import METRICS, judge
from semblance.errors import SemblanceError


def digits():
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    a, b = order[:1437], order[1437:]
    return x[a], y[a], x[b], y[b]


@pytest.fixture(scope="module")
def judged():
    x, y, q, t = digits()
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(64, 96)).astype(np.float32)

    def z(v):
        return np.maximum((v - 0.3) @ turn, 0)

    noisy = q + 0.02 * rng.normal(size=q.shape).astype(np.float32)
    start = time.perf_counter()
    found = judge(
        z(x), y, z(q), t, raw_train=x, raw_test=q, views=(z(q), z(noisy)), raw_views=(q, noisy), geometry="euclidean"
    )
    return found, time.perf_counter() - start


def test_every_figure_of_labelled_images_has_its_interval_and_baseline(judged):
    found, _ = judged
    assert set(found) == set(METRICS) - {"micro_f1", "r2", "spearman"}
    for name, m in found.items():
        assert m["low"] <= m["value"] <= m["high"], name
        assert m["baseline"] is not None, name


def test_raw_digits_score_what_scikit_learn_says(judged):
    x, y, q, t = digits()
    found = judge(x, y, q, t, geometry="euclidean", names=["knn1", "knn5"])
    assert found["knn1"]["value"] == pytest.approx(KNeighborsClassifier(1).fit(x, y).score(q, t), abs=1e-9)
    assert found["knn5"]["value"] == pytest.approx(KNeighborsClassifier(5).fit(x, y).score(q, t), abs=0.006)  # ties


def test_the_baseline_is_the_better_of_the_two_raw_forms(judged):
    x, y, q, t = digits()
    mean, std = x.mean(0), np.where(x.std(0) > 0, x.std(0), np.inf)
    alone = [
        judge(a, y, b, t, geometry="euclidean", names=["knn5"])
        for a, b in ((x, q), ((x - mean) / std, (q - mean) / std))
    ]
    assert judged[0]["knn5"]["baseline"] == pytest.approx(max(r["knn5"]["value"] for r in alone))


def test_judging_digits_takes_seconds(judged):
    assert judged[1] < 8


def test_labels_shuffled_in_the_gallery_bring_every_label_figure_to_chance():
    x, y, q, t = digits()
    wrong = np.random.default_rng(1).permutation(y)
    found = judge(x, wrong, q, t, names=["knn1", "linear", "fewshot5_all", "map"])
    for name, m in found.items():
        assert m["value"] < 0.2, name


def test_unlabelled_units_are_left_out_where_labels_count():
    x, y, q, t = digits()
    rng = np.random.default_rng(0)
    y, t = np.where(rng.random(len(y)) < 0.5, y, -1), np.where(rng.random(len(t)) < 0.5, t, -1)
    names = ["knn5", "linear", "nmi", "effective_rank"]
    found = judge(x, y, q, t, names=names)
    only = judge(x[y >= 0], y[y >= 0], q[t >= 0], t[t >= 0], names=names)
    assert [found[n]["value"] for n in names[:3]] == [only[n]["value"] for n in names[:3]]
    assert found["effective_rank"]["value"] != only["effective_rank"]["value"]  # that one looks at all units


def test_without_labels_and_views_only_the_spread_is_measured():
    x, _, q, _ = digits()
    found = judge(x, None, q, None, raw_train=x, raw_test=q)
    assert {n for n, m in found.items() if m["value"] is not None} == {"uniformity", "effective_rank"}
    assert all(m["note"] for m in found.values() if m["value"] is None)


def test_labels_of_one_class_give_nulls_and_the_reason():
    x, y, q, t = digits()
    found = judge(x, np.zeros_like(y), q, np.zeros_like(t), raw_train=x, raw_test=q)
    assert found["knn5"] == {
        "value": None,
        "low": None,
        "high": None,
        "note": "all labels are of one class",
        "baseline": None,
    }
    assert found["uniformity"]["value"] is not None


def of_new_classes(spread: float, sizes=(9, 3, 6, 2)):
    """Gallery of classes 0 and 1; test units of classes 2, 3, ... with so many units each, around points on axes."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(2, 2 + len(sizes)), sizes)
    z = np.eye(12)[y] + spread * rng.normal(size=(len(y), 12))
    return rng.normal(size=(20, 12)).astype(np.float32), np.arange(20) % 2, z.astype(np.float32), y


def test_classes_that_no_training_unit_has_are_judged_by_few_shots_within_the_test_part():
    found = judge(*of_new_classes(0.01))
    assert [found[name]["value"] for name in ("fewshot1", "fewshot5", "fewshot5_all", "nmi")] == [1.0] * 4
    assert found["knn5"]["value"] is None and "no training unit" in found["knn5"]["note"]
    assert found["uniformity"]["value"] is not None
    chance = judge(*of_new_classes(100.0, (40,) * 5), names=["fewshot1", "fewshot5_all"])
    assert all(abs(m["value"] - 0.2) < 0.08 for m in chance.values())


def test_a_unit_of_a_new_class_is_never_its_own_support():
    # Two units a class, one shot: were support asked too, half of the answers would be right without fail.
    train_z, train_y, z, y = of_new_classes(0.0, (2, 2, 2))
    opposite = z * np.where(np.arange(6) % 2, 1, -1)[:, None]  # a class's two units point away from one another
    found = judge(train_z, train_y, opposite, y, names=["fewshot1"])
    assert found["fewshot1"]["value"] == 0


def test_several_labels_are_judged_by_micro_f1_and_class_precision():
    x, y, q, t = digits()
    train, test = (np.stack([v % 2 == 0, v >= 5, v < 3], 1) for v in (y, t))
    found = judge(x, train, q, test, raw_train=x, raw_test=q)
    assert found["micro_f1"]["value"] > 0.85
    assert found["map"]["value"] > 0.85
    assert found["micro_f1"]["baseline"] == found["micro_f1"]["value"]  # z is the raw input here
    assert found["micro_f1"]["low"] < found["micro_f1"]["value"] < found["micro_f1"]["high"]
    assert found["knn5"]["value"] is None
    from semblance.analysis.probes import class_scores

    known, asked = train.any(1), test.any(1)
    said = class_scores(x[known], train[known], q[asked])[0] > 0
    assert found["micro_f1"]["value"] == pytest.approx(f1_score(test[asked], said, average="micro"))


def test_numbers_are_judged_by_r2_and_spearman():
    x, y = load_diabetes(return_X_y=True)
    y = y.copy()
    y[:10] = np.nan
    found = judge(x[:300], y[:300], x[300:], y[300:], raw_train=x[:300], raw_test=x[300:])
    assert 0.3 < found["r2"]["value"] < 0.7
    assert found["r2"]["low"] < found["r2"]["value"] < found["r2"]["high"]
    assert 0.5 < found["spearman"]["value"] < 0.9
    from semblance.analysis.probes import ridge_values

    assert found["r2"]["value"] == pytest.approx(r2_score(y[300:], ridge_values(x[10:300], y[10:300], x[300:])[0]))


def test_a_collapsed_space_is_judged_and_looks_collapsed():
    x, y, q, t = digits()
    found = judge(np.ones((len(x), 8)), y, np.ones((len(q), 8)), t)
    assert found["effective_rank"]["value"] == 1
    assert found["uniformity"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["knn5"]["value"] < 0.25


def test_the_same_seed_gives_the_same_judgement():
    x, y, q, t = digits()
    assert judge(x, y, q, t, seed=3) == judge(x, y, q, t, seed=3)


def test_an_unknown_metric_is_answered_with_the_nearest():
    with pytest.raises(SemblanceError, match="knn5"):
        judge(np.eye(4), np.arange(4), np.eye(4), np.arange(4), names=["knn_5"])
