"""`semblance explain`: a table, a sentence, JSON and a page."""

from __future__ import annotations

import json

import numpy as np
import pytest

import semblance as sb
from semblance.app import cli
from semblance.app.flags import run


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """Twenty rows of numbers."""
    root = tmp_path_factory.mktemp("explained")
    np.save(root / "x.npy", np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32))
    sb.fit(root / "x.npy", "as-is", out=root / "x.space").close()
    return root / "x.space"


def explain(capsys, *arguments):
    code = run(cli.app, ["explain", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_it_prints_the_strongest_parts_and_one_sentence(space, capsys):
    code, out, _ = explain(capsys, space, "3", "4")
    assert code == 0 and "column" in out and "3 and 4 have cosine" in out.splitlines()[-1]


def test_json_is_the_report_and_html_one_page(space, capsys, tmp_path):
    code, out, _ = explain(capsys, space, "3", "--html", tmp_path / "why.html", "--json", "--no-curve")
    told = json.loads(out)
    assert code == 0 and told["schema"] == 1 and told["curve"] is None and told["items"][0] == "3"
    assert told["completeness"][0]["gap"] == pytest.approx(0, abs=0.01)
    assert "<img" in (tmp_path / "why.html").read_text() and told["html"].endswith("why.html")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("3", "99"), "'99' is neither an item"),
        (("3", "4", "--method", "cells"), "there is no method for vectors 'cells'"),
        (("3", "4", "--html", "/nowhere/at/all.html"), "there is no folder /nowhere/at"),
    ],
    ids=["unknown id", "method of another domain", "no folder"],
)
def test_a_mistake_costs_one_line_and_exit_code_2(space, capsys, arguments, said):
    code, out, err = explain(capsys, space, *arguments)
    assert code == 2 and not out and said in err and err.count("\n") == 1
