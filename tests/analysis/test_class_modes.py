"""Modes of classes: pieces are counted, one cloud is one, and lengths do not count."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.analysis.class_modes import class_modes
from semblance.errors import SemblanceError


def clouds(centres, rng, each=60, noise=0.1):
    return np.concatenate([c + noise * rng.normal(size=(each, len(c))) for c in np.asarray(centres, float)])


def test_a_class_of_three_clouds_has_three_modes_and_one_of_one_cloud_one():
    rng = np.random.default_rng(0)
    axes = np.eye(8)
    z = np.concatenate([clouds(axes[:3], rng), clouds(axes[3:4], rng, 180)])
    labels = np.repeat([0, 1], 180)
    report = class_modes(z, labels, ("three", "one"))
    assert [row["modes"] for row in report.rows] == [3, 1]
    assert report.rows[0]["spread"] > 0.3 > 0.1 > report.rows[1]["spread"]
    assert "1 of 2 classes lies in several pieces" in str(report)
    scaled = class_modes(z * rng.uniform(0.5, 5, (len(z), 1)), labels)
    assert [row["modes"] for row in scaled.rows] == [3, 1]


def test_a_class_of_one_point_is_one_mode_and_items_without_a_label_are_left_out():
    z = np.concatenate([np.ones((5, 3)), np.random.default_rng(0).normal(size=(4, 3))])
    report = class_modes(z, np.array([0] * 5 + [-1] * 4))
    assert [(row["modes"], row["items"]) for row in report.rows] == [(1, 5)]
    assert report.rows[0]["spread"] == pytest.approx(0) and report.rows[0]["silhouette"] is None


def test_vectors_without_labels_are_refused():
    with pytest.raises(SemblanceError, match="its label"):
        class_modes(np.eye(3), np.array([-1, -1, -1]))
