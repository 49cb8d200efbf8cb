"""A space's index is derived: whatever happens to it or to the space, searches find what a scan of the version finds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from semblance.memory import indexed
from semblance.memory.exact import scan
from semblance.memory.fused.part import Part
from semblance.memory.indexed import Indexed
from semblance.memory.masks import Column
from semblance.memory.store import Store
from semblance.memory.view import View
from tests.memory.fused.made import items

COUNT, DIM = 3_000, 16
WHERES = [
    None,
    "year between 1950 and 1999",
    "city = 'Oslo' and score > 0.5",
    "flag and not city like 'R%'",
    "score is null",
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(indexed, "FIRST", 500)
    vectors, table = items(COUNT, DIM)
    with Store.create(tmp_path / "a.space", dim=DIM, geometry="cosine", domain="vectors", manifest={}) as made:
        made.add([f"i{n}" for n in range(COUNT)], vectors, table)
        yield made


def agree(index: Indexed, view: View, where: str | None, recall: float = 1.0) -> str:
    """Searches by the index at recall 1 give the distances and the count of a scan; says what was done."""
    queries = items(5, DIM, seed=8)[0]
    near = index.search(view, queries, 10, where, recall)
    rows = view.rows_where(where)
    _, distances = scan(view.source, rows, queries, 10, "cosine")
    assert near.matches == len(rows)
    for positions, found, expected in zip(near.positions, near.distances, distances, strict=True):
        assert np.isin(positions, rows).all()
        np.testing.assert_allclose(found, expected, atol=2e-6)
    return near.plan


def test_built_or_not_an_index_finds_what_a_scan_finds(store: Store) -> None:
    index = Indexed(store.path)
    plans = [agree(index, store.view, where) for where in WHERES]
    assert all("scan of" in plan for plan in plans)
    index.wait()
    plans = [agree(index, store.view, where) for where in WHERES]
    assert all("by year" in plan or "by city" in plan or "by score" in plan or "by flag" in plan for plan in plans)


def test_an_index_catches_up_only_where_there_is_enough(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Indexed(store.path)
    assert index.catch_up(store.view)
    assert not index.catch_up(store.view)
    monkeypatch.setattr(indexed, "FIRST", COUNT + 1)
    assert not Indexed(store.path).catch_up(store.view)


def test_an_index_of_the_past_builds_nothing(store: Store) -> None:
    index = Indexed(store.path, builds=False)
    assert "scan of" in agree(index, store.view, WHERES[1])
    index.wait()
    assert "scan of" in agree(index, store.view, WHERES[1])
    assert not (store.path / "index").exists()


def test_a_part_comes_back_from_its_folder_and_nothing_of_it_is_written_by_searching(store: Store) -> None:
    Indexed(store.path).build(store.view)
    (folder,) = (store.path / "index").iterdir()
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    index = Indexed(store.path)
    for where in WHERES:
        assert "scan of" not in agree(index, store.view, where)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_what_is_added_removed_relabelled_and_compacted_is_followed_and_older_versions_are_kept(store: Store) -> None:
    index = Indexed(store.path)
    index.build(store.view)
    first = store.view
    vectors, table = items(400, DIM, seed=5)
    store.add([f"new{n}" for n in range(400)], vectors, table)
    store.remove([f"i{n}" for n in range(0, 900, 3)])
    store.update(["i1", "new7"], pa.table({"city": ["Rome", "Rome"]}))
    for where in [*WHERES, "city = 'Rome'"]:
        assert "not indexed yet" in agree(index, store.view, where)
        agree(index, first, where)
    index.build(store.view)
    for where in [*WHERES, "city = 'Rome'"]:
        assert "not indexed yet" not in agree(index, store.view, where)
        agree(index, first, where)
    store.compact()
    for where in WHERES:
        agree(index, store.view, where)
    index.wait()
    index.build(store.view)
    assert "scan of" not in agree(index, store.view, WHERES[1])


def test_small_parts_are_joined_and_what_they_were_built_from_is_removed(store: Store) -> None:
    index = Indexed(store.path)
    index.build(store.view)
    for turn in range(3):
        vectors, table = items(2_000, DIM, seed=turn)
        store.add([f"{turn}-{n}" for n in range(2_000)], vectors, table)
        index.build(store.view)
        agree(index, store.view, WHERES[2])
    assert len(list((store.path / "index").iterdir())) <= 2


def test_many_vectors_make_several_parts_that_are_built_one_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexed, "FIRST", 500)
    monkeypatch.setattr(indexed, "MOST", 4 * DIM * 1_000)
    sizes = []
    build = Part.build
    monkeypatch.setattr(Part, "build", lambda rows, *given: sizes.append(len(rows)) or build(rows, *given))
    index = Indexed(store.path)
    index.build(store.view)
    assert sum(sizes) == COUNT and max(sizes) <= 1_000 and len(sizes) > 1
    for where in WHERES:
        assert "scan of" not in agree(index, store.view, where)
        assert "scan of" not in agree(Indexed(store.path), store.view, where)
    assert len(list((store.path / "index").iterdir())) == len(sizes)
    vectors, table = items(600, DIM, seed=5)
    store.add([f"new{n}" for n in range(600)], vectors, table)
    index.build(store.view)  # what is full stays as it is
    assert len(sizes) == len(list((store.path / "index").iterdir())) and max(sizes) <= 1_000
    agree(index, store.view, WHERES[1])


@pytest.mark.parametrize("harm", ["truncated", "missing", "json", "version"])
def test_a_damaged_index_is_built_anew(store: Store, harm: str) -> None:
    Indexed(store.path).build(store.view)
    (folder,) = (store.path / "index").iterdir()
    table = folder / "part.json"
    if harm == "truncated":
        (folder / "2.npy").write_bytes((folder / "2.npy").read_bytes()[:1000])
    elif harm == "missing":
        (folder / "3.npy").unlink()
    elif harm == "json":
        table.write_text(table.read_text()[:50])
    else:
        table.write_text(table.read_text().replace('"format": 1', '"format": 99'))
    index = Indexed(store.path)
    assert "scan of" in agree(index, store.view, WHERES[1])
    index.wait()
    assert "scan of" not in agree(index, store.view, WHERES[1])


def test_without_its_index_folder_or_the_right_to_write_it_a_space_is_searched(store: Store) -> None:
    shutil.rmtree(store.path / "index", ignore_errors=True)
    (store.path / "index").write_text("in the way")
    index = Indexed(store.path)
    index.build(store.view)
    assert "scan of" not in agree(index, store.view, WHERES[1])


def test_an_item_that_asks_is_known_to_match_or_not(store: Store) -> None:
    index = Indexed(store.path)
    table = store.attributes(["city"])
    for position in range(5):
        city = table["city"][position].as_py()
        assert index.matches_itself(store.view, position, f"city = '{city}'")
        assert not index.matches_itself(store.view, position, f"not city = '{city}'")
    assert index.matches_itself(store.view, 3, "id = 'i3'")


def test_most_neighbours_are_found_at_the_recall_asked_for(store: Store) -> None:
    index = Indexed(store.path)
    index.build(store.view)
    queries = items(100, DIM, seed=21)[0]
    near = index.search(store.view, queries, 10, None, 0.9)
    truth, _ = scan(store.view.source, None, queries, 10, "cosine")
    share = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(near.positions, truth, strict=True)])
    assert share > 0.88
    assert near.recall in (0.9, 1.0)


def test_an_index_with_one_number_takes_less_than_1_6_times_its_vectors_and_says_what_another_costs() -> None:
    vectors, table = items(6_000, 128)
    columns = {name: Column.of(table[name], name) for name in ("score", "year")}
    one = Part.build(np.arange(6_000), vectors, {"score": columns["score"]})
    two = Part.build(np.arange(6_000), vectors, columns)
    assert one.nbytes < 1.6 * vectors.nbytes
    assert two.nbytes - one.nbytes <= 72 * 6_000
