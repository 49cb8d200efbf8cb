"""Reading: rows as bytes, maps, masks, facets, items and pictures are what the space holds, in one order."""

from __future__ import annotations

import io
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from semblance.app.server import derived, projection
from semblance.app.server.facets import between
from semblance.memory.store import Store
from semblance.space.space import Space
from tests.app.server.conftest import framed, make, picture

ZOO = "/api/spaces/zoo"


def test_a_space_says_what_it_is_and_what_can_be_asked(client):
    (line,) = client.get("/api/spaces").json()["spaces"]
    said = client.get(ZOO).json()
    assert (line["name"], line["items"], line["dim"], line["geometry"], line["error"]) == ("zoo", 60, 6, "cosine", None)
    assert line["can"] == {
        "explain": False,
        "classify": True,
        "upload": True,
        "label": True,
        "write": True,
        "thumbnails": False,
        "umap": True,
    }
    kinds = {column["name"]: column["kind"] for column in said["columns"]}
    told = "label category, year number, weight number, blurred boolean, taken time, city category, boxes list"
    assert kinds == dict(pair.split() for pair in told.split(", "))
    by_name = {column["name"]: column for column in said["columns"]}
    assert by_name["label"]["nulls"] == 6 and by_name["label"]["distinct"] == 3
    assert by_name["taken"]["min"].startswith("2020-09-13") and by_name["year"]["max"] == 2024


def test_ids_and_columns_stand_in_the_order_of_the_rows(client, folder):
    answer = client.get(f"{ZOO}/ids")
    assert answer.headers["X-Ids"] == "int32"
    ids = [str(n) for n in np.frombuffer(answer.content, "<i4")]
    with Store.open(folder) as store:
        assert ids == store.ids()
        table = store.attributes()
    head, codes = framed(client.get(f"{ZOO}/column/label").content)
    words = [None if c == head["missing"] else head["vocabulary"][c] for c in codes]
    assert words == table["label"].to_pylist() and head["counts"] == [Counter(words)[w] for w in head["vocabulary"]]
    _, years = framed(client.get(f"{ZOO}/column/year").content)
    assert [None if np.isnan(y) else int(y) for y in years] == table["year"].to_pylist()
    head, times = framed(client.get(f"{ZOO}/column/taken").content)
    assert head["dtype"] == "float64" and times[1] - times[0] == 86_400
    _, truths = framed(client.get(f"{ZOO}/column/blurred").content)
    assert truths.tolist() == [int(b) for b in table["blurred"].to_pylist()]
    assert client.get(f"{ZOO}/column/boxes").status_code == 422


@pytest.mark.parametrize(("low", "high"), [(0, 0), (3, 9), (0, 19), (0, 20), (-7, 93), (1, 1797), (0, 10**7)])
def test_bins_of_whole_numbers_hold_as_many_each_so_that_even_counts_look_even(low, high):
    edges = between(float(low), float(high), 20, whole=True)
    widths = np.diff(edges)
    assert len(widths) <= 20 and (widths == widths[0]).all() and widths[0] == int(widths[0])
    assert edges[0] == low and edges[-2] <= high < edges[-1]
    counts = np.histogram(np.arange(low, min(high, low + 10**5) + 1), edges)[0]
    assert high > 10**5 or (counts[:-1] == counts[0]).all()


def test_ids_that_are_no_numbers_come_as_a_list(tmp_path, open_client):
    client = open_client(make(tmp_path / "pictures.space", 5, images=True))
    answer = client.get("/api/spaces/pictures/ids")
    assert answer.headers["X-Ids"] == "json" and answer.json() == [f"a/{n}.png" for n in range(5)]


@pytest.mark.parametrize(
    "ids", [["1", "01"], ["-1"], ["1.0"], ["2147483648"], ["12345678901234"], ["", "1"], ["１"], ["1 "]]
)
def test_only_ids_that_read_back_the_same_are_sent_as_numbers(ids):
    from semblance.app.server.listing import whole_numbers

    assert whole_numbers(ids) is None
    assert whole_numbers(["0", "2147483647"]) == np.array([0, 2**31 - 1], "<i4").tobytes()


