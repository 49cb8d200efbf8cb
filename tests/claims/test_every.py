"""Many claims as a queue: what fails stops nobody, what is done stays, and a cluster gives the table of one machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from semblance.app import cli
from semblance.claims import every, evidence, ledger
from semblance.errors import Interrupted, SemblanceError

ROOT = Path(__file__).parents[2]
TODO = [("simsiam", False), ("simsiam", True), ("icon", False), ("resnet", False), ("gat", False)]


def tried(job: every.Job) -> dict[str, Any]:
    """Evidence without a run: simsiam and gat pass, icon does not, resnet's claim breaks."""
    entry, broken = job

    def measure(run: ledger.Run) -> None:
        if entry == "resnet":
            raise RuntimeError("out of\nmemory")
        run.report("score", 0 if broken or entry == "icon" else 1)
        run.report("time of it", 0)

    parts = {"score": ledger.at_least(1), "time of it": ledger.at_most(1)}
    declared = ledger.Claim(entry, "What it says.", parts, measure, "nothing is learned")
    run = ledger.Run(entry, parts, declared.seeds, broken, quiet=True)
    try:
        declared.measure(run)
    except RuntimeError as error:
        return every.failed(str(error))
    return ledger.judge(declared, run, 0.5)


def killed(job: every.Job) -> dict[str, Any]:
    """The same, but icon's process dies."""
    if job[0] == "icon":
        os.kill(os.getpid(), signal.SIGKILL)
    return tried(job)


def held(job: every.Job) -> dict[str, Any]:
    """One run ends at once, the others too late."""
    if job[0] != "simsiam":
        time.sleep(300)
    return tried(job)


def table(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["entry"], row["broken"], row["verdict"], row["as_it_should_be"], row["reason"]) for row in rows]


EXPECTED = [
    ("simsiam", False, "shown", True, ""),
    ("simsiam", True, "not shown", True, "score is 0, not at least 1"),
    ("icon", False, "not shown", False, "score is 0, not at least 1"),
    ("resnet", False, "error", False, "out of memory"),
    ("gat", False, "shown", True, ""),
]


