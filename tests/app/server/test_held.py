"""Held: whatever happens to a space, what is in memory is what is on disk; and what did not change is not read again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.app.server.held import LONGEST, Held
from semblance.errors import SemblanceError
from semblance.memory.store import Store
from tests.app.server.conftest import make

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("label"), st.integers(0, 19), st.sampled_from(["cat", "new", None])),
        st.tuples(st.just("add"), st.integers(100, 110), st.just("x")),
        st.tuples(st.just("replace"), st.integers(0, 19), st.just("x")),
        st.tuples(st.just("remove"), st.integers(0, 19), st.just("x")),
        st.tuples(st.just("column"), st.integers(0, 19), st.just("fresh")),
        st.tuples(st.just("compact"), st.integers(0, 1), st.just("x")),
    ),
    max_size=6,
)


def change(store: Store, what: str, number: int, value: str | None) -> None:
    there = set(store.ids())
    name = str(number)
    if what == "add" and name not in there:
        store.add([name], np.ones((1, 6), np.float32), pa.table({"label": ["added"]}))
    if what == "compact":
        store.compact()
    if name not in there:
        return
    if what == "label":
        store.update([name], pa.table({"label": pa.array([value], pa.string())}))
    if what == "replace":
        store.add([name], np.full((1, 6), 2.0, np.float32), update=True)
    if what == "remove":
        store.remove([name])
    if what == "column":
        store.update([name], pa.table({"fresh": [number]}))


@settings(max_examples=15)
@given(STEPS)
def test_the_next_version_is_what_reading_everything_would_give(tmp_path_factory, steps):
    path = make(tmp_path_factory.mktemp("held") / "s.space", 20)
    with Store.open(path, write=True) as store:
        held = Held(store.view)
        for what, number, value in steps:
            change(store, what, number, value)
            held = Held(store.refresh(), held)
            fresh = Held(store.refresh())
            assert held.ids == fresh.ids == store.ids()
            assert held.place == {id: at for at, id in enumerate(held.ids)}
            assert held.table.to_pylist() == fresh.table.to_pylist() == store.attributes().to_pylist()
            assert (held.order, held.content) == (fresh.order, fresh.content)
            for where in ("label = 'cat'", "id like '1%' or year > 2000", "label is null and blurred"):
                assert np.flatnonzero(held.mask(where)).tolist() == store.rows_where(where).tolist()


def test_a_label_leaves_ids_order_and_other_columns_the_same_objects(folder):
    with Store.open(folder, write=True) as store:
        before = Held(store.view)
        kept = {name: before.column(name) for name in before.arrays}
        store.update(["5"], pa.table({"label": ["wolf"]}))
        after = Held(store.refresh(), before)
    assert after.ids is before.ids and after.order == before.order and after.content == before.content
    assert after.version == before.version + 1
    assert {name for name in kept if after.column(name) is not kept[name]} == {"label"}


def test_a_new_vector_changes_the_content_and_not_the_order_of_the_last_item(folder):
    with Store.open(folder, write=True) as store:
        before = Held(store.view)
        store.add(["59"], np.ones((1, 6), np.float32), update=True)
        after = Held(store.refresh(), before)
    assert after.order == before.order and after.content != before.content


def test_masks_are_kept_and_cannot_be_written(folder):
    with Store.open(folder) as store:
        held = Held(store.view)
        found = held.mask("year > 2000")
        assert held.mask("year > 2000") is found
        with pytest.raises(ValueError, match="read-only"):
            found[0] = True


@pytest.mark.parametrize(
    "where", ["year > ?", "", "nope = 1", "year > 'x'", "1=1; drop table items", "(" * 400, "x" * (LONGEST + 1)]
)
def test_a_condition_that_cannot_be_read_is_refused_in_one_line(folder, where):
    with Store.open(folder) as store, pytest.raises(SemblanceError) as error:
        Held(store.view).mask(where)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_times_in_nanoseconds_are_answered_in_microseconds(tmp_path):
    with Store.create(tmp_path / "s", dim=1, geometry="euclidean", domain="vectors", manifest={}) as store:
        store.add(
            ["a"],
            np.ones((1, 1), np.float32),
            pa.table({"t": pa.array([1_500_000_000_123_456_789], pa.timestamp("ns"))}),
        )
        (found,) = Held(store.view).attributes([0])
    assert found["t"].isoformat() == "2017-07-14T02:40:00.123456"
