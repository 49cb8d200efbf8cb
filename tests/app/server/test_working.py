"""Jobs: started, told of as they go on, stopped; and what they make is served."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from semblance.app.server import jobs as jobs_module
from semblance.app.server.jobs import Jobs
from tests.app.server.conftest import make


def ended(client, id: str, seconds: float = 240) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while (job := client.get(f"/api/jobs/{id}").json())["state"] in ("queued", "running"):
        assert time.monotonic() < end, job
        time.sleep(0.1)
    return job


def events_of(client, id: str, after: int | None = None) -> list[tuple[int, str, dict[str, Any]]]:
    """The stream to its end, read as a browser reads it."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with client.stream("GET", f"/api/jobs/{id}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        blocks = answer.read().decode().split("\n\n")
    found = []
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


@pytest.fixture
def data(tmp_path):
    draw = np.random.default_rng(0)
    np.save(tmp_path / "numbers.npy", draw.normal(size=(80, 4)).astype(np.float32))
    return "numbers.npy"


def test_a_fit_is_started_watched_and_served(folder, open_client, data, tmp_path):
    client = open_client(folder)
    answer = client.post("/api/jobs", json={"kind": "fit", "data": data, "recipe": "as-is", "name": "mine"})
    assert answer.status_code == 202
    id = answer.json()["id"]
    told = events_of(client, id)
    assert [number for number, _, _ in told] == list(range(len(told)))
    assert told[-1][1] == "done" and told[-1][2]["state"] == "done", told
    assert told[-1][2]["space"] == "mine" and (tmp_path / "mine.space" / "space.db").is_file()
    assert client.get("/api/spaces/mine").json()["items"] == 80
    assert events_of(client, id, after=len(told) - 2) == told[-1:]
    again = client.post("/api/jobs", json={"kind": "fit", "data": data, "recipe": "as-is", "name": "mine"})
    assert again.status_code == 409
    assert client.delete(f"/api/jobs/{id}").status_code == 204 and client.get(f"/api/jobs/{id}").status_code == 404


def test_what_goes_wrong_in_a_job_is_told_in_one_line(folder, open_client, tmp_path):
    (tmp_path / "broken.npy").write_bytes(b"no numbers")
    client = open_client(folder)
    id = client.post("/api/jobs", json={"kind": "fit", "data": "broken.npy"}).json()["id"]
    job = ended(client, id)
    assert job["state"] == "failed" and "broken.npy" in job["error"] and "Traceback" not in job["error"]
    assert events_of(client, id)[-1][1] == "failed"


@pytest.mark.parametrize(
    "asked",
    [
        {"recipe": "simsam"},
        {"recipe": "as-is", "settings": {"nope": 1}},
        {"kind": "dance"},
        {"epochs": -1},
        {"data": "nowhere.npy"},
        {"settings": {"out": "/tmp/x"}},
        {"settings": {"nodes": "/etc/passwd"}, "recipe": None},
        {"settings": {"overwrite": True}, "kind": "rank"},
    ],
)
def test_a_job_that_cannot_work_is_not_started(folder, open_client, data, asked):
    client = open_client(folder)
    answer = client.post("/api/jobs", json={"kind": "fit", "data": data, "recipe": "as-is", **asked})
    assert 400 <= answer.status_code < 500 and client.get("/api/jobs").json()["jobs"] == []


SLEEPS = (
    "import json, signal, sys, time\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # as work.py does
    "spec = json.loads(sys.stdin.read())\n"
    'say = lambda event, **content: print(json.dumps({"event": event, "content": content}), flush=True)\n'
    'say("progress", done=1, total=9, text="begun")\n'
    "try:\n"
    '    print("a word from somewhere", flush=True)\n'
    "    time.sleep(60)\n"
    "except KeyboardInterrupt:\n"
    '    say("error", text="stopped: all is saved")\n'
    "    sys.exit(130)\n"
)
STUBBORN = (
    "import signal, time\nfor s in (2, 15): signal.signal(s, signal.SIG_IGN)\nprint('no', flush=True)\ntime.sleep(60)\n"
)


@pytest.fixture
def lane(tmp_path, monkeypatch):
    """Jobs whose process runs a few lines of ours."""
    made = []

    def opened(code: str) -> Jobs:
        real = jobs_module.subprocess.Popen
        command = [jobs_module.sys.executable, "-c", code]
        monkeypatch.setattr(jobs_module.subprocess, "Popen", lambda _, **more: real(command, **more))
        made.append(Jobs(tmp_path))
        return made[-1]

    yield opened
    for jobs in made:
        jobs.close()


