"""The survey: equal steps, intervals that are those of a paired bootstrap, and answers for data with and without labels."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from semblance.analysis.intervals import paired
from semblance.analysis.task_survey import SUPERVISED, UNTRAINED
from semblance.errors import SemblanceError
from semblance.recipes.pretext_survey import MEASURES, survey
from semblance.recipes.registry import build
from semblance.testing import check_report, small

AXES = {"steps": 5, "batch": 24, "width": 4}


@pytest.fixture(scope="module")
def found():
    return survey(small("images"), "rotation,inpainting", seeds=2, **AXES)


def test_every_task_takes_the_same_steps_and_stands_beside_no_training_and_labels(found):
    steps = {row["task"]: row["steps"] for row in found.rows}
    assert steps == {"rotation": 8, "inpainting": 8, SUPERVISED: 8, UNTRAINED: 0}  # whole epochs of four
    values = [row["value"] for row in found.rows]
    assert values == sorted(values, reverse=True)
    assert all(row["low"] <= row["value"] <= row["high"] for row in found.rows)
    assert found.of(UNTRAINED)["gain"] == 0 == found.of(UNTRAINED)["gain_high"]
    assert found.of("rotation")["family"] == "context" and found.of("inpainting")["family"] == "generation"


def test_gains_are_paired_over_seeds_and_units(found):
    scores = found.scores
    assert scores["rotation"].shape == (2, len(small("images").splits["test"]))
    wanted = paired(scores["rotation"], scores[UNTRAINED], 0)
    row = found.of("rotation")
    assert (row["gain"], row["gain_low"], row["gain_high"]) == (wanted["difference"], wanted["low"], wanted["high"])
    assert row["value"] == pytest.approx(scores["rotation"].mean())
    assert len(found.tests) == 6


def test_a_task_against_itself_is_the_first_seed_against_the_second(found):
    itself = found.itself("rotation")
    assert itself["difference"] == pytest.approx(
        found.scores["rotation"][0].mean() - found.scores["rotation"][1].mean()
    )
    assert itself["low"] <= itself["difference"] <= itself["high"]
    with pytest.raises(SemblanceError, match="seeds=2"):
        survey(small("images"), "rotation", ceiling=False, **AXES).itself("rotation")
    with pytest.raises(SemblanceError, match="rotation"):
        found.itself("rotatin")


def test_the_survey_is_a_report_that_repeats_itself(found):
    check_report(found)
    told = json.loads(json.dumps(found.to_dict()))
    assert set(told) == {"data", "measure", "seeds", "sentence", "rows", "tests"}
    again = survey(small("images"), ["inpainting"], seeds=2, **AXES)
    assert np.array_equal(again.scores["inpainting"], found.scores["inpainting"])  # whatever stands beside it


@pytest.mark.parametrize("measure", [*MEASURES, "views"])
def test_every_measure_scores_every_test_unit(measure):
    result = survey(small("images"), "rotation", measure=measure, ceiling=False, **AXES)
    scores = result.scores["rotation"]
    assert scores.shape[1] == len(small("images").splits["test"]) and result.measure == measure
    assert scores.min() >= 0 and scores.max() <= 1 and 0 < scores.mean() <= 1


def test_without_labels_views_are_asked_and_nothing_is_supervised():
    plain = small("images")
    result = survey(replace(plain, targets={}, classes=()), "rotation", **AXES)
    assert result.measure == "views" and {row["task"] for row in result.rows} == {"rotation", UNTRAINED}
    with pytest.raises(SemblanceError, match="asks for classes"):
        survey(replace(plain, targets={}, classes=()), "rotation", measure="knn", **AXES)


def test_eight_tasks_are_surveyed_where_none_are_named_less_colours_of_grey_pictures():
    result = survey(small("images"), steps=1, batch=24, width=4, ceiling=False)
    assert len(result.rows) == 8 and "colourisation" not in {row["task"] for row in result.rows}


def test_training_units_are_no_more_than_asked_for():
    result = survey(small("images"), "rotation", items=30, **AXES)
    assert result.of("rotation")["steps"] == 5 and result.scores["rotation"].shape[1] == 15


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tasks": "rotatio"}, "rotation"),
        ({"steps": 0}, "steps is 0"),
        ({"seeds": 0}, "seeds is 0"),
        ({"measure": "best"}, "measure"),
    ],
)
def test_what_cannot_be_surveyed_is_refused_in_one_line(given, words):
    with pytest.raises(SemblanceError, match=words) as error:
        survey(small("images"), **{"tasks": "rotation", **given})
    assert "\n" not in str(error.value)


def test_data_that_are_no_pictures_are_refused():
    with pytest.raises(SemblanceError, match="asked of images"):
        survey(small("vectors"))


def test_the_recipe_surveys_a_folder(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for kind, middle in (("cat", 180), ("dog", 70)):
        (tmp_path / kind).mkdir()
        for i in range(20):
            pixels = rng.normal(middle, 30, (16, 16, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / kind / f"{i}.png")
    made = build("ssl-survey", data=str(tmp_path), tasks="rotation,colourisation", steps=2, batch=16)
    report = made.report()
    assert report.measure == "linear" and {row["task"] for row in report.rows} >= {"rotation", "colourisation"}
