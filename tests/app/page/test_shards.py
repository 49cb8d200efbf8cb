"""Shards on the page: one map and one search of all; what is not done for them is not offered; who is lost is named."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from semblance.space.shard_file import split
from tests.app.page.conftest import Server


@pytest.fixture(scope="module")
def parts(digits, folder):
    return split(digits, 3, folder / "whole.shards")


@pytest.fixture(scope="module")
def whole(parts, folder):
    running = Server(parts, cwd=folder)
    yield running
    running.stop()


def test_shards_are_looked_at_and_searched_as_one_space(reader, whole):
    one = reader(whole.address)
    page = one.open("/s/whole#item=300")
    assert (one.data("drawn"), one.data("matching")) == ("1797", "1797")
    one.until("document.querySelectorAll('.hits .hit[data-id]').length === 12")
    one.reads("#panel-item .card", "shard-0")
    hits = one.state("state.get('neighbours').hits.map(hit => [hit.space, hit.position])")
    assert all(space == f"shard-{position // 599}" for space, position in hits)
    # There is no UMAP, no vote, no explanation and no label to give; nothing of it is offered.
    offered = "[data-key=umap], .votes > ul, .why-link, .labeller .class"
    assert not any(e.is_visible() for e in page.locator(offered).all())
    assert page.locator(".lacks").is_hidden()
    page.fill("#filter", "label = '4'")
    page.keyboard.press("Enter")
    one.until("semblance.state.get('mask') && semblance.state.get('facets').matches < 1797")
    one.until("semblance.state.get('neighbours').hits.every(hit => hit.attributes.label === '4')")
    picture = io.BytesIO()
    Image.fromarray(np.uint8(load_digits().images[17] * 255 / 16)).save(picture, "PNG")
    page.set_input_files("#file", {"name": "mine.png", "mimeType": "image/png", "buffer": picture.getvalue()})
    one.reads("#panel-item h2", "mine.png", exactly=True)
    assert page.locator(".hits .hit[data-id]").count() == 12
    one.check()


def test_a_lost_shard_is_named_above_the_map_until_it_is_back(reader, whole, parts, folder):
    one = reader(whole.address)
    page = one.open("/s/whole#item=300")
    one.until("semblance.state.get('neighbours')")
    away = folder / "away"
    (parts / "shard-1").rename(away)
    try:
        page.locator(".hits .hit").first.click()
        one.reads(".lacks", "shard-1 does not answer: what is found lacks its items.")
        one.until("semblance.state.get('neighbours')?.hits.every(hit => hit.space !== 'shard-1')")
        assert str(folder) not in page.locator(".lacks").inner_text()
        assert one.data("drawn") == "1797", "no row moves"
        assert one.audit("nameless") == [] and one.audit("faint") == []
        one.shot("shards")
        one.check()
    finally:
        away.rename(parts / "shard-1")
    page.click("[data-key=ask-again]")
    one.until("document.querySelector('.lacks').hidden && semblance.state.get('neighbours')")
    one.check()
