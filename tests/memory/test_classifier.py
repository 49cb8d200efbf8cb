"""An edited memory is the memory that was built that way; every edit is known from the next question on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.contracts import Index
from semblance.errors import SemblanceError
from semblance.memory.classifier import VoteMemory
from semblance.memory.exact import Exact
from semblance.memory.shards import Sharded
from semblance.memory.usefulness import prune, soften, usefulness

DIM = 6


def blobs(n: int, seed: int = 0, classes: int = 3) -> tuple[np.ndarray, list[str]]:
    """Points around one axis per class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    return (2 * np.eye(DIM)[y] + rng.normal(0, 0.6, (n, DIM))).astype(np.float32), [f"class {c}" for c in y]


def names(n: int, start: int = 0) -> list[str]:
    return [f"item {number}" for number in range(start, start + n)]


def memory_of(
    x: np.ndarray, y: list[str], rows: Any = None, votes: str = "rank", index: Index | None = None
) -> VoteMemory:
    rows = range(len(x)) if rows is None else rows
    memory = VoteMemory(index if index is not None else Exact(DIM), votes=votes)
    table = pa.table({"label": [y[row] for row in rows], "source": [f"part {row % 2}" for row in rows]})
    memory.add([f"item {row}" for row in rows], x[list(rows)], table)
    return memory


def check_same(one: VoteMemory, other: VoteMemory, asked: np.ndarray, k: int = 7) -> None:
    """To the last bit: neighbours, distances, shares, labels and explanations."""
    assert one.classes == other.classes
    found, wanted = one.search(asked, k), other.search(asked, k)
    assert found[0] == wanted[0]
    for a, b in zip(found[1], wanted[1], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.probabilities(asked, k), other.probabilities(asked, k))
    assert one.classify(asked, k) == other.classify(asked, k)
    assert one.explain(asked, k) == other.explain(asked, k)


@pytest.mark.parametrize("votes", ["plain", "distance", "softmax", "rank"])
@given(gone=st.sets(st.integers(0, 59), max_size=50), seed=st.integers(0, 5))
def test_what_was_removed_might_never_have_been_there(votes: str, gone: set[int], seed: int) -> None:
    x, y = blobs(60, seed)
    memory = memory_of(x, y, votes=votes)
    memory.remove([f"item {row}" for row in sorted(gone)])
    check_same(memory, memory_of(x, y, [row for row in range(60) if row not in gone], votes), blobs(5, seed + 50)[0])


def test_the_comparison_of_memories_can_fail() -> None:
    x, y = blobs(60)
    with pytest.raises(AssertionError):
        check_same(memory_of(x, y), memory_of(x, y, range(59)), x[59:])


def test_a_class_added_later_is_answered_at_once_and_a_removed_one_is_gone() -> None:
    x, y = blobs(90)
    old = [row for row in range(90) if y[row] != "class 2"]
    memory = memory_of(x, y, old)
    asked, truth = blobs(200, 1)
    assert "class 2" not in memory.classify(asked)
    new = [row for row in range(90) if y[row] == "class 2"]
    memory.add([f"item {row}" for row in new], x[new], pa.table({"label": ["class 2"] * len(new)}))
    assert np.mean(np.array(memory.classify(asked)) == truth) > 0.9
    memory.remove([f"item {row}" for row in new])
    assert memory.classes == ["class 0", "class 1"]
    assert "class 2" not in memory.classify(asked)


def test_answers_agree_with_their_explanations_and_credit_sums_to_one() -> None:
    x, y = blobs(80)
    memory, asked = memory_of(x, y), blobs(20, 3)[0]
    told = memory.explain(asked, 9)
    assert [answer.label for answer in told] == memory.classify(asked, 9)
    p = memory.probabilities(asked, 9)
    for answer, row in zip(told, p, strict=True):
        np.testing.assert_allclose([answer.shares.get(name, 0) for name in memory.classes], row, atol=1e-6)
    for by in ("source", "id"):
        credit = memory.credit(asked, 9, by)
        assert sum(credit.values()) == pytest.approx(1)
        assert list(credit.values()) == sorted(credit.values(), reverse=True)
    shares: dict[str, float] = {}
    for answer in told:
        for voter in answer.neighbours:
            shares[str(voter.source)] = shares.get(str(voter.source), 0) + voter.share / len(told)
    assert memory.credit(asked, 9) == pytest.approx(shares)


