from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.data.dataset import Shape
from semblance.data.load import load, shape_of
from semblance.data.vectors import as_vectors
from semblance.errors import SemblanceError


def some(n=20, d=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def test_a_file_an_array_and_a_tensor_give_the_same_data(tmp_path):
    x = some()
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    loaded = [
        load(x),
        load(torch.from_numpy(x)),
        load(tmp_path / "x.npy"),
        load(str(tmp_path / "x.npz")),
        load(x.tolist()),
    ]
    assert len({data.fingerprint for data in loaded}) == 1
    assert all(data.domain == "vectors" for data in loaded)


def test_a_float32_file_stays_on_disk(tmp_path):
    np.save(tmp_path / "x.npy", some())
    assert isinstance(load(tmp_path / "x.npy").x, np.memmap)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "uint8", ">f4", "bool"])
def test_any_type_of_number_becomes_float32(dtype):
    x = (np.abs(some()) * 3).astype(dtype)
    data = load(x)
    assert data.x.dtype == np.float32
    np.testing.assert_array_equal(data.x, x.astype(np.float32))


def test_labels_ids_and_attributes_come_from_their_arrays(tmp_path):
    np.savez(tmp_path / "x.npz", x=some(3), y=np.array([1, -1, 0]), ids=np.array(["a", "b", "c"]), year=[1, 2, 3])
    data = load(tmp_path / "x.npz")
    assert data.ids == ["a", "b", "c"] and data.targets["labels"].tolist() == [1, -1, 0]
    assert data.attributes.column("year").to_pylist() == [1, 2, 3]
    assert load(tmp_path / "x.npz", label="year").targets["labels"].tolist() == [0, 1, 2]
    with pytest.raises(SemblanceError, match="label array 'yaer': did you mean year"):
        load(tmp_path / "x.npz", label="yaer")


def test_names_of_classes_belong_to_their_numbers(tmp_path):
    np.savez(tmp_path / "x.npz", x=some(3), y=np.array([2, 0, -1]), class_names=np.array(["p", "q", "r"]))
    data = load(tmp_path / "x.npz")
    assert data.classes == ("p", "q", "r") and data.targets["labels"].tolist() == [2, 0, -1]
    np.savez(tmp_path / "x.npz", x=some(3), y=np.array([3, 0, 1]), class_names=np.array(["p", "q", "r"]))
    with pytest.raises(SemblanceError, match="y holds 3 and class_names has 3"):
        load(tmp_path / "x.npz")


def test_parts_that_come_apart_give_the_splits(tmp_path):
    x = some(5)
    np.savez(tmp_path / "x.npz", train_x=x[:3], train_y=[0, 1, 0], test_x=x[3:], test_y=[1, 1])
    data = load(tmp_path / "x.npz")
    np.testing.assert_array_equal(data.x, x)
    assert data.splits["test"].tolist() == [3, 4] and data.ids[3] == "test/0"
    assert data.targets["labels"].tolist() == [0, 1, 0, 1, 1]
    np.savez(tmp_path / "x.npz", train_x=x[:3], train_y=[0, 1, 0], test_x=x[3:])
    with pytest.raises(SemblanceError, match="no test_y beside train_y"):
        load(tmp_path / "x.npz")


def test_labels_given_beside_an_array_count():
    data = load(some(4), labels=["a", None, "b", "a"])
    assert data.targets["labels"].tolist() == [0, -1, 1, 0]
    with pytest.raises(SemblanceError, match="3 labels for 4 units"):
        load(some(4), labels=[1, 2, 3])


def test_the_fingerprint_changes_with_a_value_an_id_or_a_label():
    x = some(4)
    changed = x.copy()
    changed[2, 1] += 1e-3
    prints = [load(x), load(changed), load(x, labels=[0, 1, 0, 1]), load(x, labels=[0, 1, 1, 1])]
    assert len({data.fingerprint for data in prints}) == 4


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (np.array([[1.0, 2.0], [np.nan, 1.0]]), "row 1, column 0 is missing"),
        (np.array([[1.0, -np.inf]]), "row 0, column 1 is infinite"),
        (np.array([[1e300]]), "column 0 is infinite or too large for float32"),
        (np.empty((0, 4)), "empty"),
        (np.empty((4, 0)), "empty"),
        (np.zeros(7), r"shape \[7\].*x\[None\]"),
        (np.zeros((2, 3, 4)), r"shape \[2, 3, 4\]"),
        (np.zeros((2, 2), complex), "complex"),
        (np.array([[1, 2], [3]], dtype=object), "Python objects"),
        (np.array([["a", "b"]]), "vectors are numbers"),
        ([[1.0, 2.0], [3.0]], "ragged: row 1"),
        ([[[1.0, 2.0], [3.0]]], "ragged"),
        ([], "empty list"),
        (object(), "data is a object"),
        ({"x": np.zeros((2, 2)), "ids": np.array(["a", "a"])}, "id 'a' stands 2 times"),
        ({"a": np.zeros((2, 2)), "b": np.zeros((2, 2))}, "name the one to learn from x"),
    ],
)
def test_arrays_that_are_no_vectors_are_refused_with_the_place_and_the_remedy(x, told):
    with pytest.raises(SemblanceError, match=told) as error:
        load(x)
    assert "\n" not in str(error.value)


def test_the_first_bad_row_is_named_wherever_it_lies_in_the_blocks(monkeypatch):
    monkeypatch.setattr("semblance.data.vectors.BLOCK", 6)
    x = some(20)
    x[13, 2] = np.nan
    with pytest.raises(SemblanceError, match="row 13, column 2"):
        as_vectors(x)


def test_pickles_are_never_read(tmp_path):
    marker = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    np.save(tmp_path / "x.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "x.npz", x=np.array([[1, 2], [3]], dtype=object))
    for name in ("x.npy", "x.npz"):
        with pytest.raises(SemblanceError, match="pickle and never read"):
            load(tmp_path / name)
    (tmp_path / "x.pt").write_bytes(b"")
    with pytest.raises(SemblanceError, match="pickle"):
        load(tmp_path / "x.pt")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@pytest.mark.parametrize("kept", [0, 5, 40, 150])
def test_arrays_cut_short_are_refused(tmp_path, name, kept):
    (np.save if name.endswith("y") else np.savez)(tmp_path / name, some(100))
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:kept])
    with pytest.raises(SemblanceError, match=r"cannot be read as np|pickle"):
        load(tmp_path / name)


def test_moments_are_those_of_the_training_part_alone(monkeypatch):
    monkeypatch.setattr("semblance.data.moments.BLOCK", 10)
    x = some(50, 4)
    x[:, 2] = 7.0
    data = load(x)
    shape, train = shape_of(data), x[data.splits["train"]].astype(np.float64)
    np.testing.assert_allclose(shape.mean, train.mean(0), rtol=1e-12)
    np.testing.assert_allclose(shape.std[:2], train.std(0)[:2], rtol=1e-12)
    assert shape.std[2] == 1e-6
    assert isinstance(shape, Shape) and shape.item == (4,) and shape.units == 40 and shape.classes == 0
