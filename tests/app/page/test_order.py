"""Order: answers that come late, or after those of a newer question, harm nothing; and nothing waits that need not."""

from __future__ import annotations

import json

JOB = {
    "id": "f00d", "kind": "fit", "state": "queued", "title": "fit of digits", "space": None, "ranking": None,
    "done": 0, "total": 0, "text": "", "seconds": 0, "error": None,
}  # fmt: skip


class Held:
    """Keeps requests until they are let go. Made before the page is opened: a page that is there already may not have heard
    of it when it asks next."""

    def __init__(self, page, pattern: str, first: int = 10**9):
        self.routes: list = []
        self.first = first
        page.route(pattern, self._take)

    def _take(self, route) -> None:
        self.routes.append(route)
        if len(self.routes) > self.first:
            route.continue_()

    def let_go(self) -> None:
        for route in self.routes[: self.first]:
            route.continue_()


def test_neighbours_are_said_and_shown_while_the_votes_are_still_counted(reader):
    one = reader()
    votes = Held(one.page, "**/classify")
    page = one.open()
    page.keyboard.press("m")
    page.keyboard.press("Enter")
    one.reads("#spoken", "12 neighbours")
    assert page.locator(".hits .hit[data-id]").count() == 12
    assert one.state("state.get('votes')") is None
    one.comes(lambda: len(votes.routes), 1)
    votes.let_go()
    one.until("semblance.state.get('votes')")
    one.reads("#panel-item .votes", "Its neighbours vote")
    one.check()


def test_a_press_is_not_lost_when_something_arrives_under_it(reader):
    one = reader()
    page = one.open("/s/digits#item=10")
    one.until("semblance.state.get('votes')")
    second = page.locator(".hits .hit").nth(1)
    wanted = second.get_attribute("data-id")
    second.scroll_into_view_if_needed()
    box = second.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.evaluate("() => { semblance.state.set({ neighbours: { ...semblance.state.get('neighbours'), seconds: 7 } }) }")
    page.mouse.up()
    one.until(f"semblance.state.get('subject').id === {wanted!r}")
    one.until("semblance.state.get('votes')")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.evaluate("() => { semblance.state.set({ neighbours: { ...semblance.state.get('neighbours'), seconds: 7 } }) }")
    page.mouse.move(5, 5)
    page.mouse.up()
    one.reads("#panel-item .near", "7000 ms")  # what came meanwhile is shown when the pointer is up
    one.check()


def test_what_was_tried_quietly_is_answered_aloud_on_enter(reader):
    one = reader()
    asked = Held(one.page, "**/mask", first=1)
    page = one.open()
    page.focus("#filter")
    page.keyboard.type("inks >= 0.3")
    one.comes(lambda: len(asked.routes), 1)  # it was tried while it was typed, and is not answered yet
    page.keyboard.press("Enter")
    one.until("semblance.state.get('filterError')")
    one.reads("#filter-said", "ink")
    asked.let_go()
    page.evaluate("() => fetch('/api/server').then(answer => answer.text())")  # the held answer came before this one
    assert page.input_value("#filter") == "inks >= 0.3"
    assert page.locator("#filter-said").is_visible()


def test_a_filter_of_another_space_does_not_arrive_in_this_one(reader):
    one = reader()
    asked = Held(one.page, "**/mask", first=1)
    page = one.open()
    page.fill("#filter", "label = '4'")
    page.keyboard.press("Enter")
    one.comes(lambda: len(asked.routes), 1)
    page.focus("#space")
    page.select_option("#space", "simclr")
    one.until("semblance.state.get('api').name === 'simclr' && semblance.state.get('facets')")
    asked.let_go()
    page.evaluate("() => fetch('/api/server').then(answer => answer.text())")
    assert one.state("state.get('mask')") is None
    one.comes(lambda: one.data("matching"), "1797")
    one.check()


def test_a_run_that_starts_while_the_list_is_still_asked_for_stays_on_it(reader):
    one = reader()
    page = one.page
    lists: list = []

    def jobs(route) -> None:
        if route.request.method == "POST":
            route.fulfill(status=202, content_type="application/json", body=json.dumps(JOB))
        else:
            lists.append(route)

    page.route("**/api/jobs", jobs)
    page.route("**/api/jobs/f00d/events", lambda route: route.fulfill(content_type="text/event-stream", body=": \n\n"))
    one.open("/s/digits#page=runs")
    one.comes(lambda: bool(lists), True)
    page.fill("#run-data", "digits")
    page.click(".start button.primary")
    one.reads(".run-detail h2", "fit of digits")
    for route in lists:
        route.fulfill(content_type="application/json", body='{"jobs": []}')
    one.until(
        "document.querySelector('.run-list h3')?.textContent === 'Jobs' && document.querySelectorAll('.run-list h3')[1]"
    )
    one.reads(".run-list", "fit of digits")
    one.check()


def test_a_threshold_belongs_to_the_view_for_which_it_was_set(reader):
    one = reader()
    page = one.open()
    page.click("#tab-review")
    one.until("document.querySelector('.review [data-view=duplicates]')")
    # In one step: the slider is moved, and before that is sent another view is chosen. 400 ms end after the slider's 160.
    page.evaluate(
        """() => {
          const slider = document.querySelector('[data-key=threshold]');
          slider.value = slider.max / 2;
          slider.dispatchEvent(new Event('input'));
          document.querySelector('[data-key=outliers]').click();
          return new Promise((done) => setTimeout(done, 400));
        }"""
    )
    one.until("document.querySelector('.review [data-view=outliers] .chosen')")
    assert [url for url in one.asked if "views/outliers" in url and "threshold" in url] == []
    one.check()


def test_a_slider_stays_where_it_was_put_while_its_view_is_made(reader):
    one = reader()
    views = Held(one.page, "**/views/duplicates?threshold=*")
    page = one.open()
    page.click("#tab-review")
    one.until("document.querySelector('.review [data-view=duplicates]')")
    slider = page.locator("[data-key=threshold]")
    slider.focus()
    first = slider.input_value()
    page.keyboard.press("ArrowRight")
    one.comes(lambda: len(views.routes), 1)
    at = slider.input_value()
    assert float(at) > float(first)
    page.keyboard.press("ArrowRight")
    assert float(slider.input_value()) > float(at)
    one.comes(lambda: len(views.routes), 2)
    views.let_go()
    at = float(slider.input_value())
    one.until(f"Math.abs(document.querySelector('.review [data-threshold]').dataset.threshold - {at}) < 1e-6")
    one.check()
