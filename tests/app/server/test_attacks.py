"""Attacks: what somebody who means harm sends is refused with a clear answer, and nothing is lost or told."""

from __future__ import annotations

import io
import json
import struct
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

import semblance
from semblance.app.server import decoding
from semblance.app.server.guard import SENT, UPLOAD
from semblance.app.server.problems import Problem
from semblance.memory.store import Store
from tests.app.server.conftest import make

ZOO = "/api/spaces/zoo"
OUTSIDE = (
    *(
        "../../../etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "....//....//etc/passwd",
        "/etc/passwd",
    ),
    *(
        "..\\..\\etc\\passwd",
        "%00",
        "a%00.js",
        "..",
        ".",
        "~root/.ssh/id_rsa",
        "file:///etc/passwd",
        "%ff%fe",
        "x" * 5000,
    ),
)


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file but what is derived."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "maps" not in path.parts and not path.name.endswith(("-shm", "-wal"))
    }


def is_problem(answer) -> bool:
    """A refusal that says what is wrong, and nothing about the machine."""
    said = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(said) >= {"type", "title", "status", "detail"} and said["status"] == answer.status_code
    assert "Traceback" not in answer.text and "site-packages" not in answer.text
    return 400 <= answer.status_code < 500


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize(
    "where",
    [
        "/assets/{}",
        "/{}.js",
        f"{ZOO}/thumbnails/{{}}",
        f"{ZOO}/items/{{}}",
        f"{ZOO}/selections/{{}}",
        "/api/rankings/{}",
    ],
)
def test_no_address_leads_out_of_what_is_served(client, where, path):
    answer = client.get(where.format(path))
    assert "root:" not in answer.text
    # A client resolves `..` itself, and asks for something else that there is.
    assert path.startswith("../") or (answer.status_code == 200 and path in ("..", ".")) or is_problem(answer)


@pytest.mark.parametrize(
    "name", ["../secret", "..", "/tmp/secret", "a/b", "a\\b", "nul\0", ".hidden", "", "x" * 300, "a\nb"]
)
def test_no_selection_is_written_or_read_outside_its_folder(client, folder, name):
    before = content_of(folder.parent)
    assert is_problem(client.post(f"{ZOO}/select", json={"name": name, "ids": ["1"]}))
    assert content_of(folder.parent) == before


@pytest.mark.parametrize(
    "data", ["../zoo.space", "/etc", "..", ".", "", "~", "/etc/passwd", "link", "hf://a/b", "a\0b", "-o", "--out=x"]
)
def test_a_job_reads_and_writes_in_its_folder_only(folder, open_client, tmp_path, data):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to("/etc")
    client = open_client(folder, root=root)
    assert is_problem(client.post("/api/jobs", json={"kind": "fit", "data": data}))
    for name in ("../up", "/tmp/up", "a/b", ".x", "-x"):
        assert is_problem(client.post("/api/jobs", json={"kind": "fit", "data": "digits", "name": name}))
    assert client.get("/api/jobs").json()["jobs"] == [] and [path.name for path in root.iterdir()] == ["link"]


@pytest.mark.parametrize(
    "where",
    [
        "1=1; DROP TABLE items",
        "year > 2000; DELETE FROM items --",
        "id = '' OR 1=1",
        "id in (select id from items)",
        "year = (select count(*) from sqlite_master)",
        "load_extension('x')",
        "year > 2000 union select 1",
        "a0 = 1",
        "exists(select 1)",
        "'a' = 'a'",
        "id like '%' escape 'xx'",
        "year > 1e999999 and /* */ 1",
        "randomblob(1000000000) = id",
        '"id" = "1"',
        "label = char(0)",
        "not " * 3000 + "blurred",
        "(" * 3000 + "blurred" + ")" * 3000,
        " or ".join(["blurred"] * 5000),
        "year in (" + ",".join(["1"] * 40_000) + ")",
    ],
)
def test_a_condition_is_never_run_as_sql(client, folder, where):
    before = content_of(folder)
    assert is_problem(client.post(f"{ZOO}/mask", json={"where": where}))
    if len(where) < 10_000:  # to read a long one takes seconds
        assert is_problem(client.post(f"{ZOO}/search", json={"id": "1", "where": where}))
        assert is_problem(client.post(f"{ZOO}/select", json={"name": "a", "where": where}))
    assert content_of(folder) == before and client.get(f"{ZOO}/items").json()["matches"] == 60


