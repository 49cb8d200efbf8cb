"""The survey of zero-shot recognition, reached as a recipe and as a report of a space."""

from __future__ import annotations

import json

import numpy as np
import pytest

import semblance as sb
from semblance.app import cli
from semblance.app.flags import run
from semblance.data.load import load
from semblance.errors import SemblanceError
from semblance.recipes.registry import build
from semblance.space.methods import read_settings
from semblance.testing.report import check_report

LOOKS = {0: "round", 3: "round", 6: "round", 8: "round"}


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    digits = load("digits")
    part = digits.subset(np.arange(500))
    out = tmp_path_factory.mktemp("spaces") / "d.space"
    x = part.x.reshape(500, -1).astype(np.float32)
    sb.fit(x, labels=part.targets["labels"], recipe="as-is", out=out).close()
    return out


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    # What a digit is made of, as seven segments of a clock show it.
    segments = ["abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg"]
    lines = ["class," + ",".join("abcdefg") + ",look"]
    lines += [
        f"{d}," + ",".join(str(int(s in on)) for s in "abcdefg") + f",{LOOKS.get(d, 'open')}"
        for d, on in enumerate(segments)
    ]
    path = tmp_path_factory.mktemp("tables") / "digits.csv"
    path.write_text("\n".join(lines))
    return path


def test_the_recipe_makes_a_report_of_every_combination_asked_for():
    made = build(
        "zero-shot-survey",
        models="eszsl, regression",
        setting="zero-shot,compositional",
        neighbours="nearest,corrected",
    )
    assert made.makes == "report" and made.report is not None
    report = made.report()
    check_report(report)
    assert report.value("eszsl") > 0.8
    assert len(report.main("compositional")) == 4
    with pytest.raises(SemblanceError, match="makes a report and no model"):
        made.encoder(None)


def test_a_space_is_asked_with_a_table_of_its_classes(capsys, space, table):
    code = run(
        cli.app,
        [
            "report",
            str(space),
            "zero-shot",
            "--set",
            f"table={table}",
            "--set",
            "models=eszsl,sae",
            "--set",
            "unseen=4,8",
            "--set",
            "seed=1",
            "--json",
        ],
    )
    out = capsys.readouterr().out
    assert code == 0
    rows = json.loads(out)["rows"]
    assert {row["model"] for row in rows} == {"eszsl", "sae"}
    assert all(row["chance"] == 0.5 and 0 <= row["low"] <= row["value"] <= row["high"] <= 1 for row in rows)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "needs a table with a row for each class: --set table=FILE.csv"),
        (["--set", "tabel=x.csv"], "there is no setting of the report zero-shot 'tabel': did you mean table?"),
        (["--set", "table=no.csv"], "there is no table no.csv"),
        (["--set", "seed=one"], "seed is 'one', but it takes a number such as 0"),
    ],
)
def test_what_is_wrong_costs_one_line(capsys, space, given, says):
    code = run(cli.app, ["report", str(space), "zero-shot", *given])
    out, err = capsys.readouterr()
    assert code == 2 and out == "" and says in err and err.count("\n") == 1


def test_prefixes_of_a_space_are_judged(capsys, space):
    with sb.load(space) as opened:
        report = sb.report(opened, "prefixes", numbers="16,64")
    check_report(report)
    first, every = report.table().to_pylist()
    assert (first["numbers"], every["numbers"]) == (16, 64)
    assert every["neighbours"] > 0.9 and every["linear"] > 0.85 and first["neighbours"] < every["neighbours"]
    with sb.load(space) as opened, pytest.raises(SemblanceError, match="numbers is '8,x'"):
        sb.report(opened, "prefixes", numbers="8,x")


def test_settings_are_read_as_the_kinds_of_their_defaults():
    assert read_settings("memory", {"k": "5"}) == {"k": 5}
    assert read_settings("collapse", {}) == {}
