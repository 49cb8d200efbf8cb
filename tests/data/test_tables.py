from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from semblance.data.load import load
from semblance.data.tables import read_table
from semblance.errors import SemblanceError


def write(folder, text, name="t.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def test_columns_become_what_their_names_and_types_say(tmp_path):
    path = write(tmp_path, "id,a,b,label,city,split\nu,1,2,x,Oslo,train\nv,3,4.5,,Bergen,test\nw,5,6,y,,train\n")
    data = load(path)
    np.testing.assert_array_equal(data.x, np.array([[1, 2], [3, 4.5], [5, 6]], np.float32))
    assert data.x.dtype == np.float32 and data.domain == "vectors"
    assert data.ids == ["u", "v", "w"]
    assert data.targets["labels"].tolist() == [0, -1, 1] and data.classes == ("x", "y")
    assert data.attributes.column("city").to_pylist() == ["Oslo", "Bergen", None]
    assert data.splits["train"].tolist() == [0, 2] and data.splits["test"].tolist() == [1]
    assert data.notes[0] == "domain: vectors (table of 3 rows, 2 numbers each)"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_any_usual_delimiter_is_seen(tmp_path, delimiter):
    path = write(tmp_path, "a,b\n1,2\n3,4\n".replace(",", delimiter))
    assert load(path).x.shape == (2, 2)


def test_a_file_without_names_loses_no_line_and_a_byte_order_mark_no_name(tmp_path):
    assert load(write(tmp_path, "1,2\n3,4\n")).x.tolist() == [[1, 2], [3, 4]]
    path = write(tmp_path, "a,b\n1,2\n", encoding="utf-8-sig")
    assert read_table(path).column_names == ["a", "b"]


def test_named_columns_win_over_usual_ones(tmp_path):
    path = write(tmp_path, "id,code,label,kind,a\n1,p,x,k,0.5\n2,q,x,l,1.5\n")
    data = load(path, label="kind", id_column="code")
    assert data.ids == ["p", "q"] and data.classes == ("k", "l") and data.x.shape == (2, 1)


def test_a_label_column_of_floats_is_a_number(tmp_path):
    data = load(write(tmp_path, "a,target\n1,0.5\n2,\n"))
    assert data.classes == ()
    np.testing.assert_array_equal(data.targets["labels"], [0.5, np.nan])


def test_a_column_of_vectors_is_x_and_other_numbers_are_attributes(tmp_path):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6, dtype=np.float32)), 3)
    table = pa.table({"vector": vectors, "year": [1999, 2001], "tags": [["a", "b"], ["b"]]})
    pq.write_table(table, tmp_path / "t.parquet")
    data = load(tmp_path / "t.parquet", label="tags")
    assert data.x.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert data.attributes.column_names == ["year"]
    assert data.targets["labels"].tolist() == [[True, True], [False, True]] and data.classes == ("a", "b")


def test_a_slice_of_a_table_gives_its_own_rows():
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(9.0)), 3)
    table = pa.table({"vector": vectors}).slice(1, 2)
    assert load(table).x.tolist() == [[3, 4, 5], [6, 7, 8]]


def test_frames_of_any_library_give_the_same_data():
    columns = {"a": [1.0, 2.0], "b": [3, 4], "label": ["x", "y"]}
    frames = [pa.table(columns), pd.DataFrame(columns, index=[7, 8]), pl.DataFrame(columns), pl.LazyFrame(columns)]
    prints = [load(frame) for frame in frames]
    assert len({data.fingerprint for data in prints}) == 1
    assert all(data.attributes.column_names == ["label"] for data in prints)


def test_a_usual_id_column_that_repeats_is_passed_over_and_said(tmp_path):
    data = load(write(tmp_path, "id,a\n1,0.5\n1,1.5\n"))
    assert data.ids == ["0", "1"] and data.x.shape == (2, 1)
    assert any("'id' holds 1 more than once" in note for note in data.notes)


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("a,b\n1,2\n3,nan\n", {}, "row 1, column 'b' is missing"),
        ("a,b\n1,2\n3,inf\n", {}, "row 1, column 'b' is infinite"),
        ("a,b\n1,2\n3,1e300\n", {}, "row 1, column 'b' is infinite or too large"),
        ("a,b\n1,2\n3\n", {}, "ragged: line 3 has 1 cells where there are 2"),
        ("", {}, "empty"),
        ("a,b\n", {}, "empty"),
        ("a,a\n1,2\n", {}, "several columns named 'a'"),
        ("a,colour\n1,x\n", {"label": "color"}, "there is no label column 'color': did you mean colour"),
        ("a,key\n1,x\n2,x\n", {"id_column": "key"}, "id 'x' of column 'key' stands in rows 0, 1"),
        ("a,key\n1,x\n2,\n", {"id_column": "key"}, "empty in row 1"),
        ("a,key\n1,x\n", {"id_column": "kee"}, "did you mean key"),
        ("city,country\nOslo,Norway\n", {}, "no column of numbers, vectors, texts or image paths"),
        ("text,year\nhello,1999\n", {}, "fits vectors .* and text .*--domain vectors"),
        ("src,dst,height\n1,2,0.5\n", {}, "fits vectors .* and graph .*--domain vectors or graph"),
    ],
)
def test_a_table_that_cannot_be_read_is_answered_with_the_place_and_the_remedy(tmp_path, text, options, told):
    path = write(tmp_path, text)
    with pytest.raises(SemblanceError, match=told) as error:
        load(path, **options)
    assert "\n" not in str(error.value)


def test_the_domain_can_be_chosen_where_two_fit(tmp_path):
    data = load(write(tmp_path, "text,year\nhello,1999\n"), domain="vectors")
    assert data.x.tolist() == [[1999]] and data.attributes.column_names == ["text"]


def test_a_file_in_another_encoding_is_refused_with_the_byte(tmp_path):
    path = write(tmp_path, "a,city\n1,Tromsø\n", encoding="latin-1")
    with pytest.raises(SemblanceError, match=r"not UTF-8 \(byte 14 is 0xf8\).*UTF-8"):
        load(path)
    assert path.read_bytes()[14] == 0xF8


@pytest.mark.parametrize(("content", "bad"), [("a,æøå\n1,é".encode() + b"\xe9\n", 13), (b"a,b\n\xc3(1\n", 4)])
def test_the_byte_is_right_where_the_file_is_read_in_several_blocks(tmp_path, monkeypatch, content, bad):
    monkeypatch.setattr("semblance.data.tables.READ", 5)
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(SemblanceError, match=rf"byte {bad} is 0x{content[bad]:02x}"):
        load(path)


def test_vectors_of_different_lengths_in_a_column_are_refused_by_row(tmp_path):
    pq.write_table(pa.table({"z": [[1.0, 2.0], [1.0, 2.0], [3.0]]}), tmp_path / "t.parquet")
    with pytest.raises(SemblanceError, match="row 2 has 1 numbers, others have 2"):
        load(tmp_path / "t.parquet")


def test_a_broken_parquet_file_is_refused(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SemblanceError, match="cannot be read as parquet"):
        load(tmp_path / "t.parquet")


def test_an_empty_data_frame_is_refused():
    with pytest.raises(SemblanceError, match="empty"):
        load(pd.DataFrame({"a": []}))
