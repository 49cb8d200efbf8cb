"""Selections: named sets of items that outlive the program, and forget what was removed."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from semblance.errors import SemblanceError
from semblance.memory.store import Store
from semblance.space.selections import Selections, condition, table
from semblance.space.space import Space


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "a.space"
    with Store.create(path, dim=2, geometry="euclidean", domain="vectors", manifest={}) as store:
        attributes = pa.table({"year": [2019, 2020, 2021, 2022]})
        store.add(["a", "b", "c", "d'"], np.eye(4, 2, dtype=np.float32), attributes)
    return path


def test_a_selection_is_there_for_the_next_program(folder):
    with Space(folder) as space:
        assert space.select("late", where="year >= 2021") == ["c", "d'"]
    with Space(folder) as space:
        assert space.select("late") == ["c", "d'"]
        assert Selections(folder).names() == ["late"] and Selections(folder).counts() == {"late": 2}


def test_removed_items_leave_the_selection_and_do_not_come_back_with_it(folder):
    with Space(folder) as space:
        space.select("some", ids=["d'", "a"])
        space.remove("a")
        assert space.select("some") == ["d'"]


def test_a_selection_says_the_same_as_a_condition(folder):
    with Space(folder) as space:
        for ids in ([], ["a"], ["d'", "b"]):
            rows = space.store.rows_where(condition(ids))
            assert sorted(space.store.ids(rows)) == sorted(ids)
    assert condition([str(n) for n in range(40_000)]) is None


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "ends.", "x" * 65, "nul\0", "ümlaut"])
def test_a_name_that_a_file_cannot_have_is_refused(folder, name):
    with Space(folder) as space, pytest.raises(SemblanceError, match="good name"):
        space.select(name, ids=["a"])
    assert not (folder / "selections").exists()


def test_what_is_not_there_is_named(folder):
    with Space(folder) as space:
        with pytest.raises(SemblanceError, match=r"1 of 2 ids \(first 'zz'\)"):
            space.select("some", ids=["a", "zz"])
        space.select("mine", ids=["a"])
        with pytest.raises(SemblanceError, match="did you mean mine"):
            space.select("mini")
        (folder / "selections" / "mine.json").write_text("{")
        with pytest.raises(SemblanceError, match="cannot be read"):
            space.select("mine")
        Selections(folder).remove("mine")
        with pytest.raises(SemblanceError, match="no selection 'mine'"):
            Selections(folder).remove("mine")


def test_the_file_holds_the_ids_and_nothing_of_the_items(folder):
    with Space(folder) as space:
        space.select("some", ids=["b", "b", "a"])
    said = json.loads((folder / "selections" / "some.json").read_text())
    assert said["ids"] == ["b", "a"] and set(said) == {"schema", "name", "ids", "created"}


def test_a_column_called_id_gives_way_to_the_ids():
    found = table(["a"], pa.table({"id": [7], "year": [2020]}))
    assert found.to_pylist() == [{"id": "a", "year": 2020}]
