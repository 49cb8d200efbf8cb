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
    np.savez(at / "layers.npz", low=x, high=np.tanh(x))
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


def test_layers_are_a_table_of_one_measure_and_a_page_with_a_heat_map(capsys, spaces):
    page = spaces / "layers.html"
    files = (spaces / "layers.npz", spaces / "layers.npz")
    code, out, _ = call(capsys, *files, "--layers", "*", "--html", page)
    assert code == 0
    assert "2 of 2 layers of layers (1) find the same layer of layers (2) nearest" in out
    assert "data:image/png" in page.read_text()
    code, out, _ = call(capsys, *files, "-l", "*", "-l", "h*", "-m", "rsa", "--json")
    told = json.loads(out)
    assert list(told) == ["schema", "layers", "measure", "values", "null", "sentence", "items", "notes", "html"]
    assert told["layers"] == [["low", "high"], ["high"]] and told["measure"] == "rsa"
    assert np.shape(told["values"]) == (2, 1)


def test_units_are_matched_with_the_items_that_they_like(capsys, spaces):
    code, out, _ = call(capsys, spaces / "a.space", spaces / "b.space", "--units")
    assert code == 0
    assert "matched units correlate" in out and "shared" in out
    code, out, _ = call(capsys, spaces / "a.space", spaces / "b.space", "--units", "--json")
    told = json.loads(out)
    assert list(told)[1:4] == ["mean", "low", "high"]
    assert len(told["units"]) == 8 and set(told["pairs"][0]) > {"unit", "matched", "shared", "likes", "partner_likes"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("a.space", "b.space", "-m", "ckaa"), "ckaa"),
        (("a.space", "nothing.space"), "nothing.space"),
        (("a.space", "short.npy"), "60 items"),
        (("a.space", "b.space", "--layers", "encoder"), "layers of a need the data that it was fitted on"),
        (("layers.npz", "layers.npz", "-l", "lo"), "there is no layer 'lo': did you mean low"),
        (("a.space", "b.space", "-l", "1", "-l", "2", "-l", "3"), "--layers is given 3 times"),
        (("a.space", "b.space", "--units", "-m", "cka"), "matched by correlation, not by cka"),
        (("layers.npz", "layers.npz", "-l", "*", *FEW), "compared by one measure, and 2 are named"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(capsys, spaces, arguments, says):
    code, _, err = call(capsys, spaces / arguments[0], spaces / arguments[1], *arguments[2:])
    assert code == 2
    assert says in err
    assert "Traceback" not in err
