from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import semblance as sb
from semblance.errors import SemblanceError
from semblance.space.space import Space


def vectors(n: int = 60, d: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.fixture
def space(tmp_path: Path) -> Space:
    """60 vectors of three classes that point three ways, with a year."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    x = 0.2 * vectors() + np.eye(8, dtype=np.float32)[labels]
    table = pa.table(
        {
            "key": [f"item-{i}" for i in range(60)],
            "x": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 8),
            "kind": pa.array(["abc"[c] for c in labels]),
            "year": pa.array(rng.integers(2000, 2020, 60)),
        }
    )
    pq.write_table(table, tmp_path / "table.parquet")
    return sb.fit(tmp_path / "table.parquet", out=tmp_path / "a.space", label="kind", id_column="key", domain="vectors")


def test_the_nearest_of_an_item_are_those_a_plain_scan_finds(space: Space) -> None:
    z = space.vectors / np.linalg.norm(space.vectors, axis=1, keepdims=True)
    distances = 1 - z @ z[5]
    distances[5] = np.inf
    answer = space.search(space.ids[5], k=7)
    assert answer.ids == [space.ids[i] for i in np.argsort(distances, kind="stable")[:7]]
    np.testing.assert_allclose([r["distance"] for r in answer.results], np.sort(distances)[:7], atol=1e-5)
    assert (answer.matches, answer.recall) == (59, 1.0)


def test_a_filter_is_obeyed_and_counted(space: Space) -> None:
    answer = space.search("item-0", k=60, where="year >= 2010 and label = 'b'")
    rows = space.attributes().to_pylist()
    assert answer.matches == len(answer.results) == sum(r["year"] >= 2010 and r["label"] == "b" for r in rows)
    assert all(r["attributes"]["year"] >= 2010 and r["attributes"]["label"] == "b" for r in answer.results)


def test_several_queries_give_several_answers_and_a_vector_is_its_own_neighbour(space: Space) -> None:
    answers = space.search([space.vectors[3], "item-4"], k=1)
    assert answers[0].ids == ["item-3"]
    assert answers[1].ids != ["item-4"]
    assert [a.ids for a in space.search(space.vectors[:2], k=1)] == [["item-0"], ["item-1"]]


def test_classify_votes_with_the_neighbours(space: Space) -> None:
    assert space.classify(np.eye(8, dtype=np.float32)[1], k=5) == "b"
    assert space.classify([np.eye(8, dtype=np.float32)[0], np.eye(8, dtype=np.float32)[2]], k=5) == ["a", "c"]


def test_added_items_are_found_at_once_and_after_reopening(space: Space) -> None:
    new = vectors(3, seed=9)
    space.add(new, ids=["p", "q", "r"], attributes={"year": [1999, 2001, 2002]})
    assert space.search(new[1], k=1).ids == ["q"]
    with sb.load(space.path) as again:
        assert again.ids[-3:] == ["p", "q", "r"]
        assert again.search(new[2], k=1, where="year = 2002 and split = 'added'").ids == ["r"]


def test_arrays_without_ids_are_numbered_on(tmp_path: Path) -> None:
    with sb.fit(vectors(), out=tmp_path / "b.space") as space:
        assert space.add(vectors(2, seed=3)) == ["60", "61"]


def test_an_id_that_is_there_is_refused_unless_it_is_to_be_updated(space: Space) -> None:
    with pytest.raises(SemblanceError, match="item-0"):
        space.add(vectors(1), ids=["item-0"])
    assert len(space) == 60
    new = vectors(1, seed=5)
    space.add(new, ids=["item-0"], update=True)
    assert len(space) == 60
    assert space.search(new[0], k=1).ids == ["item-0"]


def test_removed_items_are_gone_and_unknown_ones_named(space: Space) -> None:
    space.remove(["item-1", "item-2"])
    assert len(space) == 58
    assert "item-1" not in space.search("item-4", k=60).ids
    with pytest.raises(SemblanceError, match="nobody"):
        space.remove(["nobody"])


def test_a_reader_sees_what_another_space_object_wrote(space: Space) -> None:
    with sb.load(space.path) as other:
        space.add(vectors(1, seed=8), ids=["late"])
        assert other.search(vectors(1, seed=8)[0], k=1).ids == ["late"]


def test_threads_may_read_while_items_are_added(space: Space) -> None:
    failures: list[Exception] = []

    def read() -> None:
        try:
            for _ in range(10):
                assert len(space.search(vectors(1)[0], k=5).results) == 5
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(5):
        space.add(vectors(1, seed=i), ids=[f"new-{i}"])
    for thread in threads:
        thread.join()
    assert not failures


def test_evaluate_has_every_documented_metric_and_separates_the_classes(space: Space) -> None:
    metrics = space.evaluate()["metrics"]
    names = (
        "knn1 knn5 knn20 linear fewshot1 fewshot5 fewshot5_all map recall10 nmi ari alignment uniformity effective_rank"
    )
    assert set(names.split()) | {"view_recall1"} <= set(metrics)
    assert metrics["knn5"]["value"] > 0.9
    assert metrics["knn5"]["low"] <= metrics["knn5"]["value"] <= metrics["knn5"]["high"]
    assert metrics["view_recall1"]["value"] is None


def test_evaluate_says_so_when_judged_items_came_later(space: Space) -> None:
    space.add(vectors(2), ids=["p", "q"], attributes={"split": ["train", "test"], "label": ["a", "b"]})
    found = space.evaluate()
    assert found["metrics"]["knn5"]["baseline"] is None
    assert "2 judged items (first p)" in found["notes"][0]


def test_classify_without_a_labelled_item_says_so(space: Space) -> None:
    space.add(vectors(1), ids=["p"])
    space.remove([name for name in space.ids if name != "p"])
    with pytest.raises(SemblanceError, match="no labelled item"):
        space.classify(vectors(1)[0])


def test_evaluate_finds_the_baseline_from_another_folder(
    space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sb.fit("table.parquet", "icon", epochs=1, out="b.space", label="kind", id_column="key").close()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with sb.load(tmp_path / "b.space") as other:
        found = other.evaluate()
    assert found["notes"] == [] and found["metrics"]["knn1"]["baseline"] is not None


def test_evaluate_goes_on_without_a_baseline_when_the_data_is_gone(space: Space, tmp_path: Path) -> None:
    (tmp_path / "table.parquet").unlink()
    found = space.evaluate()
    assert found["metrics"]["knn5"]["baseline"] is None
    assert "no baseline" in found["notes"][0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.search("item-0", k=0), "k is 0"),
        (lambda s: s.search("no-such-thing"), "neither a file nor an id"),
        (lambda s: s.search(np.ones(5, np.float32)), "5"),
        (lambda s: s.search(np.full(8, np.nan, np.float32)), "NaN"),
        (lambda s: s.search("item-0", where="colour = 'red'"), "year"),
        (lambda s: s.search("item-0", where="year >="), "year"),
        (lambda s: s.search("item-0", where="1=1; drop table items"), ";"),
        (lambda s: s.search({"a": 1}), "dict"),
        (lambda s: s.add(vectors(2), ids=["one"]), "one id per item"),
        (lambda s: s.add(vectors(2, d=5), ids=["a", "b"]), "5"),
        (lambda s: s.model.predict(vectors(2)), "classify"),
    ],
)
def test_a_mistake_costs_one_line_and_changes_nothing(space: Space, call, words: str) -> None:  # type: ignore[no-untyped-def]
    before = space.ids
    with pytest.raises(SemblanceError, match=words) as caught:
        call(space)
    assert "\n" not in str(caught.value)
    assert space.ids == before


def test_more_neighbours_than_there_are_gives_all_of_them(space: Space) -> None:
    answer = space.search("item-0", k=1000)
    assert len(answer.results) == answer.matches == 59


def test_a_folder_that_is_no_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SemblanceError, match="space"):
        sb.load(tmp_path)
    with pytest.raises(SemblanceError, match="nothing"):
        sb.load(tmp_path / "nowhere")


def test_the_recipe_file_says_what_was_run(space: Space) -> None:
    said = json.loads((space.path / "recipe.json").read_text())
    assert said["recipe"] == "as-is@1"
    assert said["data"]["units"] == 60
    assert "torch" in said["environment"]
