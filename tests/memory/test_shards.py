"""Shards answer as the undivided memory does: the same neighbours, distances and order; who fails is named."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory.filled import make, numbers

from semblance.errors import Failed, SemblanceError
from semblance.memory.exact import Exact, scan
from semblance.memory.segments import Unmapped
from semblance.memory.shards import Sharded, ask, level, merge, read, split
from semblance.memory.store import Store
from semblance.memory.view import Stale

FEW = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0])  # so few values that most are equal to others


@st.composite
def answers(draw: st.DrawFn) -> list[list[list[float]]]:
    """[shard][query][place], ascending, of any lengths."""
    queries, shards = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    line = st.lists(FEW, max_size=5).map(sorted)
    return [[draw(line) for _ in range(queries)] for _ in range(shards)]


@settings(max_examples=60, deadline=None)
@given(given=answers(), k=st.integers(1, 12))
def test_a_merge_is_a_stable_sort_of_all_answers_by_distance(given: list[list[list[float]]], k: int) -> None:
    found = merge([level([np.array(line, np.float32) for line in shard], np.inf) for shard in given], k)
    for query in range(len(given[0])):
        every = [
            (distance, number, place)
            for number, shard in enumerate(given)
            for place, distance in enumerate(shard[query])
        ]
        wanted = sorted(every, key=lambda one: one[0])[:k]  # Python's sort is stable
        there = np.isfinite(found.distance[query])
        got = zip(*(part[query][there].tolist() for part in (found.distance, found.shard, found.place)), strict=True)
        assert list(got) == wanted


def test_lines_of_any_length_are_made_level() -> None:
    lines = [np.array([1, 2]), np.array([], np.int64), np.array([3])]
    np.testing.assert_array_equal(level(lines, -1), [[1, 2], [-1, -1], [3, -1]])
    assert level([np.empty(0), np.empty(0)], np.inf).shape == (2, 0) and level([], -1).shape == (0, 0)


@pytest.mark.parametrize("threads", [1, 3])
def test_who_fails_is_named_in_order_and_the_others_answer(threads: int) -> None:
    def fails(error: Exception) -> None:
        raise error

    gone = OSError(2, "No such file or directory", "b.f32")
    questions = {
        "a": lambda: 1,
        "b": lambda: fails(gone),
        "c": lambda: 3,
        "d": lambda: fails(Failed("d is damaged")),
    }
    answers, lost = ask(questions, threads)
    assert list(answers.items()) == [("a", 1), ("c", 3)]
    assert list(lost.items()) == [("b", "b.f32: No such file or directory"), ("d", "d is damaged")]
    for error in (SemblanceError("k is 0"), Stale("rewritten")):
        with pytest.raises(type(error), match=str(error)):
            ask({**questions, "e": partial(fails, error)}, threads)


@given(d=st.integers(1, 130), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_no_bit_of_a_distance_depends_on_who_else_is_measured(d: int, seed: int) -> None:
    """Near copies of the query, where a bit more or less in float64 shows in float32."""
    rng = np.random.default_rng(seed)
    query = rng.normal(size=(1, d)).astype(np.float32)
    x = (query + rng.choice([0, 1e-7, 1e-4, 1], (60, 1)) * rng.normal(size=(60, d))).astype(np.float32)
    for geometry in ("cosine", "euclidean"):
        rows, whole = scan(x, None, query, 60, geometry)
        known = dict(zip(rows[0].tolist(), whole[0].tolist(), strict=True))
        some = np.sort(rng.choice(60, rng.integers(1, 60), replace=False))
        found, distance = scan(x, some, query, 60, geometry)
        assert distance[0].tolist() == [known[row] for row in found[0].tolist()]


def test_rows_that_are_read_are_those_that_are_mapped(tmp_path: Path) -> None:
    x = numbers(700, 5)
    (tmp_path / "a.f32").write_bytes(x.tobytes())
    rows = Unmapped(tmp_path / "a.f32", 600, 5)  # what stands behind the named rows does not exist
    assert len(rows) == 600
    for some in (slice(0, 600), slice(590, 700), slice(7, 7), slice(600, 650)):
        np.testing.assert_array_equal(rows[some], x[:600][some])
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 30, 600):
        some = rng.permutation(600)[:n]
        np.testing.assert_array_equal(rows[some], x[some])


def test_a_file_that_shrinks_goes_or_cannot_be_read_is_named_and_no_end_of_the_process(tmp_path: Path) -> None:
    file = tmp_path / "a.f32"
    file.write_bytes(numbers(100, 5).tobytes())
    rows = Unmapped(file, 100, 5)
    before = rows[np.array([3, 90])]
    with open(file, "r+b") as cut:
        cut.truncate(50 * 20)
    np.testing.assert_array_equal(rows[np.array([3])], before[:1])
    for some in (slice(0, 100), np.array([3, 90])):
        with pytest.raises(
            Failed, match=r"a\.f32: is damaged, it holds 1000 bytes and should hold 2000; 50 items cannot"
        ):
            rows[some]
    file.unlink()
    with pytest.raises(
        Failed, match=r"a\.f32: cannot be read \(No such file or directory\): bring it back from a copy"
    ):
        rows[np.array([3])]
    file.mkdir()
    with pytest.raises(Failed, match="cannot be read"):
        rows[:3]


def test_a_version_that_is_read_holds_what_the_mapped_one_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semblance.memory.segments.SEGMENT_BYTES", 8 * 4 * 8)
    with make(tmp_path / "s", 60) as store:
        store.remove(["item-3", "item-50"])
        view = read(store.refresh())
        np.testing.assert_array_equal(view.vectors(), store.vectors())
        some = np.array([1, 57, 8, 9, 30])
        np.testing.assert_array_equal(view.vectors(some), store.vectors(some))
        assert view.ids() == store.ids() and store.view is not view


def test_split_makes_stretches_that_hold_all_items_once_with_all_that_belongs_to_them(tmp_path: Path) -> None:
    with make(tmp_path / "s", 31) as store:
        store.remove(["item-30"])
        split(store, [tmp_path / f"{n}" for n in range(4)])
        parts = [Store.open(tmp_path / f"{n}") for n in range(4)]
        assert [part.count for part in parts] == [7, 8, 7, 8]
        assert [id for part in parts for id in part.ids()] == store.ids()
        np.testing.assert_array_equal(np.concatenate([part.vectors() for part in parts]), store.vectors())
        lines = [line for part in parts for line in part.attributes().to_pylist()]
        assert lines == store.attributes().to_pylist() and parts[0].view.schema == store.view.schema
        for part in parts:
            assert part.manifest["model"] == store.manifest["model"] and part.recipe == store.recipe
            assert part.manifest["classes"] == store.manifest["classes"] and part.damage() == []
            assert part.thumbnail(part.ids()[2]) == store.thumbnail(part.ids()[2])
            part.close()
        split(store, [tmp_path / "one"])
        with Store.open(tmp_path / "one") as one:
            assert one.ids() == store.ids() and one.attributes().equals(store.attributes())
        with pytest.raises(SemblanceError, match="30 items, which make no 31 shards: ask for fewer"):
            split(store, [tmp_path / f"more-{n}" for n in range(31)])


def test_an_index_of_which_a_shard_fails_says_so_rather_than_answer_in_part() -> None:
    class Gone(Exact):
        def search(self, *_: object) -> None:
            raise Failed("its disk is gone")

    shards = Sharded([Exact(4), Gone(4), Exact(4)])
    with pytest.raises(Failed, match="shard 1 of 3 did not answer: its disk is gone"):
        shards.search(numbers(2, 4), 3)


@pytest.mark.parametrize("k", [1, 7, 100])
def test_an_index_of_shards_answers_queries_by_the_hundred_as_an_undivided_one(k: int) -> None:
    x = numbers(90, 6)
    x[40:70] = x[10]  # copies: ids by the order of the shards
    whole, shards = Exact(6), Sharded([Exact(6) for _ in range(5)])
    ids = [f"i{n}" for n in range(90)]
    order = np.argsort(shards.shard_of(ids), kind="stable")
    whole.add([ids[n] for n in order], x[order])
    shards.add(ids, x)
    queries = np.concatenate([numbers(100, 6, seed=1), x[10:11]])
    found, wanted = shards.search(queries, k), whole.search(queries, k)
    assert found[0] == wanted[0]
    np.testing.assert_array_equal(np.stack(found[1]), np.stack(wanted[1]))
    assert Sharded([Exact(6)]).search(queries, k)[0] == [[]] * 101
