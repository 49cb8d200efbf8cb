"""Ready-made views find what was planted, and their border is the border."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from semblance.app.server import neighbourhoods, views
from semblance.memory.store import Store
from tests.app.server.conftest import KINDS, make


@pytest.fixture
def planted(tmp_path):
    """Two twins (7 and 55), one far item (20), one wrong label (31), in clusters that are otherwise clean."""
    path = make(tmp_path / "planted.space", 60, geometry="euclidean")
    with Store.open(path, write=True) as store:
        vectors = np.array(store.vectors())
        vectors[55] = vectors[7] + 1e-5
        vectors[20] += 5
        table = store.attributes()
        label = [KINDS[n % 3] for n in range(60)]
        label[55], label[31] = label[7], "owl"
        table = table.set_column(0, "label", pa.array(label))
        ids = store.ids()
        store.remove(ids)
        store.add(ids, vectors, table)
    return path


@pytest.mark.parametrize(("name", "first"), [("duplicates", {"7", "55"}), ("outliers", {"20"}), ("suspects", {"31"})])
def test_what_was_planted_comes_first(planted, open_client, name, first):
    said = open_client(planted).get(f"/api/spaces/planted/views/{name}").json()
    top = said["pairs"][0]
    assert {top["id"], top["other"]} == first if name == "duplicates" else top["id"] in first
    if name == "suspects":
        assert (top["label"], top["voted"]) == ("owl", "dog") and top["score"] < 0.2


@pytest.mark.parametrize("name", ["duplicates", "outliers"])
def test_the_border_parts_what_passes_from_what_does_not(planted, open_client, name):
    client = open_client(planted)
    every = client.get(f"/api/spaces/planted/views/{name}").json()
    at = float(np.mean(every["range"]))
    said = client.get(f"/api/spaces/planted/views/{name}", params={"threshold": at, "limit": 1000}).json()
    passes = (lambda s: s <= at) if name == "duplicates" else (lambda s: s >= at)
    assert all(passes(pair["score"]) for pair in said["pairs"]) and len(said["pairs"]) == said["total"]
    assert said["border"]["inside"] == said["pairs"][-6:]
    assert said["border"]["outside"] and not any(passes(pair["score"]) for pair in said["border"]["outside"])
    assert [count for _, count in said["scale"]] == sorted(count for _, count in said["scale"])


@pytest.mark.parametrize("count", [2, 60, 700])
@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
def test_near_duplicates_open_on_the_nearest_hundredth_of_the_items_and_never_empty(
    tmp_path, open_client, geometry, count
):
    path = make(tmp_path / "s.space", count, geometry=geometry)
    said = open_client(path).get("/api/spaces/s/views/duplicates?limit=1000").json()
    assert said["threshold"] == said["default"] and "hundred" in said["why"]
    assert 1 <= said["total"] == len(said["pairs"]) <= max(1, round(0.01 * count) + 1)
    with Store.open(path) as store:
        near = neighbourhoods.everybody(store.view.source, geometry)[1][:, 0]
    assert 1 <= (near <= said["default"]).sum() <= max(2, 0.01 * count + 2)


def test_a_view_of_one_item_has_nothing_to_show(tmp_path, open_client):
    client = open_client(make(tmp_path / "s.space", 1))
    assert client.get("/api/spaces/s/views/duplicates").json()["total"] == 0
    assert client.get("/api/spaces/s/views/outliers").json()["total"] == 0


@pytest.mark.parametrize("geometry", ["cosine", "euclidean", "hyperbolic"])
def test_everybodys_neighbours_are_those_of_a_plain_loop(tmp_path, geometry, monkeypatch):
    monkeypatch.setattr(neighbourhoods, "BLOCK", 7)
    path = make(tmp_path / "s.space", 30, geometry="cosine")
    with Store.open(path, write=True) as store:
        vectors = 0.3 * np.array(store.vectors())
        store.commit_space(ids=store.ids(), vectors=vectors, geometry=geometry)
        positions, distances = neighbourhoods.everybody(store.view.source, geometry)
    from semblance.geometry.spaces import space_named

    ways = space_named(geometry)
    z = ways.prepare(vectors).astype(np.float64)
    for i in range(30):
        far = np.array([np.inf if j == i else ways.distance(z[i : i + 1], z[j : j + 1])[0, 0] for j in range(30)])
        assert np.allclose(distances[i], np.sort(far)[:10], atol=1e-4)
        assert i not in positions[i] and np.allclose(far[positions[i]], distances[i], atol=1e-4)


def test_suspects_are_counted_as_in_a_plain_loop():
    draw = np.random.default_rng(0)
    positions = np.array([draw.permutation(np.delete(np.arange(12), i))[:4] for i in range(12)])
    codes = draw.integers(-1, 3, 12)
    found = neighbourhoods.suspects((positions, np.zeros((12, 4), np.float32)), codes, 3)
    plain = {}
    for i in range(12):
        votes = np.zeros(3)
        for rank, j in enumerate(positions[i]):
            if codes[j] >= 0:
                votes[codes[j]] += 1 / (2 + rank)
        if codes[i] >= 0 and votes.sum() and votes[codes[i]] < votes.max():
            plain[i] = votes[codes[i]] / votes.sum()
    assert dict(zip(found.pairs.item.tolist(), found.pairs.score.tolist(), strict=True)) == pytest.approx(plain)
    assert found.pairs.score.tolist() == sorted(found.pairs.score.tolist())


def test_many_items_wait_for_a_job_that_finds_the_same(tmp_path, open_client, monkeypatch):
    import time

    path = make(tmp_path / "s.space", 40)
    at_once = open_client(path).get("/api/spaces/s/views/duplicates?threshold=0.05").json()
    for stored in (path / "maps").glob("*neighbours*"):
        stored.unlink()
    monkeypatch.setattr(views, "AT_ONCE", 10)
    client = open_client(path)
    answer = client.get("/api/spaces/s/views/duplicates?threshold=0.05")
    assert answer.status_code == 202
    place = answer.json()["href"]
    assert client.get("/api/spaces/s/views/outliers").json()["job"]["id"] == answer.json()["job"]["id"]
    end = time.monotonic() + 120
    while client.get(place).json()["state"] in ("queued", "running"):
        assert time.monotonic() < end
        time.sleep(0.2)
    found = client.get("/api/spaces/s/views/duplicates?threshold=0.05").json()
    assert found == at_once


def test_two_spaces_are_compared_by_the_items_they_share(tmp_path, open_client):
    a, b = make(tmp_path / "a.space", 60), make(tmp_path / "b.space", 40, seed=0)
    other = make(tmp_path / "c.space", 60, seed=5)
    client = open_client(a, b, other)
    same = client.post("/api/compare", json={"a": "a", "b": "a"}).json()
    assert same["cka"] == pytest.approx(1, abs=1e-4) and same["overlap"]["value"] == 1 and same["common"] == 60
    differs = client.post("/api/compare", json={"a": "a", "b": "c"}).json()
    assert differs["overlap"]["value"] < 0.8 and differs["figures"]["neighbours"]["null"] < 0.5
    partly = client.post("/api/compare", json={"a": "a", "b": "b"}).json()
    assert partly["common"] == 40 and len(partly["per_item"]["overlap"]) == 40
    assert client.post("/api/compare", json={"a": "a", "b": "nowhere"}).status_code == 404
