"""Captions: found beside images, joined by name, cut or told as concepts; what is missing is said."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from semblance.data.captions import cut, learned_from, numbers_of, with_captions
from semblance.data.load import load
from semblance.data.moments import shape_of
from semblance.data.pieces import Cutting
from semblance.errors import SemblanceError


@pytest.fixture
def photos(tmp_path):
    """Six images in a folder."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(6):
        Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)).save(folder / f"{i}.png")
    return folder


def said(photos) -> list[str]:
    return list(load(photos).captions)


def test_a_table_beside_the_images_brings_their_captions_and_these_are_attributes(photos):
    plain = load(photos)
    assert plain.captions is None
    (photos / "captions.csv").write_text("file_name,caption\n1.png,a cat\n0.png, a dog \n")
    data = load(photos)
    assert list(data.captions) == ["a dog", "a cat", "", "", "", ""]
    assert data.attributes.column("caption").to_pylist()[1] == "a cat"
    assert data.notes[-1] == "captions: column 'caption'" and data.fingerprint != plain.fingerprint
    (photos / "captions.csv").write_text("file_name,caption\n1.png,a fox\n0.png,a dog\n")
    assert load(photos).fingerprint != data.fingerprint


@pytest.mark.parametrize("name", ["text", "Caption", "alt"])
def test_columns_of_usual_names_are_captions(photos, name):
    (photos / "metadata.csv").write_text(f"file_name,{name}\n1.png,a cat\n0.png,a dog\n")
    assert said(photos)[:2] == ["a dog", "a cat"]


def test_lines_of_json_beside_the_images_are_read(photos):
    lines = [json.dumps({"file_name": f"{i}.png", "text": f"number {i}"}) for i in range(6)]
    (photos / "metadata.jsonl").write_text("\n".join(lines))
    assert said(photos) == [f"number {i}" for i in range(6)]


def test_captions_come_from_a_file_of_ones_own_or_from_a_column_that_is_named(photos, tmp_path):
    (tmp_path / "mine.csv").write_text("image,words\n5.png,the sixth\n")
    data = load(photos, captions=tmp_path / "mine.csv")
    assert data.captions[5] == "the sixth" and data.captions[0] == ""
    assert data.notes[-1] == "captions: mine.csv, joined by 'image'; 5 images are not in it"
    (photos / "metadata.csv").write_text("file_name,caption,note\n1.png,a cat,soft\n")
    assert load(photos, captions="note").captions[1] == "soft"
    with pytest.raises(SemblanceError, match="did you mean note"):
        load(photos, captions="notes")


def test_a_table_of_image_paths_has_captions_too(photos):
    table = pa.table(
        {"path": [str(photos / f"{i}.png") for i in range(6)], "caption": [f"number {i}" for i in range(6)]}
    )
    assert list(load(table).captions) == [f"number {i}" for i in range(6)]


def test_captions_of_arrays_are_given_one_for_each(photos):
    x = np.zeros((3, 8, 8), np.uint8)
    x[1] = 9
    assert list(load(x, captions=["a", None, "c"]).captions) == ["a", "", "c"]
    with pytest.raises(SemblanceError, match="2 captions for 3 images"):
        load(x, captions=["a", "b"])
    with pytest.raises(SemblanceError, match="captions are of images, and the data is vectors"):
        load(np.zeros((3, 4), np.float32), captions=["a", "b", "c"])
    with pytest.raises(SemblanceError, match="every caption is empty"):
        load(x, captions=["", "", ""])


def test_images_without_a_caption_are_not_learned_from_and_a_subset_keeps_its_own(photos):
    data = load(np.arange(6 * 64, dtype=np.uint8).reshape(6, 8, 8), captions=["a b", "", "c", "", "d", "e"])
    few = learned_from(data)
    train = data.splits["train"]
    assert list(few.splits["train"]) == [i for i in train if data.captions[i]]
    assert few.notes[-1].endswith("have no caption and are not learned from")
    assert list(data.subset(np.array([4, 0])).captions) == ["d", "a b"]
    with pytest.raises(SemblanceError, match="give two or more"):
        learned_from(with_captions(data, ["a", *[""] * 5]))


def test_captions_become_numbers_that_batches_hold(photos):
    data = load(
        np.arange(6 * 64, dtype=np.uint8).reshape(6, 8, 8), captions=["a red cat", "a cat", "red", "x", "d", "e"]
    )
    pieces = Cutting(vocabulary=280, length=3).learned(data.captions.tolist())
    numbered = cut(pieces, data)
    assert "captions" not in data.read(np.arange(2))
    batch = numbered.read(np.array([1, 0]))
    assert batch["captions"].shape[0] == 2 and (batch["captions"][0] > 0).sum() <= 3
    assert np.array_equal(numbers_of(pieces, ["a cat", "red"]), numbered.captions[np.array([1, 2])])
    assert shape_of(numbered).facts["captions"] == pieces.size and "captions" not in shape_of(data).facts
    assert list(numbered.subset(np.array([2])).captions.texts) == ["red"]
