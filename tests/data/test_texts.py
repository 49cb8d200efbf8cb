from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import needs

from semblance.data.domains import default_recipe, infer
from semblance.data.load import load
from semblance.errors import SemblanceError
from semblance.testing import check_dataset, small

ROWS = "id,text,label\na,The ship sails,sea\nb,Bread and flour,food\nc,A harbour town,sea\nd,An oven bakes,food\n"


@pytest.fixture
def csv(tmp_path):
    (tmp_path / "s.csv").write_text(ROWS)
    return tmp_path / "s.csv"


def test_a_column_of_texts_a_file_of_lines_and_a_folder_of_files_are_the_same_texts(tmp_path, csv):
    texts = ["The ship sails", "Bread and flour", "A harbour town", "An oven bakes"]
    (tmp_path / "lines.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    (tmp_path / "d").mkdir()
    for number, text in enumerate(texts):
        (tmp_path / "d" / f"{number}.txt").write_text(text)
    pq.write_table(pa.table({"text": texts}), tmp_path / "s.parquet")
    for data in (csv, tmp_path / "lines.txt", tmp_path / "d", tmp_path / "s.parquet", pa.table({"body": texts})):
        found = load(data)
        assert found.domain == "text" and found.x.tolist() == texts
        assert found.attributes.column("text").to_pylist() == texts
        assert infer(data) == "text"
    assert load(texts, domain="text").x.tolist() == texts


def test_ids_labels_and_splits_of_texts_are_read_as_of_any_table(csv):
    found = load(csv)
    assert found.ids == ["a", "b", "c", "d"] and found.classes == ("food", "sea")
    assert found.targets["labels"].tolist() == [1, 0, 1, 0]
    check_dataset(lambda: small("text"))


def test_class_folders_label_their_texts_and_files_that_are_not_utf8_are_left_out(tmp_path):
    for name in ("sea/1.txt", "sea/2.txt", "food/1.txt", ".hidden/3.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"words of {name}")
    (tmp_path / "food" / "bad.txt").write_bytes("caf\xe9".encode("latin-1"))
    found = load(tmp_path)
    assert found.ids == ["food/1.txt", "sea/1.txt", "sea/2.txt"] and found.classes == ("food", "sea")
    assert found.skipped[0][0] == "food/bad.txt" and "is not UTF-8" in found.skipped[0][1]
    assert "1 files are left out" in found.notes[-1]


def test_pairs_are_texts_once_each_and_what_was_said_of_them(tmp_path):
    table = pa.table(
        {
            "sentence1": ["a man eats", "dogs run", "a man eats", "it rains"],
            "sentence2": ["a man is eating", "a man eats", "it rains", "rain falls"],
            "score": [4.8, 0.0, 0.2, 4.0],
            "split": ["train", "train", "test", "test"],
        }
    )
    found = load(table)
    assert found.domain == "text" and found.x.tolist() == [
        "a man eats",
        "a man is eating",
        "dogs run",
        "it rains",
        "rain falls",
    ]
    assert np.c_[found.pairs.first, found.pairs.second].tolist() == [[0, 1], [2, 0], [0, 3], [3, 4]]
    assert found.pairs.said.tolist() == [4.8, 0.0, 0.2, 4.0] and found.pairs.scored
    assert found.splits["train"].tolist() == [0, 1, 2], "a text of a training pair is learned from"
    assert default_recipe(found) == "sentence-bert"
    part = found.subset(np.array([0, 3, 4])).pairs
    assert part is not None and np.c_[part.first, part.second].tolist() == [[0, 1], [1, 2]]
    assert part.splits["train"].tolist() == [] and part.splits["test"].tolist() == [0, 1]
    unjudged = load(table.drop_columns(["score"]))
    assert unjudged.pairs is None and "no column (--label) says how alike" in unjudged.notes[0]


def test_the_columns_of_texts_can_be_named(csv):
    assert load(csv, column="label").x.tolist()[0] == "sea"
    assert len(load(csv, column="text,label").x) == 6, "two columns are pairs"


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("txt", "did you mean text"),
        ("number", "holds int64, and texts are words"),
        ("text,text,text", "names 3 columns"),
    ],
)
def test_a_column_that_cannot_be_is_named_with_what_could_be(tmp_path, column, told):
    (tmp_path / "s.csv").write_text("text,number\na b c,1\nd e f,2\n")
    with pytest.raises(SemblanceError, match=told):
        load(tmp_path / "s.csv", column=column)


