"""The map: every point is drawn, names and pictures are the right ones, and none, one or many items have a picture, too."""

from __future__ import annotations

from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest

import semblance as sb

WINDOW = """() => [...document.querySelectorAll('.explore .name:not([hidden])')].map(e => {
  const b = e.getBoundingClientRect(), m = e.closest('.map').getBoundingClientRect();
  return {text: e.textContent, inside: b.left >= m.left && b.right <= m.right && b.top >= m.top && b.bottom <= m.bottom,
          box: [b.left, b.top, b.right, b.bottom]};
})"""


def test_every_item_of_a_space_is_drawn_in_the_colours_of_its_labels(reader, painted, vivid):
    one = reader()
    page = one.open()
    assert (one.data("drawn"), one.data("matching")) == ("1797", "1797")
    pixels = one.look(".explore .map")
    assert painted(pixels) > 10_000
    assert vivid(pixels) >= 6
    names = page.evaluate(WINDOW)
    assert {name["text"] for name in names} <= set("0123456789")
    assert len(names) >= 7
    assert all(name["inside"] for name in names)
    boxes = [name["box"] for name in names]
    for i, (a0, b0, a1, b1) in enumerate(boxes):
        for c0, d0, c1, d1 in boxes[i + 1 :]:
            assert a1 <= c0 or c1 <= a0 or b1 <= d0 or d1 <= b0, "two names cover one another"
    assert page.evaluate("() => performance.getEntriesByName('semblance:painted').length") == 1
    one.shot("load")
    one.check()


def test_without_webgl_a_plain_canvas_draws_the_same_points(reader, painted):
    pictures = []
    for path in ("/s/digits?renderer=webgl", "/s/digits?renderer=canvas"):
        one = reader()
        one.open(path)
        pictures.append((one.data("renderer"), one.data("drawn"), one.look(".explore .map")))
        one.check()
    (gl, n, first), (plain, m, other) = pictures
    assert (gl, plain) == ("webgl", "canvas")
    assert n == m == "1797"
    assert 0.8 < painted(first) / painted(other) < 1.25
    strong = [np.abs(p - 250).max(-1) > 60 for p in (first, other)]
    assert (strong[0] & strong[1]).sum() > 0.8 * strong[0].sum(), "the points lie elsewhere"


def test_a_point_under_the_mouse_shows_its_own_picture(reader):
    one = reader()
    page = one.open()
    row = 100
    px, py = one.state(f"map.camera.toScreen(map.grid.x[{row}], map.grid.y[{row}])")
    box = page.locator(".explore .map").bounding_box()
    page.mouse.move(box["x"] + px, box["y"] + py)
    one.until("!document.querySelector('.hover-card').hidden && document.querySelector('.hover-card img')?.complete")
    shown = page.locator(".hover-card").evaluate("e => ({id: e.dataset.id, source: e.querySelector('img').src})")
    near = one.state(f"map.grid.nearest(...map.camera.toMap({px}, {py}), 1, () => true)")
    assert shown["id"] == one.state(f"state.get('ids')[{near}]")
    assert parse_qs(urlparse(shown["source"]).query)["id"] == [shown["id"]]
    one.check()


def test_pictures_stand_in_for_dots_when_zoomed_in_and_are_those_of_the_items_that_match(reader, digits):
    one = reader()
    one.open("/s/digits#where=label%20%3D%20'6'")
    one.until("semblance.state.get('mask')")
    with sb.load(digits) as space:
        table = space.attributes(["label"])["label"].to_pylist()
        sixes = {name for name, label in zip(space.ids, table, strict=True) if label == "6"}
    assert one.data("matching") == str(len(sixes))
    one.until("document.querySelector('.explore .map').dataset.pictures > 5")
    asked = [parse_qs(urlparse(url).query)["id"][0] for url in one.asked if "/thumbnail?" in url]
    assert asked
    assert set(asked) <= sixes
    # What is put at a place is the picture of the item at that place.
    for row in one.state("Array.from(map.inView()).slice(0, 20)"):
        assert one.state(f"state.get('ids')[{row}]") in sixes
    row = one.state("map.inView()[90]")
    one.state(f"(map.camera.x = map.grid.x[{row}], map.camera.y = map.grid.y[{row}], map.zoomBy(4))")
    one.settled()  # what was drawn before had as many
    one.until("document.querySelector('.explore .map').dataset.pictures > 5")
    one.shot("pictures")
    one.check()


