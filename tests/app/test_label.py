"""`semblance label`: driven through a pipe, kept at once, one line for whatever goes wrong."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from semblance.app import cli
from semblance.app.flags import run
from semblance.space.space import load


@pytest.fixture(scope="session")
def fitted(tmp_path_factory):
    """A space of 300 vectors in three clear classes; every tenth without a label; `truth` knows them all."""
    folder = tmp_path_factory.mktemp("label")
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    x = rng.normal(0, 0.3, (300, 6)) + np.eye(6)[y]
    kind = [None if i % 10 == 0 else "abc"[c] for i, c in enumerate(y)]
    truth = ["abc"[c] for c in y]
    pq.write_table(pa.table({"x": x.tolist(), "kind": kind, "truth": truth}), folder / "t.parquet")
    out = folder / "t.space"
    assert (
        run(cli.app, ["fit", str(folder / "t.parquet"), "--label", "kind", "--out", str(out), "--no-evaluate", "-q"])
        == 0
    )
    return out


@pytest.fixture
def space(fitted, tmp_path):
    """A copy to change."""
    return shutil.copytree(fitted, tmp_path / "t.space")


def call(capsys, monkeypatch, *arguments, typed=""):
    """Exit code, stdout, stderr of `semblance label`, with these lines typed."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    capsys.readouterr()
    code = run(cli.app, ["label", *(str(a) for a in arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def labels(space):
    with load(space) as opened:
        return dict(zip(opened.ids, opened.attributes(["label"]).column("label").to_pylist(), strict=True))


def test_accepting_correcting_skipping_and_quitting_through_a_pipe(capsys, monkeypatch, space):
    with load(space) as opened:
        voted = opened.vote("0").label
    code, out, err = call(capsys, monkeypatch, space, typed="\nsomething new\ns\n=s\nq\n")
    assert code == 0 and err.count("label ([Enter] ") == 5
    found = labels(space)
    assert (found["0"], found["10"], found["20"], found["30"], found["40"]) == (voted, "something new", None, "s", None)
    assert "3 labelled, 1 skipped, 27 without a label" in out
    assert "share of the vote" in out and "1 of 30: 0" in out


def test_the_next_answer_uses_the_correction(capsys, monkeypatch, space):
    with load(space) as opened:
        nearest = opened.vote("0", k=1).neighbours[0].id
    code, out, _ = call(capsys, monkeypatch, space, "--query", nearest, "--query", "0", "-k", 1, typed="new\n\n")
    assert code == 0 and labels(space)["0"] == "new"
    assert "votes: new 100%" in out


def test_the_end_of_the_input_quits_and_nothing_was_changed(capsys, monkeypatch, space):
    before = labels(space)
    code, out, _ = call(capsys, monkeypatch, space)
    assert code == 0 and "0 labelled" in out and labels(space) == before


def test_a_program_sets_labels_and_accepts_what_is_sure(capsys, monkeypatch, space):
    code, out, _ = call(capsys, monkeypatch, space, "--set", "0=z", "--set", "10=a", "--json", "--limit", 2)
    found = json.loads(out)
    assert code == 0 and found["schema"] == 1 and found["left"] == 28 and "z" in found["classes"]
    assert found["labelled"] == [
        {"id": "0", "label": "z", "voted": None},
        {"id": "10", "label": "a", "voted": None},
    ]
    assert [d["item"] for d in found["decisions"]] == ["20", "30"]
    for decision in found["decisions"]:
        assert sum(voter["share"] for voter in decision["neighbours"]) == pytest.approx(1)
        assert decision["share"] == decision["shares"][decision["label"]]
    code, out, _ = call(capsys, monkeypatch, space, "--accept-above", 0.8, "--json")
    found = json.loads(out)
    accepted = {d["item"]: d["label"] for d in found["decisions"] if d["share"] >= 0.8}
    assert {row["id"]: row["label"] for row in found["labelled"]} == accepted
    assert found["left"] == found["skipped"] == 28 - len(accepted) < 28
    assert {id: labels(space)[id] for id in accepted} == accepted


def test_a_space_without_any_label_is_labelled_from_nothing(capsys, monkeypatch, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32))
    out = tmp_path / "x.space"
    assert run(cli.app, ["fit", str(tmp_path / "x.npy"), "--out", str(out), "--no-evaluate", "-q"]) == 0
    code, said, err = call(capsys, monkeypatch, out, "--limit", 2, typed="\nfirst\n\n")
    assert code == 0 and "nobody is labelled yet" in said and "no vote to accept" in err
    assert [label for label in labels(out).values() if label] == ["first", "first"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "0"], "ID=LABEL"),
        (["--set", "=a"], "ID=LABEL"),
        (["--set", "nobody=a"], "nobody"),
        (["--accept-above", "1.5"], "0 to 1"),
        (["--accept-above", "nan"], "0 to 1"),
        (["--query", "nobody"], "neither an item"),
        (["--where", "yeer = 3"], "yeer"),
        (["--votes", "ranks"], "did you mean rank"),
        (["-k", "0"], "1 or more"),
        (["--positive", "a"], "belong to --cascade"),
        (["--cascade"], "--positive LABEL"),
        (["--cascade", "--positive", "a", "--set", "0=a"], "leave out"),
        (["--cascade", "--positive", "a", "--answers", "nothing"], "nothing"),
        (["--cascade", "--positive", "zebra", "--answers", "truth"], "always alike"),
        (["--cascade", "--positive", "a", "--answers", "truth", "--precision", "1.5"], "precision is 1.5"),
    ],
)
def test_wrong_input_is_one_line_and_changes_nothing(capsys, monkeypatch, fitted, arguments, says):
    before = labels(fitted)
    code, out, err = call(capsys, monkeypatch, fitted, *arguments)
    assert code == 2 and says in err and err.count("\n") == 1 and out == ""
    assert labels(fitted) == before


