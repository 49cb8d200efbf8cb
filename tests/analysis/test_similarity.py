"""What two representations share: measures, their invariances, and what chance makes of them."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from semblance.analysis import hsic
from semblance.analysis.comparison import comparison, u_centred
from semblance.analysis.hsic import cka, cka_matrix, minibatch_cka
from semblance.analysis.permutation_law import Law, partitions
from semblance.analysis.similarity import MEASURES, canonical_correlations, neighbour_overlap, spectrum, svcca
from semblance.errors import SemblanceError

RNG = np.random.default_rng(15)
COMMON = RNG.normal(size=(120, 6))
X = np.maximum(COMMON @ RNG.normal(size=(6, 12)), 0)
Y = np.maximum(COMMON @ RNG.normal(size=(6, 9)), 0) + 0.1 * RNG.normal(size=(120, 9))


def turned(p: int) -> np.ndarray:
    """A random rotation [p, p]."""
    return stats.ortho_group.rvs(p, random_state=np.random.default_rng(3))


def plain_cka(x: np.ndarray, y: np.ndarray, unbiased: bool) -> float:
    """By Gram matrices, term by term."""
    k, m, n = x @ x.T, y @ y.T, len(x)
    if not unbiased:
        h = np.eye(n) - 1 / n
        k, m = h @ k @ h, h @ m @ h
        return float((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))
    k, m = k * (1 - np.eye(n)), m * (1 - np.eye(n))

    def h1(a: np.ndarray, b: np.ndarray) -> float:
        ends = a.sum() * b.sum() / ((n - 1) * (n - 2))
        return float(np.trace(a @ b) + ends - 2 / (n - 2) * (a @ b).sum())

    return h1(k, m) / np.sqrt(h1(k, k) * h1(m, m))


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("features", [12, 500])
def test_alignment_without_gram_matrices_is_alignment(unbiased: bool, features: int) -> None:
    x = np.maximum(COMMON @ RNG.normal(size=(6, features)), 0) + 5  # far from centred; fewer items than features, too
    assert cka(x, Y, unbiased) == pytest.approx(plain_cka(x, Y, unbiased), abs=1e-9)
    assert cka(x.astype(np.float32), Y.astype(np.float32), unbiased) == pytest.approx(
        plain_cka(x, Y, unbiased), abs=1e-5
    )


def test_alignment_of_a_long_representation_is_streamed_and_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cka(X, Y, True)
    monkeypatch.setattr(hsic, "CHUNK", 32)
    assert cka(X, Y, True) == pytest.approx(whole, abs=1e-12)
    assert cka(X.astype(np.float32), Y, True) == pytest.approx(whole, abs=1e-5)


def test_layers_against_layers_are_pairs_of_layers() -> None:
    found = cka_matrix([X, Y, X[:, :3]])
    assert found[0, 1] == pytest.approx(cka(X, Y, True))
    np.testing.assert_allclose(np.diag(found), 1)
    np.testing.assert_allclose(found, found.T)
    np.testing.assert_allclose(cka_matrix([X, Y], [X[:, :3]])[:, 0], found[:2, 2])


def test_minibatches_come_within_a_hundredth_of_the_whole() -> None:
    common = RNG.normal(size=(4000, 8))
    x, y = (np.maximum(common @ RNG.normal(size=(8, 40)), 0).astype(np.float32) for _ in range(2))
    assert minibatch_cka(x, y) == pytest.approx(cka(x, y, True), rel=0.01)
    shuffled = y[RNG.permutation(len(y))]
    assert abs(minibatch_cka(x, shuffled)) < 0.01


@pytest.mark.parametrize("name", MEASURES)
def test_a_representation_agrees_fully_with_itself_and_not_with_noise(name: str) -> None:
    measure = MEASURES[name]
    assert measure(X, X) == pytest.approx(1, abs=1e-6)
    found = comparison(X, RNG.normal(size=(120, 5)), measures=[name]).measures[name]
    assert found.p > 0.005
    assert found.value == pytest.approx(found.null, abs=0.12)


@pytest.mark.parametrize("name", [name for name in MEASURES if name != "rsa"])
def test_a_rotation_or_a_scale_of_the_features_changes_nothing(name: str) -> None:
    measure = MEASURES[name]
    for other in (Y @ turned(9), 3.7 * Y, Y[:, ::-1]):
        assert measure(X, other) == pytest.approx(measure(X, Y), abs=1e-6)


def test_similarities_of_items_ignore_their_own_scale_and_shift() -> None:
    other = Y * RNG.uniform(0.5, 2, size=(120, 1)) + RNG.normal(size=(120, 1))
    assert MEASURES["rsa"](X, other) == pytest.approx(MEASURES["rsa"](X, Y), abs=1e-9)


def test_canonical_correlations_of_all_directions_survive_any_linear_map() -> None:
    whole = svcca(kept=1.0)
    assert whole(X, Y @ RNG.normal(size=(9, 9))) == pytest.approx(whole(X, Y), abs=1e-6)
    assert MEASURES["pwcca"](X, Y @ RNG.normal(size=(9, 9))) == pytest.approx(MEASURES["pwcca"](X, Y), abs=1e-6)


def test_canonical_correlations_are_those_of_the_textbook() -> None:
    x, y = X - X.mean(0), Y - Y.mean(0)
    between = np.linalg.solve(x.T @ x, x.T @ y) @ np.linalg.solve(y.T @ y, y.T @ x)
    expected = np.sqrt(np.sort(np.linalg.eigvals(between).real)[::-1][:9])
    np.testing.assert_allclose(canonical_correlations(spectrum(X).u, spectrum(Y).u), expected, atol=1e-8)


def test_procrustes_is_the_best_rotation_there_is() -> None:
    x, y = (side - side.mean(0) for side in (X[:, :9], Y))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    best = MEASURES["procrustes"](X[:, :9], Y)
    u, _, v = np.linalg.svd(y.T @ x)
    assert 1 - np.linalg.norm(x - y @ u @ v) ** 2 / 2 == pytest.approx(best, abs=1e-9)
    assert all((x * (y @ turned(9))).sum() < best for _ in range(5))


@pytest.mark.parametrize("name", MEASURES)
def test_a_side_in_another_order_is_the_side_of_items_in_that_order(name: str) -> None:
    measure, order = MEASURES[name], RNG.permutation(120)
    moved = measure.reorder(measure.prepare(Y), order)
    assert measure.between(measure.prepare(X), moved) == pytest.approx(measure(X, Y[order]), abs=1e-6)


def test_neighbours_that_are_the_same_are_counted() -> None:
    line = np.arange(40.0)[:, None] ** [1, 0]  # points at growing angles
    assert neighbour_overlap(line, line, 3) == 1
    expected = np.mean([len({*near(X, i)} & {*near(Y, i)}) / 4 for i in range(120)])
    assert neighbour_overlap(X, Y, 4) == pytest.approx(expected)


def near(x: np.ndarray, i: int) -> np.ndarray:
    """The four nearest by cosine, the slow way."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    return np.argsort(-np.delete(unit @ unit[i], i), kind="stable")[:4] + (
        np.argsort(-np.delete(unit @ unit[i], i), kind="stable")[:4] >= i
    )


