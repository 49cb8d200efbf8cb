"""A lasso by mouse and by finger selects exactly the points inside; a selection has an address, a name and files."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pyarrow.parquet as pq
from matplotlib.path import Path as Polygon

import semblance as sb


def ring(one, row: int, radius: float = 70) -> np.ndarray:
    """[40, 2] a circle around a point of the map, in pixels of the page."""
    px, py = one.state(f"map.camera.toScreen(map.grid.x[{row}], map.grid.y[{row}])")
    box = one.page.locator(".explore .map").bounding_box()
    turn = np.linspace(0, 2 * np.pi, 40)
    return np.stack([box["x"] + px + radius * np.cos(turn), box["y"] + py + radius * np.sin(turn)], 1)


def inside(one, polygon: np.ndarray) -> set[int]:
    """Rows inside, by another's rule."""
    box = one.page.locator(".explore .map").bounding_box()
    places = one.state("Array.from(map.grid.x, (x, i) => map.camera.toScreen(x, map.grid.y[i]))")
    return set(np.flatnonzero(Polygon(polygon - [box["x"], box["y"]]).contains_points(np.array(places))))


def draw(page, polygon: np.ndarray) -> None:
    page.mouse.move(*polygon[0])
    page.mouse.down()
    for x, y in polygon[1:]:
        page.mouse.move(x, y)
    page.mouse.up()


def selected(one) -> set[int]:
    one.until("semblance.state.get('selection')")
    return set(one.state("Array.from(state.get('selection').rows)"))


def background(pixels: np.ndarray) -> np.ndarray:
    """[3] the most frequent colour."""
    colours, times = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    return colours[times.argmax()]


def test_a_lasso_selects_the_points_inside_and_its_address_opens_it_again(reader, painted):
    one = reader()
    page = one.open()
    before = painted(one.look(".explore .map"))
    polygon = ring(one, 6)
    expected = inside(one, polygon)
    page.keyboard.press("l")
    draw(page, polygon)
    found = selected(one)
    assert len(found) > 20
    assert len(found ^ expected) <= 1  # a point on the line itself
    assert painted(one.look(".explore .map")) < before
    assert page.locator("#panel-selection h2").inner_text() == f"{len(found)} items selected"
    assert page.locator("#lasso").get_attribute("aria-pressed") == "false"
    page.mouse.move(30, 700)
    low, high = polygon.min(0).astype(int), polygon.max(0).astype(int)
    drawn = one.look()
    paper = background(drawn[150:, 300:900])
    within = drawn[low[1] : high[1], low[0] : high[0]]
    assert (within == paper).all(-1).mean() > 0.15, "the lasso is still there"
    one.pictured(".tiles img")
    one.shot("lasso")
    one.check()
    other = reader()
    other.open(one.url.removeprefix(one.address))
    assert selected(other) == found
    other.check()


def test_a_large_lasso_has_an_address_too(reader):
    one = reader()
    page = one.open()
    draw_ring = ring(one, 6, 260)
    page.keyboard.press("l")
    draw(page, np.clip(draw_ring, [270, 150], [925, 790]))
    found = selected(one)
    assert len(found) > 200
    assert "lasso=pca" in one.url
    other = reader()
    other.open(one.url.removeprefix(one.address))
    assert len(selected(other) ^ found) <= 2  # the address has four digits


def test_a_finger_draws_a_lasso_on_a_phone(reader):
    one = reader(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=2)
    page = one.open()
    polygon = ring(one, 6, 45)
    expected = inside(one, polygon)
    page.tap("#lasso")
    touch = one.context.new_cdp_session(page)

    def send(kind: str, *points) -> None:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    send("touchStart", polygon[0])
    for place in polygon[1:]:
        send("touchMove", place)
    send("touchEnd")
    found = selected(one)
    assert len(found) > 10
    assert len(found ^ expected) <= 2
    one.shot("phone-lasso")
    one.check()


def test_two_fingers_zoom(reader):
    one = reader(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = one.open()
    touch = one.context.new_cdp_session(page)

    def send(kind: str, *points) -> None:
        touch.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]},
        )

    send("touchStart", (150, 300))
    send("touchStart", (150, 300), (240, 300))
    for step in range(1, 10):
        send("touchMove", (150 - 5 * step, 300), (240 + 5 * step, 300))
    send("touchEnd")
    one.settled()
    assert 1.7 < float(one.data("zoom")) < 2.3


def test_a_selection_leaves_as_a_name_a_file_and_a_condition(reader, digits):
    one = reader(accept_downloads=True)
    page = one.open("/s/digits#item=10")
    one.until("semblance.state.get('neighbours')")
    page.click("[data-key=select-near]")
    rows = selected(one)
    ids = {one.state(f"state.get('ids')[{row}]") for row in rows}
    assert len(ids) == 13
    page.fill("[data-key=selection-name]", "around-ten")
    page.keyboard.press("Enter")
    one.until("semblance.state.get('selection').from.kind === 'named'")
    assert "selection=around-ten" in one.url
    with page.expect_download() as coming:
        page.click("[data-key=csv]")
    with open(coming.value.path(), newline="") as file:
        assert {line["id"] for line in csv.DictReader(file)} == ids
    with page.expect_download() as coming:
        page.click("[data-key=parquet]")
    table = pq.read_table(io.BytesIO(coming.value.path().read_bytes()))
    assert set(table["id"].to_pylist()) == ids
    answer = page.request.get(f"{one.address}/api/spaces/digits/selections/around-ten?format=where")
    with sb.load(digits) as space:
        assert space.attributes(["row"], where=answer.text()).num_rows == 13
    other = reader()
    other.open("/s/digits?selection=around-ten")
    assert selected(other) == rows
    one.check()


def test_all_in_view_is_the_lasso_of_those_without_a_mouse(reader):
    one = reader()
    page = one.open()
    page.keyboard.press("m")
    for _ in range(6):
        page.keyboard.press("+")
    page.keyboard.press("a")
    found = selected(one)
    view = one.state("map.camera.view")
    places = np.array(one.state("Array.from(map.grid.x, (x, i) => [x, map.grid.y[i]])"))
    within = (places >= [view["x0"], view["y0"]]).all(1) & (places <= [view["x1"], view["y1"]]).all(1)
    assert 0 < len(found) < 1797
    assert found == set(np.flatnonzero(within))
    page.keyboard.press("Escape")
    assert json.loads(json.dumps(one.state("state.get('selection')"))) is None
