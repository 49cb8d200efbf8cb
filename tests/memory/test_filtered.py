"""The filtered index: an exact one's answers at recall 1, the share that is asked for below it, and whatever changes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory.conditions_drawn import tables, trees
from memory.filled import names, numbers, table
from memory.fused.made import items

from semblance.errors import SemblanceError
from semblance.memory import filtered
from semblance.memory.conditions import Condition, parameters_of
from semblance.memory.exact import Exact
from semblance.memory.filtered import Filtered
from semblance.memory.fused.part import Part
from semblance.memory.masks import Column, true_rows
from semblance.testing import check_index

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


class Built(Filtered):
    """Indexes at once what is added."""

    def add(self, ids: Any, vectors: np.ndarray, attributes: pa.Table | None = None) -> None:
        super().add(ids, vectors, attributes)
        self.build()


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", [Filtered, Built])
def test_the_index_keeps_the_promises_of_the_contract(kind: type[Filtered], geometry: str) -> None:
    check_index(lambda: kind(6, geometry, recall=1.0), kind.load, geometry=geometry)


def agree(index: Filtered, exact: Exact, queries: np.ndarray, k: int, where: str | None) -> None:
    """Raises unless both find the same distances, and each the items that are at them."""
    found, near = index.search(queries, k, where)
    wanted, distances = exact.search(queries, k, where)
    for ids, far, expected, least in zip(found, near, wanted, distances, strict=True):
        np.testing.assert_allclose(far, least, **CLOSE)
        assert len(ids) == len(expected) == len(set(ids))
        inside = far < far.max(initial=-np.inf) - 1e-4  # equals at the end of the line may be others
        assert {id for id, sure in zip(ids, inside, strict=True) if sure} <= set(expected)


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
@given(drawn=tables, condition=trees, seed=st.integers(0, 99), split=st.integers(0, 12), data=st.data())
@settings(max_examples=25)
def test_at_recall_one_any_table_and_condition_give_the_exact_answer(
    geometry: str, drawn: pa.Table, condition: Condition, seed: int, split: int, data: st.DataObject
) -> None:
    vectors, split = numbers(len(drawn), 3, seed), min(split, len(drawn))
    index, ids = Filtered(3, geometry, recall=1.0), names(len(drawn))
    index.add(ids[:split], vectors[:split], drawn[:split])
    index.build()
    index.add(ids[split:], vectors[split:], drawn[split:])
    gone = data.draw(st.lists(st.sampled_from(ids), unique=True)) if ids else []
    index.remove(gone)
    columns = {name: Column.of(drawn[name], name) for name in drawn.column_names}
    assert not parameters_of(condition)
    met = true_rows(condition, columns)
    rows = [row for row, id in enumerate(ids) if met[row] and id not in gone]
    now, found, distances = index.answer(numbers(2, 3, 500), 5, condition)
    assert found.matches == len(rows)
    exact = Exact(3, geometry)
    exact.add([ids[row] for row in rows], vectors[rows])
    wanted, least = exact.search(numbers(2, 3, 500), 5)
    for line, far, expected, nearest in zip(found.keys, distances, wanted, least, strict=True):
        np.testing.assert_allclose(far, nearest, **CLOSE)
        assert [now.ids[key] for key in line] == expected


COUNT, DIM, ASKED = 20_000, 32, 60
WHERES = [
    None,
    "year between 1950 and 1999",
    "year between 1950 and 1953",
    "city = 'Oslo'",
    "city = 'Rome' and year > 1930",
    "flag and score < 0.3",
    "score is null",
    "not flag or city in ('Bergen', 'Lima')",
]


def filled(kind: str, geometry: str = "cosine", count: int = COUNT, dim: int = DIM) -> tuple[Filtered, Exact]:
    vectors, attributes = items(count + ASKED, dim, kind=kind)
    if kind == "diffuse":
        vectors = numbers(count + ASKED, dim, 3)
    index, exact = Built(dim, geometry), Exact(dim, geometry)
    for one in (index, exact):
        one.add(names(count), vectors[:count], attributes[:count])
    return index, exact


def asked(kind: str, dim: int = DIM, count: int = COUNT) -> np.ndarray:
    drawn = numbers(count + ASKED, dim, 3) if kind == "diffuse" else items(count + ASKED, dim, kind=kind)[0]
    return drawn[count:]


def share(index: Filtered, exact: Exact, queries: np.ndarray, where: str | None, recall: float) -> float:
    """The share of the 10 true neighbours that is found; raises where rows are missing or a wrong one comes in."""
    now, found, _ = index.answer(queries, 10, where, recall)
    wanted, _ = exact.search(queries, 10, where)
    matches = len(exact.search(queries[:1], COUNT, where)[0][0])
    assert found.matches == matches and found.recall >= recall
    assert (found.keys >= 0).sum() == len(queries) * min(10, matches)
    lines = zip(found.keys, wanted, strict=True)
    return float(np.mean([len({now.ids[key] for key in line} & set(ids)) / len(ids) for line, ids in lines]))


@pytest.mark.parametrize("kind", ["uniform", "correlated", "diffuse"])
def test_the_share_that_is_asked_for_is_found(kind: str) -> None:
    index, exact = filled(kind)
    for recall, floor in ((0.95, 0.93), (0.99, 0.98), (1.0, 0.9999)):
        shares = {where: share(index, exact, asked(kind), where, recall) for where in WHERES}
        assert np.mean(list(shares.values())) >= recall - 1e-4, shares
        assert min(shares.values()) >= floor, shares


@pytest.mark.parametrize("kind", ["uniform", "correlated", "diffuse"])
def test_a_prepared_combination_finds_the_share_that_is_asked_for(kind: str) -> None:
    index, exact = filled(kind)
    shares: dict[tuple[str, float], float] = {}
    for where in (
        "score between 0.1 and 0.7 and (city = 'Bergen' or city = 'Rome')",
        "city in ('Oslo', 'Lima')",
        "not city = 'Bergen'",
        "score < 0.6 and not year between 1930 and 1960",
        "year between 1920 and 2050 and score between 0.2 and 0.9",
        "flag and (year < 1950 or city = 'Bergen')",
    ):
        wanted, _ = exact.search(asked(kind), 10, where)
        for recall in (0.95, 0.99):
            near = index.prepare(where, recall)
            assert near._quick is not None
            found = [{index._state.ids[number] for number in near(query, 10)[0]} for query in asked(kind)]
            assert all(len(line) == 10 for line in found)
            shares[where, recall] = float(np.mean([len(a & {*b}) / 10 for a, b in zip(found, wanted, strict=True)]))
    for recall, floor in ((0.95, 0.93), (0.99, 0.97)):
        met = [share for (_, least), share in shares.items() if least == recall]
        assert np.mean(met) >= recall - 1e-3 and min(met) >= floor, shares


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
@pytest.mark.parametrize("dim", [2, 3, 7, 64, 130])
def test_any_number_of_dimensions(dim: int, geometry: str) -> None:
    index, exact = filled("diffuse", geometry, 3_000, dim)
    queries = asked("diffuse", dim, 3_000)[:10]
    for where in (None, "city = 'Oslo'", "year > 2090"):
        found, _ = index.search(queries, 10, where)
        wanted, _ = exact.search(queries, 10, where)
        assert np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, wanted, strict=True)]) >= 0.9
    index.recall = 1.0
    agree(index, exact, queries, 10, "flag and year > 1930")


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_vectors_that_are_all_equal_are_all_found_at_their_distance(geometry: str, value: float) -> None:
    index, exact = Built(5, geometry), Exact(5, geometry)
    for one in (index, exact):
        one.add(names(2_000), np.full((2_000, 5), value, np.float32), table(2_000))
    for where in (None, "year > 2010"):
        found, near = index.search(numbers(2, 5), 30, where)
        np.testing.assert_allclose(near, exact.search(numbers(2, 5), 30, where)[1], **CLOSE)
        assert all(len(set(line)) == 30 for line in found)


def test_one_item_and_none_are_indexed() -> None:
    index = Built(4)
    assert index.search(numbers(2, 4), 3)[0] == [[], []]
    index.add(["only"], numbers(1, 4), table(1))
    assert index.search(numbers(1, 4), 3, "year >= 2000")[0] == [["only"]]
    near = index.prepare("year >= ?")
    assert near(numbers(1, 4)[0], 3, 2000)[0].tolist() == [0]
    index.remove(["only"])
    index.build()
    assert index.search(numbers(1, 4), 3)[0] == [[]] and len(index) == 0


@pytest.mark.parametrize("kind", [Filtered, Built])
def test_an_item_far_from_the_origin_is_at_distance_zero_from_itself(kind: type[Filtered]) -> None:
    index = kind(64, "euclidean")
    vectors = numbers(500, 64) + 30
    index.add(names(500), vectors)
    near = index.prepare()
    for row in range(0, 500, 25):
        ids, distances = index.search(vectors[row : row + 1], 2)
        found, far = near(vectors[row], 2)
        assert ids[0][0] == names(500)[row] and found[0] == row
        assert distances[0][0] < 1e-5 and far[0] < 1e-5 < 5 < far[1]
        np.testing.assert_allclose(distances[0], far, rtol=1e-5, atol=1e-5)


def test_removed_items_never_come_back_even_while_a_part_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    index = Filtered(DIM, recall=1.0)
    vectors, attributes = items(3_000, DIM)
    index.add(names(3_000), vectors, attributes)
    index.build()
    index.remove(names(500))
    begun, go, build = threading.Event(), threading.Event(), Part.build

    def slowly(*given: Any, **named: Any) -> Part:
        begun.set()
        assert go.wait(30)
        return build(*given, **named)

    monkeypatch.setattr(Part, "build", slowly)
    worker = threading.Thread(target=index.build)
    worker.start()
    assert begun.wait(30)
    index.remove(names(500, 1_000))
    index.add(names(50, 9_000), vectors[:50], attributes[:50])
    gone = {*names(500), *names(500, 1_000)}
    for _ in range(2):
        found, _ = index.search(vectors[:30], 100, "year > 1910")
        assert not {id for line in found for id in line} & gone
        assert index.answer(vectors[:1], 1, None)[1].matches == 2_050 == len(index)
        go.set()
        worker.join()
    assert len(index._state.parts) == 1 and index._state.indexed == 3_000
    index.build()
    assert index.answer(vectors[:1], 1, None)[1].matches == 2_050 and index._state.indexed == len(index._state.ids)


def test_parts_built_in_the_background_and_a_tail_answer_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filtered, "FIRST", 300)
    index, exact = Filtered(DIM, recall=1.0), Exact(DIM)
    vectors, attributes = items(4_000, DIM, kind="correlated")
    rng, start = np.random.default_rng(5), 0
    for size in (2_400, 500, 100, 30, 120):
        span = slice(start, start + size)
        for one in (index, exact):
            one.add(names(size, start), vectors[span], attributes[span])
        start += size
        assert index._worker is not None
        index._worker.join()
        if size < 200:
            gone = rng.choice(exact._ids, 20, replace=False).tolist()
            index.remove(gone)
            exact.remove(gone)
        for where in (None, "city = 'Oslo' and score < 0.5", "year between 1950 and 1970"):
            agree(index, exact, vectors[start - 5 : start], 15, where)
    assert len(index._state.parts) > 1 and len(index._state.tail)
    assert "; " in index.answer(vectors[:1], 10)[1].plan


def test_threads_find_what_one_finds_alone() -> None:
    index, _ = filled("uniform", count=12_000)
    queries, near = asked("uniform", count=12_000), index.prepare("year between ? and ?")

    def one(number: int) -> tuple[list[int], list[list[str]]]:
        query = queries[number % ASKED]
        fast = near(query, 10, 1900 + number % 90, 1990 + number % 100)[0].tolist()
        return fast, index.search(query[None], 10, WHERES[number % len(WHERES)])[0]

    alone = [one(number) for number in range(300)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(300))) == alone


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
def test_a_prepared_search_finds_what_a_search_with_the_values_written_finds(geometry: str) -> None:
    index, _ = filled("uniform", geometry, 9_000)
    index.recall = 1.0
    queries = 3 * asked("uniform", count=9_000)[:8]
    cases: list[tuple[str | None, list[tuple[Any, ...]]]] = [
        (None, [()]),
        ("score between ? and ?", [(0.2, 0.7), (0.5, 0.5001), (2, 3), (-1, 0.25), (0, 1)]),
        ("year between ? and ?", [(1950, 1960), (1950, 1950), (1949.5, 1960.2), (np.int16(1950), np.float32(1960))]),
        ("year = ?", [(1950,), (1950.0,), (1950.5,), (3000,)]),
        ("year = ? and score between ? and ?", [(1950, 0.2, 0.9), (1951.0, 0, 1)]),
        ("score between ? and ? and year = ?", [(0.2, 0.9, 1950)]),
        ("city = ?", [("Oslo",), ("nowhere",)]),
        ("city = ? and score between ? and ?", [("Rome", 0.1, 0.8)]),
        ("year > ? and flag", [(2000,)]),
        ("score between 0.1 and ?", [(0.5,)]),
    ]  # fmt: skip
    for text, given_values in cases:
        near = index.prepare(text)
        for values in given_values:
            written = text
            for value in values:
                plain = value if isinstance(value, str) else value.item() if hasattr(value, "item") else value
                written = written.replace("?", f"'{plain}'" if isinstance(plain, str) else repr(plain), 1)
            for k in (1, 10, 100, 200):
                ids, distances = index.search(queries, k, written)
                for query, expected, far in zip(queries, ids, distances, strict=True):
                    numbers_, close = near(query, k, *values)
                    assert {index._state.ids[number] for number in numbers_} == {*expected}, (written, k)
                    np.testing.assert_allclose(close, far, **CLOSE)


def test_a_prepared_search_reads_narrow_numbers_as_a_search_does() -> None:
    index = Built(3)
    weights = np.round(np.arange(400) / 40, 1).astype(np.float32)
    index.add(names(400), numbers(400, 3), pa.table({"weight": weights, "small": (np.arange(400) % 7).astype(np.int8)}))
    near, equal = index.prepare("weight between ? and ?"), index.prepare("weight = ?")
    for low, high in ((0.1, 0.3), (0.7, 0.7), (1e300, 1e301), (-1e300, 0.1)):
        expected = index.search(numbers(1, 3), 100, f"weight between {low} and {high}")[0][0]
        assert [index._state.ids[n] for n in near(numbers(1, 3)[0], 100, low, high)[0]] == expected
        assert len(equal(numbers(1, 3)[0], 100, low)[0]) == int((np.abs(weights.astype(float) - low) < 1e-6).sum())
    assert len(index.prepare("small = ?")(numbers(1, 3)[0], 100, 300)[0]) == 0


def test_what_is_wrong_with_a_prepared_search_is_said_as_by_a_search() -> None:
    index, _ = filled("uniform", count=5_000)
    query = asked("uniform", count=5_000)[0]
    near = index.prepare("score between ? and ?")
    nan = query.copy()
    nan[3] = np.nan
    for given_query, k, values, says in [
        (nan, 5, (0.1, 0.9), "NaN"),
        (query, 0, (0.1, 0.9), "k is 0"),
        (query, -1, (0.1, 0.9), "k is -1"),
        (query, 5, (0.9, 0.1), "is not the lesser|reversed|0.9"),
        (query, 5, (0.1, 10**400), "64 bits|large|fit"),
        (query, 5, (0.1,), "value"),
        (query, 5, (0.1, 0.9, 0.3), "value"),
        (query, 5, ("low", "high"), "'low'"),
        (query, 5, (None, 0.9), "None|null"),
        (query, 5, (float("nan"), 0.9), "nan|NaN"),
        (query[:-1], 5, (0.1, 0.9), "vectors here are"),
    ]:
        with pytest.raises(SemblanceError, match=says) as caught:
            near(given_query, k, *values)
        assert "\n" not in str(caught.value)
    with pytest.raises(SemblanceError, match="no column 'yeer'"):
        index.prepare("yeer = ?")
    assert near(query.astype(np.float64), 5, 0.1, 0.9)[0].tolist() == near(query, 5, 0.1, 0.9)[0].tolist()
    assert near(np.zeros(DIM, np.float32), 5, 0.1, 0.9)[1].tolist() == [1] * 5


def test_a_prepared_search_follows_the_changes_of_the_index() -> None:
    index, _ = filled("uniform", count=5_000)
    query, near = asked("uniform", count=5_000)[0], index.prepare("score between ? and ?")
    best = near(query, 1, 0, 1)[0][0]
    index.remove([index._state.ids[best]])
    second = near(query, 1, 0, 1)[0][0]
    assert second != best
    index.add(["new"], query[None], pa.table({"score": [0.5]}))
    assert index._state.ids[near(query, 1, 0, 1)[0][0]] == "new"
    index.build()
    assert index._state.ids[near(query, 1, 0, 1)[0][0]] == "new"
    index.remove(["new"])
    assert near(query, 1, 0, 1)[0][0] == second


def test_an_attribute_that_comes_later_is_null_before_and_searched_after() -> None:
    index = Built(6)
    index.add(names(300), numbers(300, 6))
    near = index.prepare()
    index.add(names(200, 300), numbers(200, 6, 1), pa.table({"stars": np.arange(200) % 5}))
    assert index.answer(numbers(1, 6), 5, "stars is null")[1].matches == 300
    assert index.answer(numbers(1, 6), 5, "stars > 3")[1].matches == 40
    assert len(near(numbers(1, 6)[0], 500)[0]) == 500
    index.build()
    assert index.answer(numbers(1, 6), 5, "stars > 3")[1].matches == 40
    with pytest.raises(SemblanceError, match="'stars' is of type"):
        index.add(["x"], numbers(1, 6), pa.table({"stars": ["many"]}))


def test_a_recall_or_a_geometry_that_cannot_be_is_refused() -> None:
    for recall in (0, -0.5, 1.01, float("nan")):
        with pytest.raises(SemblanceError, match="recall is"):
            Filtered(4, recall=recall)
        with pytest.raises(SemblanceError, match="recall is"):
            Filtered(4).prepare(recall=recall)
    with pytest.raises(SemblanceError, match="'ball' has no filtered index"):
        Filtered(4, "ball")
