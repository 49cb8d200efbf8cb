"""A source in parts is what `load` reads at once: the same units, ids, labels, attributes and pixels, for every kind."""

from __future__ import annotations

import os
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from semblance.data import folder_parts, listing
from semblance.data.labels import labels_of
from semblance.data.load import load
from semblance.data.parts import Block, Source, source_of
from semblance.data.splits import from_words
from semblance.errors import SemblanceError

SIZE = (6, 6)


def blocks(source: Source, rows: int = 7) -> list[Block]:
    """All that a source gives, part by part, after a journey to another process."""
    cuts = source.cuts(rows)
    assert cuts[0] == 0 and cuts[-1] == source.units and cuts == sorted(set(cuts))
    sent = pickle.loads(pickle.dumps(source))
    return [b for first, stop in pairwise(cuts) for b in sent.blocks(first, stop, 3)]


def check(found: list[Block], whole: Any) -> None:
    """Raises unless the blocks are the dataset."""
    assert [i for b in found for i in b.data.ids] == whole.ids
    shape = np.shape(whole.x)[1:]  # a block of grey pictures among coloured ones is grey until a model reads it
    x = [np.broadcast_to(b.data.x, (len(b.data.x), *shape)) for b in found if len(b.data.x)]
    np.testing.assert_array_equal(np.concatenate(x), np.asarray(whole.x))
    assert pa.concat_tables([b.data.attributes for b in found]).to_pylist() == whole.attributes.to_pylist()
    assert sorted(s for b in found for s in b.skipped) == sorted(whole.skipped)
    if "labels" in whole.targets:
        labels = labels_of(pa.concat_arrays([b.label for b in found]))
        np.testing.assert_array_equal(labels.values, whole.targets["labels"])
        assert labels.classes == tuple(whole.classes)
    else:
        assert all(b.label is None for b in found)
    if found[0].split is not None:
        splits = from_words([w for b in found for w in b.split.to_pylist()])
        assert splits is not None and {k: v.tolist() for k, v in splits.items()} == {
            k: v.tolist() for k, v in whole.splits.items()
        }


