from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from semblance.data.domains import DOMAINS, NEED_LABELS, built, default_recipe, infer, rank_set
from semblance.data.load import load
from semblance.errors import SemblanceError


def test_each_kind_of_input_leads_to_its_domain(tmp_path):
    pictures, numbers = np.zeros((4, 5, 5), np.uint8), np.zeros((4, 5), np.float32)
    np.save(tmp_path / "pictures.npy", pictures)
    np.savez(tmp_path / "numbers.npz", x=numbers)
    (tmp_path / "d").mkdir()
    Image.fromarray(pictures[0]).save(tmp_path / "d" / "a.png")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    images = [tmp_path / "d", tmp_path / "d" / "a.png", tmp_path / "pictures.npy", pictures, [tmp_path / "d" / "a.png"]]
    vectors = [
        tmp_path / "numbers.npz",
        tmp_path / "t.csv",
        numbers,
        np.zeros((4, 5), np.uint8),
        pa.table({"a": [1.0]}),
    ]
    assert [infer(i) for i in images] == ["images"] * 5
    assert [infer(v) for v in vectors] == ["vectors"] * 5


@pytest.mark.parametrize(
    ("name", "domain"),
    [("a.ply", "points"), ("a.pcd", "points"), ("a.wav", "series")],
)
def test_files_of_domains_to_come_say_so(tmp_path, name, domain):
    (tmp_path / name).write_text("1 2\n")
    with pytest.raises(
        SemblanceError, match=f"domain {domain}, which is not built yet: today there are images, vectors"
    ):
        load(tmp_path / name)
    with pytest.raises(SemblanceError, match="not built yet"):
        load(tmp_path)


def test_arrays_of_edges_are_a_graph(tmp_path):
    np.savez(tmp_path / "g.npz", x=np.zeros((3, 2)), edge_index=np.array([[0, 1], [1, 2]]))
    assert load(tmp_path / "g.npz", domain="graph").domain == load(tmp_path / "g.npz").domain == "graph"
    assert load(tmp_path / "g.npz", domain="vectors").x.shape == (3, 2)


@pytest.mark.parametrize("name", ["none.npy", "none", "photoz"])
def test_a_path_that_is_missing_is_named_with_what_is_near(tmp_path, monkeypatch, name):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SemblanceError, match=f"no file, folder or known set '{name}'") as error:
        load(name)
    assert ("did you mean photos" in str(error.value)) == (name == "photoz")


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "d").mkdir()
    with pytest.raises(SemblanceError, match="d is empty: give a folder that holds images"):
        load(tmp_path / "d")
    (tmp_path / "d" / "deep").mkdir()
    with pytest.raises(SemblanceError, match="holds no images, only deep"):
        load(tmp_path / "d")


def test_a_folder_with_a_table_or_vectors_only_names_the_file_to_give(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2)))
    with pytest.raises(SemblanceError, match=r"holds no images, but x\.npy: give that file"):
        load(tmp_path)


def test_where_images_and_vectors_fit_the_user_chooses(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2)))
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(SemblanceError, match="both fit: choose by --domain images"):
        load(tmp_path)
    assert load(tmp_path, domain="images").x.shape == (1, 1, 4, 4)


@pytest.mark.parametrize(
    ("name", "told"),
    [("a.xyzzy", "no known kind"), ("a", "no known kind"), ("a.pkl", "is a pickle"), ("a.pth", "is a pickle")],
)
def test_files_of_no_known_kind_are_named(tmp_path, name, told):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SemblanceError, match=told):
        load(tmp_path / name)


def test_a_domain_that_does_not_exist_or_does_not_fit_is_refused():
    with pytest.raises(SemblanceError, match="did you mean images"):
        load("digits", domain="image")
    with pytest.raises(SemblanceError, match="domain points, which is not built yet"):
        built("points")
    with pytest.raises(SemblanceError, match="the data is images and cannot be read as vectors"):
        load("digits", domain="vectors")
    with pytest.raises(SemblanceError, match="bytes"):
        load(np.zeros((4, 5), np.float32), domain="images")


def pictures(labels):
    return load(np.zeros((len(labels), 4, 4), np.uint8), labels=labels)


def test_half_of_the_labels_decide_the_default_for_images():
    assert default_recipe(pictures([0, 1, -1, -1])) == "supcon"
    assert default_recipe(pictures([0, 1, -1, -1, -1])) == "simclr"
    assert default_recipe(pictures([0, 0, 0, 0])) == "simclr"  # one class teaches nothing
    assert default_recipe(pictures([0.5, 1.5, 2.5, 3.5])) == "simclr"
    assert default_recipe(load("iris")) == "as-is"


def test_rank_leaves_out_what_needs_labels_where_there_are_none():
    assert rank_set(pictures([0, 1])) == list(DOMAINS["images"].ranked)
    assert "supcon" not in rank_set(pictures([None, None])) and "simclr" in rank_set(pictures([None, None]))


def test_recipes_of_the_table_exist_and_take_the_domain():
    from semblance.recipes.registry import decorated

    recipes = decorated()
    for domain in DOMAINS.values():
        for name in domain.ranked:
            assert domain.name in recipes[name].domains, name
            assert ("labels" in recipes[name].needs) == (name in NEED_LABELS), name
    for name in ("karate", "graph-atlas", "southern-women"):
        data = load(name)
        assert data.domain in recipes[default_recipe(data)].domains, name


def graph(nodes=4, **more):
    ends = np.stack([np.arange(nodes - 1), np.arange(1, nodes)])
    return load({"edge_index": ends, **more})


def test_features_labels_and_size_decide_the_default_for_graphs():
    some, several = np.array([0, 1, 0, 1]), np.eye(4, dtype=bool)
    assert default_recipe(graph(x=np.eye(4), y=some)) == default_recipe(graph(x=np.eye(4), y=several)) == "gcn"
    assert default_recipe(graph(y=some)) == default_recipe(graph()) == default_recipe(graph(x=np.eye(4))) == "node2vec"
    assert default_recipe(graph(20_001)) == "fastrp"


def test_rank_compares_what_learns_from_labels_only_where_nodes_have_some():
    assert rank_set(graph(y=np.array([0, 1, 0, 1]))) == list(DOMAINS["graph"].ranked)
    assert rank_set(graph(y=np.eye(4, dtype=bool))) == list(DOMAINS["graph"].ranked)
    assert rank_set(graph()) == ["node2vec", "fastrp"]
