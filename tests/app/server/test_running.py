"""Running: `semblance serve` says where it is, answers there, and ends cleanly; what it cannot do it says in one line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

import semblance
from semblance.app import cli, flags
from semblance.app.server import running
from semblance.errors import SemblanceError

ROOT = Path(semblance.__file__).parents[1]


def started(*arguments: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "semblance.app.cli", "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        start_new_session=True,
    )


def address_of(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline()
    assert "(Ctrl-C stops)" in line, process.stderr.read()
    return line.split(" at ")[1].split()[0]


@pytest.mark.parametrize(("way", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
def test_it_says_where_it_is_answers_and_ends_cleanly(folder, way, code):
    process = started(str(folder), "--port", "0", cwd=folder.parent)
    try:
        address = address_of(process)
        with httpx.Client(base_url=address, timeout=60) as client:
            assert client.get("/api/spaces/zoo/items/3").json()["position"] == 3
            job = client.post(
                "/api/jobs", json={"kind": "fit", "data": "digits", "recipe": "simclr", "epochs": 1000}
            ).json()
            with client.stream("GET", f"/api/jobs/{job['id']}/events") as stream:
                assert next(stream.iter_lines()).startswith(":")  # a stream is open when it is stopped
                process.send_signal(way)
                assert process.wait(120) == code
    finally:
        if process.poll() is None:
            process.kill()
    said = process.stderr.read()
    assert "Traceback" not in said and "Error" not in said
    assert ("stopped" in said) == (way == signal.SIGINT)
    end = time.monotonic() + 60
    while str(folder.parent) in subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True).stdout:
        assert time.monotonic() < end, "a process of the server's is left"
        time.sleep(0.1)


def test_a_token_lets_in_from_elsewhere_and_is_not_on_the_command_line(folder):
    token = "correct-horse-battery-staple"
    process = started(str(folder), "--host", "0.0.0.0", "--port", "0", cwd=folder.parent, SEMBLANCE_TOKEN=token)
    try:
        address = address_of(process)
        assert httpx.get(f"{address}api/spaces", timeout=60).status_code == 401
        assert (
            httpx.get(f"{address}api/spaces", headers={"Authorization": f"Bearer {token}"}, timeout=60).status_code
            == 200
        )
        assert httpx.get(f"{address}api/spaces", headers={"Host": "evil.example"}, timeout=60).status_code == 403
    finally:
        process.terminate()
        process.wait(120)
    assert token not in process.stdout.read() + process.stderr.read()


def raw(port: int, content: bytes) -> bytes:
    """What the server says to these bytes, to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as line:
        line.sendall(content)
        line.shutdown(socket.SHUT_WR)
        said = b""
        while piece := line.recv(65_536):
            said += piece
        return said


def test_what_is_no_request_of_ours_harms_nobody(folder):
    process = started(str(folder), "--port", "0", cwd=folder.parent)
    try:
        address = address_of(process)
        port = int(address.rstrip("/").rpartition(":")[2])
        post = b"POST /api/spaces/zoo/mask HTTP/1.1\r\nHost: localhost\r\n"
        for content in (
            b"GET /api/spaces HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
            b"GET /api/spaces HTTP/1.0\r\n\r\n",
            b"GET http://evil.example/api/spaces HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
            post + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            post + b"Content-Length: -1\r\n\r\n",
            post + b"Content-Length: 99\r\n\r\n{",
            b"GET /api/spaces HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"[:60],
        ):
            said = raw(port, content)
            assert b" 200 " not in said.split(b"\r\n")[0] and b"zoo" not in said and b"Traceback" not in said, content[
                :80
            ]
        with httpx.Client(base_url=address, timeout=60) as client:
            large = client.post("/api/spaces/zoo/search/upload", files={"file": ("a.png", b"\0" * (25 << 20))})
            assert large.status_code == 413 and large.json()["type"] == "/problems/too-large"
            assert client.get("/api/spaces/zoo/items/3").status_code == 200
    finally:
        process.terminate()
        process.wait(120)
    assert "Traceback" not in process.stderr.read()


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = flags.run(cli.app, ["serve", *arguments])
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1
    return code, said.err


def test_elsewhere_without_a_token_is_refused(folder, capsys, monkeypatch):
    monkeypatch.delenv("SEMBLANCE_TOKEN", raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.1", "photos.example"):
        code, said = fails(capsys, str(folder), "--host", host)
        assert code == 2 and "SEMBLANCE_TOKEN or --token-file" in said


def test_what_cannot_be_served_is_said_in_one_line(folder, tmp_path, capsys):
    code, said = fails(capsys, str(tmp_path / "nowhere.space"))
    assert code == 2 and "there is nothing here" in said
    (tmp_path / "empty").mkdir()
    assert "is no space" in fails(capsys, str(tmp_path / "empty"))[1]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, said = fails(capsys, str(folder), "--port", str(taken.getsockname()[1]))
        assert code == 1 and "give another --port" in said
    assert "is no port" in fails(capsys, str(folder), "--port", "99999")[1]
    (tmp_path / "token").write_text("short")
    assert "no token of 16" in fails(capsys, str(folder), "--token-file", str(tmp_path / "token"))[1]


def test_without_the_extra_it_is_named(folder, capsys, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "fastapi" else real(name, *more)
    )
    code, said = fails(capsys, str(folder))
    assert code == 2 and "serve needs fastapi: pip install 'semblance[serve]'" in said


def test_the_command_line_loads_no_server():
    loaded = "print([m for m in ('fastapi', 'uvicorn') if m in sys.modules])"
    code = f"import sys, semblance; from semblance.app import cli; {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_the_json_flag_prints_is_one_object(folder):
    process = started(str(folder), "--port", "0", "--json", cwd=folder.parent)
    try:
        text = ""
        while not text.endswith("}\n"):
            text += process.stdout.readline()
        said = json.loads(text)
        assert said["schema"] == 1 and httpx.get(f"{said['address']}healthz", timeout=60).status_code == 200
    finally:
        process.terminate()
        process.wait(120)


def test_a_socket_of_ipv6_has_an_address_that_can_be_opened():
    try:
        listening = running.bound("::1", 0)
    except SemblanceError:
        pytest.skip("this machine has no IPv6 loopback: nothing to listen at")
    with listening:
        assert listening.family == socket.AF_INET6
    assert running._shown("::1") == "[::1]"