@pytest.mark.parametrize("n", [6, 7])
@pytest.mark.parametrize("centring", ["centred", "u-centred"])
def test_the_law_of_chance_is_that_of_all_orders(n: int, centring: str) -> None:
    x, y = RNG.normal(size=(n, 3)) ** 2, RNG.exponential(size=(n, 2))
    if centring == "centred":
        k, m = ((side - side.mean(0)) @ (side - side.mean(0)).T for side in (x, y))
    else:
        k, m = u_centred(x), u_centred(y)
    drawn = np.array([(k * m[np.ix_(p, p)]).sum() for p in map(list, itertools.permutations(range(n)))])
    law = Law(k, m)
    assert law.mean == pytest.approx(drawn.mean(), abs=1e-10)
    assert law.variance == pytest.approx(drawn.var(), rel=1e-10)
    assert law.skewness == pytest.approx(stats.skew(drawn), abs=1e-10)


def test_the_law_of_chance_gives_p_values_that_are_uniform_under_chance() -> None:
    p = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        k, m = (u_centred(rng.normal(size=(40, 3))) for _ in range(2))
        p.append(Law(k, m).p(float((k * m).sum())))
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_set_partitions_are_all_there() -> None:
    assert [len(list(partitions(n))) for n in range(1, 7)] == [1, 2, 5, 15, 52, 203]  # Bell's numbers