def picture(path: Path, seed: int, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(19):
        picture(tmp_path / "photos" / ["cat", "dog", "a b"][number % 3] / f"{number}.png", number)
    return tmp_path / "photos"


def of(data: Any, domain: str, tmp_path: Path) -> Source:
    (tmp_path / "work").mkdir(exist_ok=True)
    return source_of(data, domain, SIZE if domain == "images" else None, tmp_path / "work")


def test_a_folder_of_images(photos: Path, tmp_path: Path) -> None:
    source = of(photos, "images", tmp_path)
    check(blocks(source), load(photos, size=SIZE))
    assert source.units == 19 and source.told(0, 7) == f"a b/11.png to cat/0.png of {photos}"


def test_files_that_are_no_images_are_left_out_wherever_they_stand(photos: Path, tmp_path: Path) -> None:
    for number in range(4):  # a whole block of them
        (photos / "a b" / f"{number}-bad.png").write_text("no image")
    picture(photos / "grey.png", 3, "L")
    check(blocks(of(photos, "images", tmp_path)), load(photos, size=SIZE))


@pytest.mark.parametrize("one_class", [False, True])
def test_folders_called_train_and_test_are_splits(tmp_path: Path, one_class: bool) -> None:
    for number in range(12):
        name = f"{'test' if number % 4 == 0 else 'Train'}/{'x' if one_class or number % 2 else 'y'}/{number}.png"
        picture(tmp_path / "photos" / name, number)
    found = blocks(of(tmp_path / "photos", "images", tmp_path))
    check(found, load(tmp_path / "photos", size=SIZE))
    assert found[0].split is not None and (found[0].label is None) == one_class


def test_a_table_beside_the_images(photos: Path, tmp_path: Path) -> None:
    lines = [f"{n}.png,{'old' if n % 2 else 'new'},{'test' if n % 5 == 0 else 'train'},{n / 2}" for n in range(18)]
    (photos / "metadata.csv").write_text("\n".join(["file_name,label,split,age", *lines]))
    source = of(photos, "images", tmp_path)
    check(blocks(source), load(photos, size=SIZE))
    assert list(source.marks) == ["metadata.csv"]


def table(n: int, **more: Any) -> pa.Table:
    chance = np.random.default_rng(n)
    return pa.table({"vector": chance.normal(size=(n, 4)).astype(np.float32).tolist(), **more})


def write(data: pa.Table, path: Path, size: int = 5) -> Path:
    """As the suffix says, in row groups or batches of this size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(data, path, row_group_size=size)
        return path
    make = pa.ipc.new_stream if path.suffix == ".arrows" else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as sink, make(sink, data.schema) as writer:
        writer.write_table(data, size)
    return path


KINDS = ["a.parquet", "a.arrow", "a.feather", "a.arrows"]


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=20)
@given(n=st.integers(1, 40), size=st.integers(1, 50), rows=st.integers(1, 50))
def test_tables_of_vectors_in_every_cut(
    tmp_path_factory: pytest.TempPathFactory, name: str, n: int, size: int, rows: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("tables")
    data = table(n, kind=[["b", "a", None][i % 3] for i in range(n)], year=range(n))
    path = write(data, tmp_path / name, size)
    check(blocks(of(path, "vectors", tmp_path), rows), load(data, label=None))


@pytest.mark.parametrize("name", KINDS)
def test_labels_ids_and_splits_are_found_in_all_rows(tmp_path: Path, name: str) -> None:
    said = {
        "key": [f"k{i}" for i in range(30)],
        "label": pa.array([["b", "a", None][i % 3] for i in range(30)]).dictionary_encode(),
        "split": ["test" if i == 29 else "train" for i in range(30)],
        "taken": pa.array(range(30), pa.timestamp("s")),
    }
    data = table(30, **said)
    source = of(write(data, tmp_path / name), "vectors", tmp_path)
    check(blocks(source), load(data))
    assert source.cuts(7) == ([0, 5, 10, 15, 20, 25, 30] if name.endswith("parquet") else [0, 7, 14, 21, 28, 30])


def test_an_id_column_that_repeats_itself_in_another_part_is_an_attribute(tmp_path: Path) -> None:
    data = table(30, name=[f"n{i % 28}" for i in range(30)])
    source = of(write(data, tmp_path / "a.parquet"), "vectors", tmp_path)
    check(blocks(source), load(data))
    assert source.notes[-1] == "column 'name' does not name the rows ('n0' in rows 0 and 28)"


def test_columns_of_numbers_are_vectors(tmp_path: Path) -> None:
    data = pa.table({"id": range(20, 40), "a": np.arange(20.0), "b": range(20), "city": ["Oslo", "Rome"] * 10})
    check(blocks(of(write(data, tmp_path / "a.arrow"), "vectors", tmp_path)), load(data))


def test_a_folder_of_tables_is_one_table(tmp_path: Path) -> None:
    data = table(30, year=range(30))
    write(data.slice(0, 11), tmp_path / "t" / "a" / "1.parquet")
    write(data.slice(11, 2), tmp_path / "t" / "b.arrow")
    write(data.slice(13, 0), tmp_path / "t" / "c.parquet")
    write(data.slice(13), tmp_path / "t" / "d.arrows")
    source = of(tmp_path / "t", "vectors", tmp_path)
    check(blocks(source), load(data))
    assert source.told(12, 13).endswith("rows 1 to 1 of " + str(tmp_path / "t" / "b.arrow"))


def test_tables_that_differ_are_refused(tmp_path: Path) -> None:
    write(table(5, year=range(5)), tmp_path / "t" / "1.parquet")
    write(table(5, jahr=range(5)), tmp_path / "t" / "2.parquet")
    with pytest.raises(SemblanceError, match=r"2\.parquet has other columns than 1\.parquet \(column 'year'\)"):
        of(tmp_path / "t", "vectors", tmp_path)


def test_large_row_groups_are_cut_and_small_ones_joined(tmp_path: Path) -> None:
    one = of(write(table(100), tmp_path / "a.parquet", 100), "vectors", tmp_path)
    assert one.cuts(10) == [0, 25, 50, 75, 100] and one.cuts(40) == [0, 40, 80, 100]
    many = of(write(table(100), tmp_path / "b.parquet", 10), "vectors", tmp_path)
    assert many.cuts(35) == [0, 30, 60, 90, 100]


def test_a_table_of_image_paths(photos: Path, tmp_path: Path) -> None:
    (photos / "a b" / "2.png").write_text("no image")
    paths = sorted(p.relative_to(tmp_path).as_posix() for p in photos.rglob("*.png"))
    data = pa.table({"path": paths, "class": [p.split("/")[1] for p in paths]})
    path = write(data, tmp_path / "a.parquet")
    check(blocks(of(path, "images", tmp_path)), load(path, size=SIZE))
    twice = write(pa.concat_tables([data, data.slice(3, 1)]), tmp_path / "b.parquet")
    with pytest.raises(SemblanceError, match=r"id 'photos/a b/2.png' of column 'path' stands in rows \d+ and 19"):
        of(twice, "images", tmp_path)


def test_a_table_of_texts(tmp_path: Path) -> None:
    data = pa.table({"text": [f"a text of number {i}" if i % 7 else " " for i in range(30)], "year": range(30)})
    check(blocks(of(write(data, tmp_path / "a.parquet"), "text", tmp_path)), load(data, domain="text"))


@pytest.mark.parametrize("shape", [(20, 5), (20, 6, 6), (20, 9, 7, 3), (20, 1, 6, 6)])
def test_an_array_on_disk(tmp_path: Path, shape: tuple[int, ...]) -> None:
    domain = "vectors" if len(shape) == 2 else "images"
    x = np.random.default_rng(0).integers(0, 256, shape)
    np.save(tmp_path / "x.npy", x.astype(np.float64 if domain == "vectors" else np.uint8))
    size = SIZE if domain == "images" else None
    check(blocks(of(tmp_path / "x.npy", domain, tmp_path)), load(tmp_path / "x.npy", size=size))


@pytest.mark.parametrize(("name", "domain"), [("digits", "images"), ("iris", "vectors")])
def test_what_is_read_as_a_whole_has_its_targets_and_splits(name: str, domain: str, tmp_path: Path) -> None:
    source, whole = of(name, domain, tmp_path), load(name, size=SIZE if domain == "images" else None)
    found = [b.data for b in blocks(source, 50)]
    assert [i for d in found for i in d.ids] == whole.ids
    np.testing.assert_array_equal(np.concatenate([d.targets["labels"] for d in found]), whole.targets["labels"])
    assert sum(len(d.splits["test"]) for d in found) == len(whole.splits["test"])
    assert source.marks == {"the data": whole.fingerprint}


@pytest.mark.parametrize("kind", ["folder", "table", "array"])
def test_a_file_that_changed_since_it_was_listed_is_not_read(photos: Path, tmp_path: Path, kind: str) -> None:
    np.save(tmp_path / "x.npy", np.ones((9, 3), np.float32))
    write(table(9), tmp_path / "a.parquet")
    data, domain = {
        "folder": (photos, "images"),
        "table": (tmp_path / "a.parquet", "vectors"),
        "array": (tmp_path / "x.npy", "vectors"),
    }[kind]
    source = of(data, domain, tmp_path)
    file = photos / "dog" / "1.png" if kind == "folder" else data
    os.utime(file, ns=(0, 1))
    with pytest.raises(SemblanceError, match=f"{file.name} has changed since it was listed"):
        blocks(source)


def test_two_listings_tell_what_came_went_or_changed(photos: Path, tmp_path: Path) -> None:
    def listed(name: str) -> Path:
        found = folder_parts.find(photos, SIZE, tmp_path)
        assert found is not None
        return found.files.rename(tmp_path / name)

    first = listed("1")
    assert listing.difference(first, listed("2"), photos) == ""
    picture(photos / "dog" / "new.png", 1)
    assert listing.difference(first, listed("3"), photos) == "dog/new.png is new"
    (photos / "cat" / "0.png").unlink()
    assert listing.difference(first, listed("4"), photos) == "cat/0.png is gone"
    assert listing.difference(listed("5"), first, photos) == "cat/0.png is new"
    before = listed("6")
    with open(photos / "dog" / "1.png", "ab") as file:
        file.write(b"12")
    assert listing.difference(before, listed("7"), photos).startswith("dog/1.png has ")


@settings(max_examples=12)
@given(count=st.integers(0, 9000), ends=st.tuples(st.integers(0, 9000), st.integers(0, 9000)))
def test_any_stretch_of_a_listing_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, count: int, ends: tuple[int, int]
) -> None:
    path, (first, stop) = tmp_path_factory.mktemp("l") / "files", sorted(ends)
    names = [f"{i}.png" for i in range(count)]
    assert listing.write(path, Path("/nowhere"), names) == count
    assert [file.name for file in listing.read(path, first, stop)] == names[first:stop]
    assert [file.name for file in listing.read(path)] == names


@pytest.mark.parametrize("domain", ["vectors", "images"])
def test_what_is_empty_is_refused(tmp_path: Path, domain: str) -> None:
    (tmp_path / "none").mkdir()
    for data in (tmp_path / "none", write(table(0), tmp_path / "a.parquet"), tmp_path / "gone"):
        with pytest.raises(SemblanceError, match=r"empty|there is no"):
            of(data, domain, tmp_path)