def test_numbers_that_float32_would_merge_come_as_float64(tmp_path, open_client):
    import pyarrow as pa

    path = tmp_path / "large.space"
    with Store.create(path, dim=1, geometry="euclidean", domain="vectors", manifest={}) as store:
        store.add(["a", "b"], np.ones((2, 1), np.float32), pa.table({"n": [2**24 + 1, 2**24 + 2], "m": [1, 2]}))
    client = open_client(path)
    head, values = framed(client.get("/api/spaces/large/column/n").content)
    assert head["dtype"] == "float64" and values.tolist() == [2**24 + 1, 2**24 + 2]
    assert framed(client.get("/api/spaces/large/column/m").content)[0]["dtype"] == "float32"


@pytest.mark.parametrize(
    "where", ["year >= 2000 and city = 'Oslo'", "label is null", "blurred or weight > 0", "id in ('3', '59')"]
)
def test_a_mask_holds_the_rows_that_sqlite_finds(client, folder, where):
    answer = client.post(f"{ZOO}/mask", json={"where": where})
    bits = np.unpackbits(np.frombuffer(answer.content, np.uint8), bitorder="little", count=60)
    with Store.open(folder) as store:
        assert np.flatnonzero(bits).tolist() == store.rows_where(where).tolist()
    assert int(answer.headers["X-Matches"]) == bits.sum() and len(answer.content) == 8


def test_facets_count_what_matches_and_lose_nothing(client, folder):
    where = "weight > 0"
    said = client.get(f"{ZOO}/facets", params={"where": where, "bins": 7}).json()
    with Store.open(folder) as store:
        every, inside = store.attributes(), store.attributes(where=where)
    assert (said["items"], said["matches"]) == (60, inside.num_rows)
    label = said["columns"]["label"]
    assert {v["value"]: v["matching"] for v in label["values"]} == {
        w: Counter(inside["label"].to_pylist())[w] for w in ("cat", "dog", "owl")
    }
    assert label["missing"] == {"total": 6, "matching": inside["label"].null_count}
    for name in ("year", "weight", "taken"):
        found = said["columns"][name]
        assert len(found["edges"]) == len(found["total"]) + 1 <= 8
        assert sum(found["total"]) + found["missing"]["total"] == 60
        assert sum(found["matching"]) + found["missing"]["matching"] == inside.num_rows
        values = np.array([v for v in every[name].to_pylist() if v is not None], dtype=object)
        if name == "year":
            expected, _ = np.histogram(values.astype(float), found["edges"])
            assert found["total"] == expected.tolist()
    assert set(client.get(f"{ZOO}/facets", params={"columns": "city"}).json()["columns"]) == {"city"}
    assert client.get(f"{ZOO}/facets", params={"columns": "town"}).status_code == 404


def test_words_are_completed_from_their_beginning_first(client):
    said = client.get(f"{ZOO}/values/city", params={"prefix": "O"}).json()["values"]
    assert said[0]["value"] == "Oslo" and "Bergen" not in [v["value"] for v in said]
    assert [v["value"] for v in client.get(f"{ZOO}/values/city", params={"prefix": "sø"}).json()["values"]] == [
        "Tromsø"
    ]
    assert client.get(f"{ZOO}/values/year").status_code == 422


def test_items_come_by_id_and_by_condition_with_their_place(client, folder):
    found = client.get(f"{ZOO}/items/17", params={"vector": True}).json()
    with Space(folder) as space:
        assert found["attributes"]["city"] == space.attributes(["city"])["city"][17].as_py()
        assert found["vector"] == space.vectors[17].tolist()
        matches = space.store.ids(space.store.rows_where("year > 2010"))
    assert found["position"] == 17 and found["attributes"]["boxes"] == [17, 18]
    page = client.get(f"{ZOO}/items", params={"where": "year > 2010", "limit": 4, "offset": 3}).json()
    assert [item["id"] for item in page["items"]] == matches[3:7] and page["matches"] == len(matches)
    assert client.get(f"{ZOO}/item", params={"id": "17"}).json()["id"] == "17"
    assert client.get(f"{ZOO}/items/nobody").status_code == 404
    assert client.get(f"{ZOO}/items", params={"limit": 501}).status_code == 422


