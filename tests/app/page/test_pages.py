"""Review, compare and runs: thresholds shown by pairs at their border, two linked maps, a fit watched and stopped."""

from __future__ import annotations

import json

RANKING = {
    "name": "digits",
    "metric": "knn20",
    "rows": [
        {"recipe": "supcon", "value": 0.968, "low": 0.959, "high": 0.976, "seeds": 3, "seconds": 41.2},
        {"recipe": "simclr", "value": 0.951, "low": 0.94, "high": 0.961, "seeds": 3, "seconds": 38.9},
        {"recipe": "rotnet", "value": 0.884, "low": 0.868, "high": 0.899, "seeds": 3, "seconds": 22.0},
    ],
    "tests": [
        {
            "a": "supcon",
            "b": "simclr",
            "difference": 0.017,
            "low": -0.001,
            "high": 0.03,
            "p": 0.06,
            "p_holm": 0.12,
            "differs": False,
        },
        {
            "a": "supcon",
            "b": "rotnet",
            "difference": 0.084,
            "low": 0.06,
            "high": 0.1,
            "p": 0.001,
            "p_holm": 0.003,
            "differs": True,
        },
    ],
    "runs": [],
}


def test_near_duplicates_open_on_pairs_and_say_how_the_threshold_was_chosen(reader):
    one = reader()
    page = one.open()
    page.click("#tab-review")
    one.until("document.querySelector('.review .border')")
    assert int(page.locator(".review .total b").inner_text().replace(",", "")) > 0
    assert page.locator(".pairs .pair").count() > 0
    assert "one item in a hundred has another as near as this" in page.locator(".review .chosen").inner_text()
    slider = page.locator("[data-key=threshold]")
    slider.evaluate("(e) => { e.value = Number(e.max) / 2; e.dispatchEvent(new Event('input')); }")
    one.until("!document.querySelector('.review .chosen')")  # moved by hand, it is nobody's choice but the reader's
    one.check()


def test_a_threshold_is_shown_by_the_pairs_at_its_border(reader):
    one = reader()
    page = one.open()
    page.click("#tab-review")
    one.until("document.querySelector('.review .border')")
    totals = []
    for part in (0.05, 0.5):
        slider = page.locator("[data-key=threshold]")
        low, high = float(slider.get_attribute("min")), float(slider.get_attribute("max"))
        slider.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')) }", low + part * (high - low))
        at = float(slider.input_value())
        shown = "document.querySelector('.review [data-threshold]')?.dataset.threshold"
        one.until(f"Math.abs({shown} - {at}) < 1e-6 && !document.querySelector('.review > [role=status]')")
        totals.append(int(page.locator(".review .total b").inner_text().replace(",", "")))
        scores = [
            [float(text) for text in side.locator(".score").all_inner_texts()]
            for side in page.locator(".border .side").all()
        ]
        assert max(scores[0]) <= at * 1.01
        assert min(scores[1]) >= at * 0.99
    assert 0 < totals[0] < totals[1]
    one.pictured(".review img")
    one.shot("duplicates")
    one.check()


def test_wrong_labels_are_among_the_suspects_and_one_click_mends_them(reader):
    one = reader()
    page = one.open()
    page.click("#tab-review")
    page.click("[data-key=suspects]")
    one.until("document.querySelector('.review [data-view=suspects]')")
    total = int(page.locator(".review .total b").inner_text())
    wrong = {"5", "45", "85", "125", "165", "205"}
    suspects = {key.split("-")[1] for key in (e.get_attribute("data-key") for e in page.locator(".pairs .pair").all())}
    assert len(wrong & suspects) >= 4
    one.pictured(".pairs img")
    one.shot("suspects")
    first = next(iter(wrong & suspects))
    page.click(f"[data-key='relabel-{first}']")
    one.until(f"!document.querySelector(`[data-key='relabel-{first}']`) && document.querySelector('.review .total')")
    assert int(page.locator(".review .total b").inner_text()) <= total - 1
    page.locator(".explore .map").focus()
    page.keyboard.press("u")
    one.reads("#spoken", "Undone")
    one.check()


def test_outliers_are_listed_farthest_first(reader):
    one = reader()
    page = one.open()
    page.click("#tab-review")
    page.click("[data-key=outliers]")
    one.until("document.querySelector('.review [data-view=outliers]')")
    scores = [float(text) for text in page.locator(".pairs .score").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    one.check()


def test_two_maps_are_linked_and_their_agreement_is_told(reader, painted):
    one = reader()
    page = one.open()
    page.click("nav [data-key=compare]")
    one.until("document.querySelectorAll('.figure').length === 3")
    one.until("[...document.querySelectorAll('.compare .map')].every(m => m.dataset.drawn === '1797')")
    one.until("document.querySelector('.compare [data-key=agreement]')")  # both are coloured
    values = page.locator(".figure b").all_inner_texts()
    assert 0 < int(values[0].removesuffix(" %")) <= 100
    assert 0 <= float(values[1]) <= 1
    assert values[2] == "1,797"
    sides = page.locator(".compare .map")
    before = [painted(one.look(f".half:nth-of-type({i}) .map")) for i in (1, 2)]
    box = sides.first.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.down("Shift")
    page.mouse.move(middle[0] - 90, middle[1] - 90)
    page.mouse.down()
    for dx, dy in ((90, -90), (90, 90), (-90, 90), (-90, -80)):
        page.mouse.move(middle[0] + dx, middle[1] + dy, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    one.until("document.querySelector('.linked').textContent.includes('selected')")
    after = [painted(one.look(f".half:nth-of-type({i}) .map")) for i in (1, 2)]
    assert after[0] < before[0], "the lasso shows on its own map"
    assert after[1] < before[1], "and on the other"
    one.shot("compare")
    page.click("[data-key=agreement]")
    one.check()


def test_a_fit_is_watched_and_stopped(reader):
    one = reader()
    page = one.open("/s/digits#page=runs")
    page.fill("#run-data", "digits")
    page.fill("#run-recipe", "simclr")
    page.fill("#run-epochs", "400")
    page.click(".start button.primary")
    one.until("(document.querySelector('.chart .line')?.getAttribute('d').match(/L/g) ?? []).length >= 3", patience=180)
    one.reads(".run-detail .badge", "running")
    one.shot("fit")
    page.click("[data-key=cancel]")
    one.reads(".run-detail .badge", "cancelled")
    assert page.locator("[data-key=cancel]").count() == 0
    one.check()


def test_a_run_that_cannot_start_says_why(reader):
    one = reader()
    page = one.open("/s/digits#page=runs")
    page.fill("#run-data", "no-such-data")
    page.click(".start button.primary")
    one.until("document.querySelector('.toast.bad') || document.querySelector('.run-detail .problem')")
    one.check()


def test_a_rank_table_shows_its_intervals_and_which_differences_count(reader):
    one = reader()
    listed = {
        "rankings": [{"name": "digits", "recipes": ["supcon", "simclr", "rotnet"], "runs": 9, "changed": "2026-11-01"}]
    }
    one.page.route("**/api/rankings", lambda route: route.fulfill(body=json.dumps(listed)))
    one.page.route("**/api/rankings/digits", lambda route: route.fulfill(body=json.dumps(RANKING)))
    page = one.open("/s/digits#page=runs")
    page.click(".run:has-text('3 recipes')")
    one.until("document.querySelectorAll('.rank tbody tr').length === 3")
    rows = page.locator(".rank tbody tr").all_inner_texts()
    assert ["best" in rows[0], "as good as the best" in rows[1], "worse" in rows[2]] == [True, True, True]
    one.shot("rank")
    one.check()
