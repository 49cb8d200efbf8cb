"""The page as it lies in the package: built from the sources that stand beside it, small, and fit for a strict policy."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from tests.app.page import conftest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "semblance" / "app" / "page"
SOURCES = ROOT / "explorer"
BUILT_FROM = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.js")


def fingerprint() -> str:
    """As explorer/vite.config.js computes it."""
    below = [p for p in (SOURCES / "src").rglob("*") if p.is_file()]
    files = sorted([p.relative_to(SOURCES).as_posix() for p in below] + list(BUILT_FROM))
    found = hashlib.sha256()
    for file in files:
        found.update(file.encode() + b"\0" + (SOURCES / file).read_bytes() + b"\0")
    return found.hexdigest()


def test_the_page_is_built_from_the_sources_beside_it():
    told = (PAGE / "sources.sha256").read_text().strip()
    assert told == fingerprint(), "the page is stale: (cd explorer && npm ci && npm run build), then commit both"


def test_the_page_is_small():
    assert sum(p.stat().st_size for p in PAGE.rglob("*") if p.is_file()) < 600_000


def test_every_file_that_the_page_names_is_there():
    html = (PAGE / "index.html").read_text()
    named = re.findall(r'(?:src|href)="/([^"]+)"', html)
    assert len(named) >= 3
    assert [name for name in named if not (PAGE / name).is_file()] == []


def test_nothing_in_the_page_needs_a_hole_in_its_policy():
    html = (PAGE / "index.html").read_text()
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", html)
    script = "".join(p.read_text() for p in (PAGE / "assets").glob("*.js"))
    assert not re.search(r"\beval\(|new Function\(|Function\.apply|setAttribute\([\"'`]style", script)


def test_no_address_outside_is_named():
    files = [p for p in PAGE.rglob("*") if p.suffix in {".js", ".css", ".html"}]
    found = {url for p in files for url in re.findall(r"https?://[\w.-]+", p.read_text())}
    assert found <= {"http://www.w3.org"}  # the name of SVG, which is never fetched


def test_exact_versions_are_asked_for():
    import json

    package = json.loads((SOURCES / "package.json").read_text())
    wanted = {**package.get("dependencies", {}), **package["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values()), wanted
    lock = json.loads((SOURCES / "package-lock.json").read_text())["packages"]
    assert {name: lock[f"node_modules/{name}"]["version"] for name in wanted} == wanted


def test_without_a_browser_the_tests_skip_with_the_command_that_installs_one(monkeypatch):
    monkeypatch.setattr(conftest.shutil, "which", lambda name: None)
    with pytest.raises(pytest.skip.Exception, match="apt-get install -y chromium"):
        conftest.system_browser()
    assert "\n\t  apt-get install -y chromium" in (ROOT / "Makefile").read_text()
