"""Attributes that change without their vectors, and older versions: each is what it was."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from memory.filled import content, folder_bytes, make, names, numbers, table

from semblance.errors import SemblanceError
from semblance.memory import atomic, store
from semblance.memory.reading import Past
from semblance.memory.segments import Appender
from semblance.memory.store import Store


def test_an_update_changes_attributes_alone_and_moves_no_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with make(tmp_path / "s") as space:
        before, size = space.attributes().to_pylist(), folder_bytes(tmp_path / "s" / "segments")

        def refuses(*_: object) -> None:
            raise AssertionError("a vector was written")

        monkeypatch.setattr(Appender, "write", refuses)
        space.update(["item-7", "item-3"], pa.table({"city": ["Bergen", None], "stars": [4.5, 2.0]}))
        before[7] |= {"city": "Bergen"}
        before[3] |= {"city": None}
        stars = {7: 4.5, 3: 2.0}
        assert space.attributes().to_pylist() == [{**line, "stars": stars.get(n)} for n, line in enumerate(before)]
        assert space.ids() == names(30) and space.row_of("item-7") == 7
        np.testing.assert_array_equal(space.vectors(), numbers(30))
        assert isinstance(space.vectors(), np.memmap)  # still in one piece
        assert space.thumbnail("item-7") == b"png 0 7"
        assert space.rows_where("stars > 0").tolist() == [3, 7]
        assert space.rows_where("city = 'Bergen' or id = 'item-29'").tolist() == [7, 29]
        assert space.ids([29, 7]) == ["item-29", "item-7"]
        assert folder_bytes(tmp_path / "s" / "segments") == size


def test_a_reader_follows_updates_as_a_store_that_is_opened_anew(tmp_path: Path) -> None:
    with make(tmp_path / "s") as space, Store.open(tmp_path / "s") as reader:
        for number in range(5):
            space.update([f"item-{number}", "item-20"], pa.table({"year": [number, -number]}))
            space.add([f"new-{number}"], numbers(1, seed=number), table(1))
            space.remove([f"item-{10 + number}"])
            reader.refresh()
            with Store.open(tmp_path / "s") as fresh:
                for view in (reader.view, space.view):
                    assert view.rows.tolist() == fresh.view.rows.tolist()
                    assert view.ids() == fresh.ids() and view.attributes().equals(fresh.attributes())
                    np.testing.assert_array_equal(view.vectors(), fresh.vectors())


@pytest.mark.parametrize(
    ("ids", "attributes", "says"),
    [
        (["item-1", "nobody"], {"year": [1, 2]}, r"1 of 2 ids \('nobody'\) is not in the space; nothing changed"),
        (["item-1", "item-1"], {"year": [1, 2]}, "'item-1' came twice"),
        (["item-1"], {"year": [1, 2]}, "1 ids came with 1 attributes for 2 items; nothing changed"),
        (["item-1"], {}, "1 ids came with 0 attributes"),
        (["item-1"], {"year": ["soon"]}, "attribute 'year' is of type int64"),
        (["item-1"], {"blob": [b"x"]}, "attribute 'blob' is of type binary"),
    ],
)
def test_an_update_that_does_not_fit_is_named_and_changes_nothing(
    tmp_path: Path, ids: list[str], attributes: dict[str, list[object]], says: str
) -> None:
    with make(tmp_path / "s") as space:
        version, before = space.version, space.attributes()
        with pytest.raises(SemblanceError, match=says) as caught:
            space.update(ids, pa.table(attributes))
        assert "\n" not in str(caught.value)
        assert space.version == version and space.attributes().equals(before)


def test_every_version_since_the_fit_is_what_it_was(tmp_path: Path) -> None:
    with make(tmp_path / "s") as space:
        kept = [space.view]
        changes = [
            lambda: space.update(["item-4"], pa.table({"year": [-1], "late": [True]})),
            lambda: space.add(["new", "item-5"], numbers(2, seed=7), table(2, seed=7), update=True),
            lambda: space.remove(["item-4", "new"]),
            lambda: space.add(["item-4"], numbers(1, seed=8), table(1, seed=8), thumbnails=[b"another"]),
            lambda: space.update(["item-4", "item-0"], pa.table({"city": ["x", "y"]})),
        ]
        for change in changes:
            change()
            kept.append(space.view)
        with Store.open(tmp_path / "s") as reader:
            for held in kept:
                past = reader.at(held.version)
                assert past.version == held.version == past.manifest["version"]
                assert past.ids() == held.ids() and past.count == held.count
                assert past.attributes().equals(held.attributes()) and past.schema.equals(held.schema)
                assert past.rows_where("year >= 0").tolist() == held.rows_where("year >= 0").tolist()
                np.testing.assert_array_equal(past.vectors(), held.vectors())
                assert [past.thumbnail(id) for id in past.ids()] == [held.thumbnail(id) for id in held.ids()]
                assert [past.row_of(id) for id in past.ids()] == list(range(past.count))
        assert "late" not in space.at(kept[0].version).schema.names
        assert space.at(kept[1].version).thumbnail("item-4") == b"png 0 4" and space.thumbnail("item-4") == b"another"


def test_a_version_that_cannot_be_read_names_those_that_can(tmp_path: Path) -> None:
    with make(tmp_path / "s") as space:
        space.remove(["item-0"])
        for version in (0, 3, -1):
            with pytest.raises(SemblanceError, match=f"version {version} cannot be read: versions 1 to 2 can"):
                space.at(version)
        past = Past(space, space.at(1))
        space.compact()
        assert space.at(3).count == 29
        with pytest.raises(SemblanceError, match="version 2 cannot be read: versions 3 to 3 can"):
            space.at(2)
        np.testing.assert_array_equal(past.vectors(), numbers(30))  # mapped before
        with pytest.raises(SemblanceError, match="version 1 went with a compaction or a new fit"):
            past.ids()
        space.commit_space(**content(10, seed=1))
        with pytest.raises(SemblanceError, match="versions 4 to 4 can"):
            space.at(3)


def test_the_past_is_not_written(tmp_path: Path) -> None:
    with make(tmp_path / "s") as space:
        past = Past(space, space.at(1))
        with pytest.raises(SemblanceError, match="version 1 is past and stays as it is"), past.writing():
            raise AssertionError("the block ran")
        past.close()
        assert space.count == len(past) == 30
        assert past.at(1).ids() == space.ids() and past.damage() == []


def test_versions_do_not_depend_on_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(f"{year}-01-01T00:00:00+00:00" for year in range(2030, 1900, -1))
    monkeypatch.setattr(store, "_now", lambda: next(times))
    monkeypatch.setattr(atomic.time, "monotonic", lambda: 0.0)
    with make(tmp_path / "s") as space:
        first = space.manifest["changed"]
        space.update(["item-0"], pa.table({"year": [1]}))
        space.add(["new"], numbers(1))
        space.remove(["item-3"])
        assert space.manifest["changed"] < first and space.version == 4
        assert [space.at(version).count for version in (1, 2, 3, 4)] == [30, 30, 31, 30]
    with Store.open(tmp_path / "s") as reader:
        assert reader.version == 4 and reader.at(3).ids() == [*names(30), "new"]


def test_updates_alone_are_compacted_without_a_vector_rewritten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with make(tmp_path / "s", n=400) as space, caplog.at_level(logging.INFO):
        files = {file.name: file.stat().st_ino for file in (tmp_path / "s" / "segments").iterdir()}
        for number in range(4):
            space.update(names(400), pa.table({"year": [number] * 400}))
        generation = space.manifest["generation"]
        assert "is compacted: versions 1 to 4 go" in caplog.text and generation == 2
        assert {file.name: file.stat().st_ino for file in (tmp_path / "s" / "segments").iterdir()} == files
        assert space.attributes(["year"]).to_pydict() == {"year": [3] * 400} and space.ids() == names(400)
        np.testing.assert_array_equal(space.vectors(), numbers(400))
        assert space.thumbnail("item-399") == b"png 0 399"


def test_a_store_for_reading_writes_for_a_while_and_lets_others_write_between(tmp_path: Path) -> None:
    make(tmp_path / "s").close()
    with Store.open(tmp_path / "s") as one, Store.open(tmp_path / "s") as two:
        for number, space in enumerate([one, two, two, one]):
            with space.writing() as writer, writer.writing():
                writer.add([f"new-{number}"], numbers(1))
            with pytest.raises(SemblanceError, match="open for reading only"):
                space.remove(["item-0"])
        with one.writing(), pytest.raises(SemblanceError, match="is writing this space"), two.writing(patience=0.02):
            raise AssertionError("two writers at once")
        assert one.refresh().ids() == two.refresh().ids() == [*names(30), *(f"new-{n}" for n in range(4))]
    assert not (tmp_path / "s" / "space.db-wal").exists()


def test_a_writer_that_is_soon_done_is_waited_for(tmp_path: Path) -> None:
    make(tmp_path / "s").close()
    with Store.open(tmp_path / "s") as one, Store.open(tmp_path / "s") as two:
        done = threading.Event()

        def write() -> None:
            with two.writing(patience=60):
                two.add(["second"], numbers(1))
            done.set()

        with one.writing():
            thread = threading.Thread(target=write)
            thread.start()
            assert not done.wait(0.05)
            one.add(["first"], numbers(1))
        thread.join()
        assert done.is_set() and one.refresh().ids()[-2:] == ["first", "second"]


def test_a_closed_store_is_not_written(tmp_path: Path) -> None:
    make(tmp_path / "s").close()
    space = Store.open(tmp_path / "s")
    with space.writing():
        space.add(["new"], numbers(1))
    space.close()
    with pytest.raises(SemblanceError, match="was closed: open it again"), space.writing():
        raise AssertionError("the block ran")
    with Store.open(tmp_path / "s", write=True) as other:  # and nobody holds the lock
        assert other.count == 31


def test_a_space_of_the_format_before_is_read_and_written(tmp_path: Path) -> None:
    """What the first spaces lacked: checksums, and the note of the oldest version."""
    make(tmp_path / "s").close()
    connection = sqlite3.connect(tmp_path / "s" / "space.db")
    connection.execute("ALTER TABLE segments DROP COLUMN sums")
    connection.execute("UPDATE space SET manifest = json_remove(manifest, '$.oldest', '$.dead')")
    connection.commit()
    connection.close()
    with Store.open(tmp_path / "s") as old:
        assert old.ids() == names(30) and old.damage() == []
        with pytest.raises(SemblanceError, match="versions 1 to 1 can"):
            old.at(0)
        with old.writing():
            old.add(["new"], numbers(1))
            assert old.at(1).count == 30 and old.damage() == []
            old.compact()
        assert old.ids() == [*names(30), "new"]
