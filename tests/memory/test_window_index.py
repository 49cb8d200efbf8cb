"""The window index keeps the Index contract over any base, refuses what is no window, and comes back from its file."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from semblance.contracts import Index
from semblance.errors import SemblanceError
from semblance.memory.exact import Exact
from semblance.memory.window_index import WindowIndex
from semblance.memory.window_rule import DEFAULT, Rule

N = 300
YEARS = np.random.default_rng(0).integers(1990, 2030, N)


def vectors(n: int = N) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, 6)).astype(np.float32)


def filled(base: str = "flat", **more: Any) -> WindowIndex:
    index = WindowIndex(6, "year", base=base, cutoff=30, **more)
    index.add([f"i{i}" for i in range(N)], vectors(), pa.table({"year": YEARS, "city": ["x"] * N}))
    return index


def exact() -> Exact:
    index = Exact(6)
    index.add([f"i{i}" for i in range(N)], vectors(), pa.table({"year": YEARS}))
    return index


WINDOWS = [
    None,
    "year between 2000 and 2010",
    "year > 2000 and year <= 2010",
    "year = 2005",
    "not year < 2020",
    "year >= 2029.5",
    "year < 1000",
    "year > 2010 and year < 2010",
]


@pytest.mark.parametrize("where", WINDOWS, ids=str)
@pytest.mark.parametrize("base", ["flat", "graph", "lists"])
def test_it_answers_as_an_exact_index_does(base: str, where: str | None) -> None:
    index = filled(base)
    assert isinstance(index, Index)
    index.rule = Rule((DEFAULT.__class__("cover", DEFAULT.effort.__class__(beam=N)),))
    queries = np.random.default_rng(2).normal(size=(4, 6))
    ids, distances = index.search(queries, 7, where)
    right, there = exact().search(queries, 7, where)
    assert ids == right
    for one, two in zip(distances, there, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("base", ["flat", "graph", "lists"])
def test_what_was_saved_comes_back_and_what_was_removed_is_not_in_the_file(base: str, tmp_path: Path) -> None:
    index = filled(base)
    secret = vectors()[5]
    index.measure(vectors(20), np.random.default_rng(3), k=5)
    index.remove(["i5", "i9"])
    index.save(tmp_path / "years.index")
    content = (tmp_path / "years.index").read_bytes()
    assert (secret / np.linalg.norm(secret)).astype(np.float32).tobytes() not in content
    again = WindowIndex.load(tmp_path / "years.index")
    assert len(again) == N - 2 and again.rule == index.rule and len(index.rule.choices) > 1
    for where in WINDOWS:
        assert again.search(vectors(5), 4, where)[0] == index.search(vectors(5), 4, where)[0]
    for changed in (index, again):
        changed.add(["new"], vectors(1), pa.table({"year": [2031]}))
        assert changed.search(vectors(1), 3, "year > 2029")[0][0] == ["new"]


def test_an_empty_index_is_saved_and_answers_nothing(tmp_path: Path) -> None:
    index = WindowIndex(6, "year")
    assert index.search(vectors(2), 3, None)[0] == [[], []]
    index.save(tmp_path / "none.index")
    assert len(WindowIndex.load(tmp_path / "none.index")) == 0
    index = filled()
    index.remove([f"i{i}" for i in range(N)])
    assert index.search(vectors(1), 3, "year > 3")[0] == [[]]
    index.add(["a"], vectors(1), pa.table({"year": [4]}))
    assert index.search(vectors(1), 3, "year > 3")[0] == [["a"]]


def test_dates_are_windows_too_and_null_lies_in_none() -> None:
    index = WindowIndex(6, "day", base="flat")
    days = [datetime.date(2024, 1, 1), None, datetime.date(2024, 6, 1)]
    index.add(["a", "b", "c"], vectors(3), pa.table({"day": pa.array(days)}))
    assert index.search(vectors(1), 3, "day <= '2024-03-01'")[0] == [["a"]]
    assert set(index.search(vectors(1), 3)[0][0]) == {"a", "b", "c"}


def test_the_measured_rule_reaches_its_recall_and_narrow_windows_are_scanned() -> None:
    index = filled("graph")
    rule = index.measure(vectors(30), np.random.default_rng(3), k=5)
    assert rule.choose(N, 5).strategy == "pre-filter"
    assert rule.choose(N, N).evaluations <= N
    assert rule == index.measure(vectors(30), np.random.default_rng(3), k=5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: filled().search(vectors(1), 3, "city = 'x'"), "column"),
        (lambda: filled().search(vectors(1), 3, "year = 2001 or year = 2005"), "no window"),
        (lambda: filled().search(vectors(1), 3, "year <> 2001"), "no window"),
        (lambda: filled().search(vectors(1), 3, "year between 2010 and 2000"), "swap"),
        (lambda: filled().search(vectors(1), 3, "year = 'old'"), "text"),
        (lambda: filled().search(np.zeros((1, 5)), 3), "shape"),
        (lambda: filled().search(np.full((1, 6), np.nan), 3), "NaN"),
        (lambda: filled().search(vectors(1), 0), "k is 0"),
        (lambda: filled().add(["i3"], vectors(1), pa.table({"year": [1]})), "already"),
        (lambda: filled().add(["n"], vectors(1), pa.table({"age": [1]})), "'year'"),
        (lambda: filled().add(["n"], vectors(1), pa.table({"year": ["x"]})), "int64"),
        (lambda: filled().remove(["n"]), "nothing was removed"),
        (lambda: WindowIndex(6, "year", base="tree"), "base index"),
        (lambda: WindowIndex.load(Path(__file__)), "damaged"),
    ],
)
def test_a_mistake_has_one_line(make: Any, words: str) -> None:
    with pytest.raises(SemblanceError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
