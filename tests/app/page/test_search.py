"""Filters by text and by facets, their completion and their mistakes; search with a file."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import semblance as sb


@pytest.fixture
def table(digits):
    with sb.load(digits) as space:
        return space.attributes()


def matching(one) -> int:
    return int(one.data("matching"))


def test_a_condition_filters_the_map_the_facets_and_the_neighbours(reader, table, vivid):
    one = reader()
    page = one.open("/s/digits#item=10")
    one.until("semblance.state.get('neighbours')")
    hues = vivid(one.look(".explore .map"))
    page.fill("#filter", "ink >= 0.3 and label in ('3', '5')")
    page.keyboard.press("Enter")
    one.until("semblance.state.get('mask') && semblance.state.get('facets').matches < 1797")
    ink, label = (np.array(table[c].to_pylist(), dtype=object) for c in ("ink", "label"))
    expected = int(((ink.astype(float) >= 0.3) & np.isin(label, ["3", "5"])).sum())
    assert 0 < matching(one) == expected < 1797
    assert 1 <= vivid(one.look(".explore .map")) <= 3 < hues  # the rest is faint
    assert page.locator(".status").inner_text() == f"{expected} of 1,797 items"
    one.until("semblance.state.get('neighbours').hits.every(hit => ['3', '5'].includes(hit.attributes.label))")
    rows = page.locator(".facet[aria-label=label] .value").all_inner_texts()
    counted = {text.split()[0]: int(text.split()[1].replace(",", "")) for text in rows}
    assert counted == {
        str(d): int(((label == str(d)) & (ink.astype(float) >= 0.3)).sum()) * (d in (3, 5)) for d in range(10)
    }
    one.shot("filter")
    one.check()


def test_completion_leads_from_a_column_to_a_sign_to_a_value(reader):
    one = reader()
    page = one.open()
    page.focus("#filter")

    def take(word: str) -> None:
        # What was suggested for fewer letters may have the word, too, and is about to be replaced.
        one.until("(l => !l.hidden && l.dataset.of === filter.value)(document.getElementById('completions'))")
        one.until(f"[...document.querySelectorAll('#completions .word')].some(e => e.textContent === {word!r})")
        words = page.locator("#completions .word").all_inner_texts()
        for _ in range(words.index(word) + 1):
            page.keyboard.press("ArrowDown")
        assert page.locator("#filter").get_attribute("aria-activedescendant") == f"completion-{words.index(word)}"
        page.keyboard.press("Enter")

    page.keyboard.type("spl")
    take("split")
    one.until("document.querySelector('#completions .note')?.textContent === 'equals'")
    one.shot("completion")
    take("=")
    take("test")
    assert page.input_value("#filter").strip() == "split = 'test'"
    one.until("document.querySelector('#completions .word')?.textContent === 'and'")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    one.until("semblance.state.get('mask')")
    assert page.locator("#completions").is_hidden()
    assert 300 < matching(one) < 420
    one.check()


def test_a_wrong_condition_is_answered_with_the_remedy_and_changes_nothing(reader):
    one = reader()
    page = one.open()
    page.fill("#filter", "inks >= 0.3")
    page.keyboard.press("Enter")
    one.until("semblance.state.get('filterError')")
    assert "ink" in page.locator("#filter-said").inner_text()
    assert page.locator("#filter").get_attribute("aria-invalid") == "true"
    assert matching(one) == 1797
    one.shot("wrong-filter")
    page.fill("#filter", "ink >= 0.3")
    page.keyboard.press("Enter")
    one.until("semblance.state.get('mask') && !semblance.state.get('filterError')")
    assert page.locator("#filter-said").is_hidden()
    one.check()


def test_choices_in_facets_join_and_leave_by_their_chips(reader, table):
    one = reader()
    page = one.open()
    page.click("[data-key=value-label-7]")
    one.until("semblance.state.get('mask')")
    page.click("[data-key=value-split-test]")
    both = [(a, b) for a, b in zip(table["label"].to_pylist(), table["split"].to_pylist(), strict=True)]
    expected = both.count(("7", "test"))
    one.until(f"semblance.state.get('matches') === {expected}")
    slider = page.locator(".facet[aria-label=ink] input[aria-label='ink, from']")
    slider.focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    one.until(f"semblance.state.get('matches') < {expected}")
    place = "document.querySelector(\".facet[aria-label=ink] input[aria-label='ink, from']\").value"
    one.until(f"semblance.state.get('picks').get('ink').low == {place}")  # the last step is sent, too
    assert page.locator(".chip").count() == 3
    assert "picks=" in one.url
    for left in (2, 1, 0):
        page.locator(".chip").first.click()
        one.until(f"document.querySelectorAll('.chip').length === {left}")
    one.until("semblance.state.get('matches') === 1797")
    one.check()


def test_what_a_reader_is_moving_is_not_replaced_under_the_hand(reader):
    one = reader()
    page = one.open()
    chosen = ".facet[aria-label=ink] input[aria-label='ink, from']"
    page.locator(chosen).scroll_into_view_if_needed()
    box = page.locator(chosen).bounding_box()
    page.evaluate(f'() => {{ window.held = document.querySelector("{chosen}") }}')
    page.mouse.move(box["x"] + 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + box["height"] / 2)
    one.until("semblance.state.get('picks').has('ink') && semblance.state.get('matches') < 1797")
    page.evaluate("() => semblance.state.set({ facets: { ...semblance.state.get('facets') } })")
    assert page.evaluate("() => window.held.isConnected")
    page.mouse.move(box["x"] + 90, box["y"] + box["height"] / 2)
    page.mouse.up()
    one.until("!window.held.isConnected")
    shown = f'Number(document.querySelector("{chosen}").value)'
    one.until(f"Math.abs({shown} - semblance.state.get('picks').get('ink').low) < 1e-9")
    one.check()


def test_a_file_of_the_readers_finds_the_item_that_it_shows(reader):
    digits = load_digits()
    picture = io.BytesIO()
    Image.fromarray(np.uint8(digits.images[17] * 255 / 16)).save(picture, "PNG")
    one = reader()
    page = one.open()
    page.set_input_files("#file", {"name": "mine.png", "mimeType": "image/png", "buffer": picture.getvalue()})
    one.until("semblance.state.get('votes') && document.querySelectorAll('.hits .hit[data-id]').length === 12")
    assert page.locator("#panel-item h2").inner_text() == "mine.png"
    first = one.state("state.get('neighbours').hits[0]")
    row = int(first["attributes"]["row"])
    assert np.abs(digits.images[row] - digits.images[17]).max() <= 1
    assert first["distance"] < 0.01
    assert page.locator(".hits img").count() == 12
    one.until("[...document.querySelectorAll('.hits img')].every(i => i.complete && i.naturalWidth)")
    one.shot("upload")
    one.check()


def test_what_is_no_picture_is_refused_in_words(reader):
    one = reader()
    page = one.open()
    page.set_input_files("#file", {"name": "mine.png", "mimeType": "image/png", "buffer": b"no picture at all"})
    one.until("document.querySelector('.toast.bad')")
    assert len(one.toast()) > 20
    assert page.locator("#panel-item .invitation").is_visible()
    one.shot("refused-upload")
    one.check()
