"""A space that changes: attributes, older versions, damage and compaction, as its user meets them."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest

import semblance as sb
from semblance.app import cli
from semblance.app.flags import run
from semblance.errors import SemblanceError
from semblance.memory.store import Store
from semblance.space.space import Space


def vectors(n: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 8)).astype(np.float32)


@pytest.fixture
def space(tmp_path: Path) -> Space:
    np.save(tmp_path / "vectors.npy", vectors())
    return sb.fit(tmp_path / "vectors.npy", out=tmp_path / "a.space", recipe="as-is")


def test_an_update_is_found_by_the_next_condition_and_leaves_the_vectors(space: Space) -> None:
    before = space.vectors.copy()
    space.update(["3", "7"], {"city": ["Oslo", "Rome"]})
    assert space.search(vectors()[3], k=5, where="city = 'Oslo'").ids == ["3"]
    assert space.search("0", k=40, where="city is null").matches == 37
    np.testing.assert_array_equal(space.vectors, before)
    with pytest.raises(SemblanceError, match=r"1 of 2 ids \('nobody'\) is not in the space; nothing changed"):
        space.update(["3", "nobody"], {"city": ["Lima", "Lima"]})
    assert space.attributes(["city"], where="id = '3'").to_pylist() == [{"city": "Oslo"}]


def test_an_older_version_answers_as_it_did(space: Space) -> None:
    first, answer, ids = space.version, space.search(vectors()[3], k=4), space.ids
    held = space.store.view
    space.update(["3"], {"city": ["Oslo"]})
    space.add(vectors(2, seed=1))
    space.remove([answer.ids[0], answer.ids[1]])
    past = space.at(first)
    assert past.version == first and past.ids == ids and len(past) == 40
    assert past.search(vectors()[3], k=4) == answer != space.search(vectors()[3], k=4)
    assert "city" not in past.attributes().column_names
    np.testing.assert_array_equal(past.vectors, held.vectors())
    assert len(space.at(first + 2)) == 42 and space.at(first + 2).at(first).ids == ids
    for change in (lambda: past.add(vectors(1)), lambda: past.remove(["3"]), past.compact):
        with pytest.raises(SemblanceError, match=f"version {first} is past and stays as it is"):
            change()
    past.close()
    assert len(space) == 40


def test_compaction_says_which_versions_go_and_takes_them(space: Space, caplog: pytest.LogCaptureFixture) -> None:
    secret = space.vectors[3].tobytes()
    space.remove(["3"])
    assert any(secret in file.read_bytes() for file in space.path.rglob("*.f32"))
    said = space.compact(dry_run=True)
    assert said["versions"] == [1, 2] and said["items"] == 39 and space.version == 2
    with caplog.at_level("INFO"):
        done = space.compact()
    assert "compaction drops versions 1 to 2" in caplog.text and done["versions"] == [1, 2]
    assert done["bytes"] == sum(file.stat().st_size for file in space.path.rglob("*") if file.is_file())
    assert not any(secret in file.read_bytes() for file in space.path.rglob("*") if file.is_file())
    with pytest.raises(SemblanceError, match="version 2 cannot be read: versions 3 to 3 can"):
        space.at(2)


def test_a_space_with_a_damaged_file_says_so_and_is_mended_by_removal(space: Space) -> None:
    assert space.check() == []
    (segment,) = (space.path / "segments").iterdir()
    space.close()
    with open(segment, "r+b") as file:
        file.truncate(30 * 32)
    with sb.load(space.path) as opened:
        says = f"{segment.name}: is damaged, it holds 960 bytes and should hold 1280; 10 items cannot be read"
        with pytest.raises(SemblanceError, match=says):
            opened.search(vectors()[3])
        (harm,) = opened.check()
        assert harm.ids == [str(n) for n in range(30, 40)]
        opened.remove(harm.ids)
        opened.compact()
        assert opened.check() == [] and opened.search(vectors()[3], k=1).ids == ["3"] and len(opened) == 30


def test_spaces_write_in_turn_and_numbers_go_on(space: Space) -> None:
    with sb.load(space.path) as other:
        assert space.add(vectors(2, seed=1)) == ["40", "41"]
        assert other.add(vectors(1, seed=2)) == ["42"]
        assert space.add(vectors(1, seed=3)) == ["43"]
        assert len(other.store.refresh()) == 44
    with Store.open(space.path, write=True), pytest.raises(SemblanceError, match="is writing this space: wait"):
        space.remove(["0"])


def test_threads_that_add_to_one_space_take_turns(space: Space) -> None:
    added: list[str] = []
    threads = [threading.Thread(target=lambda n=n: added.extend(space.add(vectors(3, seed=n)))) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added, key=int) == [str(number) for number in range(40, 58)] and space.ids[40:] == added


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(cli.app, [str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_compact_verb_asks_first_and_says_what_goes(space: Space, capsys: pytest.CaptureFixture[str]) -> None:
    space.remove(["3", "4"])
    code, out, err = call(capsys, "compact", space.path, "--dry-run", "--json")
    answer = json.loads(out)
    assert code == 0 and "versions 1 to 2 can be read today" in err
    assert (answer["schema"], answer["dry_run"], answer["items"], answer["versions"]) == (1, True, 38, [1, 2])
    assert answer["bytes_before"] > 0 and answer["bytes_after"] is None
    code, out, err = call(capsys, "compact", space.path)
    assert code == 2 and "a compaction cannot be undone: give --yes" in err and space.version == 2
    code, out, err = call(capsys, "compact", space.path, "--yes")
    assert code == 0 and "38 items" in out and space.version == 3
