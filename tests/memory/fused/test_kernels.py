"""Each arm gives what a sort of all scores gives, in the stretch, under the mask and nowhere else."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from semblance.memory.fused import kernels
from semblance.memory.fused.codes import Quantiser, packed, padded, pieces, sizes
from semblance.memory.fused.lists import list_blocks, make_lists, owners
from semblance.memory.fused.orders import Order, Rows, frames, sorted_rows, words
from semblance.memory.masks import Column

COUNT, DIM, K = 9_000, 24, 10


class Made(NamedTuple):
    vectors: np.ndarray
    queries: np.ndarray
    rows: Rows
    natural: Order
    other: Order
    labels: np.ndarray


def make(flat: bool) -> Made:
    rng = np.random.default_rng(3)
    vectors = (rng.normal(size=(60, DIM))[rng.integers(0, 60, COUNT)] + rng.normal(size=(COUNT, DIM))).astype(
        np.float32
    )
    bias = ((vectors**2).sum(1) / 2 if flat else np.empty(0)).astype(np.float32)
    quantisers = [Quantiser.train(vectors, size, flat) for size in sizes(DIM)]
    coded = [q.encode(vectors) for q in quantisers]
    lists = make_lists(vectors, flat)
    listed = tuple(q.codes(list_blocks(lists, c)) for q, c in zip(quantisers, coded, strict=True))
    labels = np.sort(rng.random(COUNT))
    null = rng.random(COUNT) < 0.01
    rows, values = sorted_rows(Column("number", np.where(null, 0, rng.integers(0, 50, COUNT)), null))

    def order(name: str, rows: np.ndarray, values: np.ndarray) -> Order:
        blocks = [packed(c[rows] if len(rows) else c) for c in coded]
        codes = tuple(q.codes(b) for q, b in zip(quantisers, blocks, strict=True))
        return Order(name, len(rows) or COUNT, rows, values, codes)

    natural = order("label", np.empty(0, np.int32), labels)
    other = order("other", rows.astype(np.int32), values)
    queries = rng.normal(size=(6, DIM)).astype(np.float32)
    return Made(vectors, queries, Rows(vectors, bias, lists, listed), natural, other, labels)


@pytest.fixture(scope="module", params=[False, True], ids=["sphere", "flat"])
def made(request: pytest.FixtureRequest) -> Made:
    return make(request.param)


def plain(made: Made, query: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best rows by sorting all scores."""
    items, query = made.vectors[rows].astype(np.float64), query.astype(np.float64)
    scores = -((items - query) ** 2).sum(1) / 2 if len(made.rows.bias) else items @ query
    best = np.argsort(-scores, kind="stable")[:K]
    return scores[best], rows[best]


