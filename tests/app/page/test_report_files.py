"""Reports as files in a browser: nothing goes wrong, nothing is fetched, and the picture is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import semblance as sb
from semblance.analysis.convergence import convergence
from semblance.analysis.frechet_audit import frechet_audit
from semblance.analysis.placement import place, simulated_area

RNG = np.random.default_rng(9)
X = RNG.normal(size=(80, 12)).astype(np.float32)
Y = np.tanh(X @ RNG.normal(size=(12, 10))).astype(np.float32)
NAMES = ("<script>one</script>", "two & three")  # what a user named stays text


def reports() -> dict[str, object]:
    """One of every kind that a comparison gives, and of the analyses beside it."""
    layers = {"low": X, "high": Y}
    pictures = np.random.default_rng(0).integers(0, 256, (80, 1, 8, 8)).astype(np.uint8)
    with sb.fit(pictures, recipe="simclr", epochs=1, width=4, out=None) as space:
        units = sb.compare(space, space, units=True, names=NAMES)
    scores = tuple(np.eye(3)[RNG.integers(0, 3, 80)] for _ in range(2))
    return {
        "measures": sb.compare(X, Y, names=NAMES),
        "layers": sb.compare(layers, layers, names=NAMES),
        "units": units,
        "convergence": convergence(dict.fromkeys(NAMES, layers), 80),
        "placement": place({name: simulated_area(X, 10, RNG) for name in NAMES}, [layers], resamples=4),
        "frechet": frechet_audit({NAMES[0]: X, "b": Y}, {NAMES[0]: X + 1, "b": Y}, NAMES[0], scores),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, monkeypatch_module: pytest.MonkeyPatch) -> dict[str, Path]:
    at = tmp_path_factory.mktemp("reports")
    monkeypatch_module.chdir(at)
    saved = {}
    for name, report in reports().items():
        saved[name] = at / f"{name}.html"
        report.save(saved[name])  # type: ignore[attr-defined]
    return saved


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.mark.parametrize("name", ["measures", "layers", "units", "convergence", "placement", "frechet"])
def test_a_report_opens_without_an_error_and_holds_all_that_it_shows(chromium, files, name) -> None:
    page = chromium.new_page(viewport={"width": 1000, "height": 800})
    wrong: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(files[name].as_uri())
    seen = page.evaluate(
        "() => ({width: document.images[0].naturalWidth, shown: document.images[0].clientWidth, "
        "rows: document.querySelectorAll('tbody tr').length, scripts: document.scripts.length, "
        "title: document.title, wide: document.documentElement.scrollWidth})"
    )
    page.close()
    assert wrong == []
    assert all(url.startswith(("file:", "data:")) for url in asked)
    assert seen["width"] > 400 and seen["shown"] <= 1000
    assert seen["rows"] > 0 and seen["scripts"] == 0 and seen["title"]


def test_the_check_can_fail(chromium, tmp_path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<script>undefined.name</script><img src='gone.png'>")
    page = chromium.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(bad.as_uri())
    page.close()
    assert wrong
