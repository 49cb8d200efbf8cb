"""What views make of the data can be looked at, whatever the domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from semblance.data.pieces import Cutting
from semblance.data.text_views import TextViews
from semblance.data.views_shown import text_views
from semblance.errors import SemblanceError
from semblance.space.views import VIEWED, drawn_views
from semblance.testing import small


@pytest.mark.parametrize("domain", VIEWED)
def test_every_domain_with_views_has_its_picture(domain: str, tmp_path: Path) -> None:
    name, figure = drawn_views(small(domain))
    assert name == {"images": "supcon", "text": "simcse", "graph": "grace"}[domain]
    figure.savefig(tmp_path / "v.png", dpi=40)
    assert (tmp_path / "v.png").stat().st_size > 1000


def test_letters_that_a_view_leaves_out_are_dots() -> None:
    data = small("text")
    texts = getattr(data.x, "texts", data.x)
    told = text_views(data, Cutting().learned(texts.tolist()), TextViews(drop=0.3, cut=0.0), items=4, columns=2)
    assert [len(row) for row in told] == [3] * 4
    for text, *views in told:
        for view in views:
            assert len(view) == len(text)
            assert all(seen in ("·", letter) for seen, letter in zip(view, text, strict=True))
    assert any("·" in view for _, *views in told for view in views)


@pytest.mark.parametrize(
    ("domain", "recipe", "words"),
    [
        ("vectors", None, "no recipe draws views"),
        ("images", "triplet-network", "draws no views"),
        ("images", "grace", "takes no images"),
        ("graph", "gcn", "e.g. grace"),
    ],
)
def test_what_has_no_views_is_told_who_has(domain: str, recipe: str | None, words: str) -> None:
    with pytest.raises(SemblanceError, match=words):
        drawn_views(small(domain), recipe)
