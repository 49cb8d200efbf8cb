"""The OpenAPI document describes every address, and whatever is made from it is answered without a server error."""

from __future__ import annotations

import os

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from semblance.app.server.application import application
from tests.app.server.conftest import make

EXAMPLES = int(os.environ.get("SEMBLANCE_EXAMPLES", "12"))
BUILT_LATER = {501}
"""What is typed and not built yet; any other answer from 500 on is a fault."""


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    root = tmp_path_factory.mktemp("described")
    app = application([make(root / "zoo.space", 30), make(root / "pictures.space", 6, images=True)], root=root)
    from starlette.testclient import TestClient

    client = TestClient(app, base_url="http://localhost", raise_server_exceptions=True)
    with client:
        document = client.get("/openapi.json").json()
        yield client, document


def test_every_address_has_a_summary_and_its_errors(schema):
    _, document = schema
    paths = [path for path in document["paths"] if path.startswith("/api/spaces/{space}")]
    assert len(paths) > 15
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            assert said.get("description") or said.get("summary"), (method, path)
            assert "200" in said["responses"] or "204" in said["responses"] or "202" in said["responses"]
            if path.startswith("/api/spaces/{space}"):
                assert "410" in said["responses"], (method, path)


def test_the_examples_are_answered(schema):
    client, document = schema
    search = document["components"]["schemas"]["Search"]["properties"]
    assert search["where"]["examples"] and search["id"]["examples"]
    answer = client.post("/api/spaces/zoo/search", json={"id": search["id"]["examples"][0], "where": "year >= 2000"})
    assert answer.status_code == 200
    hit = answer.json()["hits"][0]
    schemas = document["components"]["schemas"]
    of_shards = {"space", "partial", "lost"}
    assert set(hit) == set(schemas["Hit"]["properties"]) - of_shards
    assert set(answer.json()) == set(schemas["Answer"]["properties"]) - of_shards
    item = client.get("/api/spaces/zoo/items/3?vector=true").json()
    assert set(item) == set(schemas["Item"]["properties"]) - of_shards


def test_whatever_is_asked_is_answered(schema):
    """Some requests for every address, from the document: bounded so that it takes seconds."""
    client, document = schema
    described = schemathesis.openapi.from_dict(document)
    asked = 0
    for result in described.get_all_operations():
        operation = result.ok()
        if operation.path in ("/api/jobs", "/api/login") and operation.method.upper() == "POST":
            continue  # starts work; test_working and test_guard hold them to their word
        if operation.path.endswith("/events"):
            continue

        @settings(
            max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @schemathesis_given(operation)
        def ask(case) -> None:
            nonlocal asked
            if "space" in (case.path_parameters or {}):
                case.path_parameters["space"] = ("zoo", "pictures")[asked % 2]
            answer = client.request(**request_of(case))
            asked += 1
            fault = answer.status_code >= 500 and answer.status_code not in BUILT_LATER
            assert not fault, (case.method, case.path, request_of(case), answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", answer.text

        ask()
    assert asked > 150


def schemathesis_given(operation):
    from hypothesis import given

    return given(case=operation.as_strategy())


def request_of(case) -> dict:
    """The request as it would go over the wire: schemathesis speaks to `requests`."""
    sent = case.as_transport_kwargs(base_url="http://localhost")
    known = ("method", "url", "params", "headers", "cookies", "json", "data", "files")
    ready = requests.Request(**{name: value for name, value in sent.items() if name in known}).prepare()
    return {"method": ready.method, "url": ready.url, "headers": dict(ready.headers), "content": ready.body}
