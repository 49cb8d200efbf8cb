"""`semblance report`: reports by name, as a table, as JSON and as a page."""

from __future__ import annotations

import json

import numpy as np
import pytest

import semblance as sb
from semblance.app import cli
from semblance.app.flags import run
from semblance.data.load import load


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    digits = load("digits")
    part = digits.subset(np.arange(400))
    out = tmp_path_factory.mktemp("spaces") / "d.space"
    x = part.x.reshape(400, -1).astype(np.float32)
    sb.fit(x, labels=part.targets["labels"], recipe="as-is", out=out).close()
    return out


def call(capsys, *arguments):
    capsys.readouterr()
    code = run(cli.app, ["report", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_a_report_is_printed_and_written_as_a_page(capsys, space, tmp_path):
    code, out, _ = call(capsys, space, "memory", "-o", tmp_path / "m.html")
    assert code == 0 and "accuracy 0." in out and "m.html" in out
    assert "<img" in (tmp_path / "m.html").read_text()
    code, out, _ = call(capsys, space, "memory", "--json")
    found = json.loads(out)
    assert list(found) == ["schema", "name", "verdict", "rows", "out"] and found["out"] is None
    assert {row["kind"] for row in found["rows"]} == {"size", "k"}


def test_without_a_name_reports_are_listed(capsys, space):
    _, out, _ = call(capsys, space, "--json")
    assert {"name": "memory", "package": None} in json.loads(out)["reports"]
    assert "memory" in call(capsys, space)[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("memery",), "there is no report 'memery': did you mean memory?"),
        (("memory", "-o", "no/such/folder/m.html"), "there is no folder no/such/folder"),
    ],
)
def test_what_is_wrong_costs_one_line(capsys, space, arguments, says):
    code, out, err = call(capsys, space, *arguments)
    assert code == 2 and out == "" and says in err and err.count("\n") == 1


def test_a_space_without_labels_has_no_memory_to_report_on(capsys, tmp_path):
    sb.fit(np.eye(12, dtype=np.float32), recipe="as-is", out=tmp_path / "e.space").close()
    code, _, err = call(capsys, tmp_path / "e.space", "memory")
    assert code == 2 and "labelled" in err


def test_the_geometry_of_classes_is_a_report_on_labelled_spaces(capsys, space, tmp_path):
    code, out, _ = call(capsys, space, "collapse", "-o", tmp_path / "c.html", "--json")
    found = json.loads(out)
    assert code == 0 and "10 classes have not collapsed" in found["verdict"] and (tmp_path / "c.html").exists()
    measures = {row["measure"]: row["value"] for row in found["rows"]}
    assert measures["variability"] > 0.05 and 0 < measures["simplex"] < 1.5
    sb.fit(np.eye(12, dtype=np.float32), recipe="as-is", out=tmp_path / "e.space").close()
    code, _, err = call(capsys, tmp_path / "e.space", "collapse")
    assert code == 2 and "labelled" in err
