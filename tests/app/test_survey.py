"""`semblance survey`: pretext tasks on a folder, as a table, as JSON and as a page."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from semblance.app import cli
from semblance.app.flags import run


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(24):
        pixels = rng.normal(120, 40, (16, 16, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    return tmp_path


def call(capsys, *arguments):
    capsys.readouterr()
    code = run(cli.app, ["survey", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_a_survey_is_printed_and_written_as_a_page(capsys, photos):
    given = (photos, "-t", "rotation", "--steps", 1, "--batch", 8, "-o", photos / "s.html")
    code, out, _ = call(capsys, *given)
    assert code == 0 and "rotation is the best of 1 tasks" in out and "s.html" in out and "untrained" in out
    assert "<img" in (photos / "s.html").read_text()


def test_a_survey_as_json_repeats_itself_by_seed(capsys, photos):
    found = []
    for _ in range(2):
        code, out, _ = call(capsys, photos, "-t", "jigsaw", "--steps", 1, "--batch", 8, "--seed", 5, "--json")
        assert code == 0
        found.append(json.loads(out))
    assert set(found[0]) == {"schema", "data", "measure", "seeds", "sentence", "rows", "tests", "out"}
    assert found[0]["measure"] == "views" and found[0]["out"] is None
    for one in found:
        for row in one["rows"]:
            del row["seconds"]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-t", "jigsav"), "jigsaw"),
        (("-t", "rotation", "-m", "linear"), "asks for classes"),
        (("-t", "rotation", "-o", "no/such/folder/s.html"), "there is no folder no/such/folder"),
    ],
)
def test_what_is_wrong_costs_one_line(capsys, photos, arguments, says):
    code, out, err = call(capsys, photos, *arguments)
    assert code == 2 and out == "" and says in err and err.count("\n") == 1
