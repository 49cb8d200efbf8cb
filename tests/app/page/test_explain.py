"""Why two items are near: heat maps over both pictures, whether their shares account for the whole, and clear refusals."""

from __future__ import annotations

import numpy as np


def test_the_neighbour_is_explained_by_heat_maps_that_sum_to_the_similarity(reader):
    one = reader()
    page = one.open("/s/digits#item=300")
    one.until("document.querySelector('.why-link')")
    page.locator(".why-link").first.click()
    one.until("document.querySelectorAll('dialog.why .heats img').length === 2")
    one.until("[...document.querySelectorAll('dialog.why img')].every(i => i.complete && i.naturalWidth === 256)")
    dialog = page.locator("dialog.why")
    said = dialog.inner_text()
    assert "cosine 0." in said or "cosine 1" in said
    assert "by chance as the strongest parts go" in said
    assert "the shares sum to" in said and "nothing is left out" in said
    names = dialog.locator("figcaption").all_inner_texts()
    assert names[0] == "300" and names[1] != "300"
    for number in range(2):
        seen = one.look(f"dialog.why figure:nth-of-type({number + 1}) img")
        red = (seen[..., 0] - seen[..., 2] > 60).mean()
        assert 0.02 < red < 0.95  # some cells are marked, and not all alike
        assert np.ptp(seen.mean(-1)) > 60  # the picture is seen beneath
    one.shot("explain")
    page.keyboard.press("Escape")
    one.until("!document.querySelector('dialog.why')")
    one.check()


def test_a_phone_shows_the_same_within_its_width(reader):
    one = reader(viewport={"width": 390, "height": 844}, has_touch=True)
    page = one.open("/s/digits#item=300")
    one.until("document.querySelector('.why-link')")
    page.locator(".why-link").first.click()
    one.until("[...document.querySelectorAll('dialog.why img')].filter(i => i.naturalWidth).length === 2")
    box = page.locator("dialog.why").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    one.shot("explain-phone")
    one.check()


def test_vectors_are_explained_by_their_columns(reader):
    one = reader()
    page = one.open("/s/three")
    page.locator(".explore .map").click()
    if not one.state("state.get('subject')"):
        page.keyboard.press("Enter")
    one.until("document.querySelector('.why-link')")
    page.locator(".why-link").first.click()
    one.until("document.querySelector('dialog.why .shares li')")
    assert page.locator("dialog.why .heats").count() == 0
    assert "features" in page.locator("dialog.why h3").first.inner_text()
    one.check()


def test_what_cannot_be_explained_says_why_and_what_to_do(reader):
    one = reader()
    problem = (
        '{"type":"/problems/bad-request","title":"","status":422,"detail":"this model has no gradients: use another"}'
    )
    one.page.route(
        "**/explain",
        lambda route: route.fulfill(status=422, content_type="application/problem+json", body=problem),
    )
    page = one.open("/s/digits#item=300")
    one.until("document.querySelector('.why-link')")
    page.locator(".why-link").first.click()
    one.until("document.getElementById('toast').textContent.includes('no gradients: use another')")
    one.until("!document.querySelector('dialog.why')")
    one.check()
