"""Tables that describe classes, from files, words, texts and trees."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from semblance.data.class_tables import ClassTable, class_table, of_texts, of_tree, of_words
from semblance.errors import SemblanceError


def test_a_file_with_numbers_flags_and_words_is_read(tmp_path):
    file = tmp_path / "animals.csv"
    file.write_text("class,legs,swims,colour\ncat,4,false,black\nduck,2,true,white\nseal,0,true,black\n")
    table = class_table(file)
    assert table.names == ("cat", "duck", "seal")
    assert table.columns == ("legs", "swims", "colour=black", "colour=white")
    np.testing.assert_array_equal(table.rows(["seal", "cat"]), [[0, 1, 1, 0], [4, 0, 1, 0]])
    assert table.parts() == {"colour": [2, 3]}


def test_the_column_of_names_is_found_or_told():
    columns = pa.table({"kind": ["a", "b"], "w": [1.0, 2.0]})
    assert class_table(columns).names == ("a", "b")
    numbered = pa.table({"number": [3, 4], "w": [1.0, 2.0]})
    assert class_table(numbered, "number").names == ("3", "4")
    with pytest.raises(SemblanceError, match="names the classes"):
        class_table(numbered)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"class": ["a", "a"], "w": [1, 2]}, "class 'a' has several rows"),
        ({"class": ["a", "b"], "w": [1.0, None]}, "class 'b' has no number in column 'w'"),
        ({"class": ["a", "b"]}, "describes none"),
        ({"class": ["a", "b"], "w": [[1], [2]]}, "neither numbers nor words"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(columns, says):
    with pytest.raises(SemblanceError, match=says):
        class_table(pa.table(columns))


def test_a_table_that_is_not_there_is_said(tmp_path):
    with pytest.raises(SemblanceError, match="there is no table"):
        class_table(tmp_path / "no.csv")
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(SemblanceError, match="is no table"):
        class_table(tmp_path / "a.png")


def test_words_in_like_company_have_like_vectors():
    rng = np.random.default_rng(0)
    water = [["river", "swims", "{}", "fins", "sea"], ["waves", "{}", "sea", "swims"]]
    land = [["{}", "field", "grass", "runs"]]
    texts = []
    for _ in range(200):
        for lines, who in ((water, ["trout", "salmon"]), (land, ["horse", "zebra"])):
            line = lines[rng.integers(len(lines))]
            texts.append(" ".join(line).format(who[rng.integers(2)]))
    v = of_words(["trout", "salmon", "horse", "zebra"], texts, dim=4).values
    v = v / np.linalg.norm(v, axis=1, keepdims=True)
    near = v @ v.T
    assert near[0, 1] > 0.9 and near[2, 3] > 0.9 and near[:2, 2:].max() < 0.5
    with pytest.raises(SemblanceError, match="never say 'okapi'"):
        of_words(["okapi"], texts)


def test_texts_share_weight_by_shared_words():
    table = of_texts({"a": "red wings", "b": "red fins", "c": "four legs"})
    near = table.values @ table.values.T
    assert near[0, 1] > 0 and near[0, 2] == 0
    np.testing.assert_allclose(np.diag(near), 1)
    with pytest.raises(SemblanceError, match="'b' has an empty text"):
        of_texts({"a": "red", "b": " "})


def test_a_tree_says_who_is_above():
    parent = {"cat": "mammal", "dog": "mammal", "duck": "bird", "mammal": "animal", "bird": "animal"}
    table = of_tree(["cat", "dog", "duck"], parent)
    shared = table.values @ table.values.T  # nodes on both paths
    np.testing.assert_array_equal(shared, [[3, 2, 1], [2, 3, 1], [1, 1, 3]])
    with pytest.raises(SemblanceError, match="its own ancestor"):
        of_tree(["a"], {"a": "b", "b": "a"})
    with pytest.raises(SemblanceError, match="there is no class of this tree 'cow'"):
        of_tree(["cow"], parent)


def test_values_fit_names_and_columns():
    with pytest.raises(SemblanceError, match="do not fit"):
        ClassTable(("a",), ("x", "y"), np.zeros((2, 2)))
