"""The store: what was written is read back, everything changes at once, and nothing is left over."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from memory.filled import check_is, content, folder_bytes, make, names, numbers, table

from semblance.errors import SemblanceError
from semblance.memory import segments
from semblance.memory.store import Store
from semblance.memory.view import Stale


def test_a_space_read_again_holds_what_was_committed(tmp_path: Path) -> None:
    make(tmp_path / "s").close()
    with Store.open(tmp_path / "s") as store:
        check_is(store, 30)
        assert (store.manifest["dim"], store.manifest["geometry"], store.manifest["format"]) == (8, "cosine", 1)
        assert json.loads((tmp_path / "s" / "recipe.json").read_text()) == store.recipe


def test_the_check_of_content_can_fail(tmp_path: Path) -> None:
    with make(tmp_path / "s") as store, pytest.raises(AssertionError):
        check_is(store, 30, seed=1)


def test_a_second_fit_replaces_everything_and_leaves_no_file_of_the_first(tmp_path: Path) -> None:
    with make(tmp_path / "s", n=50) as store:
        old = store.view
        store.commit_space(**content(20, dim=3, seed=1), dim=3, geometry="euclidean")
        check_is(store, 20, dim=3, seed=1)
        assert store.manifest["geometry"] == "euclidean"
        assert (
            len(list((tmp_path / "s" / "segments").iterdir())) == len(list((tmp_path / "s" / "model").iterdir())) == 1
        )
        np.testing.assert_array_equal(old.vectors(), numbers(50))  # mapped before, and thus still there
        with pytest.raises(Stale, match="refresh"):
            old.ids()


def test_items_are_added_behind_and_removed_without_moving_the_others(tmp_path: Path) -> None:
    with make(tmp_path / "s") as store:
        store.add(["new"], numbers(1, seed=5), pa.table({"year": [1999], "city": [None]}))
        store.remove(["item-0", "item-7"])
        ids = [id for id in names(30) if id not in ("item-0", "item-7")] + ["new"]
        assert store.ids() == ids and store.count == 29
        expected = np.concatenate([np.delete(numbers(30), [0, 7], axis=0), numbers(1, seed=5)])
        np.testing.assert_array_equal(store.vectors(), expected)
        np.testing.assert_array_equal(store.vectors([28, 0, 0]), expected[[28, 0, 0]])
        assert store.row_of("new") == 28 and store.ids([28, 3]) == ["new", ids[3]]
        assert store.rows_where("year = 1999").tolist() == [28]
        assert store.attributes(["year"], where="id = 'new'").to_pydict() == {"year": [1999]}
        assert store.attributes(rows=[28]).to_pylist() == [{"year": 1999, "city": None}]


def test_an_id_that_is_there_is_refused_unless_it_is_to_be_updated(tmp_path: Path) -> None:
    with make(tmp_path / "s") as store:
        version = store.version
        with pytest.raises(SemblanceError, match=r"'item-3'.*in the space already"):
            store.add(["fresh", "item-3"], numbers(2), table(2))
        with pytest.raises(SemblanceError, match="'x' came twice"):
            store.add(["x", "x"], numbers(2), table(2), update=True)
        assert store.version == version and store.count == 30
        before = store.attributes(where="id = 'item-3'").to_pylist()[0]
        store.add(["item-3"], numbers(1, seed=9), pa.table({"year": [1]}), update=True)
        assert store.row_of("item-3") == 29 and store.count == 30
        np.testing.assert_array_equal(store.vectors([29]), numbers(1, seed=9))
        assert store.attributes(rows=[29]).to_pylist() == [before | {"year": 1}]  # what was not given stayed
        assert store.thumbnail("item-3") == b"png 0 3"


def test_unknown_ids_are_named_and_then_nothing_is_removed(tmp_path: Path) -> None:
    with make(tmp_path / "s") as store:
        with pytest.raises(SemblanceError, match="1 of 2 ids \\('nobody'\\) is not in the space; nothing was removed"):
            store.remove(["item-1", "nobody"])
        assert store.count == 30
        with pytest.raises(SemblanceError, match="no item 'nobody'"):
            store.row_of("nobody")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vectors": numbers(1)}, "2 ids came with 1 vectors"),
        ({"vectors": numbers(2, dim=7)}, r"shape \[2, 7\], but this space holds \[N, 8\]"),
        ({"vectors": np.array([[np.nan] * 8] * 2)}, "vector 0 holds NaN"),
        ({"vectors": [["a"] * 8] * 2}, "vectors are numbers"),
        ({"attributes": table(3)}, "2 ids came with attributes for 3 items"),
        ({"attributes": pa.table({"year": ["soon", "late"]})}, "attribute 'year' is of type int64"),
        ({"attributes": pa.table({"year": [1, 2], "blob": [b"1", b"2"]})}, "attribute 'blob' is of type binary"),
        ({"thumbnails": [b"x"]}, "2 ids came with 1 thumbnails"),
        ({"ids": ["a", ""]}, "ids are text"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with make(tmp_path / "s") as store:
        files = {file: file.stat().st_size for file in (tmp_path / "s" / "segments").iterdir()}
        good = {"ids": ["a", "b"], "vectors": numbers(2), "attributes": table(2), "thumbnails": [None, b"x"]}
        with pytest.raises(SemblanceError, match=says) as caught:
            store.add(**{**good, **change})
        assert "\n" not in str(caught.value)
        check_is(store, 30)
        assert {file: file.stat().st_size for file in (tmp_path / "s" / "segments").iterdir()} == files
        store.add(**good)  # and the store goes on
        assert store.count == 32


def test_an_attribute_that_comes_later_is_null_before(tmp_path: Path) -> None:
    with make(tmp_path / "s", n=2) as store:
        store.add(["late"], numbers(1), pa.table({"stars": [4.5]}))
        assert store.attributes(["stars", "city"]).to_pydict()["stars"] == [None, None, 4.5]
        assert store.rows_where("stars is null").tolist() == [0, 1]


def test_the_manifest_takes_entries_and_guards_its_own(tmp_path: Path) -> None:
    with make(tmp_path / "s") as store:
        store.update_manifest(note="hello")
        assert store.manifest["note"] == "hello" and store.manifest["classes"] == ["class 0"]
        with pytest.raises(SemblanceError, match="'dim' is kept by the store itself"):
            store.update_manifest(dim=3)
        with pytest.raises(SemblanceError, match="'note' is a set"):
            store.update_manifest(note={1})


def test_vectors_run_over_several_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 8 * 4 * 7)
    with make(tmp_path / "s") as store:
        assert [segment["rows"] for segment in store.manifest["segments"]] == [7, 7, 7, 7, 2]
        store.add(names(10, 50), numbers(10, seed=3))
        everything = np.concatenate([numbers(30), numbers(10, seed=3)])
        np.testing.assert_array_equal(store.vectors(), everything)
        np.testing.assert_array_equal(store.vectors([39, 6, 7, 20]), everything[[39, 6, 7, 20]])
        np.testing.assert_array_equal(np.concatenate(list(store.view.source.blocks(9))), everything)
        store.remove(names(25))
        np.testing.assert_array_equal(store.vectors(), everything[25:])


def test_vectors_in_one_piece_are_mapped_and_not_copied(tmp_path: Path) -> None:
    with make(tmp_path / "s") as store:
        assert isinstance(store.vectors(), np.memmap) and not store.vectors().flags.writeable
        assert isinstance(store.view.source[5:9], np.memmap)


def test_a_view_stays_what_it_was_while_the_space_moves_on(tmp_path: Path) -> None:
    with make(tmp_path / "s") as store, Store.open(tmp_path / "s") as reader:
        old = reader.view
        store.add(["new"], numbers(1), table(1))
        store.remove(["item-4"])
        assert reader.count == 30 and old.ids() == names(30) and old.row_of("item-4") == 4
        assert old.rows_where("year >= 0").tolist() == list(range(30))
        now = reader.refresh()
        assert now.count == 30 and now.ids()[-1] == "new" and "item-4" not in now.ids()
        assert reader.refresh() is now


def test_compaction_keeps_the_living_and_takes_the_bytes_of_the_dead(tmp_path: Path) -> None:
    with make(tmp_path / "s", n=60) as store:
        secret = np.full((1, 8), 0.12345, np.float32)
        store.add(["secret"], secret, pa.table({"city": ["Atlantis"]}), thumbnails=[b"hidden picture"])
        store.remove(["secret"])
        store.compact()
        check_is(store, 60)
        store.add(["after"], numbers(1))
        assert store.ids() == [*names(60), "after"]
    left = b"".join(file.read_bytes() for file in (tmp_path / "s").rglob("*") if file.is_file())
    for trace in (secret.tobytes(), b"Atlantis", b"hidden picture", b"secret"):
        assert trace not in left


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: thousands of syncs say nothing about sizes."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path) as folder:
        yield Path(folder)


def test_a_thousand_additions_and_removals_keep_the_folder_under_twice_its_size(quick_path: Path) -> None:
    with make(quick_path / "s", n=4000, dim=64) as store:
        store.compact()  # folds the log in
        size, largest = folder_bytes(quick_path), 0
        block = numbers(20, dim=64, seed=1)
        for cycle in range(1000):
            store.add(names(20, 5000), block, table(20), thumbnails=[b"x" * 50] * 20)
            store.remove(names(20, 5000))
            if cycle % 50 == 0:
                largest = max(largest, folder_bytes(quick_path))
        assert max(largest, folder_bytes(quick_path)) < 2 * size
        check_is(store, 4000, dim=64)


def test_create_takes_a_new_or_empty_folder_only(tmp_path: Path) -> None:
    kind: dict[str, Any] = {"dim": 4, "geometry": "cosine", "domain": "vectors", "manifest": {}}
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(SemblanceError, match="not empty and no space"):
        Store.create(tmp_path / "full", **kind)
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    Store.create(tmp_path / "empty", **kind).close()
    with pytest.raises(SemblanceError, match="is a space already"):
        Store.create(tmp_path / "empty", **kind)
    with pytest.raises(SemblanceError, match="is a file"):
        Store.create(tmp_path / "full" / "mine.txt", **kind)
    with pytest.raises(SemblanceError, match="no geometry 'cosin'"):
        Store.create(tmp_path / "other", **{**kind, "geometry": "cosin"})


def test_an_empty_space_answers(tmp_path: Path) -> None:
    with Store.create(tmp_path / "s", dim=4, geometry="cosine", domain="vectors", manifest={}) as store:
        assert (store.count, store.ids(), store.vectors().shape) == (0, [], (0, 4))
        assert store.attributes().num_columns == 0 and len(store.rows_where("id = 'x'")) == 0
        store.add(["a"], numbers(1, dim=4))
        store.remove(["a"])
        assert store.count == 0 and store.vectors().shape == (0, 4)
        with pytest.raises(SemblanceError, match="holds vectors and no model"):
            store.model_path()


def test_a_closed_space_and_one_open_for_reading_say_so(tmp_path: Path) -> None:
    make(tmp_path / "s").close()
    store = Store.open(tmp_path / "s")
    with pytest.raises(SemblanceError, match="open it with write=True"):
        store.remove(["item-0"])
    store.close()
    store.close()
    with pytest.raises(SemblanceError, match="was closed"):
        store.ids()


def test_threads_read_whole_versions_while_a_writer_adds_removes_and_fits_anew(tmp_path: Path) -> None:
    with make(tmp_path / "s", n=40) as store, Store.open(tmp_path / "s") as reader:
        stop, wrong = threading.Event(), []

        def read() -> None:
            def whole(view: Any) -> None:
                ids, vectors, years = view.ids(), view.vectors(), view.attributes(["year"]).num_rows
                assert len(ids) == len(vectors) == years == view.count
                assert len(view.rows_where("year >= 0 or year is null")) == view.count
                assert all(view.row_of(ids[row]) == row for row in (0, len(ids) - 1))

            try:
                while not stop.is_set():
                    reader.refresh()
                    reader.reading(whole)
                    store.reading(whole)
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(40):
            store.add([f"new-{number}"], numbers(1), table(1))
            if number % 4 == 3:
                store.remove(store.ids()[:6])
            if number % 15 == 14:
                store.commit_space(**content(40, seed=number))
        stop.set()
        for thread in threads:
            thread.join()
        assert not wrong, wrong