@pytest.mark.parametrize(
    "id", ["'; DROP TABLE items; --", "1' or '1'='1", "\u0000", "\ud800", "a" * 3000, "%", "1\r\nX-Evil: yes"]
)
def test_an_id_is_only_an_id(client, folder, id):
    for path in (f"{ZOO}/search", f"{ZOO}/classify"):
        body = json.dumps({"id": id}).encode()
        assert is_problem(client.post(path, content=body, headers={"Content-Type": "application/json"}))
    assert client.get(f"{ZOO}/items").json()["matches"] == 60


def test_no_header_can_be_put_in_through_a_name(client):
    name = "a.csv%0d%0aSet-Cookie:%20evil=1"
    answer = client.get(f"{ZOO}/selections/{name}?format=csv")
    assert is_problem(answer) and "set-cookie" not in answer.headers
    answer = client.get(f"{ZOO}/items/1", headers={"If-None-Match": '"x"\x0b', "X-Forwarded-Host": "evil.example"})
    assert answer.status_code == 200 and "evil" not in str(answer.headers)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"3", b'"where"', b"\xff\xfe", b"[" * 200_000, b'{"where":' * 50_000, b'{"where": 3}',
     b'{"where": "' + b"a" * 300_000 + b'"}', b'{"where": "\\ud800"}', b'{"where": "a\\u0000b"}', b'{"where": NaN}'],
    ids=range(14),
)  # fmt: skip
def test_a_body_that_is_no_question_is_refused(client, body):
    assert is_problem(client.post(f"{ZOO}/mask", content=body, headers={"Content-Type": "application/json"}))


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_a_form_of_another_page_cannot_pass_for_json(client, folder, kind):
    before = content_of(folder)
    body = json.dumps({"id": "1", "label": "evil"}).encode()
    assert is_problem(client.post(f"{ZOO}/labels", content=body, headers={"Content-Type": kind}))
    assert content_of(folder) == before


def test_bodies_beyond_their_limits_are_not_taken_in(client):
    headers = {"Content-Type": "application/json"}
    answer = client.post(f"{ZOO}/mask", content=b" " * (SENT + 1), headers=headers)
    assert answer.status_code == 413 and is_problem(answer)
    answer = client.post(
        f"{ZOO}/mask", content=(b" " * (1 << 20) for _ in range(40)), headers=headers
    )  # no length told
    assert answer.status_code == 413 and is_problem(answer)
    answer = client.post(f"{ZOO}/search/upload", files={"file": ("a.png", b"\0" * (UPLOAD + (1 << 17)))})
    assert answer.status_code == 413 and is_problem(answer)
    assert client.request("GET", f"{ZOO}/items", content=b"x" * (1 << 17)).status_code == 413
    assert client.get("/healthz").status_code == 200


def png(width: int, height: int, data: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG whose head says this size, whatever its data hold."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zip_bomb() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", b"\0" * (64 << 20))
    return held.getvalue()


def npy(description: str, data: bytes = b"") -> bytes:
    head = description.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def pickled() -> bytes:
    held = io.BytesIO()
    np.save(held, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return held.getvalue()


WRONG_PICTURES = {
    "empty": b"",
    "text": b"this is no image" * 100,
    "cut off": png(64, 64)[:40],
    "a million pixels a side": png(1_000_000, 1_000_000),
    "50 million pixels and one more": png(10_000, 5_001, zlib.compress(b"\0" * 10_000)),
    "nothing behind a large head": png(7_000, 7_000),
    "zip bomb": zip_bomb(),
    "text chunk that unpacks": png(8, 8, zlib.compress(b"\0" * 200), b""),
    "svg that names a file": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) run",
    "svg entities": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
}
WRONG_VECTORS = {
    "zip bomb": zip_bomb(),
    "pickle": pickled(),
    "a head that asks for all memory": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"),
    "a head that runs code": npy("{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': (6,), }"),
    "text": b"1,2,3,4,5,6",
    "a matrix": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", b"\0" * 24),
    "infinity": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", struct.pack("<6f", *[np.inf] * 6)),
    "the wrong width": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", b"\0" * 8),
}


@pytest.mark.parametrize("what", WRONG_PICTURES)
def test_a_picture_that_is_none_or_unpacks_into_everything_is_refused(what):
    begun = time.monotonic()
    if what == "text chunk that unpacks":  # a file of some kilobytes, of which 64 MB of text unpack
        bomb = zlib.compress(b"a" * (64 << 20), 9)
        chunk = b"Comment\0\0" + bomb
        extra = struct.pack(">I", len(chunk)) + b"zTXt" + chunk + struct.pack(">I", zlib.crc32(b"zTXt" + chunk))
        content = png(8, 8, zlib.compress(b"\0" * 200), extra)
    else:
        content = WRONG_PICTURES[what]
    with pytest.raises(Problem) as problem:
        decoding.image(content, (3, 16, 16))
    assert problem.value.status in (413, 415, 422) and "root:" not in str(problem.value)
    assert time.monotonic() - begun < 120