def test_masked_items_are_as_good_as_removed_for_this_question_only() -> None:
    x, y = blobs(60)
    memory, asked = memory_of(x, y), blobs(1, 9)[0]
    (before,) = memory.explain(asked, 5)
    (masked,) = memory.explain(asked, 5, without=before.cited)
    gone = {int(id.split()[1]) for id in before.cited}
    (wanted,) = memory_of(x, y, [row for row in range(60) if row not in gone]).explain(asked, 5)
    assert masked == wanted and len(masked.neighbours) == 5
    assert memory.explain(asked, 5) == [before]
    with pytest.raises(SemblanceError, match="no neighbour is left"):
        memory.explain(asked, 5, without=memory.ids)
    with pytest.raises(SemblanceError, match="no neighbour is left"):
        memory.classify(asked, 5, without=memory.ids)


def test_a_relabelled_item_votes_for_its_new_class_and_a_weight_multiplies() -> None:
    memory = VoteMemory(Exact(2), votes="plain")
    memory.add(["a", "b"], np.array([[1, 0], [1, 0.2]]), pa.table({"label": ["x", "y"], "weight": [1.0, 3.0]}))
    np.testing.assert_allclose(memory.probabilities(np.array([[1.0, 0]]), 2), [[0.25, 0.75]])
    memory.relabel(["b"], ["z"])
    assert memory.classify(np.array([[1.0, 0]]), 2) == ["z"] and memory.classes == ["x", "z"]
    memory.reweight(["b"], [0.5])
    assert memory.classify(np.array([[1.0, 0]]), 2) == ["x"]


def test_pruning_finds_flipped_labels_and_softening_outvotes_them() -> None:
    x, y = blobs(200)
    flipped = np.random.default_rng(1).random(200) < 0.3
    wrong = [f"class {(int(label[-1]) + 1) % 3}" if flip else label for label, flip in zip(y, flipped, strict=True)]
    asked, truth = blobs(400, 5)
    hard, soft = memory_of(x, wrong, votes="plain"), memory_of(x, wrong, votes="plain")
    spoilt = np.mean(np.array(hard.classify(asked, 3)) == truth)
    more, labels = blobs(2000, 7)
    found = usefulness(hard, more, labels, 10)
    gone = prune(hard, found)
    soften(soft, found)
    assert flipped[[int(id.split()[1]) for id in gone]].mean() > 0.8
    for memory in (hard, soft):
        assert np.mean(np.array(memory.classify(asked, 3)) == truth) > spoilt + 0.05


def test_votes_are_counted_as_by_hand() -> None:
    x, y = blobs(30)
    memory, (asked, truth) = memory_of(x, y), blobs(25, 4)
    found = usefulness(memory, asked, truth, 4)
    right, wrong = np.zeros(30, int), np.zeros(30, int)
    for line, label in zip(memory.search(asked, 4)[0], truth, strict=True):
        for id in line:
            row = int(id.split()[1])
            right[row] += y[row] == label
            wrong[row] += y[row] != label
    np.testing.assert_array_equal(found.right, right)
    np.testing.assert_array_equal(found.wrong, wrong)
    assert found.wrong_rate.max() <= 1 and (found.wrong_rate[right + wrong == 0] == 0).all()