def until(true, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_job_that_is_stopped_may_save_and_the_next_one_runs(lane):
    jobs = lane(SLEEPS)
    first, second = (jobs.start("fit", name, {}, {}) for name in ("first", "second"))
    until(lambda: first.text == "begun" and len(first.events) == 2)
    assert first.events[1] == ("line", {"text": "a word from somewhere"}) and second.state == "queued"
    jobs.stop(first)
    until(lambda: first.state == "cancelled" and second.state == "running")
    assert first.error == "stopped: all is saved" and first.events[-1][0] == "cancelled"
    jobs.stop(second)
    until(lambda: second.state == "cancelled")


def test_a_job_that_waits_is_stopped_before_it_starts(lane):
    jobs = lane(SLEEPS)
    first, second = (jobs.start("fit", name, {}, {}) for name in ("first", "second"))
    jobs.stop(second)
    assert second.state == "cancelled" and second.process is None
    jobs.stop(first)
    until(lambda: first.state == "cancelled")


def test_a_job_that_does_not_listen_is_ended(lane, monkeypatch):
    monkeypatch.setattr(jobs_module, "GRACE", 0.3)
    jobs = lane(STUBBORN)
    job = jobs.start("fit", "deaf", {}, {})
    until(lambda: job.events)
    jobs.close()
    assert job.state == "cancelled" and job.process.poll() is not None


def test_the_server_takes_its_jobs_with_it(lane):
    jobs = lane(SLEEPS)
    running, waits = (jobs.start("fit", name, {}, {}) for name in ("one", "two"))
    until(lambda: running.text == "begun")
    jobs.close()
    assert (running.state, waits.state) == ("cancelled", "cancelled") and running.process.poll() is not None


def test_the_same_derived_work_is_done_once_and_the_line_is_bounded(lane):
    jobs = lane(SLEEPS)
    job = jobs.start("umap", "map", {}, {}, key="k")
    assert jobs.start("umap", "map", {}, {}, key="k") is job
    assert jobs.start("umap", "map", {}, {}, key="other") is not job
    from semblance.app.server.problems import Problem

    with pytest.raises(Problem, match="wait already"):
        for _ in range(30):
            jobs.start("fit", "many", {}, {})


def test_a_process_that_dies_says_its_last_word(lane):
    jobs = lane("import sys; sys.stdin.read(); raise RuntimeError('out of luck')")
    job = jobs.start("fit", "dies", {}, {})
    until(lambda: job.state == "failed")
    assert job.error == "RuntimeError: out of luck"


def test_umap_is_made_by_a_job_and_kept(tmp_path, open_client):
    path = make(tmp_path / "s.space", 40)
    client = open_client(path)
    answer = client.get("/api/spaces/s/map?kind=umap")
    assert answer.status_code == 202
    job = ended(client, answer.json()["job"]["id"])
    assert job["state"] == "done", job
    answer = client.get("/api/spaces/s/map?kind=umap")
    xy = np.frombuffer(answer.content, "<f4").reshape(2, 40)
    assert json.loads(answer.headers["X-Map"])["how"] == "umap" and np.abs(xy).max() == pytest.approx(1, abs=1e-6)
    of = np.arange(40) % 3
    middles = np.stack([xy[:, of == c].mean(1) for c in range(3)])
    nearest = ((xy.T[:, None] - middles) ** 2).sum(2).argmin(1)
    assert (nearest == of).mean() > 0.9, "clusters are not kept apart"
    assert open_client(path).get("/api/spaces/s/map?kind=umap").content == answer.content


def test_rankings_are_read_from_what_was_run(folder, open_client, tmp_path):
    draw = np.random.default_rng(0)
    place = tmp_path / "mine.rank"
    place.mkdir()
    lines = [
        {"schema": 1, "key": f"{name}{seed}", "recipe": name, "seed": seed, "seconds": 1.5,
         "scores": (draw.random(50) < good).astype(float).tolist(), "measures": {"knn5": good}}
        for name, good in (("good", 0.9), ("bad", 0.4))
        for seed in range(3)
    ]  # fmt: skip
    (place / "runs.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"torn')
    client = open_client(folder)
    (listed,) = client.get("/api/rankings").json()["rankings"]
    assert (listed["name"], listed["runs"], listed["recipes"]) == ("mine", 6, ["good", "bad"])
    said = client.get("/api/rankings/mine").json()
    assert [row["recipe"] for row in said["rows"]] == ["good", "bad"] and said["metric"] == "knn5"
    assert said["rows"][0]["low"] < said["rows"][0]["value"] < said["rows"][0]["high"]
    assert said["tests"][0]["a"] == "good" and said["tests"][0]["differs"] and len(said["runs"]) == 6
    assert client.get("/api/rankings/none").status_code == 404


def test_the_training_curve_is_that_of_the_log(folder, open_client):
    (folder / "log.jsonl").write_text(
        "".join(json.dumps({"schema": 1, "step": n, "loss": 1 / n}) + "\n" for n in (1, 2, 3))
    )
    points = open_client(folder).get("/api/spaces/zoo/curves").json()["points"]
    assert points == [{"step": n, "loss": 1 / n} for n in (1, 2, 3)]


def test_recipes_are_those_of_the_table(client):
    said = client.get("/api/recipes", params={"domain": "vectors"}).json()["recipes"]
    assert "as-is" in {row["name"] for row in said} and all("vectors" in row["domains"] for row in said)
