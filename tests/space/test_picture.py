"""A space in two dimensions: what is drawn, of how many, in which colour, and what is refused."""

from __future__ import annotations

import sys
import types

import numpy as np
import pyarrow as pa
import pytest

import semblance as sb
from semblance.errors import SemblanceError
from semblance.space.picture import flat, spread


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> sb.Space:
    chance = np.random.default_rng(0)
    kinds = np.arange(120) % 30
    table = {"vector": (chance.normal(size=(120, 4)) + 3 * kinds[:, None]).tolist()}
    table |= {
        "label": [None if k == 5 else f"${k}$" for k in kinds],
        "year": 1990 + kinds,
        "word": ["a", "b", "_c"] * 40,
    }
    return sb.fit(pa.table(table), domain="vectors", out=tmp_path_factory.mktemp("drawn") / "v.space")


def drawn(figure) -> int:
    """How many points stand in the picture."""
    return max(len(points.get_offsets()) for points in figure.axes[0].collections)


def test_every_item_is_drawn_or_a_sample_that_says_so(space):
    assert drawn(space.plot(method="pca")) == 120
    assert drawn(space.plot(method="pca", where="word = 'a'")) == 40
    some = space.plot(method="pca", most=50)
    assert drawn(some) == 50 and "a uniform sample of 50 of 120 items, PCA" in some.axes[0].get_title(loc="left")


def test_the_twenty_commonest_classes_are_named_and_the_rest_counted(space):
    names = [text.get_text() for text in space.plot(method="pca").axes[0].get_legend().get_texts()]
    assert len(names) == 22 and names[-2:] == ["9 more", "none"]
    words = space.plot("word", method="pca").axes[0].get_legend().get_texts()
    assert [text.get_text() for text in words] == ["c", "a", "b"]


def test_numbers_get_a_scale_and_no_colour_none(space):
    figure = space.plot("year", method="pca")
    assert figure.axes[1].get_ylabel() == "year" and figure.axes[1].get_ylim() == (1990, 2019)
    assert space.plot(None, method="pca").axes[0].get_legend() is None


def test_a_picture_is_written_with_whatever_a_label_holds(space, tmp_path):
    space.plot(method="pca").savefig(tmp_path / "map.png")  # "$" would be mathematics to matplotlib, and fail
    assert (tmp_path / "map.png").stat().st_size > 5000


def test_a_notebook_shows_the_figure_itself(space):
    figure = space.plot(method="pca", most=5)
    assert figure._repr_png_().startswith(b"\x89PNG") and len(figure._repr_png_()) > 2000


def test_the_two_widest_directions_are_drawn_the_same_way_up():
    chance = np.random.default_rng(1)
    z = (chance.normal(size=(60, 5)) * [1, 5, 0.1, 3, 0.1]).astype(np.float32)
    xy, how = flat(z, "pca", 0)
    centred = z - z.mean(0)
    assert how == "PCA" and np.abs(np.corrcoef(xy[:, 0], centred[:, 1])[0, 1]) > 0.95
    assert np.abs(np.corrcoef(xy[:, 1], centred[:, 3])[0, 1]) > 0.95
    np.testing.assert_allclose(flat(np.concatenate([z, z[::-1]]), "pca", 0)[0][:60], xy, atol=1e-3)


def test_a_plane_is_drawn_as_it_is_and_a_few_items_by_pca():
    z = np.random.default_rng(2).normal(size=(7, 2)).astype(np.float32)
    assert (flat(z, "auto", 0)[0] == z).all() and flat(z[:, :1], "auto", 0)[0].shape == (7, 2)
    assert flat(np.ones((1, 9), np.float32), "auto", 0)[0].tolist() == [[0, 0]]
    assert flat(np.random.default_rng(3).normal(size=(20, 5)), "auto", 0)[1] == "PCA"


def test_umap_is_seeded_and_its_absence_falls_back_or_is_said(monkeypatch):
    asked = []

    class UMAP:
        def __init__(self, **settings):
            asked.append(settings)

        def fit_transform(self, z):
            return z[:, :2]

    z = np.random.default_rng(4).normal(size=(60, 5)).astype(np.float32)
    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=UMAP))
    assert flat(z, "auto", 7)[1] == "UMAP" and asked[0]["random_state"] == 7 and asked[0]["n_jobs"] == 1
    with pytest.raises(SemblanceError, match="four items or more, and there are 3"):
        flat(z[:3], "umap", 0)
    monkeypatch.setitem(sys.modules, "umap", None)
    assert flat(z, "auto", 0)[1] == "PCA"
    with pytest.raises(SemblanceError, match="draw with method='pca'"):
        flat(z, "umap", 0)


def test_pictures_stand_one_to_a_cell():
    xy = np.random.default_rng(5).uniform(size=(500, 2))
    chosen = spread(xy, 4)
    cells = ((xy[chosen] - xy.min(0)) / np.ptp(xy, axis=0).max() * (4 - 1e-6)).astype(int)
    assert len(chosen) == 16 == len(np.unique(cells, axis=0))
    assert spread(np.zeros((3, 2)), 4).tolist() == [0]


def test_images_stand_in_their_place(tmp_path):
    x = np.random.default_rng(6).integers(0, 255, (24, 8, 8)).astype(np.uint8)
    with sb.fit(x, labels=np.arange(24) % 2, recipe="simclr", epochs=0, out=tmp_path / "i.space") as space:
        assert len(space.plot(method="pca", pictures=True).axes[0].artists) > 5


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"method": "tsne"}, "umap"),
        ({"colour": "yaer"}, "year"),
        ({"most": 0}, "one item"),
        ({"where": "year > 3000"}, "nothing to draw"),
        ({"pictures": True}, "no images"),
    ],
)
def test_what_cannot_be_drawn_is_said(space, asked, words):
    with pytest.raises(SemblanceError, match=words):
        space.plot(**asked)


def test_who_waits_is_told(space):
    told = []
    space.plot(method="pca", progress=lambda *said: told.append(said))
    assert told == [(0, 1, "two dimensions")]
