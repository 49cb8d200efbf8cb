"""What a notebook shows of a space: the user's words stay words, pictures come along, and answers stay plain values."""

from __future__ import annotations

import copy
import json
import pickle
import re

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import semblance as sb
from semblance.analysis.label_curve import LabelCurve, Point
from semblance.heads.layer_sweep import LayerSweep, Swept
from semblance.reports import TableReport, image_html, table_html
from semblance.space.rank import Ranking
from semblance.space.show import METRICS, Evaluation

EVIL = "<script>alert('x')</script>"
ESCAPED = "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;"


@pytest.fixture(scope="module")
def evil(tmp_path_factory) -> sb.Space:
    """Vectors whose ids, labels, columns and folder are the tags of an attacker."""
    chance = np.random.default_rng(0)
    table = {f"x{i}": chance.normal(size=30) for i in range(3)}
    table |= {"name": [f"{EVIL}{i}" for i in range(30)], "label": [EVIL, "<b>b</b>"] * 15, "<i>": ["&"] * 30}
    out = tmp_path_factory.mktemp("shown") / "<img src=x onerror=alert(1)>.space"
    return sb.fit(pa.table(table), recipe="as-is", out=out, id_column="name")


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> sb.Space:
    folder = tmp_path_factory.mktemp("images")
    for i in range(24):
        pixels = np.random.default_rng(i).integers(0, 255, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f'{i}"><b>.png')
    return sb.fit(folder, recipe="simclr", epochs=0, out=folder.parent / "images.space")


def tags(text: str) -> set[str]:
    """The names of the tags in a piece of HTML."""
    return set(re.findall(r"<\s*([a-zA-Z!]+)", text))


def test_ids_labels_columns_and_paths_are_escaped(evil):
    answer = evil.search(f"{EVIL}3", k=4)
    ranking = Ranking(
        [{"recipe": EVIL, "metric": EVIL, "value": 1, "low": 0, "high": 1, "seeds": 1, "seconds": 1}], [], evil.path
    )
    evaluation = Evaluation(metrics={EVIL: {"value": 0.5, "low": 0.4, "high": 0.6, "baseline": None}}, notes=[EVIL])
    report = TableReport(EVIL, EVIL, ({EVIL: EVIL, "x": 1, "y": 2},), "x", ("y",))
    for shown in (evil, answer, ranking, evaluation, report):
        text = shown._repr_html_()
        assert ESCAPED in text
        assert tags(text) <= {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "strong", "p", "img"}
    assert "&lt;i&gt;" in answer._repr_html_() and "&lt;img src=x" in evil._repr_html_()


def test_an_image_space_shows_its_items_and_so_do_answers(images):
    shown, answer = images._repr_html_(), images.search(images.ids[0], k=5)
    assert shown.count("data:image/png;base64,") == 16
    text = answer._repr_html_()
    assert text.count("data:image/png;base64,") == 5 and tags(text) <= {
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "img",
    }
    assert all(re.escape(id) and "&quot;&gt;&lt;b&gt;" in text for id in answer.ids)


def test_an_answer_outlives_its_space_without_pictures(images):
    with sb.load(images.path) as space:
        answer = space.search(images.ids[1], k=3)
    assert "data:image" not in answer._repr_html_() and answer.ids[0] in copy.deepcopy(answer).ids
    again = pickle.loads(pickle.dumps(answer))  # as other processes get it
    assert again == answer and again._repr_html_() == answer._repr_html_()
    assert json.loads(json.dumps(answer.to_dict())) == answer.to_dict()


def test_an_evaluation_is_still_a_dictionary_and_shows_what_has_a_value(evil):
    found = evil.evaluate()
    asked = set(METRICS) - {"zeroshot"}  # which takes a table of attributes
    assert isinstance(found, dict) and set(found) == {"metrics", "notes"} and set(found["metrics"]) == asked
    assert json.loads(json.dumps(found)) == dict(found)
    text = found._repr_html_()
    assert "5-nn accuracy" in text and f"{found['metrics']['knn5']['value']:.3f}" in text
    assert "other view" not in text  # there are no views of vectors


def test_the_other_reports_show_table_verdict_and_picture():
    sweep = LayerSweep((Swept("stage 0", 8, 1.0, 0.5, 0.4, 0.6),))
    curve = LabelCurve((Point("from <scratch>", 5, 0.5, 0.4, 0.6),))
    for report in (sweep, curve):
        text = report._repr_html_()
        assert (
            "0.5" in text and "data:image/png" in text and str(report).replace("<", "&lt;").replace(">", "&gt;") in text
        )


def test_cells_say_what_they_hold():
    text = table_html(["a", "b"], [[None, 1.23456], ["x", True]])
    assert "<td" in text and "\u2013" in text and ">1.235<" in text and ">True<" in text
    assert 'alt="&quot;"' in image_html(b"\x89PNG", '"') and "image/jpeg" in image_html(b"\xff\xd8", "")
