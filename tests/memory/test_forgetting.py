"""Removal is forgetting: after a compaction no byte of what was removed is in any file of the folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from memory.filled import make, names, numbers, table

from semblance.memory import housekeeping
from semblance.memory.store import Store


def everything(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def traces(folder: Path, secrets: list[bytes]) -> list[bytes]:
    held = everything(folder)
    return [secret for secret in secrets if secret in held]


def fill(store: Store, chance: np.random.Generator, rounds: int) -> tuple[list[str], list[bytes]]:
    """Adds items with texts of all lengths in random order, so that pages divide; returns ids to forget and their bytes."""
    ids, secrets = [], []
    for number in range(rounds):
        n = int(chance.integers(20, 80))
        some = [f"{int(chance.integers(10**9)):09d}-{number}-{row}-secret" for row in range(n)]
        texts = [f"text-{id}-" + "x" * int(chance.integers(0, 400)) for id in some]
        vectors = chance.normal(size=(n, 8)).astype(np.float32)
        pictures = [f"picture-{id}-".encode() + b"p" * int(chance.integers(0, 900)) for id in some]
        store.add(some, vectors, pa.table({"city": texts}), thumbnails=pictures)
        for row, id in enumerate(some[: n // 2]):
            ids.append(id)
            secrets += [f"{id}".encode(), f"text-{id}-".encode(), f"picture-{id}-".encode(), vectors[row].tobytes()]
    return ids, secrets


@pytest.mark.parametrize("seed", [502, 507, 509])  # where overwriting what is deleted leaves copies in divided pages
def test_nothing_of_a_removed_item_is_left_after_a_compaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    monkeypatch.setattr(Store, "_compact_if_wasteful", lambda _: None)
    with make(tmp_path / "s", n=90) as store:
        ids, secrets = fill(store, chance, 12)
        chance = np.random.default_rng(seed - 500)
        for _ in range(4):  # texts that grow and shrink move others about
            some = [ids[row] for row in chance.choice(len(ids), 40, replace=False)]
            store.update(some, pa.table({"city": ["y" * int(chance.integers(0, 900)) for _ in some]}))
        assert len(traces(tmp_path / "s", secrets)) == len(secrets)
        kept = [(id, line) for id, line in zip(store.ids(), store.attributes().to_pylist(), strict=True)]
        kept = [(id, line) for id, line in kept if id not in set(ids)]
        vectors = store.vectors([store.row_of(id) for id, _ in kept])
        gone = list(ids)
        chance.shuffle(gone)
        for start in range(0, len(gone), 37):
            store.remove(gone[start : start + 37])
        store.compact()
        assert traces(tmp_path / "s", secrets) == []
        assert list(zip(store.ids(), store.attributes().to_pylist(), strict=True)) == kept
        np.testing.assert_array_equal(store.vectors(), vectors)
    assert traces(tmp_path / "s", secrets) == []


def test_the_search_for_traces_finds_what_a_removal_alone_leaves(tmp_path: Path) -> None:
    with make(tmp_path / "s", n=90) as store:
        ids, secrets = fill(store, np.random.default_rng(0), 1)
        store.remove(ids)
        assert traces(tmp_path / "s", secrets)


def test_what_was_replaced_or_relabelled_is_forgotten_too(tmp_path: Path) -> None:
    with make(tmp_path / "s", n=90) as store:
        before = [numbers(90)[4].tobytes(), b"Atlantis", b"png 0 4!"]
        store.add(["item-9"], numbers(1), pa.table({"city": ["Atlantis"]}), thumbnails=[b"png 0 4!"], update=True)
        store.update(["item-9"], pa.table({"city": ["Oslo"]}))
        store.add(["item-4", "item-9"], numbers(2, seed=3), table(2), thumbnails=[b"1", b"2"], update=True)
        assert len(traces(tmp_path / "s", before)) == 3
        store.compact()
        assert traces(tmp_path / "s", before) == []


def test_indexes_that_hold_forgotten_vectors_go_and_those_of_today_stay(tmp_path: Path) -> None:
    with make(tmp_path / "s") as store:
        derived = tmp_path / "s" / "index"
        derived.mkdir()
        (derived / "1-lists.bin").write_bytes(b"vectors of item-0")
        (derived / "1-more").mkdir()
        (derived / "1-more" / "part").write_bytes(b"vectors of item-0")
        store.add(["new"], numbers(1))
        assert len(list(derived.rglob("*"))) == 3
        (derived / "2-lists.bin").write_bytes(b"built ahead of its time by somebody who was killed")
        store.remove(["item-0"])
        assert {path.name for path in derived.iterdir()} == {"1-lists.bin", "1-more"}
        store.compact()
        assert list(derived.iterdir()) == []


def test_a_compaction_killed_before_its_log_was_folded_is_finished_by_the_next_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with make(tmp_path / "s", n=900) as store:
        ids, secrets = fill(store, np.random.default_rng(1), 4)
        store.remove(ids)

        def killed(*_: object) -> None:
            raise OSError(5, "gone")

        with monkeypatch.context() as patch:
            patch.setattr("semblance.memory.store.fold", killed)
            store.compact()
        assert "the next writer of the space will tidy up" in caplog.text
        assert (tmp_path / "s" / housekeeping.FORGETTING).exists() and traces(tmp_path / "s", secrets)
    Store.open(tmp_path / "s", write=True).close()
    assert traces(tmp_path / "s", secrets) == [] and not (tmp_path / "s" / housekeeping.FORGETTING).exists()


def test_a_reader_in_the_middle_of_a_question_delays_the_forgetting_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with make(tmp_path / "s", n=900) as store, Store.open(tmp_path / "s") as reader:
        ids, secrets = fill(store, np.random.default_rng(1), 2)
        store.remove(ids)
        store._writing().execute("PRAGMA busy_timeout = 10")
        with reader._pool.transaction() as connection:
            connection.execute("SELECT count(*) FROM items").fetchone()
            store.compact()
            assert "a reader holds an old version" in caplog.text
        store.add(["new"], numbers(1))
        assert traces(tmp_path / "s", secrets) == [] and store.ids()[:900] == names(900)
