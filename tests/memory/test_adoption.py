"""Vectors in finished files become a space as they are: equal to one that was written, and all at once or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from faults.test_kills import dying
from hypothesis import given, settings
from hypothesis import strategies as st
from memory.filled import check_is, content, make, names, numbers, table

from semblance.errors import SemblanceError
from semblance.memory.adoption import Stretch
from semblance.memory.segments import Appender, Segment
from semblance.memory.store import Store

N = 30


def finished(folder: Path, cuts: list[int], dim: int = 8, seed: int = 0, n: int = N) -> list[tuple[Path, Segment]]:
    """The vectors of `content` in a file for each stretch between two cuts."""
    found = []
    for number, (first, stop) in enumerate(zip([0, *cuts], [*cuts, n], strict=True)):
        (folder / str(number)).mkdir(parents=True)
        files = Appender(folder / str(number), dim, [], number)
        files.write(numbers(n, dim, seed)[first:stop])
        found += [(folder / str(number) / segment.file, segment) for segment in files.finish()]
    return found


def stretches(cuts: list[int], seed: int = 0, n: int = N) -> list[Stretch]:
    said = content(n, seed=seed)
    return [
        Stretch(
            f"part {first}",
            said["ids"][first:stop],
            table(n, seed).slice(first, stop - first),
            said["thumbnails"][first:stop],
        )
        for first, stop in zip([0, *cuts], [*cuts, n], strict=True)
    ]


def about(seed: int = 0) -> dict[str, Any]:
    return {
        k: v for k, v in content(N, seed=seed).items() if k in ("model_tensors", "model_meta", "recipe", "manifest")
    }


def empty(path: Path) -> Store:
    return Store.create(path, dim=8, geometry="cosine", domain="vectors", manifest={})


@settings(max_examples=6)
@given(
    cuts=st.lists(st.integers(1, N - 1), unique=True, max_size=4).map(sorted),
    items=st.lists(st.integers(0, N), max_size=5).map(sorted),
)
def test_an_adopted_space_is_the_one_that_is_written(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], items: list[int]
) -> None:
    """Files and stretches of items are cut apart from each other."""
    folder = tmp_path_factory.mktemp("adopted")
    with empty(folder / "s") as store, make(folder / "t", N) as written:
        store.adopt(finished(folder / "parts", cuts), stretches(items), **about())
        check_is(store, N)
        assert store.damage() == []
        mine, theirs = (dict(one.manifest, segments=[], created="", changed="") for one in (store, written))
        assert mine == theirs
        store.add(["new"], numbers(1, seed=3), table(1))
        assert store.damage() == [] and (store.vectors()[-1] == numbers(1, seed=3)[0]).all()


def test_the_files_are_not_copied_and_a_space_outlives_their_old_names(tmp_path: Path) -> None:
    files = finished(tmp_path / "parts", [10])
    with empty(tmp_path / "s") as store:
        store.adopt(files, stretches([]), **about())
        for (path, _), name in zip(files, ["000001-0000.f32", "000001-0001.f32"], strict=True):
            assert os.path.samefile(path, tmp_path / "s" / "segments" / name)
            path.unlink()
        check_is(store, N)


def test_where_there_are_no_links_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    files = finished(tmp_path / "parts", [10])
    monkeypatch.setattr(os, "link", no_links)
    with empty(tmp_path / "s") as store:
        store.adopt(files, stretches([]), **about())
        check_is(store, N)
        assert store.damage() == [] and not os.path.samefile(
            files[0][0], tmp_path / "s" / "segments" / "000001-0000.f32"
        )


def test_adoption_replaces_a_space_by_one_commit(tmp_path: Path) -> None:
    with make(tmp_path / "s", 50, seed=4) as store:
        store.adopt(finished(tmp_path / "parts", [10]), stretches([7]), **about())
        check_is(store, N)
        assert store.version == 2 and store.damage() == []
        assert {f.name for f in (tmp_path / "s" / "segments").iterdir()} == {
            s["file"] for s in store.manifest["segments"]
        }


@pytest.mark.parametrize("new", [True, False])
def test_killed_at_each_of_its_calls_to_the_file_system_it_leaves_the_old_space_or_the_new_one(
    tmp_path: Path, new: bool
) -> None:
    files = finished(tmp_path / "parts", [10])
    (empty(tmp_path / "before") if new else make(tmp_path / "before", 50, seed=4)).close()
    moment, died = 0, True
    while died:
        path = tmp_path / f"s{moment}"
        shutil.copytree(tmp_path / "before", path)
        died = dying(path, lambda store: store.adopt(files, stretches([7]), **about()), moment)
        with Store.open(path, write=True) as store:
            if store.count == N:
                check_is(store, N)
            elif new:
                assert died and store.count == 0
            else:
                assert died
                check_is(store, 50, seed=4)
            assert {f.name for f in (path / "segments").iterdir()} == {s["file"] for s in store.manifest["segments"]}
            store.adopt(files, stretches([7]), **about())  # and it goes on
            check_is(store, N)
        moment += 1
    assert moment > 3


def twice(cuts: list[int], id: str, at: int) -> list[Stretch]:
    found = stretches(cuts)
    ids = list(found[-1].ids)
    ids[at] = id
    return [*found[:-1], found[-1]._replace(ids=ids)]


@pytest.mark.parametrize(
    ("cuts", "id", "words"),
    [
        ([10, 20], "item-3", r"id 'item-3' comes in part 0 and in part 20: ids are unique"),
        ([10, 20], "item-12", r"id 'item-12' comes in part 10 and in part 20: ids are unique"),
        ([10], "item-12", r"id 'item-12' comes in part 10, twice: ids are unique"),
        ([10], "", r"ids are text that is not empty"),
    ],
)
def test_ids_that_come_twice_are_named_with_both_places_and_nothing_changes(
    tmp_path: Path, cuts: list[int], id: str, words: str
) -> None:
    with make(tmp_path / "s", 50, seed=4) as store:
        with pytest.raises(SemblanceError, match=words):
            store.adopt(finished(tmp_path / "parts", [10]), twice(cuts, id, 8), **about())
        check_is(store, 50, seed=4)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda found: found[:1], "10 ids came with 30 vectors"),
        (lambda found: [found[0], found[1]._replace(attributes=table(3))], "20 ids came with attributes for 3 items"),
        (lambda found: [found[0], found[1]._replace(thumbnails=[b""])], "20 ids came with 1 thumbnails"),
        (
            lambda found: [found[0], found[1]._replace(attributes=pa.table({"year": ["x"] * 20}))],
            "'year' is of type int64",
        ),
    ],
)
def test_stretches_that_do_not_fit_are_refused(tmp_path: Path, wrong: Any, words: str) -> None:
    with make(tmp_path / "s", 50, seed=4) as store:
        with pytest.raises(SemblanceError, match=words):
            store.adopt(finished(tmp_path / "parts", [10]), wrong(stretches([10])), **about())
        check_is(store, 50, seed=4)


def test_the_check_of_an_adopted_space_can_fail(tmp_path: Path) -> None:
    files = finished(tmp_path / "parts", [10])
    with empty(tmp_path / "s") as store:
        store.adopt(files[::-1], stretches([]), **about())  # in the wrong order
        assert store.count == N and names(N) == store.ids()
        with pytest.raises(AssertionError):
            np.testing.assert_array_equal(store.vectors(), numbers(N))