def test_texts_and_numbers_in_one_table_are_for_the_user_to_choose(tmp_path):
    (tmp_path / "s.csv").write_text("text,year\na b c,1\nd e f,2\n")
    with pytest.raises(SemblanceError, match="choose by --domain vectors or text"):
        load(tmp_path / "s.csv")
    assert load(tmp_path / "s.csv", domain="text").attributes.column_names == ["text", "year"]


def test_words_under_any_name_are_texts_only_where_nothing_else_fits():
    words = ["several words stand here", "and here as well"]
    assert load(pa.table({"remark": words})).x.tolist() == words
    assert load(pa.table({"remark": words, "x": [1.0, 2.0]})).domain == "vectors"
    with pytest.raises(SemblanceError, match="no column of numbers, vectors, texts"):
        load(pa.table({"colour": ["red", "blue"]}))
    with pytest.raises(SemblanceError, match="columns of texts one, two: name one by --column"):
        load(pa.table({"one": words, "two": words}))


def test_empty_texts_are_left_out_and_said(tmp_path):
    found = load(pa.table({"text": ["a", None, "  ", "b"], "label": ["x", "y", "x", "y"]}))
    assert found.ids == ["0", "3"] and found.targets["labels"].tolist() == [0, 1]
    assert "2 empty texts are left out (first: row 1, from 0)" in found.notes
    with pytest.raises(SemblanceError, match="holds no text at all"):
        load(pa.table({"text": ["", " "]}))
    (tmp_path / "blank.txt").write_text("\n \n")
    with pytest.raises(SemblanceError, match="holds no text"):
        load(tmp_path / "blank.txt")


def test_files_that_are_no_texts_are_one_line(tmp_path):
    (tmp_path / "latin.txt").write_bytes("caf\xe9 au lait".encode("latin-1"))
    with pytest.raises(SemblanceError, match=r"is not UTF-8 .byte 3 is 0xe9"):
        load(tmp_path / "latin.txt")
    (tmp_path / "edges.txt").write_text("1 2\n2 3\n")
    with pytest.raises(SemblanceError, match=r"holds numbers and no words .* say --domain graph"):
        load(tmp_path / "edges.txt")
    assert load(tmp_path / "edges.txt", domain="graph").domain == "graph"
    with pytest.raises(SemblanceError, match="text 1 is a int"):
        load(["words", 3], domain="text")
    (tmp_path / "bom.txt").write_bytes("\ufeffwords here".encode())
    assert load(tmp_path / "bom.txt").x.tolist() == ["words here"]


def test_a_single_text_is_a_dataset():
    assert len(load(["one text"], domain="text")) == 1


def test_a_text_that_changes_changes_the_fingerprint():
    one, same, other = (load([*words], domain="text").fingerprint for words in (("ab", "c"), ("ab", "c"), ("a", "bc")))
    assert one == same != other


def test_pairs_that_change_their_score_change_the_fingerprint():
    def made(score):
        return load(pa.table({"text1": ["a b"], "text2": ["c d"], "score": [score]})).fingerprint

    assert made(1.0) == made(1.0) != made(2.0)


def test_named_sets_of_texts_are_read_by_their_roles():
    needs("sts-benchmark")
    found = load("sts-benchmark")
    assert {part: len(rows) for part, rows in found.pairs.splits.items()} == {"train": 5749, "val": 1500, "test": 1379}
    news = load("newsgroups20-subset")
    assert len(news.classes) == 20 and news.x[0].count("\n") > 0, "the subject stands before the message"
    assert len(load("mrpc").pairs) == 5801 and len(load("ohsumed-single23").classes) == 23


def test_the_baseline_of_texts_counts_their_words():
    found = load(["one two", "two one", "three"], domain="text")
    raw = found.raw(np.arange(3))
    assert raw.shape == (3, 1024) and np.allclose(raw[0], raw[1]) and not np.allclose(raw[0], raw[2])
