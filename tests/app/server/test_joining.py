"""Joining: shards are looked at and searched as the undivided space, and whose items an answer lacks is said in it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from semblance.app.server import spaces
from semblance.memory.store import Store
from semblance.space.shard_file import split
from semblance.space.space import Space
from tests.app.server.conftest import framed, make

ZOO, WHOLE = "/api/spaces/zoo", "/api/spaces/whole"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(spaces, "FRESH", 0.0)


@pytest.fixture
def parts(folder, tmp_path):
    return split(folder, 3, tmp_path / "whole.shards")


@pytest.fixture
def both(folder, parts, open_client):
    return open_client(folder, parts)


def without_shards(said):
    """An answer without what only shards say, and without its time."""
    hits = [{name: value for name, value in hit.items() if name != "space"} for hit in said["hits"]]
    return {**{name: said[name] for name in ("matches", "recall", "geometry")}, "hits": hits}


@pytest.mark.parametrize("where", [None, "year >= 2000 and city = 'Oslo'", "label is null", "year > 3000"])
@pytest.mark.parametrize("asked", [{"id": "25"}, {"id": "3", "k": 40}, {"vector": [1.0, 0.2, 0, 0, 0, 0], "recall": 1}])
def test_shards_find_what_the_undivided_space_finds(both, asked, where):
    one, all = (both.post(f"{at}/search", json={**asked, "where": where}).json() for at in (ZOO, WHOLE))
    theirs, ours = without_shards(one), without_shards(all)
    for hit in theirs["hits"]:
        hit["thumbnail"] = hit["thumbnail"] and hit["thumbnail"].replace("/zoo/", "/whole/")
    assert ours == theirs
    assert all["partial"] is False and all["lost"] == [] and all["plan"].startswith("3 of 3 shards; shard-0: ")
    assert all_in_their_shards(all["hits"])


def all_in_their_shards(hits) -> bool:
    return [hit["space"] for hit in hits] == [f"shard-{hit['position'] // 20}" for hit in hits]


def test_rows_columns_masks_facets_items_and_the_map_are_those_of_the_undivided_space(both):
    ids, theirs = (both.get(f"{at}/ids") for at in (WHOLE, ZOO))
    assert ids.content == theirs.content and ids.headers["X-Rows"] == theirs.headers["X-Rows"]
    for name in ("label", "year", "weight", "blurred", "taken", "city"):
        (head, values), (other, wanted) = (framed(both.get(f"{at}/column/{name}").content) for at in (WHOLE, ZOO))
        assert head == other and np.array_equal(values, wanted, equal_nan=values.dtype.kind == "f")
    masks = [both.post(f"{at}/mask", json={"where": "year >= 2000"}).content for at in (WHOLE, ZOO)]
    assert masks[0] == masks[1]
    facets = [both.get(f"{at}/facets", params={"where": "blurred"}).json() for at in (WHOLE, ZOO)]
    assert facets[0]["columns"] == facets[1]["columns"] and facets[0]["matches"] == facets[1]["matches"]
    page = both.get(f"{WHOLE}/items", params={"where": "year >= 2000", "offset": 15, "limit": 9}).json()
    assert page["partial"] is False and all_in_their_shards(page["items"]) and len(page["items"]) == 9
    assert both.get(f"{WHOLE}/values/city", params={"prefix": "os"}).json()["values"][0]["value"] == "Oslo"
    vectors = [both.get(f"{at}/items/33", params={"vector": True}).json()["vector"] for at in (WHOLE, ZOO)]
    assert vectors[0] == vectors[1]
    maps = [np.frombuffer(both.get(f"{at}/map").content, "<f4") for at in (WHOLE, ZOO)]
    assert np.abs(maps[0] - maps[1]).max() < 1e-5
    views = [both.get(f"{at}/views/outliers").json() for at in (WHOLE, ZOO)]
    assert views[0]["pairs"] == views[1]["pairs"]


def test_what_they_are_and_can_is_said(both, parts):
    said = both.get(WHOLE).json()
    assert said["items"] == 60 and said["shards"] == ["shard-0", "shard-1", "shard-2"] and said["partial"] is False
    can = said["can"]
    assert (can["upload"], can["label"], can["write"], can["umap"], can["classify"], can["explain"]) == (
        True, False, False, False, False, False,
    )  # fmt: skip
    assert said["classes"] == ["cat", "dog", "owl"] and [c["name"] for c in said["columns"]][:2] == ["label", "year"]
    assert "shards" not in both.get(ZOO).json() and "lost" not in both.get(ZOO).json()
    assert [line["name"] for line in both.get("/api/spaces").json()["spaces"]] == ["zoo", "whole"]
    assert both.get("/healthz").json()["spaces"] == 2
    before = sorted(parts.rglob("*"))
    assert both.post(f"{WHOLE}/select", json={"name": "a", "where": "blurred"}).json()["stored"] is False
    found = both.post(f"{WHOLE}/search", json={"id": "3", "k": 60, "selection": "a"}).json()["hits"]
    assert found and all(hit["attributes"]["blurred"] for hit in found)
    assert sorted(parts.rglob("*")) == before, "something was written"


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("labels", {"id": "3", "label": "x"}, 403),
        ("labels/undo", {"undo": "x"}, 403),
        ("classify", {"id": "3"}, 501),
        ("explain", {"a": "3", "b": "4"}, 501),
        ("map?kind=umap", None, 501),
    ],
)
def test_what_is_not_done_for_shards_is_refused_with_the_remedy(both, path, asked, status):
    at = f"{WHOLE}/{path}"
    answer = both.get(at) if asked is None else both.post(at, json=asked)
    assert answer.status_code == status and answer.headers["content-type"] == "application/problem+json"
    assert "shards" in answer.json()["detail"] and "serve a shard by itself" in answer.json()["remedy"]


def test_a_lost_shard_is_named_in_every_answer_and_no_row_moves(both, parts, tmp_path):
    order = both.get(f"{WHOLE}/ids").headers["X-Rows"]
    (parts / "shard-1").rename(tmp_path / "away")
    found = both.post(f"{WHOLE}/search", json={"id": "3", "k": 50})
    said = found.json()
    assert said["partial"] is True and [one["space"] for one in said["lost"]] == ["shard-1"]
    assert str(tmp_path) not in found.text and "whole/shard-1/space.db" in said["lost"][0]["reason"]
    assert found.headers["X-Lost"] == '["shard-1"]' and found.headers["X-Rows"] == order
    assert len(said["hits"]) == 39 and {hit["space"] for hit in said["hits"]} == {"shard-0", "shard-2"}
    assert both.get(WHOLE).json()["lost"] == said["lost"] and both.get(f"{WHOLE}/facets").json()["partial"] is True
    assert both.get(f"{WHOLE}/ids").headers["X-Lost"] == '["shard-1"]'
    asks = both.post(f"{WHOLE}/search", json={"id": "25"})
    assert asks.status_code == 503 and asks.json()["type"] == "/problems/lost" and "shard-1" in asks.json()["detail"]
    metrics = both.get("/metrics").text
    assert 'semblance_shards_lost{space="whole"} 1' in metrics
    assert 'semblance_partial_answers_total{route="/api/spaces/{space}/search"} 1' in metrics
    (tmp_path / "away").rename(parts / "shard-1")  # brought back: no restart
    again = both.post(f"{WHOLE}/search", json={"id": "25", "k": 60})
    assert again.json()["partial"] is False and len(again.json()["hits"]) == 59 and "X-Lost" not in again.headers
    assert 'semblance_shards_lost{space="whole"} 0' in both.get("/metrics").text


def test_a_shard_that_is_damaged_within_is_found_out_by_a_search(both, parts):
    both.get(WHOLE)
    (segment,) = (parts / "shard-2" / "segments").iterdir()
    segment.write_bytes(segment.read_bytes()[:100])
    answer = both.post(f"{WHOLE}/search", json={"id": "3", "k": 50})
    assert [one["space"] for one in answer.json()["lost"]] == ["shard-2"] and answer.headers["X-Lost"] == '["shard-2"]'
    assert str(parts) not in answer.text and {hit["space"] for hit in answer.json()["hits"]} == {"shard-0", "shard-1"}


def test_shards_of_which_one_is_lost_from_the_start_are_served_and_grow_when_it_is_back(parts, open_client, tmp_path):
    (parts / "shard-0").rename(tmp_path / "away")
    client = open_client(parts)
    assert client.get(WHOLE).json()["items"] == 40
    assert client.post(f"{WHOLE}/search", json={"id": "30"}).json()["partial"] is True
    (tmp_path / "away").rename(parts / "shard-0")
    assert client.get(WHOLE).json()["items"] == 60
    assert client.post(f"{WHOLE}/search", json={"id": "30"}).json()["partial"] is False
    for name in ("shard-0", "shard-1", "shard-2"):
        shutil.rmtree(parts / name)
    answer = client.post(f"{WHOLE}/search", json={"id": "30"})
    assert answer.status_code in (500, 503) and "shard" in answer.json()["detail"]
    (parts / "shards.json").unlink()
    assert client.get(WHOLE).status_code == 410


def test_a_change_in_a_shard_is_told(both, parts):
    both.get(WHOLE)
    with Space(parts / "shard-1") as space:
        space.relabel("25", "wolf")
        space.remove(["26"])
    with Store.open(parts / "shard-0", write=True) as store:
        store.add(["new"], np.ones((1, 6), np.float32))
    said = both.get(WHOLE).json()
    assert said["items"] == 60 and "wolf" in said["classes"]
    assert both.get(f"{WHOLE}/items/25").json()["attributes"]["label"] == "wolf"
    assert both.get(f"{WHOLE}/items/26").status_code == 404
    hit = both.post(f"{WHOLE}/search", json={"vector": [1.0] * 6, "k": 1}).json()["hits"][0]
    assert (hit["id"], hit["position"], hit["space"]) == ("new", 20, "shard-0")


def test_columns_that_do_not_fit_are_named(parts, open_client):
    with Store.open(parts / "shard-1", write=True) as store:
        import pyarrow as pa

        store.update(["25"], pa.table({"mark": [3]}))
    with Store.open(parts / "shard-2", write=True) as store:
        store.update(["45"], pa.table({"mark": ["three"]}))
    answer = open_client(parts).get(WHOLE)
    assert (
        answer.status_code == 422
        and "column 'mark' is int64 in shard-1 and string in shard-2" in answer.json()["detail"]
    )


def test_pictures_come_from_their_shards(tmp_path, open_client):
    path = make(tmp_path / "pictures.space", 12, images=True)
    client = open_client(path, split(path, 2, tmp_path / "both.shards"))
    for id in ("a/3.png", "a/9.png"):
        ours, theirs = (client.get(f"/api/spaces/{at}/thumbnail", params={"id": id}) for at in ("both", "pictures"))
        assert ours.status_code == 200 and ours.content == theirs.content
    assert client.get("/api/spaces/both").json()["can"]["thumbnails"] is True
