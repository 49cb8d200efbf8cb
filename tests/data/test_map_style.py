"""Datasets of torch: what their items give is what arrays of the same content give."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from semblance.data.load import load
from semblance.errors import SemblanceError


class Items(Dataset):
    """A list as a dataset."""

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, row):
        return self.items[row]


def scans(n=20):
    digits = load_digits()
    return (digits.images[:n] * 15).astype(np.uint8), digits.target[:n]


@pytest.mark.parametrize(
    "as_item",
    [
        lambda x: torch.from_numpy(x),
        lambda x: torch.from_numpy(x)[None],
        lambda x: Image.fromarray(x),
        lambda x: torch.from_numpy(x)[None].float() / 255,  # as usual transforms give it
        lambda x: (x / 255).astype(np.float64),
    ],
    ids=["bytes", "bytes of a channel", "PIL", "floats", "doubles"],
)
def test_images_of_every_form_are_the_same_bytes(as_item):
    x, y = scans()
    found = load(Items(*((as_item(a), int(b)) for a, b in zip(x, y, strict=True))))
    expected = load({"x": x, "labels": y})
    assert found.domain == "images" and found.fingerprint == expected.fingerprint
    np.testing.assert_array_equal(found.x, expected.x)
    np.testing.assert_array_equal(found.targets["labels"], expected.targets["labels"])


def test_colours_keep_their_channels():
    x = np.random.default_rng(0).integers(0, 256, (4, 3, 9, 7), dtype=np.uint8)
    for items in (x, np.moveaxis(x, 1, 3)):
        np.testing.assert_array_equal(load(Items(*map(torch.from_numpy, items))).x, x)


def test_vectors_with_classes_or_numbers_are_read():
    x, y = torch.randn(12, 5, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
    found = load(TensorDataset(x, y))
    assert found.domain == "vectors" and found.classes == ("0", "1", "2")
    np.testing.assert_array_equal(found.x, x.numpy())
    assert load(TensorDataset(x)).targets == {}
    assert load(TensorDataset(x, y / 2)).targets["labels"].dtype == np.float64
    named = load(Items(*((row.numpy(), "odd" if i % 2 else "even") for i, row in enumerate(x))))
    assert named.classes == ("even", "odd")


def test_given_labels_stand_over_those_of_the_items():
    x, y = scans(10)
    found = load(Items(*((torch.from_numpy(a), int(b)) for a, b in zip(x, y, strict=True))), labels=["a", "b"] * 5)
    assert found.classes == ("a", "b")


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(3))


ROW = torch.zeros(4)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (DataLoader(TensorDataset(torch.zeros(4, 2))), "give its dataset, as sb.fit(loader.dataset)"),
        (Stream(), "is an iterable dataset: give a map-style one"),
        (Items(), "the dataset is empty"),
        (Items(ROW, torch.zeros(5)), "item 1 of the dataset is float32 [5], item 0 float32 [4]"),
        (Items({"image": ROW}), "item 0 of the dataset is a dict: give items x, or (x, y)"),
        (Items((ROW, 1, 2)), "has 3 parts"),
        (Items((ROW, 1), ROW), "1 of 2 items of the dataset have a label"),
        (Items((ROW, {"boxes": 1})), "the label of item 0 of the dataset is a dict"),
        (Items(torch.randn(3, 8, 8)), "without the normalising transform"),
        (Items("text"), "give an image [C, H, W] or a vector [d]"),
        (Items(torch.zeros(2, 3, 4, 5)), "give an image [C, H, W] or a vector [d]"),
    ],
)
def test_what_cannot_be_read_is_answered_in_one_line(data, says):
    with pytest.raises(SemblanceError, match=re.escape(says)) as caught:
        load(data)
    assert "\n" not in str(caught.value)


def test_labels_go_with_files_and_are_refused_where_the_data_has_its_own(tmp_path):
    x, _ = scans(6)
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path, picture in zip(paths, x, strict=True):
        Image.fromarray(picture).save(path)
    found = load(paths, labels=["even", "odd"] * 3)
    assert found.classes == ("even", "odd") and list(found.targets["labels"]) == [0, 1] * 3
    with pytest.raises(SemblanceError, match="5 labels for 6 units"):
        load(paths, labels=[0] * 5)
    for data in (tmp_path, "digits", found):
        with pytest.raises(SemblanceError, match="has its own: name them by label="):
            load(data, labels=[0] * 6)
