"""Several spaces answer as one: exactly as the undivided space, whatever finds the neighbours, or with the lost named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory.filled import make, names, numbers, table

import semblance as sb
from semblance.errors import Failed, SemblanceError
from semblance.memory import indexed
from semblance.memory import shards as memory
from semblance.memory.store import Store
from semblance.space.shard_file import split
from semblance.space.shards import Shards, shards
from semblance.space.space import Space

COUNT, DIM = 200, 8


def filled(path: Path, geometry: str = "cosine", count: int = COUNT, dim: int = DIM) -> Path:
    """A space with copies of one item here and there, and near copies."""
    x = numbers(count, dim)
    x[60:110] = x[10]
    x[150:160] = x[10] * (1 + 1e-6 * numbers(10, dim, seed=1))
    x = 0.2 * x / np.linalg.norm(x, axis=1).max() if geometry.startswith("hyper") else x
    with Store.create(path, dim=dim, geometry=geometry, domain="vectors", manifest={}) as store:
        store.add(names(count), x, table(count))
    return path


def bits(answers: Any) -> list[Any]:
    """What an answer says of items, to the last bit."""
    answers = answers if isinstance(answers, list) else [answers]
    told = [[(one["id"], one["distance"], one["attributes"]) for one in answer.results] for answer in answers]
    return [*told, [answer.matches for answer in answers], [answer.recall for answer in answers]]


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Space]:
    with Space(filled(tmp_path / "a.space")) as space:
        yield space


@pytest.fixture
def parts(whole: Space, tmp_path: Path) -> Iterator[Shards]:
    with shards(split(whole.path, 5, tmp_path / "a.shards")) as found:
        yield found


WHERES = [None, "year > 2010", "city = 'Oslo' and id <> 'item-70'", "id in ('item-3', 'item-199')", "year > 3000"]


@pytest.mark.parametrize(
    ("geometry", "into"), [("cosine", 1), ("cosine", 3), ("cosine", 30), ("euclidean", 3), ("hyperbolic(0.5)", 3)]
)
def test_shards_answer_as_the_undivided_space_bit_for_bit(tmp_path: Path, geometry: str, into: int) -> None:
    with (
        Space(filled(tmp_path / "a.space", geometry)) as whole,
        shards(split(whole.path, into, tmp_path / "a.shards")) as parts,
    ):
        assert len(parts) == COUNT and parts.lost == {} and len(parts.names) == into
        x = whole.vectors
        queries = [x[10], x[70], x[155], 0.9 * x[3], "item-10", "item-65", "item-199"]
        for where in WHERES:
            for k in (1, 12, 500) if into == 3 else (12,):
                assert bits(parts.search(queries, k, where)) == bits(whole.search(queries, k, where))
        assert not parts.search(x[3]).partial


def test_who_is_asked_by_whom_and_where_items_lie_is_said(parts: Shards, whole: Space) -> None:
    answer = parts.search("item-85", k=3)
    assert answer.ids == ["item-10", "item-60", "item-61"]
    assert [one["space"] for one in answer.results] == ["shard-0", "shard-1", "shard-1"]
    assert answer.plan.startswith("5 of 5 shards; shard-0: exact scan of 40 of 40 items; ")
    said = answer.to_dict()
    assert said["partial"] is False and said["lost"] == [] and said["matches"] == COUNT - 1
    assert parts.search([]) == []
    for wrong in ({"k": 0}, {"recall": 0}, {"text": "two"}, {"where": "yaer > 3"}):
        with pytest.raises(SemblanceError) as ours:
            parts.search("item-3", **wrong)
        with pytest.raises(SemblanceError) as theirs:
            whole.search("item-3", **wrong)
        assert str(ours.value) in (str(theirs.value), f"shard-0: {theirs.value}")
    with pytest.raises(SemblanceError, match="'item-4711' is neither a file nor an id"):
        parts.search("item-4711")


def test_an_exact_answer_does_not_depend_on_what_is_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Space(filled(tmp_path / "a.space", count=700, dim=16)) as whole:
        queries = [*whole.vectors[[10, 70, 155]], *numbers(3, 16, seed=5), "item-65"]
        scanned = [whole.search(queries, 12, where, recall=1) for where in WHERES]
        split(whole.path, 3, tmp_path / "a.shards")
        monkeypatch.setattr(indexed, "FIRST", 200)
        whole.index.build(whole.store.view)
        with Space(tmp_path / "a.shards" / "shard-1") as shard:  # one of three
            shard.index.build(shard.store.view)
            shard.index.wait()
        with shards(tmp_path / "a.shards", builds=False) as parts:
            for where, wanted in zip(WHERES, scanned, strict=True):
                ours, theirs = (by.search(queries, 12, where, recall=1) for by in (parts, whole))
                assert bits(ours) == bits(theirs) == bits(wanted)
            assert "rows by" in parts.search(queries, recall=1)[0].plan


def test_an_approximate_answer_has_the_recall_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexed, "FIRST", 600)
    with Store.create(tmp_path / "s", dim=16, geometry="cosine", domain="vectors", manifest={}) as store:
        store.add(names(1_400), numbers(1_400, 16, seed=3))  # no attributes
    split(tmp_path / "s", 2, tmp_path / "a.shards")  # indexes them
    queries = numbers(80, 16, seed=4)
    with shards(tmp_path / "a.shards", builds=False) as parts:
        exact = parts.search(queries, 10, recall=1)
        for recall in (0.9, 0.99):
            found = parts.search(queries, 10, recall=recall)
            share = np.mean([len(set(a.ids) & set(b.ids)) / 10 for a, b in zip(found, exact, strict=True)])
            assert share >= recall and found[0].recall >= recall and "rows by all" in found[0].plan


def test_several_spaces_are_named_by_a_file_that_moves_with_them(tmp_path: Path) -> None:
    for number in range(3):
        make(tmp_path / f"{number}.space", 20, seed=0 if number == 0 else number).close()
        with Store.open(tmp_path / f"{number}.space", write=True) as store:
            store.commit_space(ids=names(20), vectors=numbers(20, seed=number), attributes=table(20, number))
    with sb.shards(*(tmp_path / f"{number}.space" for number in range(3))) as opened:
        answer = opened.search(numbers(20, seed=2)[7], k=1)
        assert answer.results[0]["space"] == str(tmp_path / "2.space") and answer.ids == ["item-7"]
        opened.save(tmp_path / "all.shards")
    (tmp_path / "moved").mkdir()
    for name in ("0.space", "1.space", "2.space", "all.shards"):
        shutil.move(tmp_path / name, tmp_path / "moved" / name)
    with sb.shards(tmp_path / "moved" / "all.shards") as opened:
        assert opened.search(numbers(20, seed=2)[7], k=1).results[0]["space"] == "../2.space"
        # The same id in several: the first that has it asks, and the others are its neighbours like any item.
        assert opened.search("item-7", k=60).matches == 59
        with Store.open(tmp_path / "moved" / "1.space", write=True) as store:
            store.add(["new"], numbers(1, seed=9))
        assert opened.search(numbers(1, seed=9)[0], k=1).ids == ["new"] and len(opened) == 61


def test_a_shard_of_another_model_or_size_is_refused_in_one_line_that_names_both(tmp_path: Path) -> None:
    make(tmp_path / "a.space").close()
    make(tmp_path / "b.space", dim=9).close()
    make(tmp_path / "c.space", seed=1).close()  # another model
    for other, said in (("b", "9 numbers"), ("c", "8 numbers, cosine, model ")):
        with pytest.raises(SemblanceError) as caught:
            shards(tmp_path / "a.space", tmp_path / f"{other}.space")
        told = str(caught.value)
        assert f"{other}.space holds vectors (vectors, {said}" in told and "a.space vectors (vectors, 8 numbers" in told
        assert "\n" not in told and told.endswith("sb.align")
    split(tmp_path / "a.space", 3, tmp_path / "a.shards")
    shutil.rmtree(tmp_path / "a.shards" / "shard-0")  # the first is not there to compare with
    shutil.rmtree(tmp_path / "a.shards" / "shard-1")
    shutil.copytree(tmp_path / "c.space", tmp_path / "a.shards" / "shard-1")
    with pytest.raises(SemblanceError, match=r"shard-1 holds .* and the others, says shards.json: vectors \("):
        shards(tmp_path / "a.shards")


def test_vectors_taken_as_they_are_need_no_common_model(tmp_path: Path) -> None:
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", numbers(20, 4, seed=ord(name)))
        sb.fit(tmp_path / f"{name}.npy", recipe="as-is", out=tmp_path / f"{name}.space").close()
    with sb.shards(tmp_path / "a.space", tmp_path / "b.space") as both:
        assert both.search(numbers(20, 4, seed=ord("b"))[4], k=1).ids == ["4"]
        with pytest.raises(SemblanceError, match="reads no text"):
            both.search(text="words")


def test_what_is_asked_of_all_must_be_answerable_by_all(tmp_path: Path) -> None:
    make(tmp_path / "a.space").close()
    shutil.copytree(tmp_path / "a.space", tmp_path / "b.space")
    with Store.open(tmp_path / "a.space", write=True) as store:
        store.update(["item-1"], table(1).append_column("stars", [[5]]))
    with shards(tmp_path / "a.space", tmp_path / "b.space") as both:
        assert both.search(numbers(1)[0], where="year > 2000").matches > 0
        with pytest.raises(SemblanceError, match=r"b\.space: .*stars"):
            both.search(numbers(1)[0], where="stars = 5")


def cut(path: Path) -> None:
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def renamed(path: Path) -> None:
    """Garbage in its place; SQLite would go on with the pages it holds of the file itself, and rightly."""
    (path.parent / "other").write_bytes(b"\xff" * path.stat().st_size)
    (path.parent / "other").rename(path)


def folder(path: Path) -> None:
    """What nobody can read, root included."""
    path.unlink()
    path.mkdir()


HARMS = {
    "a segment is gone": (lambda shard: next((shard / "segments").iterdir()).unlink(), "cannot be read"),
    "a segment is short": (
        lambda shard: cut(next((shard / "segments").iterdir())),
        "holds 640 bytes and should hold 1280",
    ),
    "a segment cannot be read": (lambda shard: folder(next((shard / "segments").iterdir())), "f32: "),
    "its database is gone": (lambda shard: (shard / "space.db").unlink(), "No such file"),
    "its database is short": (lambda shard: cut(shard / "space.db"), "damaged"),
    "its database is garbage": (lambda shard: renamed(shard / "space.db"), "damaged"),
    "it is gone": (shutil.rmtree, "No such file"),
}


@pytest.mark.parametrize("when", ["before", "between"])
@pytest.mark.parametrize("harm", HARMS)
def test_a_lost_shard_is_named_and_the_others_answer_and_when_it_is_back_it_answers(
    whole: Space, parts: Shards, tmp_path: Path, harm: str, when: str
) -> None:
    shard, (act, says) = tmp_path / "a.shards" / "shard-2", HARMS[harm]
    shutil.copytree(shard, tmp_path / "copy")
    queries = [whole.vectors[70], "item-20"]
    wanted = bits(parts.search(queries, 8))
    assert wanted == bits(whole.search(queries, 8))
    if when == "before":
        parts.close()
    act(shard)
    answers = parts.search(queries, 8)
    with shards(*(tmp_path / "a.shards" / f"shard-{n}" for n in (0, 1, 3, 4))) as others:
        assert bits(answers) == bits(others.search(queries, 8))
    for answer in answers:
        assert answer.partial and list(answer.lost) == ["shard-2"] and says in answer.lost["shard-2"]
        assert answer.plan.startswith("4 of 5 shards; ") and "\n" not in answer.lost["shard-2"]
        assert answer.to_dict()["lost"] == [{"space": "shard-2", "reason": answer.lost["shard-2"]}]
    with pytest.raises(SemblanceError, match=r"'item-115' is neither .* \(or it is in a shard that is lost: shard-2: "):
        parts.search("item-115")
    shutil.rmtree(shard, ignore_errors=True)
    shutil.copytree(tmp_path / "copy", shard)
    assert bits(parts.search(queries, 8)) == wanted and parts.lost == {}


def test_where_nobody_is_left_that_is_an_error(parts: Shards, tmp_path: Path) -> None:
    for number in range(5):
        shutil.rmtree(tmp_path / "a.shards" / f"shard-{number}")
    with pytest.raises(Failed, match=r"none of the 5 shards can be read; the first is shard-0: .*No such file"):
        parts.search(numbers(1)[0])
    with pytest.raises(Failed, match="none of the 5 shards"):
        shards(tmp_path / "a.shards")


def test_a_shard_rewritten_in_the_middle_of_a_search_makes_it_begin_anew(
    whole: Space, parts: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge, turns = memory.merge, []

    def rewrites(*given: Any) -> Any:
        turns.append(1)
        if len(turns) == 1:
            for number in (0, 1):
                with Store.open(tmp_path / "a.shards" / f"shard-{number}", write=True) as store:
                    store.remove(["item-10"] if number == 0 else ["item-61"])
                    store.compact()
        return merge(*given)

    monkeypatch.setattr(memory, "merge", rewrites)
    answer = parts.search("item-62", k=3)
    assert len(turns) == 2 and not answer.partial
    whole.remove(["item-10", "item-61"])
    assert bits(answer) == bits(whole.search("item-62", k=3))


def test_what_cannot_be_opened_or_split_is_said_before_anything_is_written(tmp_path: Path, whole: Space) -> None:
    for given, says in (
        ((), "0 paths were given"),
        ((whole.path, whole.path), "each named once"),
        ((whole.path, tmp_path / "no.space"), "there is nothing here"),
    ):
        with pytest.raises(SemblanceError, match=says):
            shards(*given)
    for out, into, says in ((whole.path, 2, "is there already"), (tmp_path / "no" / "s", 2, "no folder")):
        with pytest.raises(SemblanceError, match=says):
            split(whole.path, into, out)
    for into in (0, 201):
        with pytest.raises(SemblanceError, match=f"make no {into} shards"):
            split(whole.path, into, tmp_path / "s")
    assert [path.name for path in tmp_path.iterdir()] == ["a.space"]
    split(whole.path, 2, tmp_path / "s")
    with pytest.raises(SemblanceError, match=r"names several spaces: search them by sb\.shards"):
        sb.load(tmp_path / "s")
    for content, says in (("{", "cannot be read"), ('{"schema": 1}', "cannot be read")):
        (tmp_path / "s" / "shards.json").write_text(content)
        with pytest.raises(Failed, match=says):
            shards(tmp_path / "s")
