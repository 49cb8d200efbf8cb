from __future__ import annotations

import inspect

import numpy as np
import pytest
from PIL import Image

from semblance.contracts import Dataset
from semblance.data.assemble import assemble, content_hash
from semblance.data.load import load
from semblance.errors import SemblanceError


def test_a_dataset_passes_through():
    data = load("iris")
    assert load(data) is data and isinstance(data, Dataset)


def test_the_domain_is_said():
    assert load("iris").notes == ("domain: vectors (the set iris, 150 items)",)
    assert load(np.zeros((3, 2))).notes == ("domain: vectors (array [3, 2])",)


def test_the_seed_draws_the_split_and_the_same_seed_the_same():
    first, again, other = (load("digits", seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.splits["test"], again.splits["test"])
    assert not np.array_equal(first.splits["test"], other.splits["test"])
    assert first.fingerprint == other.fingerprint  # the content is the same


def test_named_images_come_in_any_size():
    assert load("digits", size=16).x.shape == (1797, 1, 16, 16)


def test_the_source_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMBLANCE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "photos").mkdir()
    for n in range(3):
        Image.fromarray(np.full((4, 4), n, np.uint8)).save(tmp_path / "photos" / f"{n}.png")
    np.save(tmp_path / "z.npy", np.eye(4, dtype=np.float32))
    (tmp_path / "z.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "paths.csv").write_text("path\nphotos/0.png\nphotos/1.png\n")
    (tmp_path / "elsewhere").mkdir()
    for typed in ("photos", "photos/1.png", "z.npy", "z.csv", "paths.csv"):
        monkeypatch.chdir(tmp_path)
        data = load(typed)
        monkeypatch.chdir(tmp_path / "elsewhere")
        again = load(data.source)
        assert again.source == data.source == str(tmp_path / typed)
        np.testing.assert_array_equal(again.x, data.x)
    assert load("digits").source == "digits"
    assert load(np.zeros((3, 2))).source == ""


def test_arguments_of_load_are_explained():
    told = inspect.getdoc(load)
    assert all(name in told for name in inspect.signature(load).parameters if name != "progress")


def test_a_subset_keeps_what_belongs_to_its_units():
    data = load("iris")
    rows = data.splits["test"][:5]
    part = data.subset(rows)
    np.testing.assert_array_equal(part.x, data.x[rows])
    assert part.attributes.column("row").to_pylist() == rows.tolist() and len(part.splits["test"]) == 5


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_hash_does_not_depend_on_blocks_or_layout(monkeypatch, dtype):
    x = np.random.default_rng(0).integers(0, 255, (50, 6)).astype(dtype)
    whole = content_hash(x)
    monkeypatch.setattr("semblance.data.assemble.BLOCK", 100)
    assert content_hash(x) == content_hash(np.asfortranarray(x)) == whole
    assert content_hash(x[::-1]) != whole and content_hash(x.reshape(25, 12)) != whole


def test_columns_of_another_length_are_refused():
    with pytest.raises(SemblanceError, match="2 ids for 3 units"):
        assemble("vectors", np.zeros((3, 1), np.float32), ids=["a", "b"])
