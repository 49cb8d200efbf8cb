"""Labels over HTTP: kept at once, undone once, and nobody's later label is lost by undoing."""

from __future__ import annotations

import pytest

from semblance.space.space import Space
from tests.app.server.conftest import framed

ZOO = "/api/spaces/zoo"


def labels(folder) -> dict[str, str | None]:
    with Space(folder) as space:
        return dict(zip(space.ids, space.attributes(["label"])["label"].to_pylist(), strict=True))


def test_a_label_is_in_the_space_and_in_every_next_answer(client, folder):
    before = labels(folder)
    client.get(f"{ZOO}/facets"), client.get(f"{ZOO}/column/label")  # what is kept of the version before
    said = client.post(f"{ZOO}/labels", json={"ids": ["3", "10"], "label": "wolf"}).json()
    assert said["changed"] == 2 and "wolf" in said["classes"] and said["before"] == {"3": before["3"], "10": None}
    assert labels(folder) == {**before, "3": "wolf", "10": "wolf"}
    assert client.get(f"{ZOO}/items/3").json()["attributes"]["label"] == "wolf"
    head, codes = framed(client.get(f"{ZOO}/column/label").content)
    assert [n for n, c in enumerate(codes) if c == head["vocabulary"].index("wolf")] == [3, 10]
    assert client.post(f"{ZOO}/mask", json={"where": "label = 'wolf'"}).headers["X-Matches"] == "2"
    values = client.get(f"{ZOO}/facets").json()["columns"]["label"]["values"]
    assert {"value": "wolf", "total": 2, "matching": 2} in values
    assert (
        client.post(f"{ZOO}/classify", json={"vector": [1, 0, 0, 0, 0, 0], "where": "label = 'wolf'"}).json()["label"]
        == "wolf"
    )
    assert client.get(ZOO).json()["version"] == said["version"]


@pytest.mark.parametrize("label", ["wolf", None, "cat"])
def test_undoing_puts_back_what_was_there_once(client, folder, label):
    before = labels(folder)
    rows = client.get(f"{ZOO}/ids").headers["X-Rows"]
    token = client.post(f"{ZOO}/labels", json={"ids": ["3", "10", "12"], "label": label}).json()["undo"]
    assert {labels(folder)[id] for id in ("3", "10", "12")} == {label}
    assert client.post(f"{ZOO}/labels/undo", json={"undo": token}).status_code == 200
    assert labels(folder) == before
    assert client.post(f"{ZOO}/labels/undo", json={"undo": token}).status_code == 404
    assert client.get(f"{ZOO}/ids").headers["X-Rows"] == rows


def test_a_class_that_came_with_a_label_goes_with_it(client, folder):
    before = client.get(ZOO).json()["classes"]
    token = client.post(f"{ZOO}/labels", json={"ids": ["3", "10"], "label": "wolf"}).json()["undo"]
    assert client.get(ZOO).json()["classes"] == [*before, "wolf"]
    said = client.post(f"{ZOO}/labels/undo", json={"undo": token}).json()
    assert said["classes"] == before == client.get(ZOO).json()["classes"]
    with Space(folder) as space:
        assert list(space.manifest["classes"]) == before


def test_a_class_stays_that_was_there_before_or_that_another_item_has_by_now(client):
    emptied = client.post(f"{ZOO}/labels", json={"id": "3", "label": "owl"}).json()["undo"]
    wolf = client.post(f"{ZOO}/labels", json={"id": "4", "label": "wolf"}).json()["undo"]
    client.post(f"{ZOO}/labels", json={"id": "5", "label": "wolf"})
    for token in (wolf, emptied):
        assert client.post(f"{ZOO}/labels/undo", json={"undo": token}).status_code == 200
    assert client.get(ZOO).json()["classes"] == ["cat", "dog", "owl", "wolf"]


def test_undoing_does_not_overrule_who_came_later(client, folder):
    token = client.post(f"{ZOO}/labels", json={"ids": ["3", "4"], "label": "wolf"}).json()["undo"]
    with Space(folder) as space:
        space.relabel("4", "fox")
    answer = client.post(f"{ZOO}/labels/undo", json={"undo": token})
    assert answer.status_code == 409 and "'4'" in answer.json()["detail"]
    assert (labels(folder)["3"], labels(folder)["4"]) == ("wolf", "fox")


def test_another_programs_change_is_seen_soon(client, folder):
    import time

    client.get(f"{ZOO}/items/4")
    with Space(folder) as space:
        space.relabel("4", "fox")
    end = time.monotonic() + 60
    while client.get(f"{ZOO}/items/4").json()["attributes"]["label"] != "fox":
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"id": "nobody", "label": "x"}, 404),
        ({"ids": ["1", "nobody"], "label": "x"}, 404),
        ({"id": "1", "label": ""}, 422),
        ({"id": "1", "label": "two\nlines"}, 422),
        ({"id": "1"}, 422),
        ({"label": "x"}, 422),
        ({"id": "1", "ids": ["2"], "label": "x"}, 422),
        ({"id": "1", "label": "\ud800"}, 422),
    ],
)
def test_a_wrong_label_changes_nothing(client, folder, asked, status):
    import json

    before = labels(folder)
    content = json.dumps(asked).encode()
    answer = client.post(f"{ZOO}/labels", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status and labels(folder) == before


def test_a_server_that_only_reads_changes_nothing(folder, open_client):
    client = open_client(folder, read_only=True)
    before = labels(folder)
    files = sorted(path for path in folder.rglob("*"))
    asked = [
        (f"{ZOO}/labels", {"id": "1", "label": "x"}),
        (f"{ZOO}/labels/undo", {"undo": "x"}),
        ("/api/jobs", {"kind": "fit", "data": "digits"}),
    ]
    for path, body in asked:
        answer = client.post(path, json=body)
        assert answer.status_code == 403 and answer.json()["type"] == "/problems/forbidden"
    said = client.post(f"{ZOO}/select", json={"name": "mine", "ids": ["1"]}).json()
    assert said["stored"] is False and client.get(f"{ZOO}/selections/mine").json()["ids"] == ["1"]
    assert client.delete(f"{ZOO}/selections/mine").status_code == 204
    assert client.get(f"{ZOO}/map").status_code == 200 and client.get(ZOO).json()["can"]["label"] is False
    assert labels(folder) == before and sorted(path for path in folder.rglob("*")) == files