def test_umap_takes_the_place_of_pca_once_it_is_made(reader, painted):
    one = reader()
    page = one.open()
    before = one.state("Array.from(map.grid.x.slice(0, 20))")
    page.click(".tools [data-key=umap]")
    one.until("semblance.state.get('kind') === 'umap'", patience=300)
    after = one.state("Array.from(map.grid.x.slice(0, 20))")
    assert before != after
    assert one.data("drawn") == "1797"
    page.select_option("#colour", "ink")
    one.until("semblance.state.get('column')?.numbers")
    assert page.locator(".legend").inner_text().startswith("ink")
    assert painted(one.look(".explore .map")) > 3_000
    one.shot("umap")
    one.check()


def test_dark_is_dark_by_the_systems_choice_and_by_the_readers(reader, vivid):
    one = reader(color_scheme="dark")
    page = one.open()
    pixels = one.look()
    assert np.median(pixels) < 50
    assert (pixels.min(-1) > 235).mean() < 0.02, "something stayed white"
    assert vivid(one.look(".explore .map")) >= 6
    page.keyboard.press("m")
    page.keyboard.press("Enter")
    one.until("document.querySelectorAll('.hits .hit[data-id]').length === 12 && semblance.state.get('votes')")
    one.shot("dark")
    page.click("#theme")
    assert np.median(one.look()) > 200
    page.reload()
    one.until("window.semblance?.state.get('ids') && semblance.state.get('facets')")
    assert np.median(one.look()) > 200, "the reader's choice was forgotten"
    one.check()


@pytest.mark.parametrize("name", ["none", "one"])
def test_a_space_of_no_item_or_of_one_has_a_sensible_picture(reader, painted, name):
    one = reader()
    page = one.open(f"/s/{name}")
    if name == "none":
        assert one.data("drawn") == "0"
        assert page.locator(".empty").inner_text().startswith("No items yet")
    else:
        assert one.data("drawn") == "1"
        # One dot, in the middle of what is free.
        pixels = one.look(".explore .map")
        _, xs = np.nonzero(np.abs(pixels - pixels[pixels.shape[0] // 4, pixels.shape[1] // 4]).max(-1) > 40)
        middle = np.abs(xs - pixels.shape[1] / 2) < 20
        assert middle.sum() > 20
        page.keyboard.press("m")
        page.keyboard.press("Enter")
        one.until("document.querySelector('.near')")
        assert "only item" in page.locator(".near").inner_text()
    one.shot(f"{name}-item" if name == "one" else "empty")
    one.check()


def test_two_hundred_thousand_points_are_drawn_all(crowded, reader, vivid):
    one = reader(crowded.address)
    page = one.open("/s/crowd")
    assert (one.data("drawn"), one.data("matching")) == ("200000", "200000")
    assert one.state("state.get('colour')") == "heap"
    assert vivid(one.look(".explore .map")) >= 6
    page.click("[data-key='value-heap-heap 03']")
    one.until("semblance.state.get('mask')")
    assert one.state("map.grid.placed") == 200_000
    shown = one.data("matching")
    assert shown == str(one.state("state.get('mask').reduce((n, m) => n + m, 0)"))
    assert 15_000 < int(shown) < 18_500
    page.click("[data-key='value-heap-heap 03']")
    one.until("!semblance.state.get('mask')")
    one.shot("crowd")
    one.check()
