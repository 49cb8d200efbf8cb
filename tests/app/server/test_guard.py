"""Guard: names, origins, tokens and sizes are checked before anything is read, and every answer is closed to others."""

from __future__ import annotations

import pytest

from semblance.app.server.guard import POLICY
from semblance.app.server.hosts import Hosts, is_loopback, same_origin
from semblance.app.server.page import page_policy
from semblance.app.server.problems import Problem
from semblance.app.server.tokens import FREE, Tokens, read_token
from semblance.errors import SemblanceError

TOKEN = "correct-horse-battery-staple"


@pytest.mark.parametrize(
    "name", ["localhost", "localhost:8765", "127.0.0.1:9000", "[::1]:8765", "LOCALHOST", "localhost."]
)
def test_our_own_names_are_known_with_any_port(name):
    assert Hosts("127.0.0.1").knows(name)


@pytest.mark.parametrize(
    "name",
    ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "localhost:", "localhost:x", "a b", "192.168.0.5",
     "@localhost", "localhost/x", "localhost:80:80",
     "\u2024localhost", "xn--localhost", "[::1", "0.0.0.0", "127.0.0.1\r\nX: y"],
)  # fmt: skip
def test_a_name_that_is_not_ours_is_refused(client, name):
    assert not Hosts("127.0.0.1").knows(name)
    answer = client.get("/api/spaces", headers={"Host": name.encode("utf-8", "replace")})
    assert answer.status_code == 403 and answer.json()["type"] == "/problems/forbidden"