@pytest.mark.parametrize("what", WRONG_VECTORS)
def test_a_vector_that_is_none_is_refused(client, what):
    answer = client.post(f"{ZOO}/search/upload", files={"file": ("q.npy", WRONG_VECTORS[what])})
    assert is_problem(answer)


def test_a_decoder_that_hangs_or_dies_takes_nobody_along(monkeypatch):
    monkeypatch.setattr(decoding, "PATIENCE", 0.05)
    with pytest.raises(Problem, match="not read within"):
        decoding.image(png(8, 8), (3, 8, 8))
    monkeypatch.setattr(decoding, "PATIENCE", 20.0)
    monkeypatch.setattr(decoding.sys, "executable", "/bin/false")
    with pytest.raises(Problem, match="more memory or time"):
        decoding.image(png(8, 8), (3, 8, 8))


def test_the_decoder_may_write_no_file_and_knows_no_token(monkeypatch, tmp_path):
    import subprocess
    import sys

    code = (
        "from semblance.app.server import decoding; decoding._bound()\n"
        "import numpy\n"
        f"with open({str(tmp_path / 'x')!r}, 'w') as file: file.write('a' * 10)"
    )
    environment = {"PYTHONPATH": str(Path(semblance.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert b"File too large" in done.stderr and not (tmp_path / "x").stat().st_size
    asked = {}
    monkeypatch.setenv("SEMBLANCE_TOKEN", "correct-horse-battery-staple")
    monkeypatch.setattr(decoding.subprocess, "run", lambda *a, **more: asked.update(more) or pytest.skip("seen"))
    try:
        decoding.image(png(8, 8), (3, 8, 8))
    except pytest.skip.Exception:
        assert "SEMBLANCE_TOKEN" not in asked["env"]


def test_a_token_cannot_be_guessed_by_trying(folder, open_client):
    client = open_client(folder, token="correct-horse-battery-staple")
    states = [client.post("/api/login", json={"token": f"guess-{n}"}).status_code for n in range(40)]
    assert states.count(401) <= 6 and states[-1] == 429
    answer = client.get("/api/spaces", headers={"Authorization": "Bearer guess"})
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) >= 1
    assert client.get("/api/spaces").status_code == 401


def test_a_page_elsewhere_changes_nothing(client, folder):
    before = content_of(folder)
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    asked = [
        ("POST", f"{ZOO}/labels", {"id": "1", "label": "evil"}),
        ("POST", f"{ZOO}/select", {"name": "evil", "ids": ["1"]}),
        ("POST", "/api/jobs", {"kind": "fit", "data": "digits"}),
        ("DELETE", f"{ZOO}/selections/mine", None),
        ("POST", "/api/login", {"token": "x"}),
    ]
    for method, path, body in asked:
        answer = client.request(method, path, json=body, headers=evil)
        assert answer.status_code == 403 and is_problem(answer)
    assert content_of(folder) == before


def test_a_space_of_somebody_else_runs_nothing(tmp_path, open_client):
    """Its texts are data, its pictures are looked at before they are drawn, its files are no pickles."""
    path = make(tmp_path / "evil.space", 5, images=True)
    with Store.open(path, write=True) as store:
        bomb = png(60_000, 60_000)
        store.add(["<script>alert(1)</script>"], np.ones((1, 6), np.float32), thumbnails=[bomb])
        store.add(["x"], np.ones((1, 6), np.float32), thumbnails=[b"<svg onload=alert(1)>"])
        store.add(["../../../../etc/passwd"], np.ones((1, 6), np.float32))
    client = open_client(path)
    space = "/api/spaces/evil"
    items = client.get(f"{space}/items").json()["items"]
    assert [item["id"] for item in items][-3:] == ["<script>alert(1)</script>", "x", "../../../../etc/passwd"]
    for item in items[-3:]:
        assert is_problem(client.get(item["thumbnail"]))
    answer = client.post(f"{space}/sheet", json={"ids": [item["id"] for item in items]})
    assert json.loads(answer.headers["X-Sheet"])["empty"] == [5, 6, 7]
    # An id that looks like a path is an item, and searched as one.
    assert client.post(f"{space}/search", json={"id": "../../../../etc/passwd", "k": 1}).status_code == 200


def test_many_bodies_at_once_wait_for_one_another(client):
    from concurrent.futures import ThreadPoolExecutor

    body = json.dumps({"where": "year > 2000" + " " * 100_000}).encode()
    headers = {"Content-Type": "application/json"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post(f"{ZOO}/mask", content=body, headers=headers), range(24)))
    assert {answer.status_code for answer in answers} == {200}
