"""Neural collapse: every measure on frames whose value is known, and its invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from semblance.analysis.collapse import class_means, frame_distance, neural_collapse, spread, variability
from semblance.errors import SemblanceError
from semblance.testing import check_report

Y = np.repeat(np.arange(4), 25)
SIMPLEX = np.eye(4) - 0.25
GENERAL = np.diag([4.0, 2, 1, 0.5])
FRAMES = {"simplex": SIMPLEX, "orthogonal": np.eye(4), "general": GENERAL}


def items(means: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    """[100, 6]: class means in six dimensions, turned, and their items."""
    turned = np.pad(means, ((0, 0), (0, 6 - means.shape[1]))) @ ortho_group.rvs(6, random_state=seed)
    return turned[Y] + noise * np.random.default_rng(seed).normal(size=(100, 6))


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is_at_distance_0_from_itself_and_not_from_the_others(name):
    found = neural_collapse(items(3 * FRAMES[name], 0.0), Y)
    assert found.measures[name] < 1e-9 and found.measures["variability"] < 1e-18 and found.measures["spread"] < 1e-9
    if name == "simplex":
        assert found.measures["centred cosine"] == pytest.approx(-1 / 3) and found.measures["orthogonal"] > 0.3
    if name == "general":
        assert found.measures["cosine"] < 1e-9 and found.measures["orthogonal"] > 0.3
    assert f"nearest to the {name} frame" in str(found) and "have collapsed" in str(found)


def test_an_orthogonal_frame_is_a_general_one_and_centred_a_simplex():
    found = neural_collapse(items(np.eye(4), 0.0), Y).measures
    assert max(found[name] for name in FRAMES) < 1e-9


def test_variability_is_the_trace_of_its_definition():
    z = items(np.random.default_rng(1).normal(size=(4, 6)), 0.7)
    classes = class_means(z, Y)
    within = classes.residuals.T @ classes.residuals / 100
    between = classes.centred.T @ classes.centred / 4
    assert variability(classes) == pytest.approx(np.trace(within @ np.linalg.pinv(between)) / 4)
    means = [z[25 * k : 25 * k + 25].mean(0) for k in range(4)]
    by_loops = np.mean([np.sum((z[i] - means[i // 25]) ** 2) for i in range(100)]) ** 0.5
    length = np.mean([np.linalg.norm(mean) for mean in means])
    assert spread(classes) == pytest.approx(by_loops / length)


@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_turning_and_scaling_change_no_measure_and_shifting_none_of_centred_means(seed, scale):
    z = items(np.random.default_rng(seed).normal(size=(4, 4)), 0.5, seed)
    weight = np.random.default_rng(seed + 1).normal(size=(4, 6))
    turn = ortho_group.rvs(6, random_state=seed)
    one = neural_collapse(z, Y, weight).measures
    two = neural_collapse(scale * z @ turn, Y, weight @ turn).measures
    assert {k: two[k] for k in one} == pytest.approx(one, rel=1e-6, abs=1e-9)
    moved = neural_collapse(z + 3, Y).measures
    for name in ("variability", "simplex", "centred cosine"):
        assert moved[name] == pytest.approx(one[name], rel=1e-6, abs=1e-9)
    assert moved["orthogonal"] != pytest.approx(one["orthogonal"], rel=1e-3)


def test_labels_may_be_names_and_their_order_does_not_matter():
    z, order = items(SIMPLEX, 0.3), np.random.default_rng(0).permutation(100)
    names = np.array(["ape", "bee", "cat", "dog"])[Y]
    one, two = neural_collapse(z, Y), neural_collapse(z[order], names[order])
    assert two.measures == pytest.approx(one.measures) and list(two.labels) == ["ape", "bee", "cat", "dog"]


def test_a_classifier_along_the_class_means_is_aligned_and_agrees_with_the_nearest():
    z = items(3 * SIMPLEX, 0.2)
    means = class_means(z, Y).means
    bias = -(means**2).sum(1) / 2
    found = neural_collapse(z, Y, means, bias).measures
    assert found["aligned"] == pytest.approx(1) and found["nearest mean"] == 1
    turned = neural_collapse(z, Y, means[::-1], bias[::-1]).measures
    assert turned["aligned"] < 0.1 and turned["nearest mean"] == 0
    first, last = np.random.default_rng(0).normal(size=(9, 6)), np.random.default_rng(1).normal(size=(4, 9))
    assert neural_collapse(z, Y, [first, last]).measures == neural_collapse(z, Y, last @ first).measures


def test_items_without_classes_have_not_collapsed():
    found = neural_collapse(np.random.default_rng(0).normal(size=(100, 6)), Y)
    assert found.measures["variability"] > 1 and "have not collapsed" in str(found)
    check_report(found)
    assert found.to_dict()["classes"][0] == {"label": "0", "items": 25}


def test_class_means_that_are_one_have_no_frame():
    z = np.ones((100, 6)) + np.random.default_rng(0).normal(size=(100, 6)) * 1e-3
    same = z - class_means(z, Y).means[Y]
    assert variability(class_means(same, Y)) > 1e6
    assert frame_distance(np.zeros((4, 6)), "simplex") == 1.0


def test_wrong_input_is_refused_in_one_line():
    z = items(SIMPLEX, 0.1)
    with pytest.raises(SemblanceError, match="two classes"):
        neural_collapse(z, np.zeros(100))
    with pytest.raises(SemblanceError, match="99 labels"):
        neural_collapse(z, Y[1:])
    with pytest.raises(SemblanceError, match="NaN"):
        neural_collapse(np.where(z > z.max() - 1e-9, np.nan, z), Y)
    with pytest.raises(SemblanceError, match="4 classes of 6"):
        neural_collapse(z, Y, np.ones((5, 6)))
