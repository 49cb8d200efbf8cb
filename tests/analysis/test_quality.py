"""Scores fitted to a good set: each prefers what is like it."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.analysis.quality import OwnLabel, Quality, Reconstruction
from semblance.data.curation.report import auc
from semblance.data.load import load
from semblance.errors import SemblanceError

CHANCE = np.random.default_rng(0)
PLANE = CHANCE.normal(size=(3, 12))


def made(good: int, bad: int):
    """Rows near a plane through 0, and rows off it; labelled by a coordinate in the plane, the bad ones at random."""
    inner = CHANCE.normal(size=(good + bad, 3))
    x = inner @ PLANE + 0.05 * CHANCE.normal(size=(good + bad, 12))
    x[good:] += 2 + CHANCE.normal(size=(bad, 12))
    y = np.where(inner[:, 0] > 0, "up", "down").astype(object)
    y[good:] = CHANCE.choice(["up", "down"], bad)
    return load(x.astype(np.float32), labels=y), np.arange(good + bad) < good


@pytest.mark.parametrize("kind", ["quality", "reconstruction"])
def test_the_good_of_a_pool_score_above_the_bad(kind):
    clean, _ = made(80, 0)
    pool, truth = made(100, 100)
    score = Quality(clean, pool) if kind == "quality" else Reconstruction(clean, 3)
    assert auc(score(pool), truth) > 0.95
    assert np.allclose(score(pool.subset(np.arange(5, 9))), score(pool)[5:9])


def test_the_error_is_that_of_the_nearest_point_of_the_subspace():
    clean, _ = made(80, 0)
    score, (pool, _) = Reconstruction(clean, 3), made(4, 4)
    for i, found in enumerate(score(pool)):
        x = pool.x[i].astype(float) - score.mean
        near = np.linalg.lstsq(score.directions.T, x, rcond=None)[0] @ score.directions
        assert found == pytest.approx(-((x - near) ** 2).sum(), abs=1e-6)
    with pytest.raises(SemblanceError, match="give 1 to 12"):
        Reconstruction(clean, 13)


def test_pairs_of_item_and_label_score_by_whether_the_label_is_believed():
    clean, _ = made(80, 0)
    pool, _ = made(100, 0)
    labels = pool.targets["labels"].copy()
    wrong = np.arange(100) % 4 == 0
    labels[wrong] = 1 - labels[wrong]
    spoilt = type(pool)(**{**vars(pool), "targets": {"labels": labels}})
    score = OwnLabel(clean)
    assert auc(score(spoilt), ~wrong) > 0.95
    turned = type(pool)(**{**vars(pool), "targets": {"labels": 1 - labels}, "classes": pool.classes[::-1]})
    assert np.allclose(score(turned), score(spoilt)), "classes are matched by their names"
    with pytest.raises(SemblanceError, match="the data has none: give labels"):
        score(load(pool.x))
