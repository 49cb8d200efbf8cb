from __future__ import annotations

import json
import socket

import numpy as np
import pytest
from conftest import needs

from semblance.data import named
from semblance.data.load import load
from semblance.errors import SemblanceError


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A data folder of its own with one small set, and no network."""
    x = np.arange(2 * 4 * 3 * 3, dtype=np.uint8).reshape(8, 3, 3)
    np.savez(tmp_path / "tiny.npz", pictures=x, kind=np.array([0, 1] * 4), names=np.array(["p", "q"]))
    row = {
        "name": "tiny",
        "file": "tiny.npz",
        "sha256": named.hashlib.sha256((tmp_path / "tiny.npz").read_bytes()).hexdigest(),
        "domain": "images",
        "units": "item",
        "n": 8,
        "arrays": {"x": "pictures", "y": "kind", "class_names": "names"},
        "licence": "own",
        "source": "here",
    }
    (tmp_path / "index.json").write_text(json.dumps({"sets": [row], "bundled": []}))
    monkeypatch.setenv("SEMBLANCE_DATA", str(tmp_path))
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("a socket was opened"))
    return tmp_path


def test_digits_are_the_scans_of_scikit_learn_from_0_to_255():
    from sklearn.datasets import load_digits

    data = load("digits")
    assert data.x.shape == (1797, 1, 8, 8) and data.x.dtype == np.uint8 and data.x.max() == 255
    np.testing.assert_allclose(data.x[:, 0] / 255 * 16, load_digits().images, atol=0.04)
    assert data.classes == tuple("0123456789") and data.name == data.source == "digits"
    assert [len(data.splits[part]) for part in ("train", "test")] == [1438, 359]


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [("iris", (150, 4), 3), ("wine", (178, 13), 3), ("breast-cancer", (569, 30), 2), ("diabetes", (442, 10), 0)],
)
def test_tables_that_come_with_scikit_learn_load(name, shape, classes):
    data = load(name)
    assert data.domain == "vectors" and data.x.shape == shape and len(data.classes) == classes
    assert data.targets["labels"].dtype == (np.int64 if classes else np.float64)


def test_mnist_has_the_published_mean_and_the_standard_split():
    needs("mnist")
    data = load("mnist")
    assert data.x.shape == (70000, 1, 28, 28)
    assert [len(data.splits[part]) for part in ("train", "test")] == [60000, 10000] and data.ids[60000] == "test/0"
    assert abs(data.x[:60000].mean() / 255 - 0.1307) < 1e-4


def test_the_cifar_subset_is_balanced_and_in_colour():
    needs("cifar10-subset")
    data = load("cifar10-subset")
    assert data.x.shape == (12000, 3, 32, 32) and data.classes[0] == "airplane"
    assert (np.bincount(data.targets["labels"][data.splits["train"]]) == 1000).all()


def test_omniglot_has_characters_in_alphabets():
    needs("omniglot-small")
    data = load("omniglot-small")
    assert len(data.classes) == 242 and len(set(data.attributes.column("group").to_pylist())) == 8
    assert len(load("omniglot-small", label="group").classes) == 8


def test_photographs_keep_their_parts_and_true_sizes():
    needs("bccd")
    data = load("bccd")
    assert {part: len(rows) for part, rows in data.splits.items()} == {"train": 60, "val": 20, "test": 20}
    assert data.attributes.column("width").to_pylist()[0] == 256


def test_the_list_names_every_set_with_address_and_licence_whether_present_or_not(elsewhere):
    rows = {row.name: row for row in named.data_list()}
    assert rows["tiny"].present and rows["digits"].present and not rows["mnist"].present
    assert rows["mnist"].licence == "CC BY-SA 3.0" and "http" in rows["mnist"].source
    assert rows["cora"].domain == "graph" and len(rows) > 80
    assert named.data_list()[0].domain == "images"


def test_what_is_absent_is_answered_with_its_address_and_licence_and_no_socket(elsewhere):
    told = named.get("mnist")
    assert "yann.lecun.com" in told and "CC BY-SA 3.0" in told and "mnist.npz" in told
    with pytest.raises(SemblanceError, match=r"yann\.lecun\.com"):
        load("mnist")
    assert named.find("mnist") is None and named.find("tiny") == elsewhere / "tiny.npz"
    assert "comes with scikit-learn" in named.get("digits")


def test_a_set_is_described_by_shapes_and_counts_and_its_checksum_is_held(elsewhere):
    told = named.describe("tiny", check=True)
    assert told["shape"] == [8, 1, 3, 3] and told["classes"] == {"p": 4, "q": 4} and told["present"]
    with open(elsewhere / "tiny.npz", "ab") as file:
        file.write(b"x")
    with pytest.raises(SemblanceError, match="its index says"):
        named.describe("tiny", check=True)
    assert named.describe("mnist")["present"] is False


def test_a_damaged_set_is_one_line(elsewhere):
    (elsewhere / "tiny.npz").write_bytes(b"PK and no more")
    with pytest.raises(SemblanceError, match="cannot be read"):
        load("tiny")


def test_a_damaged_index_is_one_line(elsewhere):
    (elsewhere / "index.json").write_text("{}")
    with pytest.raises(SemblanceError, match="no index of data sets"):
        named.data_list()


def test_sets_of_domains_to_come_are_listed_and_say_so():
    for name, domain in (("gun-point", "series"), ("tecator", "functions")):
        with pytest.raises(SemblanceError, match=f"domain {domain}, which is not built yet"):
            load(name)


def test_an_unknown_name_is_answered_with_the_nearest():
    for ask in (named.describe, load):
        with pytest.raises(SemblanceError, match="mnist"):
            ask("mnits")


def test_a_folder_called_like_a_set_does_not_hide_it(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "say ./digits" in load("digits").notes[-1]


def test_the_list_that_ships_is_the_index_of_the_data_folder():
    needs("mnist")
    known = json.loads(named.KNOWN.read_text())
    index = json.loads((named.folder() / "index.json").read_text())
    for part in ("sets", "bundled"):
        assert [row["name"] for row in known[part]] == [row["name"] for row in index[part]]
        for mine, theirs in zip(known[part], index[part], strict=True):
            assert {k: v for k, v in mine.items() if k != "also"} == {k: theirs[k] for k in mine if k != "also"}