def test_the_cascade_labels_by_a_column_that_answers(capsys, monkeypatch, space):
    arguments = ("--cascade", "--positive", "a", "--answers", "truth", "--sample", 60, "--missed", 0.1, "--json")
    code, out, _ = call(capsys, monkeypatch, space, *arguments)
    found = json.loads(out)
    assert code == 0 and found["items"] == 300 and found["unsure"] == 0
    assert found["shown"] < 300 and found["yes"] + found["no"] == 300
    with load(space) as opened:
        rows = opened.attributes().to_pylist()
    right = np.mean([(row["is a"] == "yes") == (row["truth"] == "a") for row in rows])
    assert right > 0.95
    assert sum(row["answer a"] is not None for row in rows) == found["shown"]
    assert all(row["label"] is not None for row in rows if row["is a"] == "yes")
    again = json.loads(call(capsys, monkeypatch, space, *arguments)[1])
    assert {**again, "labelled": None} == {**found, "labelled": None}


def test_a_cascade_goes_on_where_the_person_quit(capsys, monkeypatch, space):
    with load(space) as opened:
        waiting = opened.unlabelled()
    arguments = ("--cascade", "--positive", "a", "--sample", 40, "--json")
    code, _, err = call(capsys, monkeypatch, space, *arguments, typed="y\nn\nperhaps\nq\n")
    assert code == 3 and "2 answers are kept" in err and "answer y or n" in err
    code, out, err = call(capsys, monkeypatch, space, *arguments, typed="n\n" * 28)
    found = json.loads(out)
    assert code == 0 and found["shown"] == len(waiting) == 30 and found["yes"] == 1 and found["labelled"] == 1
    assert "1 of 28" in err
    with load(space) as opened:
        assert len(opened.unlabelled()) == 29


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_control_c_loses_no_label(space):
    code = "import sys; from semblance.app.cli import main; sys.argv[0] = 'semblance'; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "label", str(space)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell ignores it for what runs behind
    )  # fmt: skip
    process.stdin.write("kept\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("2 of 30"):
            break
    # Its input stays open until it ends, or the end of the input might come first.
    for _ in range(12):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
            break
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "1 labels are kept" in err
    assert labels(space)["0"] == "kept"


def test_a_file_that_is_no_item_joins_the_space_with_its_label(capsys, monkeypatch, tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for kind, grey in (("dark", 40), ("light", 200)):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for n in range(8):
            picture = (grey + rng.integers(-30, 30, (12, 12))).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / "data" / kind / f"{n}.png")
    Image.fromarray((120 + rng.integers(-30, 30, (12, 12))).astype(np.uint8)).save(tmp_path / "grey.png")
    out = tmp_path / "s.space"
    fit = ["fit", tmp_path / "data", "-r", "simsiam", "--epochs", 1, "--out", out, "--no-evaluate", "-q"]
    assert run(cli.app, [str(a) for a in fit]) == 0
    code, said, _ = call(capsys, monkeypatch, out, "--query", tmp_path / "grey.png", typed="between\n")
    assert code == 0 and "1 labelled" in said
    with load(out) as opened:
        assert len(opened) == 17 and opened.ids[-1].endswith("grey.png") and "between" in opened.manifest["classes"]
        (nearest,) = opened.vote(opened.vectors[-1], k=1).neighbours
        assert (nearest.id, nearest.label) == (opened.ids[-1], "between")
    # It is an item of that name now, and can be labelled again.
    code, _, _ = call(capsys, monkeypatch, out, "--query", tmp_path / "grey.png", typed="again\n")
    assert code == 0 and list(labels(out).values())[-1] == "again" and len(labels(out)) == 17
