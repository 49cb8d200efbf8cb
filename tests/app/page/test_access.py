"""For everyone: by keyboard alone, with names for screen readers, with contrast, on a phone; and when things fail."""

from __future__ import annotations

import shutil

import pytest

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}

FOCUSED = """() => {
  const e = document.activeElement;
  const shown = e.matches('input:not([type=checkbox])') || getComputedStyle(e).outlineStyle !== 'none';
  return [e.id || e.dataset.key || e.className || e.tagName, shown, e.closest('aside, header, .centre')?.className || ''];
}"""


def test_by_keyboard_alone_one_filters_chooses_reads_and_labels(reader):
    one = reader()
    page = one.open()
    page.keyboard.press("/")
    page.keyboard.type("label = '4'")
    page.keyboard.press("Enter")
    one.until("semblance.state.get('mask')")
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    assert page.evaluate("() => document.activeElement.classList.contains('map')")
    zoom = float(one.data("zoom"))
    page.keyboard.press("+")
    one.settled()
    assert float(one.data("zoom")) > zoom
    x = one.state("map.camera.x")
    page.keyboard.press("ArrowRight")
    assert one.state("map.camera.x") > x
    page.keyboard.press("Enter")
    one.until("semblance.state.get('neighbours')")
    assert one.state("state.get('subject').item.attributes.label") == "4"
    one.reads("#spoken", "neighbours")
    page.locator("#tab-item").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => document.activeElement.id") == "tab-selection"
    page.keyboard.press("?")
    assert page.locator("dialog.help").is_visible()
    one.shot("keys")
    page.keyboard.press("Escape")
    assert page.locator("dialog.help").is_hidden()


def test_tab_reaches_every_part_and_shows_where_it_is(reader):
    one = reader()
    page = one.open("/s/digits#item=10")
    one.until("semblance.state.get('votes')")
    reached = set()
    for _ in range(90):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUSED)
        if found[0] == "BODY":  # past the last: the browser's own controls, then from the start
            continue
        assert found[1], f"{found[0]} has the focus and does not show it"
        reached.add(found[2] if found[2] else "head")
    assert {"left", "centre", "right"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_controls_have_names_and_all_words_have_contrast(reader, scheme):
    one = reader(color_scheme=scheme)
    page = one.open("/s/digits#item=10")
    one.until("semblance.state.get('votes')")
    assert one.audit("nameless") == []
    assert one.audit("faint") == []
    for tab in ("selection", "review"):
        page.click(f"#tab-{tab}")
        one.until(
            "document.querySelector('.review .border') || document.querySelector('.explore').dataset.tab === 'selection'"
        )
        assert one.audit("nameless") == []
        assert one.audit("faint") == []
    assert "1,797 items" in page.locator(".explore .map").get_attribute("aria-label")


def test_everything_is_within_reach_at_a_phones_width(reader, painted):
    one = reader(**PHONE)
    page = one.open()
    assert one.data("drawn") == "1797"
    assert painted(one.look(".explore .map")) > 10_000
    one.shot("phone")
    px, py = one.state("map.camera.toScreen(map.grid.x[3], map.grid.y[3])")
    box = page.locator(".explore .map").bounding_box()
    page.touchscreen.tap(box["x"] + px, box["y"] + py)
    one.until("document.querySelectorAll('.hits .hit[data-id]').length === 12 && semblance.state.get('votes')")
    one.shot("phone-item")
    one.check()
    for tab in ("filters", "selection", "review", "item"):
        page.tap(f"#tab-{tab}")
        one.settled()
        one.check()
    page.tap("#tab-filters")
    page.tap("[data-key=value-label-2]")
    one.until("semblance.state.get('mask')")
    one.shot("phone-filters")
    page.tap("nav [data-key=compare]")
    one.until("document.querySelectorAll('.figure').length === 3")
    one.until("[...document.querySelectorAll('.compare .map')].every(m => m.dataset.drawn === '1797')")
    one.check()
    one.shot("phone-compare")
    page.tap("nav [data-key=runs]")
    one.until("document.querySelector('.run')")
    one.check()


def test_an_address_of_no_space_says_which_there_are(reader):
    one = reader()
    page = one.open("/s/nowhere", ready=False)
    one.until("!document.querySelector('.unread').hidden")
    assert "digits" in page.locator(".unread p").inner_text()
    one.shot("no-space")


def test_a_server_that_is_gone_is_told_and_what_is_on_the_page_stays(reader):
    one = reader()
    gone = False
    # Before the page is opened: one that is there already may not have heard of it when it asks next.
    one.page.route("**/api/**", lambda route: route.abort() if gone else route.continue_())
    page = one.open()
    gone = True
    page.fill("#filter", "label = '4'")
    page.keyboard.press("Enter")
    one.until("semblance.state.get('filterError')")
    assert "semblance serve" in page.locator("#filter-said").inner_text()
    assert one.data("drawn") == "1797"
    gone = False
    page.fill("#filter", "label = '5'")
    page.keyboard.press("Enter")
    one.until("semblance.state.get('mask')")


def test_a_space_deleted_under_the_server_is_told(reader, small):
    one = reader()
    page = one.open("/s/gone")
    assert one.data("drawn") == "3"
    shutil.rmtree(small["gone"])
    page.reload()
    one.until("!document.querySelector('.unread').hidden")
    assert "gone" in page.locator(".unread p").inner_text()
    one.shot("deleted-space")
    page.select_option("#space", "one")
    one.until("!document.querySelector('.explore').hidden && window.semblance.state.get('facets')")
    one.until("document.querySelector('.explore .map').dataset.drawn === '1'")