def run(
    made: Made, order: Order, size: int, probes: int, depth: int, start: int, end: int, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    bits, first = (kernels.NO_WORDS, 0) if mask is None else words(mask, start)
    best, rows = np.empty((len(made.queries), K), np.float32), np.empty((len(made.queries), K), np.int32)
    found = np.empty(len(made.queries), np.int64)
    framed, _kept = frames(order, made.rows)
    kernels.answer(made.queries, framed[size], probes, depth, start, end, bits, first, best, rows, found)
    return best, rows, found


@pytest.mark.parametrize("which", ["natural", "other"])
@pytest.mark.parametrize("window", [(0, 8_900), (61, 131), (64, 128), (5_000, 5_003), (77, 77)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [0, 1])
def test_an_arm_that_may_measure_all_is_exact(
    made: Made, which: str, window: tuple[int, int], masked: bool, size: int
) -> None:
    order, (start, end) = getattr(made, which), window
    mask = np.random.default_rng(1).random(end - start) < 0.3 if masked else None
    places = np.arange(start, end) if mask is None else start + np.flatnonzero(mask)
    rows = places if order.natural else order.rows[places]
    depths = [4_000] if masked or end - start < 4_000 else []
    for depth in (*depths, 0):
        best, got, found = run(made, order, size, 0, depth, start, end, mask)
        for number, query in enumerate(made.queries):
            scores, near = plain(made, query, rows)
            assert found[number] == len(near)
            np.testing.assert_allclose(best[number, : len(near)], scores, rtol=1e-4, atol=1e-4)
            assert set(got[number, : len(near)]) == set(near)


def test_lists_looked_into_as_far_as_they_go_are_exact_and_few_fall_back_to_the_window(made: Made) -> None:
    count = len(made.rows.lists.centres)
    for start, end, probes in ((0, COUNT, count), (4_000, 7_000, count), (4_000, 4_030, 1)):
        best, _, found = run(made, made.natural, 1, probes, 4_000, start, end, None)
        for number, query in enumerate(made.queries):
            scores, _ = plain(made, query, np.arange(start, end))
            assert found[number] == len(scores)
            np.testing.assert_allclose(best[number, : len(scores)], scores, rtol=1e-4, atol=1e-4)


def test_codes_find_most_neighbours_and_fewer_when_less_is_measured(made: Made) -> None:
    def share(depth: int) -> float:
        _, rows, _ = run(made, made.natural, 1, 0, depth, 500, 8_500, None)
        near = [plain(made, query, np.arange(500, 8_500))[1] for query in made.queries]
        return float(np.mean([len({*r} & {*n}) / K for r, n in zip(rows, near, strict=True)]))

    assert share(200) > 0.9
    assert share(K) < share(200)


def test_every_row_lies_in_one_list_with_its_own_codes(made: Made) -> None:
    lists = made.rows.lists
    np.testing.assert_array_equal(np.sort(lists.rows), np.arange(COUNT))
    flat = (made.vectors @ lists.centres.T - lists.bias).argmax(1)
    np.testing.assert_array_equal(owners(lists), flat)
    for number in range(len(lists.centres)):
        held = lists.rows[lists.first[number] : lists.first[number + 1]]
        assert (np.diff(held) > 0).all()


def test_a_search_by_values_finds_the_stretch_and_names_the_rows_by_their_keys(made: Made) -> None:
    flat = bool(len(made.rows.bias))
    keys = np.arange(COUNT) * 3 + 7
    framed, _kept = frames(made.natural, made.rows)
    steps = np.array([[1, 0, 0]], np.int64)
    near, distances = np.empty(K, np.int64), np.empty(K, np.float32)
    low, high = made.labels[100], made.labels[399]
    held = kernels.windowed(made.queries[0], framed, made.labels, low, high, steps, keys, flat, near, distances)
    scores, rows = plain(made, made.queries[0], np.arange(100, 400))
    assert held == K
    assert set(near) == set(keys[rows])
    length = np.linalg.norm(made.queries[0])
    expected = np.sqrt(-2 * scores) if flat else 1 - scores / length
    np.testing.assert_allclose(distances, expected, rtol=1e-3, atol=1e-4)


def test_one_value_within_a_window_of_another_attribute_is_a_stretch(made: Made) -> None:
    flat = bool(len(made.rows.bias))
    keys = np.arange(COUNT) * 3 + 7
    framed, _kept = frames(made.other, made.rows)
    near, distances = np.empty(K, np.int64), np.empty(K, np.float32)
    for low, high, steps in ((0, 4_000, [[1, 0, 0]]), (10, 8_000, [[0, 0, 64]]), (500, 560, [[1, 0, 0]])):
        held = kernels.nested(
            made.queries[0], framed, made.other.values, 7, made.labels, made.labels[low], made.labels[high],
            np.array(steps, np.int64), keys, flat, near, distances,
        )  # fmt: skip
        inside = made.other.rows[made.other.values == 7]
        inside = inside[(inside >= low) & (inside <= high)]
        _, rows = plain(made, made.queries[0], inside)
        assert held == min(K, len(inside))
        assert near[:held].tolist() == keys[rows].tolist()
    assert held < K


def test_a_query_that_is_no_number_is_told_apart(made: Made) -> None:
    framed, _kept = frames(made.natural, made.rows)
    steps, near, distances = np.array([[0, 0, 0]], np.int64), np.empty(K, np.int64), np.empty(K, np.float32)
    for bad in (np.nan, np.inf):
        query = made.queries[0].copy()
        query[3] = bad
        assert kernels.whole(query, framed, steps, np.arange(COUNT), False, near, distances) == -1


def test_a_frame_refuses_an_array_of_another_kind(made: Made) -> None:
    rows = made.rows._replace(vectors=made.vectors.astype(np.float64))
    with pytest.raises(TypeError, match="vectors is float64"):
        frames(made.natural, rows)


def test_widths_that_no_piece_divides_are_padded_with_zeros() -> None:
    assert pieces(7, 2) == 4
    wide = padded(np.ones((2, 7), np.float32), 8)
    assert wide.shape == (2, 8) and wide[:, 7].tolist() == [0, 0]


CHILD = """
import sys
import numpy as np
from semblance.memory.fused import kernels
from semblance.memory.fused.orders import Order, Rows, frames
from semblance.memory.fused.shuffle import choose

held = dict(np.load(sys.argv[1]))
take = lambda kind, name: kind(*(held[f"{name}{number}"] for number in range(len(kind._fields))))
codes, listed = take(kernels.Codes, "codes"), take(kernels.Codes, "listed")
rows = Rows(held["vectors"], held["bias"], take(kernels.Lists, "lists"), (listed,))
order = Order("label", len(rows.vectors), np.empty(0, np.int32), held["values"], (codes,))
framed, kept = frames(order, rows)
queries, out = held["queries"], {}
for probes, depth in ((0, 0), (0, 60), (9, 60)):
    best, near = np.empty((len(queries), 10), np.float32), np.empty((len(queries), 10), np.int32)
    found = np.empty(len(queries), np.int64)
    kernels.answer(queries, framed[0], probes, depth, 700, 8_500, kernels.NO_WORDS, 0, best, near, found)
    out[f"{probes}, {depth}"] = near
np.savez(sys.argv[2], **out)
print(choose())
"""
FEATURES = {"avx2": "+sse4.2,+ssse3,+avx,+avx2,+fma", "plain": "+sse2", "ssse3": "+sse4.2,+ssse3"}
"""Each compiles the kernels anew, which takes a while: the last one is tried by `make faults`."""
TRIED = list(FEATURES) if os.environ.get("SEMBLANCE_PROCESSORS") == "all" else ["avx2", "plain"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names features of x86")
@pytest.mark.parametrize("shuffle", TRIED)
def test_a_processor_with_fewer_features_finds_the_same(shuffle: str, tmp_path: Path) -> None:
    made = make(flat=False)
    held = {"vectors": made.vectors, "bias": made.rows.bias, "values": made.labels, "queries": made.queries}
    for name, parts in (
        ("codes", made.natural.codes[1]),
        ("listed", made.rows.list_codes[1]),
        ("lists", made.rows.lists),
    ):
        held |= {f"{name}{number}": array for number, array in enumerate(parts)}
    np.savez(tmp_path / "in.npz", **held)
    # Code for another processor is kept apart from this one's.
    told = {**os.environ, "PYTHONPATH": ".", "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": FEATURES[shuffle]}
    ran = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "in.npz"), str(tmp_path / "out.npz")],
        env=told, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == shuffle
    answers = np.load(tmp_path / "out.npz")
    for probes, depth in ((0, 0), (0, 60), (9, 60)):
        _, near, _ = run(made, made.natural, 1, probes, depth, 700, 8_500, None)
        np.testing.assert_array_equal(answers[f"{probes}, {depth}"], near)
