"""Following: a space that is deleted, moved, replaced, rewritten or damaged under the server is said to be so."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from semblance.app.server import spaces
from semblance.app.server.problems import Problem
from semblance.app.server.spaces import Spaces
from semblance.memory.store import Store
from tests.app.server.conftest import make

ZOO = "/api/spaces/zoo"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(spaces, "FRESH", 0.0)


def test_a_deleted_space_is_said_to_be_gone_and_the_others_stay(folder, open_client, tmp_path):
    client = open_client(folder, make(tmp_path / "other.space", 10))
    assert client.get(f"{ZOO}/items/3").status_code == 200
    shutil.rmtree(folder)
    asked = [
        ("GET", f"{ZOO}{p}", None)
        for p in ("", "/ids", "/map", "/items/3", "/facets", "/views/outliers", "/selections")
    ]
    asked += [("POST", f"{ZOO}/search", {"id": "3"}), ("POST", f"{ZOO}/labels", {"id": "3", "label": "x"})]
    asked += [("POST", f"{ZOO}/select", {"name": "a", "ids": ["3"]}), ("POST", f"{ZOO}/classify", {"id": "3"})]
    for method, path, body in asked:
        answer = client.request(method, path, json=body)
        said = answer.json()
        assert answer.status_code == 410 and "deleted or moved" in said["detail"] and said["remedy"], path
        assert str(folder) not in answer.text
    listed = {line["name"]: line for line in client.get("/api/spaces").json()["spaces"]}
    assert listed["zoo"]["error"]["status"] == 410 and listed["other"]["items"] == 10
    assert client.get("/api/spaces/other/items/3").status_code == 200 and client.get("/healthz").status_code == 200
    assert not folder.exists(), "it was made anew"


def test_what_is_put_back_is_served_again_without_a_restart(folder, open_client, tmp_path):
    client = open_client(folder)
    folder.rename(tmp_path / "away")
    assert client.get(f"{ZOO}/items/3").status_code == 410
    (tmp_path / "away").rename(folder)
    assert client.get(f"{ZOO}/items/3").status_code == 200
    shutil.rmtree(folder)
    make(folder, 12)
    assert client.get(ZOO).json()["items"] == 12
    assert len(client.get(f"{ZOO}/map").content) == 12 * 8


def test_a_space_that_is_rewritten_is_read_anew(folder, open_client):
    client = open_client(folder)
    client.get(f"{ZOO}/map")
    with Store.open(folder, write=True) as store:
        store.remove([str(n) for n in range(40)])
        store.compact()
    assert [item["id"] for item in client.get(f"{ZOO}/items").json()["items"]] == [str(n) for n in range(40, 60)]
    assert client.post(f"{ZOO}/search", json={"id": "45"}).status_code == 200
    assert client.get(f"{ZOO}/items/3").status_code == 404
    with Store.open(folder, write=True) as store:
        store.commit_space(ids=["a"], vectors=np.ones((1, 6), np.float32))
    assert client.get(ZOO).json()["items"] == 1 and client.get(f"{ZOO}/facets").json()["columns"] == {}


def test_a_damaged_space_is_told_in_a_problem(folder, open_client):
    client = open_client(folder)
    client.get(ZOO)
    (segment,) = (folder / "segments").iterdir()
    segment.write_bytes(segment.read_bytes()[:100])
    client.server.spaces["zoo"].close()
    answer = client.get(f"{ZOO}/items/50?vector=true")
    assert (
        answer.status_code == 500
        and "damaged" in answer.json()["detail"]
        and "bring it back" in answer.json()["remedy"]
    )
    assert client.get(f"{ZOO}/items/50").status_code == 200  # what is whole is still told


def test_a_writer_elsewhere_is_waited_for_and_then_named(folder, open_client, monkeypatch):
    client = open_client(folder)
    with Store.open(folder, write=True):
        answer = client.post(f"{ZOO}/labels", json={"id": "3", "label": "x"})
    assert answer.status_code == 503 and "another process" in answer.json()["detail"]
    assert client.post(f"{ZOO}/labels", json={"id": "3", "label": "x"}).status_code == 200


def test_names_are_safe_and_differ(tmp_path):
    paths = [tmp_path / one for one in ("a.space", "sub/a.space", "ü b!.space", "...", "x" * 200)]
    for path in paths:
        path.mkdir(parents=True, exist_ok=True)
    served = Spaces([*paths, paths[0]])
    names = [one.name for one in served]
    assert names[:3] == ["a", "a-2", "b"] and len(set(names)) == len(paths)
    assert all(spaces.NAME.fullmatch(name) for name in names)
    with pytest.raises(Problem, match="no space"):
        _ = served["../a"]