def test_pictures_are_the_items_own_also_under_a_filter(tmp_path, open_client):
    client = open_client(make(tmp_path / "pictures.space", 12, images=True))
    space = "/api/spaces/pictures"
    page = client.get(f"{space}/items", params={"where": "blurred"}).json()
    for item in page["items"]:
        number = int(item["id"][2:-4])
        assert client.get(item["thumbnail"]).content == picture(4 * number)
    small = Image.open(io.BytesIO(client.get(f"{space}/thumbnails/a/3.png", params={"size": 16}).content))
    assert small.size == (12, 8)  # none is enlarged
    answer = client.get(f"{space}/thumbnails/a/3.png")
    again = client.get(f"{space}/thumbnails/a/3.png", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    answer = client.post(f"{space}/sheet", json={"ids": ["a/1.png", "nobody", "a/2.png"], "size": 16})
    said = json.loads(answer.headers["X-Sheet"])
    assert said == {"columns": 2, "rows": 2, "size": 16, "empty": [1]}
    sheet = Image.open(io.BytesIO(answer.content))
    assert sheet.size == (32, 32)
    assert [sheet.getpixel(at)[0] for at in ((8, 8), (8, 24))] == [4, 8] and sheet.getpixel((24, 8))[3] == 0


def test_a_picture_is_made_smaller_and_never_other(tmp_path):
    from semblance.app.server.items import shrunk

    large = picture(9, (96, 48))
    assert shrunk(large, 96) is large
    assert Image.open(io.BytesIO(shrunk(large, 32))).size == (32, 16)


@pytest.mark.parametrize(("count", "dim"), [(40, 5), (7, 12)])
def test_the_map_by_pca_is_that_of_the_definition(tmp_path, open_client, count, dim):
    path = make(tmp_path / "flat.space", count, dim, "euclidean")
    answer = open_client(path).get("/api/spaces/flat/map")
    xy = np.frombuffer(answer.content, "<f4").reshape(2, -1)
    with Store.open(path) as store:
        vectors = np.asarray(store.vectors(), np.float64)
    centred = vectors - vectors.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    plain = (centred @ axes[:2].T).T
    for found, true in zip(xy, plain, strict=True):
        assert abs(np.corrcoef(found, true)[0, 1]) > 1 - 1e-6
    # One scale for both axes, and the longer one fills it.
    assert np.ptp(xy[0]) / np.ptp(xy[1]) == pytest.approx(np.ptp(plain[0]) / np.ptp(plain[1]), rel=1e-4)
    assert np.abs(xy).max() == pytest.approx(1, abs=1e-6)


def test_a_second_start_computes_no_map_again(folder, open_client, monkeypatch):
    first = open_client(folder).get(f"{ZOO}/map").content
    monkeypatch.setattr(projection, "pca", lambda *_: pytest.fail("computed again"))
    assert open_client(folder).get(f"{ZOO}/map").content == first
    (stored,) = (folder / "maps").iterdir()
    stored.write_bytes(b"no map at all")
    monkeypatch.undo()
    assert open_client(folder).get(f"{ZOO}/map").content == first


def test_a_map_of_other_vectors_is_never_taken_and_goes_with_them(folder, open_client):
    client = open_client(folder)
    first = client.get(f"{ZOO}/map")
    with Store.open(folder, write=True) as store:
        store.update(["1"], store.attributes(["label"]).slice(0, 1))  # a label is no vector
    assert open_client(folder).get(f"{ZOO}/map").headers["ETag"] == first.headers["ETag"]
    with Store.open(folder, write=True) as store:
        store.add(["new"], np.ones((1, 6), np.float32))
    other = open_client(folder).get(f"{ZOO}/map")
    assert other.headers["ETag"] != first.headers["ETag"] and len(other.content) == len(first.content) + 8
    assert len(list((folder / "maps").iterdir())) == 1
    with Store.open(folder, write=True) as store:
        store.remove(["new"])
        store.compact()
    assert not list((folder / "maps").iterdir()), "coordinates of a removed item are left"


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_items_have_a_picture(tmp_path, open_client, count):
    client = open_client(make(tmp_path / "few.space", count))
    space = "/api/spaces/few"
    assert np.isfinite(np.frombuffer(client.get(f"{space}/map").content, "<f4")).sum() == 2 * count
    assert client.get(f"{space}/map?kind=umap").status_code == (200 if count == 0 else 422)
    assert client.get(f"{space}/facets").json()["items"] == count
    assert client.get(space).json()["items"] == count
    assert len(client.get(f"{space}/ids").content) == 4 * count
    for view in ("duplicates", "outliers", "suspects"):
        assert client.get(f"{space}/views/{view}").json()["total"] <= count
    for name in ("label", "year", "taken", "blurred", "city"):
        assert len(framed(client.get(f"{space}/column/{name}").content)[1]) == count


def test_items_outside_the_layout_lie_among_their_nearest(tmp_path):
    path = make(tmp_path / "s.space", 30, geometry="euclidean")
    with Store.open(path) as store:
        vectors = store.view.source
        rows = np.arange(0, 30, 2)
        layout = np.eye(3, 2, dtype=np.float32)[rows % 3] * 10  # the clusters' places
        found = projection.placed(vectors, rows, layout, "euclidean")
    assert np.allclose(found, np.eye(3, 2)[np.arange(30) % 3] * 10, atol=1e-4)


def test_a_sample_gives_nearly_the_plane_of_all(tmp_path, monkeypatch):
    path = make(tmp_path / "s.space", 300)
    with Store.open(path) as store:
        every, said = projection.pca(store.view.source)
        monkeypatch.setattr(projection, "SAMPLE", 150)
        some, told = projection.pca(store.view.source)
    assert (said["fitted"], told["fitted"]) == (300, 150)
    # The two directions vary alike here, so that each sample turns them: what lies near what has to stay.
    apart = [np.linalg.norm(xy[:, :, None] - xy[:, None], axis=0).ravel() for xy in (every, some)]
    assert np.corrcoef(*apart)[0, 1] > 0.99


def test_where_nothing_may_be_written_the_map_lies_in_the_users_cache(folder, open_client, monkeypatch, tmp_path):
    monkeypatch.setenv("SEMBLANCE_CACHE", str(tmp_path / "cache"))
    client = open_client(folder, read_only=True)
    first = client.get(f"{ZOO}/map").content
    assert not (folder / "maps").exists() and list((tmp_path / "cache" / "maps").rglob("*.safetensors"))
    monkeypatch.setattr(projection, "pca", lambda *_: pytest.fail("computed again"))
    assert open_client(folder, read_only=True).get(f"{ZOO}/map").content == first


def test_a_derived_file_is_whole_or_not_there(tmp_path):
    derived.write(tmp_path, "pca", "k", {"x": np.arange(3.0)}, {"items": 3})
    found = derived.read((tmp_path / "elsewhere", tmp_path), "pca", "k")
    assert found is not None and found[0]["x"].tolist() == [0, 1, 2] and found[1] == {"items": 3}
    assert derived.read((tmp_path,), "umap", "k") is None


def test_every_answer_about_rows_names_their_order_and_the_version(client):
    paths = ["ids", "map", "column/city", "facets", "items", "items/3"]
    seen = {(a.headers["X-Rows"], a.headers["X-Version"]) for a in (client.get(f"{ZOO}/{p}") for p in paths)}
    seen.add(tuple(client.post(f"{ZOO}/mask", json={"where": "blurred"}).headers[h] for h in ("X-Rows", "X-Version")))
    assert len(seen) == 1
    answer = client.get(f"{ZOO}/ids")
    assert client.get(f"{ZOO}/ids", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_health_and_metrics_are_there_for_who_watches(client):
    assert client.get("/healthz").json()["status"] == "ok"
    for _ in range(3):
        client.get(f"{ZOO}/items/3")
    client.get(f"{ZOO}/items/nobody")
    text = client.get("/metrics").text
    route = 'route="/api/spaces/{space}/items/{id:path}"'
    assert f'semblance_requests_total{{method="GET",{route},status="200"}} 3' in text
    assert f'semblance_requests_total{{method="GET",{route},status="404"}} 1' in text
    assert 'semblance_items{space="zoo"} 60' in text and "process_resident_memory_bytes" in text
    for line in text.splitlines():
        assert line.startswith("#") or float(line.rpartition(" ")[2]) >= 0
