from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.errors import Interrupted, SemblanceError
from semblance.space.rank import BASELINES, rank


def vectors(noise: float = 0.6) -> ArrayDataset:
    """Three classes in 12 columns."""
    rng = np.random.default_rng(0)
    labels = np.arange(150) % 3
    x = (np.eye(12)[labels] + noise * rng.normal(size=(150, 12))).astype(np.float32)
    return load(x, labels=labels)


def pictures(labelled: bool = True) -> ArrayDataset:
    digits = load("digits")
    part = digits.subset(np.concatenate([digits.splits["train"][:80], digits.splits["test"][:40]]))
    return part if labelled else load(np.asarray(part.x)[:, 0])


def test_ready_vectors_rank_level_with_themselves(tmp_path: Path) -> None:
    found = rank(vectors(), ["as-is"], seeds=2, out=tmp_path / "r")
    assert {row["recipe"] for row in found.rows} == {"as-is", BASELINES[0]}
    as_is = next(row for row in found.rows if row["recipe"] == "as-is")
    assert as_is["low"] <= as_is["value"] <= as_is["high"]
    assert found.rows == sorted(found.rows, key=lambda row: -row["value"])
    assert (tmp_path / "r" / "rank.png").read_bytes().startswith(b"\x89PNG")
    assert "best" in str(found)


def test_finished_runs_are_not_run_again_and_a_torn_line_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import semblance.space.rank as ranking

    trained: list[int] = []
    whole = ranking.train
    monkeypatch.setattr(ranking, "train", lambda *a, seed, **k: (trained.append(seed), whole(*a, seed=seed, **k))[1])
    first = rank(vectors(), ["as-is"], seeds=2, out=tmp_path)
    log = tmp_path / "runs.jsonl"
    lines = log.read_text().splitlines()
    log.write_text(lines[0] + "\n" + lines[1][:30])
    again = rank(vectors(), ["as-is"], seeds=2, out=tmp_path)
    assert trained == [0, 1, 1]
    assert [{**r, "seconds": 0} for r in again.rows] == [{**r, "seconds": 0} for r in first.rows]
    assert all(json.loads(line)["scores"] for line in log.read_text().splitlines()[:1])


def test_ctrl_c_keeps_the_finished_runs_and_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import semblance.space.rank as ranking

    whole = ranking.train

    def stopped_at_the_second_seed(*given, seed: int, **more):  # type: ignore[no-untyped-def]
        if seed == 1:
            raise Interrupted("stopped in epoch 1")
        return whole(*given, seed=seed, **more)

    monkeypatch.setattr(ranking, "train", stopped_at_the_second_seed)
    with pytest.raises(Interrupted, match="1 finished runs are kept") as stopped:
        rank(vectors(), ["as-is"], seeds=2, out=tmp_path)
    assert stopped.value.code == 130
    monkeypatch.undo()
    assert len(rank(vectors(), ["as-is"], seeds=2, out=tmp_path).rows) == 2


def test_the_total_time_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    said: list[str] = []
    rank(vectors(), ["as-is"], seeds=1, out=tmp_path, say=said.append)
    assert "1 runs to go" in said[0]
    assert "minutes" in said[0]


def test_vectors_without_labels_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(SemblanceError, match=r"vectors without labels have nothing to be ranked by.*--label"):
        rank(np.eye(40, 6, dtype=np.float32), ["as-is", "icon"], out=tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_pictures_without_labels_are_ranked_by_their_views(tmp_path: Path) -> None:
    found = rank(pictures(labelled=False), ["simclr"], seeds=1, epochs=1, out=tmp_path)
    assert [row["metric"] for row in found.rows] == ["view_recall1"]
    assert 0 <= found.rows[0]["value"] <= 1


def test_numbers_are_ranked_by_r2(tmp_path: Path) -> None:
    found = rank("diabetes", ["as-is"], seeds=1, out=tmp_path)
    assert found.rows[0]["metric"] == "r2"
    assert -1 < found.rows[0]["value"] < 1


def test_a_clearly_worse_method_is_told_apart(tmp_path: Path) -> None:
    from semblance.analysis.intervals import compare_rows

    right = np.random.default_rng(0).random((3, 100)) < 0.9
    wrong = np.random.default_rng(1).random((3, 100)) < 0.4
    tests = compare_rows({"good": right.astype(float), "bad": wrong.astype(float)})
    assert tests[0]["a"] == "good"
    assert tests[0]["differs"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"seeds": 0}, "seeds is 0"), ({"recipes": ["as-iz"]}, "as-is"), ({"recipes": ["simclr"]}, "images")],
)
def test_a_wrong_call_is_answered_before_anything_is_trained(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(SemblanceError, match=words):
        rank(vectors(), **{"out": tmp_path / "r", "recipes": ["as-is"], **changes})
