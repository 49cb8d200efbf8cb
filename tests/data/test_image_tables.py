"""Images named by a table: from a file beside or far from them, and from data frames."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from semblance.data.domains import infer
from semblance.data.load import load
from semblance.errors import SemblanceError


@pytest.fixture
def album(tmp_path, monkeypatch):
    """A folder with six pictures in a folder of their own; the picture of number n is all of grey 10 n."""
    monkeypatch.setenv("SEMBLANCE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "scans").mkdir()
    for n in range(6):
        Image.fromarray(np.full((8, 8), 10 * n, np.uint8)).save(tmp_path / "scans" / f"{n}.png")
    return tmp_path


def rows(count: int = 6) -> dict[str, list]:
    return {
        "path": [f"scans/{n}.png" for n in range(count)],
        "kind": ["even" if n % 2 == 0 else "odd" for n in range(count)],
        "note": [f"scan {n}" for n in range(count)],
    }


def greys(dataset) -> list[int]:
    return [int(v) // 10 for v in dataset.x[:, 0, 0, 0]]


def test_a_csv_of_paths_is_images_with_its_columns_as_label_and_attributes(album):
    pd.DataFrame(rows()).to_csv(album / "scans.csv", index=False)
    dataset = load(album / "scans.csv", label="kind")
    assert (dataset.domain, dataset.x.shape, greys(dataset)) == ("images", (6, 1, 8, 8), [0, 1, 2, 3, 4, 5])
    assert dataset.ids == [f"scans/{n}.png" for n in range(6)]
    assert [dataset.classes[k] for k in dataset.targets["labels"]] == rows()["kind"]
    assert dataset.attributes.column("note").to_pylist() == rows()["note"]
    assert dataset.attributes.column("file").to_pylist() == [f"{n}.png" for n in range(6)]
    assert dataset.name == "scans" and "column 'path'" in dataset.notes[0]


def test_paths_may_be_absolute_ids_and_splits_given_and_the_order_any(album, tmp_path_factory):
    table = pd.DataFrame(rows()).iloc[[4, 0, 2, 1]]
    table["path"] = [str(album / p) for p in table["path"]]
    table["key"] = ["d", "a", "c", "b"]
    table["split"] = ["train", "train", "test", "train"]
    far = tmp_path_factory.mktemp("far") / "t.parquet"
    table.to_parquet(far, index=False)
    dataset = load(far)
    assert (dataset.ids, greys(dataset)) == (["d", "a", "c", "b"], [4, 0, 2, 1])
    assert dataset.splits["test"].tolist() == [2]
    assert dataset.attributes.column("path").to_pylist() == table["path"].tolist()


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_a_frame_of_any_library_reads_paths_from_here(album, monkeypatch, frame):
    monkeypatch.chdir(album)
    table = frame({name: values for name, values in rows().items() if name != "note"})
    for dataset in (load(table), load(table, domain="images", label="kind")):
        assert dataset.domain == "images" and greys(dataset) == [0, 1, 2, 3, 4, 5]
    assert dataset.classes == ("even", "odd")
    assert load(table, labels=[1, 2, 1, 2, 1, 2]).classes == ("1", "2")


def test_files_that_are_not_there_are_left_out_with_their_count(album):
    table = pd.DataFrame(rows())
    table["path"] = ["scans/0.png", "scans/9.png", "scans/2.png", None, "scans/4.png", "scans/5.png"]
    table.to_csv(album / "scans.csv", index=False)
    dataset = load(album / "scans.csv", label="kind")
    assert greys(dataset) == [0, 2, 4, 5]
    assert [dataset.classes[k] for k in dataset.targets["labels"]] == ["even", "even", "even", "odd"]
    assert dataset.skipped == (("row 3", "no such file"), ("scans/9.png", "no such file"))
    assert "2 images" in dataset.notes[-1]
    table["path"] = [f"scan/{n}.png" for n in range(6)]
    table.to_csv(album / "scans.csv", index=False)
    with pytest.raises(SemblanceError, match=r"6 of 6 images cannot be read.*'scan/0.png' \(no such file\)"):
        load(album / "scans.csv")


def test_numbers_beside_paths_are_asked_about_and_vectors_beside_them_are_vectors(album):
    numbers = pa.table({**rows(), "year": [1990] * 6})
    with pytest.raises(SemblanceError, match=r"images \(columns path\) and vectors|vectors .* and images"):
        infer(numbers)
    pq.write_table(numbers, album / "scans.parquet")
    dataset = load(album / "scans.parquet", domain="images")
    assert dataset.attributes.column("year").to_pylist() == [1990] * 6
    assert infer(pa.table({**rows(), "vector": [[1.0, 2.0]] * 6})) == "vectors"


def test_a_column_named_path_serves_where_names_have_no_suffix(album):
    for n in range(6):
        (album / "scans" / f"{n}.png").rename(album / "scans" / str(n))
    table = pa.table({"about": ["a", "b"], "path": ["scans/1", "scans/3"]})
    pq.write_table(table, album / "t.parquet")
    assert greys(load(album / "t.parquet", domain="images")) == [1, 3]


@pytest.mark.parametrize(
    ("columns", "asked", "text"),
    [
        ({"colour": ["red", "blue"]}, {"domain": "images"}, "no column of image paths, only colour"),
        ({"colour": ["red", "blue"]}, {}, "no column of numbers, vectors, texts or image paths"),
        (
            {"left": ["a.png"], "right": ["b.png"]},
            {"domain": "images"},
            r"several columns of image paths \(left, right\)",
        ),
        ({"path": ["scans/0.png", "scans/0.png"]}, {}, "'scans/0.png' stands 2 times"),
        ({"path": ["scans/0.png"], "kind": ["x"]}, {"label": "kin"}, "did you mean kind"),
        ({"path": ["scans/0.png", "scans/1.png"], "who": ["x", "x"]}, {"id_column": "who"}, "stands in rows 0, 1"),
    ],
)
def test_what_is_wrong_with_the_table_is_said_in_one_line(album, columns, asked, text):
    pq.write_table(pa.table(columns), album / "t.parquet")
    with pytest.raises(SemblanceError, match=text) as error:
        load(album / "t.parquet", **asked)
    assert "\n" not in str(error.value)
