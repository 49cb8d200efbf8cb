"""Searching over HTTP finds what the space finds, says how, and votes as the space votes."""

from __future__ import annotations

import io

import numpy as np
import pytest

import semblance as sb
from semblance.app.server import decoding
from semblance.space.space import Space
from tests.app.server.conftest import make, picture

ZOO = "/api/spaces/zoo"


@pytest.mark.parametrize("where", [None, "city = 'Oslo'", "id <> '3'", "year is null"])
def test_a_search_answers_as_the_space_does(client, folder, where):
    with Space(folder) as space:
        for query in ("17", space.vectors[4] + 0.1):
            true = space.search(query, k=7, where=where)
            asked = {"id": query} if isinstance(query, str) else {"vector": query.tolist()}
            said = client.post(f"{ZOO}/search", json={**asked, "k": 7, "where": where}).json()
            assert [hit["id"] for hit in said["hits"]] == true.ids
            distances = [hit["distance"] for hit in true.results]
            assert [hit["distance"] for hit in said["hits"]] == pytest.approx(distances, abs=1e-6)
            assert (said["matches"], said["recall"]) == (true.matches, true.recall)
            assert said["hits"][0]["attributes"]["city"] == true.results[0]["attributes"]["city"]


def test_a_selection_narrows_a_search(client, folder):
    client.post(f"{ZOO}/select", json={"name": "few", "ids": ["3", "17", "20", "41"]})
    said = client.post(f"{ZOO}/search", json={"id": "17", "selection": "few", "where": "id <> '41'"}).json()
    with Space(folder) as space:
        true = space.search("17", where="id in ('3', '20')").ids
    assert [hit["id"] for hit in said["hits"]] == true and said["matches"] == 2
    assert "selection 'few'" in said["plan"]
    assert client.post(f"{ZOO}/search", json={"id": "17", "selection": "none"}).status_code == 404


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"id": "nobody"}, 404, "no item 'nobody'"),
        ({"vector": [1.0]}, 422, "1 numbers and the space 6"),
        ({"vector": []}, 422, "0 numbers"),
        ({"vector": [1e300] * 6}, 422, "infinity"),
        ({"id": "1", "vector": [1.0]}, 422, "one of id, vector and text"),
        ({}, 422, "one of id, vector and text"),
        ({"id": "1", "k": 0}, 422, "greater than or equal to 1"),
        ({"id": "1", "recall": 2}, 422, "recall"),
        ({"id": "1", "where": "nope = 1"}, 422, "nope"),
        ({"text": "a cat"}, 501, "text"),
    ],
)
def test_what_cannot_be_searched_for_is_said(client, asked, status, says):
    answer = client.post(f"{ZOO}/search", json=asked)
    assert answer.status_code == status and says in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_votes_are_the_spaces_votes(client, folder):
    with Space(folder) as space:
        for query, asked in (("17", {"id": "17"}), (space.vectors[4], {"vector": space.vectors[4].tolist()})):
            true = space.vote(query, k=5, votes="softmax", where="blurred")
            said = client.post(f"{ZOO}/classify", json={**asked, "k": 5, "votes": "softmax", "where": "blurred"}).json()
            assert said["label"] == true.label and said["share"] == pytest.approx(true.share)
            assert [(v["id"], v["label"]) for v in said["neighbours"]] == [(v.id, v.label) for v in true.neighbours]
            assert [v["position"] for v in said["neighbours"]] == [int(v.id) for v in true.neighbours]


def npy(array: np.ndarray) -> bytes:
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


def test_a_vector_in_a_file_is_searched_for_like_one_in_the_question(client):
    vector = np.arange(6, dtype=np.float32)
    said = client.post(f"{ZOO}/search/upload", files={"file": ("q.npy", npy(vector))}, data={"k": "3"}).json()
    plain = client.post(f"{ZOO}/search", json={"vector": vector.tolist(), "k": 3}).json()
    assert [hit["id"] for hit in said["hits"]] == [hit["id"] for hit in plain["hits"]]
    assert said["thumbnail"] is None and len(said["vector"]) == 6


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A space of images with a model, trained for a moment."""
    folder = tmp_path_factory.mktemp("learned")
    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 255, (40, 3, 16, 16), dtype=np.uint8)
    labels = [["dark", "light"][n % 2] for n in range(40)]
    with sb.fit(pictures, "supcon", labels=labels, out=folder / "drawn.space", epochs=1, batch=16) as space:
        assert len(space) == 40
    return folder / "drawn.space"


def test_an_uploaded_image_is_found_as_its_file_is(learned, open_client, tmp_path):
    client = open_client(learned)
    file = tmp_path / "query.png"
    file.write_bytes(picture(120, (40, 28)))
    answer = client.post(
        "/api/spaces/drawn/search/upload", files={"file": ("x.png", file.read_bytes())}, data={"k": "4"}
    )
    said = answer.json()
    with Space(learned) as space:
        assert [hit["id"] for hit in said["hits"]] == space.search(str(file), k=4).ids
        assert np.allclose(said["vector"], space.embed(file)[1][0], atol=1e-5)
    assert said["thumbnail"].startswith("data:image/png;base64,")
    voted = client.post("/api/spaces/drawn/classify", json={"vector": said["vector"]}).json()
    assert voted["label"] in ("dark", "light")


def test_a_space_without_a_model_takes_no_picture(tmp_path, open_client):
    client = open_client(make(tmp_path / "p.space", 5, images=True))
    answer = client.post("/api/spaces/p/search/upload", files={"file": ("x.png", picture(1))})
    assert answer.status_code == 415 and "no model" in answer.json()["detail"]


def test_decoding_gives_what_the_library_decodes():
    from semblance.data.pictures import decode

    content = picture(77, (50, 30))
    pixels, small = decoding.image(content, (3, 16, 16))
    assert np.array_equal(pixels, decode(content, (16, 16), 3)) and small.startswith(b"\x89PNG")
