"""`semblance compare`: measures, a sentence, JSON and a page."""

from __future__ import annotations

import json

import numpy as np
import pytest

import semblance as sb
from semblance.app import cli
from semblance.app.flags import run

FEW = ("-m", "cka", "-m", "neighbours")


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    """A space, the same turned, and one item less."""
    at, x = tmp_path_factory.mktemp("spaces"), np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    turned = x @ np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0].astype(np.float32)
    for name, vectors in (("a", x), ("b", turned)):
        sb.fit(vectors, recipe="as-is", out=at / f"{name}.space").close()
    np.save(at / "short.npy", x[:-1])
    return at


def call(capsys, *arguments):
    capsys.readouterr()
    code = run(cli.app, ["compare", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_measures_are_printed_beside_chance_with_a_sentence_and_a_page(capsys, spaces):
    page = spaces / "out.html"
    code, out, _ = call(capsys, spaces / "a.space", spaces / "b.space", *FEW, "--html", page)
    assert code == 0
    assert "by chance" in out
    assert "a and b hold nearly the same" in out
    assert "data:image/png" in page.read_text()
    assert "http" not in page.read_text()


def test_as_json_every_measure_has_its_interval(capsys, spaces):
    _, out, _ = call(capsys, spaces / "a.space", spaces / "b.space", *FEW, "--json")
    told = json.loads(out)
    assert list(told) == ["schema", "measures", "sentence", "items", "notes", "html"]
    assert list(told["measures"]["cka"]) == ["value", "low", "high", "null", "p", "items"]
    assert told["measures"]["cka"]["low"] <= told["measures"]["cka"]["value"] <= told["measures"]["cka"]["high"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("a.space", "b.space", "-m", "ckaa"), "ckaa"),
        (("a.space", "nothing.space"), "nothing.space"),
        (("a.space", "short.npy"), "60 items"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(capsys, spaces, arguments, says):
    code, _, err = call(capsys, spaces / arguments[0], spaces / arguments[1], *arguments[2:])
    assert code == 2
    assert says in err
    assert "Traceback" not in err
