"""A space as an Arrow table and as data frames: the vectors are the memory map, the rows are the space's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest

import semblance as sb
from semblance.data.load import load as load_data
from semblance.errors import SemblanceError
from semblance.memory import segments
from semblance.memory.store import Store
from semblance.space import tables
from semblance.space.space import Space


def made(path: Path, n: int = 40, dim: int = 5) -> Space:
    """A space of drawn vectors with an attribute."""
    x = np.random.default_rng(0).standard_normal((n, dim)).astype(np.float32)
    with Store.create(path, dim=dim, geometry="euclidean", domain="vectors", manifest={}) as store:
        store.add([f"i{k}" for k in range(n)], x, pa.table({"year": np.arange(n), "city": ["Oslo", "Rome"] * (n // 2)}))
    return sb.load(path)


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return made(tmp_path / "a.space")


def matrix(table: pa.Table) -> np.ndarray:
    column = table.column("vector").combine_chunks()
    return column.flatten().to_numpy().reshape(len(table), -1)


def test_a_table_holds_ids_vectors_and_attributes_in_the_order_of_the_space(space: Space) -> None:
    table = space.to_arrow()
    assert table.column_names == ["id", "vector", "year", "city"]
    assert table.column("id").to_pylist() == space.ids
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 5)
    np.testing.assert_array_equal(matrix(table), space.vectors)
    assert table.column("year").to_pylist() == list(range(40))


def test_the_vectors_of_a_table_are_the_memory_map_itself(space: Space) -> None:
    assert isinstance(space.vectors, np.memmap)
    chunk = space.to_arrow().column("vector").chunk(0)
    assert chunk.flatten().to_numpy().ctypes.data == space.vectors.ctypes.data
    frame = space.to_frame("polars")
    np.testing.assert_array_equal(frame["vector"].to_numpy(), space.vectors)


def test_several_segments_are_several_chunks_of_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 15 * 5 * 4)
    space = made(tmp_path / "parts.space")
    column = space.to_arrow().column("vector")
    source = space.store.view.source
    assert [len(chunk) for chunk in column.chunks] == [15, 15, 10]
    for chunk, part in zip(column.chunks, source.parts, strict=True):
        assert chunk.flatten().to_numpy().ctypes.data == part.ctypes.data
    np.testing.assert_array_equal(matrix(space.to_arrow()), space.vectors)


def test_what_was_removed_is_left_out_and_the_rest_stays_where_it_lies(space: Space) -> None:
    space.remove(["i3", "i4", "i20"])
    table = space.to_arrow()
    assert table.column("id").to_pylist() == [f"i{k}" for k in range(40) if k not in (3, 4, 20)]
    np.testing.assert_array_equal(matrix(table), space.vectors)
    last = table.column("vector").chunk(table.column("vector").num_chunks - 1)
    part = space.store.view.source.parts[0]
    assert last.flatten().to_numpy().ctypes.data == part[21:].ctypes.data


def test_many_pieces_are_copied_in_blocks_and_stay_right(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    space.remove([f"i{k}" for k in range(0, 12, 2)])
    monkeypatch.setattr(tables, "CHUNKS", 3)
    monkeypatch.setattr(tables, "BLOCK", 10)
    table = space.to_arrow()
    assert [len(chunk) for chunk in table.column("vector").chunks] == [10, 10, 10, 4]
    np.testing.assert_array_equal(matrix(table), space.vectors)


def test_a_condition_and_columns_choose_rows_and_columns(space: Space) -> None:
    table = space.to_arrow(columns=["city"], where="year >= 30 and city = 'Oslo'")
    assert table.column_names == ["id", "vector", "city"]
    assert table.column("id").to_pylist() == ["i30", "i32", "i34", "i36", "i38"]
    np.testing.assert_array_equal(matrix(table), space.vectors[30::2])
    nobody = space.to_arrow(where="year > 99")
    assert nobody.num_rows == 0 and nobody.schema.field("vector").type.list_size == 5


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_frame_of_any_library_goes_out_and_comes_in_again(space: Space, library: str, tmp_path: Path) -> None:
    frame = space.to_frame(library)
    assert isinstance(frame, {"pandas": pandas.DataFrame, "polars": polars.DataFrame, "pyarrow": pa.Table}[library])
    with sb.fit(frame, out=tmp_path / "again.space") as again:
        assert again.ids == space.ids
        np.testing.assert_allclose(
            again.vectors, space.vectors / np.linalg.norm(space.vectors, axis=1)[:, None], rtol=1e-5
        )
        assert again.attributes(["city"]).column("city").to_pylist() == ["Oslo", "Rome"] * 20


def test_a_mapped_arrow_file_is_read_as_data_without_a_copy(space: Space, tmp_path: Path) -> None:
    space.export(tmp_path / "z.arrow")
    with pa.memory_map(str(tmp_path / "z.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
        data = load_data(table)
        buffer = table.column("vector").chunk(0).values.buffers()[1]
        assert data.x.ctypes.data == buffer.address and file.size() > buffer.size == data.x.nbytes
        np.testing.assert_array_equal(data.x, space.vectors)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda s: s.to_frame("panda"), "did you mean pandas"),
        (lambda s: s.to_frame("cudf"), "pip install cudf"),
        (lambda s: s.to_arrow(columns=["yeer"]), "did you mean year"),
        (lambda s: s.to_arrow(where="yeer = 3"), "year"),
    ],
)
def test_a_mistake_is_answered_in_one_line(space: Space, ask, says: str) -> None:
    with pytest.raises(SemblanceError, match=says) as caught:
        ask(space)
    assert "\n" not in str(caught.value)
