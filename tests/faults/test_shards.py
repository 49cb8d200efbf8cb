"""A shard that is lost at any moment of a search is named, or the answer is whole: never one that lacks items in silence.

SEMBLANCE_KILLS says how many random moments are tried (10; `make faults` takes 200).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory.filled import make, numbers

from semblance.memory.segments import Unmapped
from semblance.memory.store import Store
from semblance.space.joined import Found
from semblance.space.shard_file import split
from semblance.space.shards import Shards, shards

KILLS = int(os.environ.get("SEMBLANCE_KILLS", "10"))
SHARDS, COUNT = 4, 120
ASKED = [*numbers(3, seed=7), "item-5", "item-110"]
WHERES = [None, "year >= 2005"]


def cut(file: Path) -> None:
    """What a map would not survive."""
    with open(file, "r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def replaced(file: Path) -> None:
    """By what cannot be read, not even by root."""
    file.unlink()
    file.mkdir()


HARMS: list[tuple[str, Callable[[Path], None]]] = [
    *((f"segments {harm.__name__}", harm) for harm in (Path.unlink, cut, replaced)),
    *((f"database {harm.__name__}", harm) for harm in (Path.unlink, cut)),
    ("folder", shutil.rmtree),
]


def harm(shard: Path, number: int) -> None:
    name, act = HARMS[number]
    act(
        shard
        if name == "folder"
        else shard / "space.db"
        if "database" in name
        else next((shard / "segments").iterdir())
    )


def told(answers: list[Found]) -> list[Any]:
    return [[(one["id"], one["distance"]) for one in answer.results] for answer in answers]


@pytest.fixture(scope="module")
def truths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, list[Any]]]]:
    """A folder of shards, and what is true of it without each of them, and with all ("")."""
    folder = tmp_path_factory.mktemp("whole")
    make(folder / "s", COUNT).close()
    split(folder / "s", SHARDS, folder / "of")
    true = {}
    for lost in ("", *(f"shard-{n}" for n in range(SHARDS))):
        left = [folder / "of" / f"shard-{n}" for n in range(SHARDS) if f"shard-{n}" != lost]
        with shards(*left) as found:
            asked = [one for one in ASKED if not isinstance(one, str) or lost not in ("shard-0", "shard-3")]
            true[lost] = [told(found.search(asked, 20, where)) for where in WHERES]
    yield folder / "of", true


def check(opened: Shards, true: dict[str, list[Any]], harmed: str) -> bool:
    """Raises unless the answers are the whole truth, or that of the others with the lost one named. Whether it was."""
    asked = [one for one in ASKED if not isinstance(one, str) or harmed not in ("shard-0", "shard-3")]
    partly = False
    for number, where in enumerate(WHERES):
        answers = opened.search(asked, 20, where)
        (lost,) = {tuple(answer.lost) for answer in answers}
        assert lost in ((), (harmed,))
        assert told(answers) == true[harmed if lost else ""][number][: len(asked)]
        partly = partly or bool(lost)
    return partly


def test_a_shard_lost_at_a_random_moment_is_named_or_the_answer_is_whole(
    truths: tuple[Path, dict[str, list[Any]]], tmp_path: Path
) -> None:
    (whole, true), chance, named = truths, random.Random(20261122), 0
    for turn in range(KILLS):
        folder, harmed = tmp_path / f"{turn}", f"shard-{chance.randrange(SHARDS)}"
        shutil.copytree(whole, folder)
        with shards(folder) as opened:
            began = time.monotonic()
            assert not check(opened, true, harmed)
            moment = chance.uniform(0, 1.2) * (time.monotonic() - began)
            how = chance.randrange(len(HARMS))
            other = threading.Thread(target=lambda m=moment, s=folder / harmed, h=how: (time.sleep(m), harm(s, h)))
            other.start()
            check(opened, true, harmed)
            other.join()
            named += check(opened, true, harmed)  # now it is lost for good
            shutil.rmtree(folder / harmed, ignore_errors=True)
            shutil.copytree(whole / harmed, folder / harmed)
            assert not check(opened, true, harmed)
        shutil.rmtree(folder)
    assert named >= KILLS // 2  # SQLite may answer from the pages it holds of a file that was cut


@pytest.mark.parametrize("how", [1, 2], ids=["cut", "replaced"])
def test_a_shard_lost_before_each_of_its_reads_is_named_or_the_answer_is_whole(
    truths: tuple[Path, dict[str, list[Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: int
) -> None:
    whole, true = truths
    read, moment, harmed, named = Unmapped.__getitem__, 0, "shard-1", []
    asked = numbers(3, seed=7)[:2]
    while True:
        folder = tmp_path / f"{moment}"
        shutil.copytree(whole, folder)
        left = moment

        def deadly(self: Unmapped, rows: Any, folder: Path = folder) -> np.ndarray:
            nonlocal left
            if self.path.is_relative_to(folder / harmed):
                left -= 1
                if left == -1:
                    harm(folder / harmed, how)
            return read(self, rows)

        monkeypatch.setattr(Unmapped, "__getitem__", deadly)
        with shards(folder) as opened:
            answers = opened.search(list(asked), 20)
        monkeypatch.undo()
        lost = harmed in answers[0].lost
        assert told(answers) == true[harmed if lost else ""][0][:2]
        if left >= 0:  # it was not read so often
            break
        named.append(lost)
        moment += 1
    assert len(named) >= 2 and (all(named) if how == 2 else any(named))


def test_a_process_killed_while_it_searches_leaves_the_shards_whole(
    truths: tuple[Path, dict[str, list[Any]]], tmp_path: Path
) -> None:
    whole, true = truths
    chance = random.Random(20261123)
    shutil.copytree(whole, tmp_path / "s")
    for _ in range(KILLS):
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                with shards(tmp_path / "s") as opened:
                    os.write(into, b".")
                    while True:
                        opened.search(list(ASKED), 20, WHERES[1])
            finally:
                os._exit(1)
        os.close(into)
        with os.fdopen(out, "rb") as pipe:
            assert pipe.read(1) == b"."
        time.sleep(chance.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        for shard in (tmp_path / "s").glob("shard-*"):
            with Store.open(shard) as store:
                assert store.damage() == []
        with shards(tmp_path / "s") as opened:
            assert not check(opened, true, "shard-1")


def test_the_check_of_answers_can_fail(truths: tuple[Path, dict[str, list[Any]]], tmp_path: Path) -> None:
    whole, true = truths
    shutil.copytree(whole, tmp_path / "s")
    with Store.open(tmp_path / "s" / "shard-1", write=True) as store:
        store.remove(store.ids()[:20])  # a shard that lacks items and does not know
    with shards(tmp_path / "s") as opened, pytest.raises(AssertionError):
        check(opened, true, "shard-1")
