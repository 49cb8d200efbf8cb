"""Layers and units of what a user has: spaces with their models, modules, arrays by name, annotated matrices."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import csv
from scipy import sparse
from torch import nn

import semblance as sb
from semblance.analysis.comparison import Comparison
from semblance.analysis.layers import LayerComparison
from semblance.analysis.liked import LikedUnits
from semblance.errors import SemblanceError
from semblance.space import compare as comparing

RNG = np.random.default_rng(9)
X = RNG.normal(size=(60, 8)).astype(np.float32)
STAGES = "encoder.stages.?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two spaces of digits, whose models have stages."""
    at = tmp_path_factory.mktemp("layers")
    for seed in (0, 1):
        sb.fit("digits", recipe="supervised", epochs=1, seed=seed, out=at / f"{seed}.space", width=4).close()
    return at


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "LAYER_ITEMS", 200)


@pytest.mark.usefixtures("few")
def test_every_layer_of_two_spaces_is_compared_with_every_other(folder: Path) -> None:
    told: list[tuple[int, int, str]] = []
    found = sb.compare(folder / "0.space", folder / "1.space", layers=STAGES, progress=lambda *step: told.append(step))
    assert isinstance(found, LayerComparison)
    assert found.layers == (tuple(f"encoder.stages.{i}" for i in range(4)),) * 2
    assert found.values.shape == (4, 4) and (found.values > 0.1).all()
    assert "200 of 1,797 items were drawn" in found.notes
    done, total, last = told[-1]
    assert done == total and last == "compared" and told[0][2] == "reading"
    with sb.load(folder / "0.space") as space:
        itself = space.compare(space, layers=STAGES)
    np.testing.assert_allclose(np.diag(itself.values), 1, atol=1e-5)


@pytest.mark.usefixtures("few")
def test_one_layer_a_side_is_a_representation(folder: Path) -> None:
    found = sb.compare(folder / "0.space", folder / "1.space", layers=("encoder.stages.0", "encoder.stages.3"))
    assert isinstance(found, Comparison)
    assert found.features[0] != found.features[1]


@pytest.mark.usefixtures("few")
def test_layers_read_the_items_of_the_space_in_its_order(folder: Path, tmp_path: Path) -> None:
    with sb.load(folder / "0.space") as space:
        model, ids = space.model, space.ids
        direct = sb.compare((model, "digits"), space, layers=("encoder.stages.3", "encoder.stages.3"), measures=["cka"])
        assert direct.measures["cka"].value == pytest.approx(1, abs=1e-5)
        vectors = sb.compare((model, "digits"), space, measures=["cka"])
        assert vectors.measures["cka"].value == pytest.approx(1, abs=1e-5)
    assert len(ids) == 1797


def test_items_removed_from_a_space_are_left_out_and_said(tmp_path: Path) -> None:
    with sb.fit("digits", recipe="supervised", epochs=1, out=tmp_path / "a.space", width=4) as space:
        model = space.model
        space.remove(space.ids[60:])
        found = sb.compare(space, (model, "digits"), layers=STAGES)
        assert found.items == 60
        assert "60 items are on both sides, of 60 in a and 1,797 in b" in found.notes
        plain = sb.compare(space, (model, "digits"), measures=["cka"])
        assert plain.items == 60 and plain.measures["cka"].value > 0.99


@pytest.mark.usefixtures("few")
def test_matched_units_show_the_pictures_that_they_like(folder: Path, tmp_path: Path) -> None:
    found = sb.compare(folder / "0.space", folder / "1.space", units=True)
    assert isinstance(found, LikedUnits)
    assert set(found.pictures) == set(found.liked.ravel().tolist())
    assert all(picture.shape[2] == 3 and picture.dtype == np.uint8 for picture in found.pictures.values())
    found.save(tmp_path / "units.html")
    assert "data:image/png" in (tmp_path / "units.html").read_text()
    channels = sb.compare(folder / "0.space", folder / "1.space", layers="encoder.stages.1", units=True)
    assert channels.matching.scores.shape == (8, 8)  # channels, averaged over places
    drawn = io.BytesIO()
    found.plot().savefig(drawn, format="png", dpi=100)
    assert Image.open(drawn).size[0] > 500


def test_modules_by_pattern_and_arrays_by_name() -> None:
    nets = [nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)) for _ in range(2)]
    batches = list(torch.from_numpy(X).split(25))
    found = sb.compare((nets[0], batches), (nets[1], batches), layers="*")
    assert found.layers == (("0", "1", "2"), ("0", "1", "2"))
    with torch.no_grad():
        arrays = {"low": X, "high": nets[0](torch.from_numpy(X))}
    mixed = sb.compare((nets[0], batches), arrays, layers=(["0", "2"], "*"))
    assert mixed.layers == (("0", "2"), ("low", "high"))
    assert mixed.values[1, 1] == pytest.approx(1, abs=1e-5)
    one = sb.compare((nets[0], batches), arrays, layers=("2", "high"), measures=["procrustes"])
    assert one.measures["procrustes"].value == pytest.approx(1, abs=1e-5)
    assert one.names == ("2", "b")