def test_a_sharded_memory_answers_as_an_undivided_one(tmp_path: Path) -> None:
    x, y = blobs(120)
    whole = memory_of(x, y)
    parts = memory_of(x, y, index=Sharded([Exact(DIM) for _ in range(4)]))
    assert all(len(shard) for shard in parts.index.shards)
    asked = blobs(30, 8)[0]
    check_same(whole, parts, asked)
    for memory in (whole, parts):
        memory.remove(names(40))
    check_same(whole, parts, asked)
    assert parts.search(asked, 3, "source = 'part 1'")[0] == whole.search(asked, 3, "source = 'part 1'")[0]
    parts.save(tmp_path / "m")
    check_same(whole, VoteMemory.load(tmp_path / "m", lambda path: Sharded.load(path, Exact.load)), asked)


def test_an_addition_that_one_shard_refuses_is_kept_by_none() -> None:
    shards = Sharded([Exact(DIM) for _ in range(3)])
    x, _ = blobs(20)
    shards.add(names(10), x[:10])
    with pytest.raises(SemblanceError, match="already"):
        shards.add([*names(9, 10), "item 4"], x[10:])
    assert sum(len(shard) for shard in shards.shards) == 10
    with pytest.raises(SemblanceError, match="20 vectors"):
        shards.add(names(3, 50), x)
    with pytest.raises(SemblanceError, match="no shards"):
        Sharded([])


def test_a_saved_memory_answers_the_same(tmp_path: Path) -> None:
    x, y = blobs(50)
    memory = memory_of(x, y, votes="softmax")
    memory.reweight(names(5), [0.0] * 5)
    memory.save(tmp_path / "memory")
    again = VoteMemory.load(tmp_path / "memory")
    check_same(memory, again, blobs(9, 2)[0])
    assert isinstance(again, Index)
    memory.remove(names(20))
    memory.save(tmp_path / "memory")
    check_same(memory, VoteMemory.load(tmp_path / "memory"), blobs(9, 2)[0])
    with pytest.raises(SemblanceError, match="holds no memory"):
        VoteMemory.load(tmp_path)


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda m: m.add(["new"], np.zeros((1, DIM))), "column 'label'"),
        (lambda m: m.add(["new"], np.ones((1, DIM)), pa.table({"label": [None]})), "without a label"),
        (lambda m: m.add(["new"], np.ones((1, DIM)), pa.table({"label": ["a"], "weight": [-1.0]})), "weight is -1"),
        (lambda m: m.add(["item 3"], np.ones((1, DIM)), pa.table({"label": ["a"]})), "already"),
        (lambda m: m.add(["new"], np.ones((1, 3)), pa.table({"label": ["a"]})), "3"),
        (lambda m: m.remove(["item 1", "nobody"]), "nobody"),
        (lambda m: m.relabel(["item 1"], ["  "]), "without a label"),
        (lambda m: m.relabel(["item 1"], ["a", "b"]), "2 labels"),
        (lambda m: m.reweight(["item 1"], [float("nan")]), "weight is nan"),
        (lambda m: m.classify(np.full((1, DIM), np.nan)), "NaN"),
        (lambda m: m.classify(np.ones((1, DIM)), k=0), "k is 0"),
        (lambda m: m.classify(np.ones((1, DIM)), without=["nobody"]), "nobody"),
        (lambda m: m.credit(np.ones((1, DIM)), by="colour"), "colour"),
        (lambda m: usefulness(m, np.ones((1, DIM)), []), "0 labels"),
        (lambda m: prune(m, usefulness(m, np.ones((1, DIM)), ["class 0"]), 2), "most is 2"),
        (lambda m: VoteMemory(Exact(3), votes="ranks"), "rank"),
        (lambda m: VoteMemory(Exact(3, "euclidean"), "euclidean", "distance"), "euclidean"),
        (lambda m: VoteMemory.exact(3).classify(np.ones((1, 3))), "no item"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(act: Any, says: str) -> None:
    x, y = blobs(10)
    memory = memory_of(x, y)
    with pytest.raises(SemblanceError, match=says) as caught:
        act(memory)
    assert "\n" not in str(caught.value)
    check_same(memory, memory_of(x, y), blobs(4, 6)[0])
