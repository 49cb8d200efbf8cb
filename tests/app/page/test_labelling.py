"""Labels by keyboard: the effect is on the map, in the facets and in the space at once, and goes back on undo."""

from __future__ import annotations

import semblance as sb


def label_of(digits, name: str) -> str:
    with sb.load(digits) as space:
        return space.attributes(["label"])["label"][space.ids.index(name)].as_py()


def counted(page) -> dict[str, int]:
    rows = page.locator(".facet[aria-label=label] .value").all_inner_texts()
    return {text.split()[0]: int(text.split()[1]) for text in rows}


def test_a_key_labels_the_item_and_undo_takes_it_back(reader, digits):
    one = reader()
    page = one.open("/s/digits#item=300")
    one.until("semblance.state.get('votes')")
    old = label_of(digits, "300")
    new = "1" if old != "1" else "2"
    before = counted(page)
    row = one.state("state.get('ids').indexOf('300')")
    colour = one.state(f"map.colouring.of({row})")
    page.keyboard.press(new)
    one.until(f"semblance.state.get('subject')?.item?.attributes.label === {new!r}")
    one.until(f"document.querySelector('[data-key=\"class-{new}\"]')?.getAttribute('aria-pressed') === 'true'")
    assert label_of(digits, "300") == new
    assert one.state(f"map.colouring.of({row})") != colour
    one.reads("#spoken", f"labelled {new}")
    one.until("document.querySelectorAll('.votes .own').length || document.querySelector('.votes .badge.warn')")
    one.comes(lambda: counted(page), {**before, new: before[new] + 1, old: before[old] - 1})
    one.shot("label")
    page.keyboard.press("u")
    one.until(f"semblance.state.get('subject')?.item?.attributes.label === {old!r}")
    assert label_of(digits, "300") == old
    assert one.state(f"map.colouring.of({row})") == colour
    one.reads("#spoken", "Undone")
    one.comes(lambda: counted(page), before)
    one.check()


def test_a_selection_is_labelled_in_one_step_with_a_new_class_and_undone_in_one(reader, digits):
    one = reader()
    page = one.open("/s/digits#ids=%5B%2220%22%2C%2221%22%2C%2222%22%5D")
    one.until("semblance.state.get('selection')")
    old = [label_of(digits, name) for name in ("20", "21", "22")]
    page.fill("#panel-selection [data-key=new-label]", "odd one")
    page.keyboard.press("Enter")
    one.until("semblance.state.get('info').classes.includes('odd one')")
    assert {label_of(digits, name) for name in ("20", "21", "22")} == {"odd one"}
    one.until("semblance.state.get('column').vocabulary.includes('odd one')")
    page.keyboard.press("Escape")
    page.locator(".explore .map").focus()
    page.keyboard.press("Control+z")
    one.reads("#spoken", "Undone")
    assert [label_of(digits, name) for name in ("20", "21", "22")] == old
    one.until("!semblance.state.get('info').classes.includes('odd one')")  # it came with the label and goes with it
    assert page.locator("[data-key='class-odd one']").count() == 0
    one.check()


def test_letters_typed_into_a_field_are_no_commands(reader, digits):
    one = reader()
    page = one.open("/s/digits#item=301")
    one.until("semblance.state.get('votes')")
    old = label_of(digits, "301")
    page.focus("#filter")
    page.keyboard.type("7u3l")
    assert page.input_value("#filter") == "7u3l"
    assert label_of(digits, "301") == old
    assert not one.state("map.lassoOn")


def test_next_walks_through_the_neighbours(reader):
    one = reader()
    page = one.open("/s/digits#item=10")
    one.until("document.querySelectorAll('.hits .hit[data-id]').length === 12")
    listed = [hit.get_attribute("data-id") for hit in page.locator(".hits .hit").all()]
    page.locator(".hits .hit").first.click()
    one.until(f"semblance.state.get('subject').id === {listed[0]!r}")
    for name in listed[1:3]:
        page.keyboard.press("n")
        one.until(f"semblance.state.get('subject').id === {name!r}")
    page.keyboard.press("p")
    one.until(f"semblance.state.get('subject').id === {listed[1]!r}")