def test_what_fails_stops_nobody_and_every_other_run_leaves_its_evidence(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    rows = every.run_every(TODO, results=tmp_path, run=tried, progress=lambda *said: told.append(said))
    assert table(rows) == EXPECTED
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json"))
    assert written == ["broken/simsiam.json", "gat.json", "icon.json", "simsiam.json"]
    assert json.loads((tmp_path / "gat.json").read_text())["verdict"] == "shown"
    assert [(done, total) for done, total, _ in told] == [(i, 5) for i in range(1, 6)]
    assert told[3][2] == "resnet: error" and told[1][2] == "simsiam --broken: not shown"
    assert [row["by_the_clock"] for row in rows] == [True, True, True, False, True]


def test_a_stop_keeps_what_is_done_and_names_what_is_missing(tmp_path: Path) -> None:
    def stopped(job: every.Job) -> dict[str, Any]:
        if job[0] == "icon":
            raise KeyboardInterrupt
        return tried(job)

    with pytest.raises(Interrupted, match=r"^stopped; 2 of 5 runs are kept, missing are icon, resnet, gat: go on with"):
        every.run_every(TODO, results=tmp_path, run=stopped)
    assert len(list(tmp_path.rglob("*.json"))) == 2


def test_evidence_of_other_code_is_not_taken(tmp_path: Path) -> None:
    def older(job: every.Job) -> dict[str, Any]:
        found = tried(job)
        return {**found, "hashes": {**found["hashes"], "claim": "older"}}

    (row,) = every.run_every(TODO[:1], results=tmp_path, run=older)
    assert row["verdict"] == "error" and "other code" in row["reason"] and not list(tmp_path.iterdir())


class Commands:
    """Stands in for subprocess: notes what is run; icon ends without evidence."""

    PIPE = subprocess.PIPE

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def run(self, command: list[str], **_: Any) -> Any:
        self.seen.append(command[3:])
        said = "" if command[3] == "icon" else json.dumps(tried((command[3], "--broken" in command)))
        return subprocess.CompletedProcess(command, 1, said)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    commands = Commands()
    monkeypatch.setattr(every, "subprocess", commands)
    monkeypatch.setattr(evidence, "claimed", lambda: ["simsiam", "icon", "gat"])
    monkeypatch.setattr(evidence, "write", lambda found, results: None)
    monkeypatch.setattr(evidence, "write_page", lambda: "the page")
    return commands


def test_on_one_machine_each_run_has_a_process_of_its_own(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ledger.main(["all"]) == 1
    dry = ["--json", "--dry"]
    each = [[entry, *dry, *twin] for entry in ("simsiam", "icon", "gat") for twin in ([], ["--broken"])]
    assert commands.seen == each
    said = capsys.readouterr().out
    assert (
        "the page" in said and "2 not as they should be: icon, icon --broken" in said and "3 of 6: icon: error" in said
    )


def test_stale_runs_only_what_changed_or_was_never_run(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    never = ("icon", True)
    monkeypatch.setattr(evidence, "read", lambda entry, broken=False: None if (entry, broken) == never else {entry: 1})
    monkeypatch.setattr(evidence, "is_stale", lambda found: "simsiam" in found)
    assert every.jobs(["simsiam", "icon", "icon"], stale=True) == [("simsiam", False), ("simsiam", True), never]
    assert every.jobs(["icon"], (False,), stale=True) == []
    with pytest.raises(SemblanceError, match="did you mean simsiam"):
        every.jobs(["simsia"])


def test_the_verb_shows_the_table_and_exits_with_1_where_one_is_not_as_it_should_be(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(cli.app, ["reproduce", "--all", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert [row["verdict"] for row in rows] == ["shown", "not shown", "error", "error", "shown", "not shown"]
    assert cli.run(cli.app, ["reproduce", "gat", "simsiam", "--broken"]) == 0
    out, err = capsys.readouterr()
    assert "simsiam --broken" in out and "2 of 2: simsiam --broken: not shown" in err
    for words in (["reproduce"], ["reproduce", "icon", "--all"], ["reproduce", "--all", "--workers", "2"]):
        assert cli.run(cli.app, words) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


# --- on a cluster -----------------------------------------------------------------------------------------------------


def test_the_command_of_the_guide_gives_the_table_of_one_machine_and_a_process_that_dies_is_an_error_of_its_own(
    two_cores: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = re.findall(r"^semblance (reproduce --all .*)$", (ROOT / "docs" / "scale.md").read_text(), re.MULTILINE)
    assert "--stale --on ray" in line
    monkeypatch.setattr("semblance.space.cluster.LIVES", 0)
    monkeypatch.setattr(every, "measured", killed)
    monkeypatch.setattr(evidence, "claimed", lambda: ["simsiam", "icon"])
    monkeypatch.setattr(evidence, "results_folder", lambda: tmp_path)
    monkeypatch.setattr(evidence, "write_page", lambda: "the page")
    assert cli.run(cli.app, [*line.split(), "--json"]) == 1
    out, err = capsys.readouterr()
    answer = out[out.index("{\n") : out.rindex("}") + 1]  # Ray may be late to tell of the process that died
    *shown, dead, also = table(json.loads(answer)["runs"])
    assert shown == EXPECTED[:2]
    assert all(row[2] == "error" and "the cluster gave up" in row[4] for row in (dead, also))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json")) == [
        "broken/simsiam.json",
        "simsiam.json",
    ]
    assert re.findall(r"^(\d) of 4: ", err, re.MULTILINE) == ["1", "2", "3", "4"]
    assert "measured times, while other runs shared the machines: simsiam, simsiam --broken" in err


def test_a_stop_on_a_cluster_keeps_what_is_done_and_ends_what_runs(two_cores: Any, tmp_path: Path) -> None:
    def stop(done: int, total: int, text: str) -> None:
        if done == 1:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(Interrupted, match=r"1 of 3 runs are kept, missing are icon, gat"):
        every.run_every([TODO[0], TODO[2], TODO[4]], on="ray", workers=2, results=tmp_path, run=held, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["simsiam.json"]
    deadline = time.monotonic() + 120
    while two_cores.available_resources().get("CPU", 0) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert two_cores.available_resources()["CPU"] == 2