def test_a_server_for_all_addresses_takes_addresses_and_given_names_and_no_others():
    everywhere = Hosts("0.0.0.0", ["photos.local"])
    assert all(everywhere.knows(name) for name in ("192.168.0.5:8765", "photos.local", "[fe80::1]"))
    assert not any(everywhere.knows(name) for name in ("evil.example", "photos.local.evil.example"))


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({}, True),
        ({"Origin": "http://localhost:8765", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://localhost:9999"}, False),
        ({"Origin": "file://"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://localhost:8765", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "http://[::1"}, False),
    ],
)
def test_only_our_own_page_may_ask(client, headers, ours):
    answer = client.post("/api/spaces/zoo/mask", json={"where": "blurred"}, headers=headers)
    assert answer.status_code == (200 if ours else 403)
    assert client.get("/api/spaces", headers=headers).status_code == (200 if ours else 403)
    assert "access-control-allow-origin" not in answer.headers
    assert same_origin("localhost:8765", headers.get("Origin"), headers.get("Sec-Fetch-Site")) is ours


def test_a_link_from_elsewhere_may_lead_to_the_page(client):
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/api/spaces", "/api/nothing", "/healthz", "/metrics", "/openapi.json", "/assets/x.js"]
)
def test_every_answer_is_closed_to_other_pages(client, path):
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "unsafe-inline" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer" and headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "server" not in headers and "Cache-Control" in headers


def test_the_page_cannot_loosen_the_policy_for_injected_scripts(tmp_path):
    (tmp_path / "csp.json").write_text(
        '{"script-src": ["\'unsafe-inline\'", "https://evil.example", "\'unsafe-eval\'"], "img-src": ["*"]}'
    )
    policy = page_policy(tmp_path)
    assert "script-src 'self' 'unsafe-eval';" in policy and "inline" not in policy and "*" not in policy
    for broken in ("[", "[1]", '{"script-src": 3}', "null"):
        (tmp_path / "csp.json").write_text(broken)
        assert "script-src 'self';" in page_policy(tmp_path)
    assert POLICY["script-src"] == ["'self'"]


def test_without_the_token_nothing_is_told(folder, open_client):
    client = open_client(folder, token=TOKEN)
    for path in (
        "/api/spaces",
        "/api/spaces/zoo/items/3",
        "/metrics",
        "/openapi.json",
        "/assets/index.js",
        "/api/jobs",
    ):
        answer = client.get(path)
        assert (
            answer.status_code == 401
            and "zoo" not in answer.text
            and answer.headers["WWW-Authenticate"].startswith("Bearer")
        )
    page = client.get("/")
    assert page.status_code == 401 and 'type="password"' in page.text and "zoo" not in page.text
    assert client.get("/login.css").status_code == 200 and client.get("/healthz").status_code == 200
    assert client.post("/api/spaces/zoo/labels", json={"id": "1", "label": "x"}).status_code == 401


def test_a_program_sends_the_token_and_a_browser_gets_a_cookie(folder, open_client):
    client = open_client(folder, token=TOKEN)
    assert client.get("/api/spaces", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/api/spaces", headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401
    answer = client.post("/api/login", data={"token": TOKEN}, follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
    assert client.get("/api/spaces").status_code == 200
    assert client.post("/api/logout").status_code == 204
    assert client.get("/api/spaces").status_code == 401
    assert client.post("/api/login", json={"token": TOKEN}).status_code == 204
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"token": 3}', b"[" * 100_000, b"\xff"])
def test_a_login_without_a_token_is_refused(folder, open_client, body):
    client = open_client(folder, token=TOKEN)
    answer = client.post("/api/login", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 413, 422) and "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "cookie", ["semblance=", "semblance=guess", f"semblance={TOKEN}", "semblance=\x00;;=,", "x" * 5000]
)
def test_a_made_up_cookie_lets_nobody_in(folder, open_client, cookie):
    client = open_client(folder, token=TOKEN)
    assert client.get("/api/spaces", headers={"Cookie": cookie}).status_code == 401


def test_a_file_or_the_environment_holds_the_token(tmp_path):
    file = tmp_path / "token"
    file.write_text(f" {TOKEN}\n")
    assert read_token(file, None) == TOKEN and read_token(None, TOKEN) == TOKEN and read_token(None, "") is None
    for content in ("", "short", "with blanks in the middle of it", "ümlaute-sind-auch-keine"):
        file.write_text(content)
        with pytest.raises(SemblanceError, match="no token of 16"):
            read_token(file, TOKEN)
    with pytest.raises(SemblanceError, match="cannot be read"):
        read_token(tmp_path / "nowhere", None)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_guessing_is_slowed_down_and_the_right_token_waits_too():
    clock = Clock()
    tokens = Tokens(TOKEN, clock)
    for _ in range(FREE):
        with pytest.raises(Problem, match="not the token"):
            tokens.check("guess", "203.0.113.5")
    tried, waited = 0, 0.0
    while waited < 3600:
        with pytest.raises(Problem) as problem:
            tokens.check("guess", "203.0.113.5")
        if problem.value.kind == "too-many":
            clock.now += problem.value.more["seconds"]
            waited += problem.value.more["seconds"]
        else:
            tried += 1
    assert tried < 25, "an hour of guessing from one address"
    with pytest.raises(Problem, match="not the token"):
        tokens.check("guess", "203.0.113.5")
    with pytest.raises(Problem, match="too many"):
        tokens.check(TOKEN, "203.0.113.5")
    tokens.check(TOKEN, "198.51.100.7")
    clock.now += 400
    tokens.check(TOKEN, "203.0.113.5")
    with pytest.raises(Problem, match="not the token"):  # and all is forgotten
        tokens.check("guess", "203.0.113.5")


def test_guessing_from_everywhere_is_slowed_down_for_strangers_only():
    clock = Clock()
    tokens = Tokens(TOKEN, clock)
    tokens.check(TOKEN, "198.51.100.7")
    kinds = []
    for n in range(500):
        with pytest.raises(Problem) as problem:
            tokens.check("guess", f"2001:db8:{n:x}::1")
        kinds.append(problem.value.kind)
    assert kinds.count("token") == 100
    tokens.check(TOKEN, "198.51.100.7")
    clock.now += 61
    tokens.check(TOKEN, "192.0.2.9")


def test_one_household_is_one_address():
    tokens = Tokens(TOKEN, Clock())
    for n in range(FREE):
        with pytest.raises(Problem, match="not the token"):
            tokens.check("guess", f"2001:db8::{n + 1:x}")
    with pytest.raises(Problem, match="too many"):
        tokens.check(TOKEN, "2001:db8::ffff")


def test_a_browser_is_let_in_for_as_long_as_it_comes_back():
    clock = Clock()
    tokens = Tokens(TOKEN, clock)
    cookie = tokens.let_in()
    for _ in range(5):
        clock.now += 11 * 3600
        assert tokens.known(cookie)
    clock.now += 13 * 3600
    assert not tokens.known(cookie) and not tokens.known(None) and not tokens.known("")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.2", False), ("example.org", False), ("", False)],
)  # fmt: skip
def test_what_only_this_machine_reaches(host, loopback):
    assert is_loopback(host) is loopback
