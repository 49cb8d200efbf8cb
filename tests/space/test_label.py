"""Votes agree with a memory built of the same items; corrections are durable and count from the next question on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import semblance as sb
from semblance.errors import SemblanceError
from semblance.memory.classifier import VoteMemory
from semblance.space.space import Space, load


@pytest.fixture
def space(tmp_path: Path) -> Space:
    """60 vectors of three classes, every fifth without a label."""
    labels = np.arange(60) % 3
    x = np.random.default_rng(0).normal(0, 0.5, (60, 8)) + np.eye(8)[labels]
    kinds = [None if i % 5 == 0 else "abc"[c] for i, c in enumerate(labels)]
    columns = {"key": [f"item-{i}" for i in range(60)], "x": x.tolist(), "kind": kinds, "year": list(range(60))}
    pq.write_table(pa.table(columns), tmp_path / "table.parquet")
    return sb.fit(tmp_path / "table.parquet", out=tmp_path / "a.space", label="kind", id_column="key")


@pytest.mark.parametrize("votes", ["plain", "distance", "softmax", "rank"])
def test_a_space_votes_as_a_memory_of_its_labelled_items(space: Space, votes: str) -> None:
    labels = space.attributes(["label"]).column("label").to_pylist()
    known = [i for i, label in enumerate(labels) if label]
    memory = VoteMemory.exact(8, votes)
    memory.add([f"item-{i}" for i in known], space.vectors[known], pa.table({"label": [labels[i] for i in known]}))
    asked = np.random.default_rng(1).normal(size=(6, 8)).astype(np.float32)
    for ours, wanted in zip(space.vote(list(asked), k=7, votes=votes), memory.explain(asked, 7), strict=True):
        assert ours.label == wanted.label and ours.shares == pytest.approx(wanted.shares, abs=1e-5)
        assert [voter.id for voter in ours.neighbours] == [voter.id for voter in wanted.neighbours]


def test_an_item_does_not_vote_for_itself_and_where_chooses_the_voters(space: Space) -> None:
    answer = space.vote("item-7", k=5)
    assert len(answer.neighbours) == 5 and "item-7" not in [voter.id for voter in answer.neighbours]
    old = space.vote("item-7", k=5, where="year < 20")
    assert all(int(voter.id.split("-")[1]) < 20 for voter in old.neighbours)


def test_a_correction_counts_from_the_next_question_on_and_is_there_after_opening_again(space: Space) -> None:
    nearest = space.vote("item-0", k=1).neighbours[0].id
    version = space.version
    space.relabel([nearest], ["a new class"])
    assert space.vote("item-0", k=1).label == "a new class" and space.version > version
    with load(space.path) as again:
        assert again.vote("item-0", k=1).label == "a new class"
        assert "a new class" in again.manifest["classes"]
        assert again.classify(again.vectors[again.ids.index(nearest)], k=1) == "a new class"
    assert space.at(version).vote("item-0", k=1).label != "a new class"


def test_the_unlabelled_are_named_until_they_get_a_label(space: Space) -> None:
    assert space.unlabelled() == [f"item-{i}" for i in range(0, 60, 5)]
    assert space.unlabelled("year > 30") == [f"item-{i}" for i in range(35, 60, 5)]
    space.relabel("item-5", "b")
    assert "item-5" not in space.unlabelled()


def test_what_is_kept_of_the_labels_is_what_is_read_anew(space: Space) -> None:
    space.vote("item-1")
    for ids, labels in ((["item-5"], ["b"]), (["item-1", "item-0"], ["aa", "c"]), (["item-1"], ["a"])):
        space.relabel(ids, labels)
        with load(space.path) as again:
            for id in ("item-2", "item-40"):
                assert space.vote(id, k=30) == again.vote(id, k=30)
    with load(space.path) as other:
        other.relabel(["item-3", "item-6"], ["x", "y"])
        assert space.vote("item-2", k=50) == other.vote("item-2", k=50)


def test_a_space_without_labels_gets_its_first(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32))
    with sb.fit(tmp_path / "x.npy", out=tmp_path / "x.space") as space:
        with pytest.raises(SemblanceError, match="nobody can vote"):
            space.vote("3")
        assert len(space.unlabelled()) == 20
        space.relabel(["1", "2"], ["odd", "even"])
        assert space.vote("3", k=1).label in ("odd", "even")
        assert space.manifest["classes"] == ["even", "odd"]
        assert space.classify("1", k=1) == "odd"


@pytest.mark.parametrize(
    ("ids", "labels", "says"),
    [
        (["item-1", "nobody"], ["a", "b"], "nobody"),
        (["item-1"], ["  "], "label '  '"),
        (["item-1"], ["two\nlines"], "one line"),
        (["item-1"], ["a", "b"], "2 labels"),
    ],
)
def test_a_wrong_correction_changes_nothing(space: Space, ids: list[str], labels: list[str], says: str) -> None:
    version, classes = space.version, space.manifest["classes"]
    with pytest.raises(SemblanceError, match=says):
        space.relabel(ids, labels)
    assert (space.version, space.manifest["classes"]) == (version, classes)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        ({"k": 0}, "k is 0"),
        ({"votes": "ranks"}, "did you mean rank"),
        ({"where": "year < -1"}, "satisfies the condition"),
    ],
)
def test_a_wrong_question_is_one_line(space: Space, ask: dict[str, object], says: str) -> None:
    with pytest.raises(SemblanceError, match=says):
        space.vote("item-1", **ask)


def test_labels_that_are_numbers_cannot_be_voted_for(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(20, 4))
    pq.write_table(pa.table({"x": x.tolist(), "height": x[:, 0].tolist()}), tmp_path / "t.parquet")
    with sb.fit(tmp_path / "t.parquet", out=tmp_path / "t.space", label="height") as space:
        with pytest.raises(SemblanceError, match="numbers"):
            space.vote("1")
        with pytest.raises(SemblanceError, match="numbers"):
            space.relabel(["1"], ["tall"])
