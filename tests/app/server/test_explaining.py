"""Why two items are near, over HTTP: shares that sum to the similarity, heat maps that show them, and clear refusals."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

import semblance as sb
from semblance.app.server.explaining import LESS, MORE, SIDE, heat
from semblance.data.load import load


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """120 scans in a space whose model pools a map."""
    path = tmp_path_factory.mktemp("explained") / "scans.space"
    data = load("digits")
    sb.fit(data.subset(np.arange(120)), recipe="supervised", epochs=1, width=4, least=1, out=path).close()
    return path


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    path = tmp_path_factory.mktemp("explained") / "rows.space"
    sb.fit(np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32), recipe="as-is", out=path).close()
    return path


def decoded(address: str) -> np.ndarray:
    kind, content = address.split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).astype(int)


def test_the_shares_of_a_pair_of_pictures_sum_to_its_similarity(pictures, open_client):
    client = open_client(pictures)
    assert client.get("/api/spaces/scans").json()["can"]["explain"]
    ids = client.get("/api/spaces/scans/items?limit=2").json()["items"]
    a, b = (item["id"] for item in ids)
    said = client.post("/api/spaces/scans/explain", json={"a": a, "b": b}).json()
    found = sb.explain(pictures, a, b)
    assert said["items"] == [a, b] and said["sentence"] == str(found)
    assert said["similarity"] == pytest.approx(found.similarity, abs=1e-6)
    assert [one["item"] for one in said["completeness"]] == [a, b]
    for one in said["completeness"]:
        assert one["sum"] == pytest.approx(said["similarity"], abs=1e-4) and abs(one["gap"]) < 1e-4
    for side in said["sides"]:
        assert decoded(side["heat"]).shape == (SIDE, SIDE, 3)
    assert said["faithful"] in (True, False)
    quick = client.post("/api/spaces/scans/explain", json={"a": a, "b": b, "curve": False}).json()
    assert quick["faithful"] is None and quick["similarity"] == said["similarity"]


def test_a_heat_map_is_red_where_shares_are_above_zero_and_blue_below():
    shares = np.array([[1.0, 0.0], [-1.0, 0.5]])
    seen = decoded(heat(np.zeros((4, 4)), shares, 1.0))
    at = {(r, c): seen[64 + 128 * r, 64 + 128 * c] for r in (0, 1) for c in (0, 1)}
    for cell, colour in (((0, 0), MORE), ((1, 0), LESS)):
        assert np.corrcoef(at[cell], colour)[0, 1] > 0.999 and np.ptp(at[cell]) > 0.5 * np.ptp(colour)
    assert np.ptp(at[0, 1]) == 0  # grey
    assert at[0, 0][0] > at[1, 1][0] > at[1, 1][2]
    assert decoded(heat(np.zeros((4, 8, 3)), np.zeros((1, 2)), 0.0)).shape == (SIDE // 2, SIDE, 3)


def test_numbers_are_explained_by_their_columns_without_a_heat_map(numbers, open_client):
    said = open_client(numbers).post("/api/spaces/rows/explain", json={"a": "3", "b": "4"}).json()
    assert all(side["heat"] is None and side["parts"] for side in said["sides"])
    assert all(abs(one["gap"]) < 1e-4 for one in said["completeness"])


class Shut(torch.nn.Module):
    """The same encoder, through which no gradient flows and no map is seen."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.dim, self.geometry = inner, inner.dim, inner.geometry

    def embed(self, batch):
        with torch.no_grad():
            return self.inner.embed(batch)


def test_a_model_without_gradients_is_refused_with_the_method_that_still_works(pictures, open_client):
    client = open_client(pictures)
    model = client.server.spaces["scans"].space.model
    model.network.encoder = Shut(model.network.encoder)
    a, b = (item["id"] for item in client.get("/api/spaces/scans/items?limit=2").json()["items"])
    refused = client.post("/api/spaces/scans/explain", json={"a": a, "b": b, "method": "integrated"})
    assert refused.status_code == 422 and refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert problem["type"] == "/problems/bad-request" and "gradients" in problem["detail"]
    assert problem["remedy"] == "use method occlusion"
    other = client.post(
        "/api/spaces/scans/explain", json={"a": a, "b": b, "method": "occlusion", "curve": False}
    ).json()
    assert other["method"] == "occlusion" and other["completeness"] == []
    assert client.post("/api/spaces/scans/explain", json={"a": a, "b": b}).json()["method"] == "occlusion"


def test_what_cannot_be_explained_is_a_problem_with_its_remedy(pictures, folder, open_client):
    client = open_client(pictures, folder)
    lost = client.post("/api/spaces/scans/explain", json={"a": "0", "b": "no such"})
    assert lost.status_code == 404
    method = client.post("/api/spaces/scans/explain", json={"a": "0", "b": "1", "method": "celss"})
    assert method.status_code == 404 and "cells" in method.json()["remedy"]
    assert not client.get("/api/spaces/zoo").json()["can"]["explain"]
    without = client.post("/api/spaces/zoo/explain", json={"a": "1", "b": "2"})
    assert without.status_code == 501 and "votes" in without.json()["remedy"]
