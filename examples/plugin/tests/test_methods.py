"""What this package adds keeps its promises, and can be used by name once the package is installed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from whitening.kd_tree import KdTree
from whitening.recipe import Whitened

import semblance as sb
from semblance.memory.by_name import index_named
from semblance.space.methods import report
from semblance.testing import check_dataset, check_encoder, check_index, check_recipe, check_report, small


def write_fvecs(path, x):
    rows = np.empty((len(x), x.shape[1] + 1), "<f4")
    rows[:, 1:], rows[:, 0] = x, np.int32(x.shape[1]).view("f4")
    rows.tofile(path)
    return path


@pytest.fixture
def numbers():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6)) + 5).astype(np.float32)


def test_the_recipe_keeps_its_promises():
    check_recipe("pca-whitening", settings={"dim": 8})


def test_the_encoder_keeps_its_promises():
    check_encoder(lambda shape: Whitened(shape.item[0], 8, cosine=False), "vectors")


@pytest.mark.parametrize("geometry", ["euclidean", "cosine"])
def test_the_index_keeps_its_promises(geometry):
    check_index(lambda: KdTree(6, geometry), KdTree.load, geometry=geometry)


def test_the_loader_keeps_its_promises(tmp_path, numbers):
    path = write_fvecs(tmp_path / "base.fvecs", numbers)
    check_dataset(lambda: sb.data.load(path))
    np.testing.assert_array_equal(sb.data.load(path).x, numbers)


def test_the_report_keeps_its_promises(tmp_path, numbers):
    with sb.fit(numbers, recipe="as-is", out=tmp_path / "n.space") as space:
        found = report(space, "hubness", k=5)
        check_report(found)
        table = found.table()
        assert sum(table["items"].to_pylist()) == 300
        assert np.dot(table["items"].to_pylist(), table["times"].to_pylist()) == 300 * 5


def test_whitened_training_items_have_unit_covariance(tmp_path, numbers):
    with sb.fit(numbers, recipe="pca-whitening", cosine=False, eps=1e-9, out=tmp_path / "w.space") as space:
        z = space.vectors[np.array(space.attributes(["split"])["split"].to_pylist()) == "train"]
        np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(6), atol=1e-3)
        x = numbers[np.array(space.attributes(["split"])["split"].to_pylist()) == "train"]
        inverse = np.linalg.inv(np.cov(x.T, bias=True))
        np.testing.assert_allclose(pdist(z), pdist(x, "mahalanobis", VI=inverse), rtol=2e-3)


def test_a_space_of_the_recipe_is_opened_and_searched(tmp_path, numbers):
    path = write_fvecs(tmp_path / "base.fvecs", numbers)
    sb.fit(path, recipe="pca-whitening", out=tmp_path / "f.space").close()
    with sb.load(tmp_path / "f.space") as space:
        assert space.recipe == "pca-whitening"
        write_fvecs(tmp_path / "query.fvecs", numbers[7:8])
        assert space.search(str(tmp_path / "query.fvecs"), k=1).ids == ["7"]


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "no vector"), (b"\x02\0\0\0" + b"\0" * 5, "cut short"), (b"\xff" * 16, "no .fvecs file")],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, content, says):
    (tmp_path / "x.fvecs").write_bytes(content)
    with pytest.raises(sb.SemblanceError, match=says):
        sb.data.load(tmp_path / "x.fvecs")


@pytest.mark.parametrize("wrong", [{"dim": 0}, {"eps": 0.0}, {"dims": 3}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(sb.SemblanceError):
        sb.fit(small("vectors"), recipe="pca-whitening", **wrong)


def test_the_index_is_known_by_its_name():
    assert isinstance(index_named("kd-tree", 4, "euclidean"), KdTree)
    with pytest.raises(sb.SemblanceError, match="poincare"):
        index_named("kd-tree", 4, "poincare(1.0)")


def test_the_recipe_is_listed_with_its_package_and_settings():
    row = next(row for row in sb.recipes() if row["name"] == "pca-whitening")
    assert row["package"] == "semblance-whitening" and row["domains"] == ["vectors"] and row["state"] == "built"