def test_an_interval_covers_what_all_items_give() -> None:
    """Items drawn from a large set: their interval holds the large set's value about 19 times of 20."""
    common = RNG.normal(size=(20_000, 4))
    x, y = (np.tanh(common @ RNG.normal(size=(4, 10))) + 0.3 * RNG.normal(size=(20_000, 10)) for _ in range(2))
    truth, held = cka(x, y, True), 0
    for seed in range(40):
        rows = np.random.default_rng(seed).choice(20_000, 400, replace=False)
        found = comparison(x[rows], y[rows], measures=["cka"], seed=seed).measures["cka"]
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert held >= 34


def test_a_comparison_says_it_in_a_sentence_a_table_a_picture_and_a_page(tmp_path: object) -> None:
    found = comparison(X, Y, ("mine", "theirs"))
    assert str(found).startswith("mine and theirs share")
    assert set(found.to_dict()["measures"]) == set(MEASURES)
    assert found.table().num_rows == len(MEASURES)
    assert len(found.plot().axes[0].get_lines()) == 3 * len(MEASURES)
    noise = comparison(X, RNG.normal(size=(120, 4)), ("mine", "noise"))
    if noise.measures["cka"].p > 0.05:
        assert "no more than chance" in str(noise)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (X, Y[:-1], "x has 120 items and y 119"),
        (X, np.where(Y[3, 0] == Y, np.nan, Y), "y holds NaN or infinity in 1 of 120"),
        (X[:5], Y[:5], "5 items are too few"),
        (np.ones_like(X), Y, "is the same for all 120 items"),
    ],
)
def test_what_cannot_be_compared_is_said(x: np.ndarray, y: np.ndarray, said: str) -> None:
    with pytest.raises(SemblanceError, match=said):
        comparison(x, y)


def test_what_misleads_is_noted() -> None:
    wide = RNG.normal(size=(120, 200))
    still = np.concatenate([Y, np.ones((120, 2))], 1)
    notes = " ".join(comparison(wide, still, measures=["cka", "svcca"]).notes)
    assert "200 features for 120 items" in notes
    assert "2 constant of 11" in notes
    assert "svcca has no interval" in notes
    with pytest.raises(SemblanceError, match="ckb"):
        comparison(X, Y, measures=["ckb"])


def test_tensors_are_taken_as_they_are() -> None:
    assert cka(torch.from_numpy(X).requires_grad_(), torch.from_numpy(Y)) == pytest.approx(cka(X, Y))


def test_a_mapped_file_is_read_without_staying_in_memory(tmp_path: Path) -> None:
    """160 MB on either side: the peak grows by chunks, not by files."""
    program = f"""
import resource, sys
import numpy as np
from semblance.analysis.hsic import cka
x = np.lib.format.open_memmap({str(tmp_path / "x.npy")!r}, "r")
cka(x[:20_000], x[:20_000, :64])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(cka(x, x[:, ::-1]), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10)
"""
    rng = np.random.default_rng(0)
    with open(tmp_path / "x.npy", "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (160_000, 256)}
        np.lib.format.write_array_header_1_0(file, header)
        some = rng.normal(size=(20_000, 256)).astype(np.float32).tobytes()
        for _ in range(8):
            file.write(some)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    value, grown = map(float, done.stdout.split())
    assert value == pytest.approx(1, abs=1e-6)  # the same columns in another order
    assert grown < 100
