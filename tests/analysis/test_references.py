"""Measures beside what their published reference implementations answer on the same arrays, to 1e-6.

The answers were written down from runs of these programs, which no test needs:
    cka          google-research, representation_similarity/Demo.ipynb (Kornblith et al. 2019)
    svcca        google/svcca, cca_core.get_cca_similarity on the leading directions (Raghu et al. 2017)
    procrustes   netrep.metrics.LinearMetric, the cosine of its angular distance (Williams et al. 2021)
    rsa          rsatoolbox 0.3.2, calc_rdm(method="correlation") and compare(method="spearman")
SciPy's procrustes and spearmanr are at hand, and asked here.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist

from semblance.analysis.hsic import cka
from semblance.analysis.layers import layer_comparison
from semblance.analysis.similarity import MEASURES, svcca

RNG = np.random.default_rng(2019)
COMMON = RNG.normal(size=(200, 6))
X = np.maximum(COMMON @ RNG.normal(size=(6, 14)), 0) + 0.3 * RNG.normal(size=(200, 14))
Y = np.tanh(COMMON @ RNG.normal(size=(6, 9))) + 0.3 * RNG.normal(size=(200, 9))
ANSWERED = {
    "cka": 0.4348808346829414,
    "svcca": 0.5555512789586513,
    "procrustes": 0.6230996562750161,
    "rsa": 0.501127819248314,
}


@pytest.mark.parametrize("name", ANSWERED)
def test_a_measure_answers_what_its_reference_answers(name: str) -> None:
    assert MEASURES[name](X, Y) == pytest.approx(ANSWERED[name], abs=1e-6)
    assert layer_comparison({"x": X}, {"y": Y}, measure=name).values[0, 0] == pytest.approx(ANSWERED[name], abs=1e-6)
    x, y = X.astype(np.float32), Y.astype(np.float32)
    assert MEASURES[name](x, y) == pytest.approx(ANSWERED[name], abs=1e-5)


def test_biased_alignment_and_all_directions_are_the_references_too() -> None:
    assert cka(X, Y) == pytest.approx(0.44588487209002925, abs=1e-6)
    assert svcca(1.0)(X, Y) == pytest.approx(0.5617503175972716, abs=1e-6)


def test_the_notebook_s_own_example_is_met() -> None:
    old = np.random.RandomState(1337)  # as the reference draws it
    x = old.randn(100, 10)
    y = old.randn(100, 10) + x
    assert round(cka(x, y), 5) == 0.55761
    assert round(cka(x, y, unbiased=True), 5) == 0.51346


def test_what_scipy_answers() -> None:
    wide = np.pad(Y, ((0, 0), (0, 5)))  # it asks for as many columns on both sides
    assert MEASURES["procrustes"](X, Y) == pytest.approx(np.sqrt(1 - procrustes(X, wide)[2]), abs=1e-6)
    sides = (pdist(side, "correlation") for side in (X, Y))
    assert MEASURES["rsa"](X, Y) == pytest.approx(stats.spearmanr(*sides).statistic, abs=1e-6)