class Twice(nn.Module):
    """A layer that every batch passes twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Linear(8, 8), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.again(self.first(self.again(self.first(x))))  # type: ignore[no-any-return]


def test_layers_with_other_numbers_of_rows_are_left_out_of_a_pattern_and_refused_by_name() -> None:
    torch.manual_seed(0)
    batches = [torch.from_numpy(X)]
    net = nn.Sequential(nn.Linear(8, 8), Twice())
    found = sb.compare((net, batches), {"x": X}, layers=("*", "x"), measures=["rsa"])
    assert set(found.layers[0]) <= {"0", "1", "1.first", "1.again"} and len(found.layers[0]) == 2
    with pytest.raises(SemblanceError, match="different numbers of rows"):
        sb.compare((net, batches), {"x": X}, layers=(["0", "1.first"], "x"))


def test_layers_of_a_graph_s_network_are_those_of_its_nodes(tmp_path: Path) -> None:
    edges = {"source": RNG.integers(0, 60, 200), "target": RNG.integers(0, 60, 200)}
    nodes = {"id": np.arange(60), **{f"v{d}": X[:, d] for d in range(8)}, "topic": np.arange(60) % 2}
    csv.write_csv(pa.table(edges), tmp_path / "edges.csv")
    csv.write_csv(pa.table(nodes), tmp_path / "nodes.csv")
    with sb.fit(tmp_path / "edges.csv", recipe="gcn", label="topic", epochs=1, out=tmp_path / "g.space") as space:
        found = sb.compare(space, space, layers="encoder.*")
        assert found.items == len(space)
        np.testing.assert_allclose(np.diag(found.values), 1, atol=1e-5)


def test_layers_in_a_file_are_its_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", low=X, high=X[:, :3])
    found = sb.compare(tmp_path / "a.npz", {"x": X}, layers=("*", "x"))
    assert found.layers == (("low", "high"), ("x",))
    assert found.values[0, 0] == pytest.approx(1)


def test_tables_of_arrow_and_annotated_matrices_are_matched_by_their_ids() -> None:
    names = [f"cell {i}" for i in range(60)]
    order = RNG.permutation(60)
    cells = SimpleNamespace(X=sparse.csr_matrix(X), obsm={"X_pca": X[:, :3], "counts": X}, obs_names=names)
    table = pa.table({"key": [names[i] for i in order], **{f"v{d}": X[order, d] for d in range(8)}})
    found = sb.compare(cells, table, measures=["cka", "neighbours"])
    assert found.measures["cka"].value == pytest.approx(1, abs=1e-5)
    assert found.measures["neighbours"].value == 1
    assert found.items == 60
    layers = sb.compare(cells, cells, layers="*")
    assert layers.layers[0] == ("X", "X_pca", "counts")
    assert layers.values[0, 2] == pytest.approx(1, abs=1e-5)


NET = nn.Sequential(nn.Linear(8, 16), nn.ReLU())
BATCHES = [torch.from_numpy(X)]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sb.compare(X, X, layers="a"), "a ndarray has no layers to name"),
        (lambda: sb.compare({"a": X}, {"b": X}, layers="b"), "there is no layer 'b'"),
        (lambda: sb.compare((NET, BATCHES), {"b": X}, layers=("2", "b")), "there is no layer '2'"),
        (lambda: sb.compare({"layer3.conv": X}, {"b": X}, layers=("layer3.con", "b")), "did you mean layer3.conv"),
        (lambda: sb.compare({"a": X, "b": X[:9]}, {"b": X}), "the layers of a have"),
        (lambda: sb.compare({}, {"b": X}), "the layers of a have no items"),
        (lambda: sb.compare({"a": X, "b": X}, {"b": X}, measures=["cka", "rsa"]), "compared by one measure"),
        (lambda: sb.compare({"a": X, "b": X}, {"b": X}, measures=["ckb"]), "there is no measure 'ckb'"),
        (lambda: sb.compare({"a": X, "b": X}, {"b": X}, units=True), "2 layers are named: name one a side"),
        (lambda: sb.compare(X, X, units=True, measures=["cka"]), "matched by correlation, not by cka"),
        (lambda: sb.compare(X, X, layers=("a", "b", "c")), "layers are 3"),
        (lambda: sb.compare(X, X[:9]), "a has 60 items and b 9"),
        (lambda: sb.compare(np.float32(3), X), "an array has shape|is a float32"),
        (lambda: sb.compare({"a": X, "b": X * np.nan}, {"c": X}), "layer b of a: .*NaN or infinity"),
        (lambda: sb.compare(X, np.ones_like(X)), "is the same for all 60"),
        (lambda: sb.compare(X, np.ones_like(X), units=True), "no unit of the first correlates"),
    ],
)
def test_what_has_no_such_layers_or_units_is_said_in_one_line(call, said: str) -> None:
    with pytest.raises(SemblanceError, match=said) as error:
        call()
    assert "\n" not in str(error.value)


def test_a_space_whose_data_is_gone_says_what_to_give_instead(tmp_path: Path) -> None:
    with (
        sb.fit(X, recipe="as-is", out=tmp_path / "a.space") as space,
        pytest.raises(SemblanceError, match=r"layers of a need the data that it was fitted on .* give \(model, data\)"),
    ):
        sb.compare(space, X, layers=("encoder", "x"))


def test_duplicated_and_constant_units_are_compared_all_the_same() -> None:
    twice = np.concatenate([X, X, np.ones((60, 2), np.float32)], 1)
    found = sb.compare(X, twice)
    assert found.measures["cka"].value == pytest.approx(1, abs=1e-5)
    assert any("2 constant of 18 features" in note for note in found.notes)
    units = sb.compare(twice, X, units=True)
    assert units.matching.dead[0].tolist() == [16, 17]
    assert (units.matching.matched >= 0).sum() == 8
    assert found.measures["procrustes"].value == pytest.approx(1, abs=1e-5)


def test_items_of_one_class_are_items_all_the_same(folder: Path) -> None:
    with sb.load(folder / "0.space") as space:
        label = space.attributes(["label"])["label"].to_pylist()
        rows = [i for i, one in enumerate(label) if one == label[0]]
        found = sb.compare(space.vectors[rows], space.vectors[rows] + 0.01, measures=["cka", "neighbours"])
    assert found.measures["neighbours"].value > 0.9
