"""Explaining two items of a space: every domain's methods, what adds up, and what is refused with a remedy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import needs
from PIL import Image
from torch import nn

import semblance as sb
from semblance.errors import SemblanceError
from semblance.testing.report import check_report


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of 24 pictures with a bright square somewhere, and a space of them."""
    root, rng = tmp_path_factory.mktemp("explain"), np.random.default_rng(0)
    for i in range(24):
        x = rng.integers(0, 60, (16, 16, 3), dtype=np.uint8)
        r, c = rng.integers(0, 10, 2)
        x[r : r + 6, c : c + 6, i % 2] = 250
        place = root / "photos" / f"{'ab'[i % 2]}/{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(place)
    space = sb.fit(root / "photos", "supcon", out=root / "p.space", epochs=1, seed=0)
    yield space, root
    space.close()


@pytest.mark.parametrize("method", [None, "cells", "integrated", "gradient", "occlusion"])
def test_two_pictures_are_explained_by_every_method(photos, method):
    space, _ = photos
    found = space.explain("a/0.png", "a/2.png", method=method)
    check_report(found)
    assert found.method == (method or "cells")
    z = space.vectors[[space.ids.index("a/0.png"), space.ids.index("a/2.png")]]
    assert found.similarity == pytest.approx(float(z[0] @ z[1]), abs=1e-4)
    if found.method in ("cells", "integrated"):
        assert found.gap < (1e-5 if found.method == "cells" else 0.05)
    assert found.curve.deletion[0] == pytest.approx(found.similarity, abs=1e-4)


def test_one_item_is_explained_with_its_nearest(photos):
    space, root = photos
    assert space.explain("a/0.png", curve=False).names[1] == space.search("a/0.png", k=1).ids[0]
    assert sb.explain(root / "p.space", root / "photos/a/0.png", curve=False).curve is None


def test_files_arrays_and_ids_of_one_picture_are_explained_alike(photos):
    space, root = photos
    picture = np.asarray(Image.open(root / "photos/b/1.png"))
    found = [space.explain(x, "a/0.png", curve=False) for x in ("b/1.png", root / "photos/b/1.png", picture)]
    assert len({round(one.similarity, 5) for one in found}) == 1
    alone = sb.explain(space.model, picture, root / "photos/a/0.png", curve=False)
    assert alone.similarity == pytest.approx(found[0].similarity, abs=1e-5)


def test_a_removed_item_and_an_unknown_one_are_refused(photos, tmp_path):
    space, _ = photos
    space.remove(["b/23.png"])
    with pytest.raises(SemblanceError, match=r"'b/23.png' is neither an item.*removed.*did you mean b/"):
        space.explain("a/0.png", "b/23.png")
    with pytest.raises(SemblanceError, match=r"did you mean a/0\.png"):
        space.explain("a/0.pgn", "a/2.png")
    with pytest.raises(SemblanceError, match="did you mean occlusion"):
        space.explain("a/0.png", "a/2.png", method="oclusion")
    with pytest.raises(SemblanceError, match="knows no other items"):
        sb.explain(space.model, "x.png")


def test_a_picture_whose_file_is_gone_is_explained_by_its_thumbnail(photos):
    space, root = photos
    whole = space.explain("a/4.png", "a/0.png", curve=False).similarity
    (root / "photos/a/4.png").rename(root / "kept.png")
    try:
        found = space.explain("a/4.png", "a/0.png", curve=False)
    finally:
        (root / "kept.png").rename(root / "photos/a/4.png")
    assert "thumbnail" in found.notes[0] and found.similarity == pytest.approx(whole, abs=1e-4)


class Looked(nn.Module):
    """Answers by a look-up: no gradient comes back from it."""

    def forward(self, x):
        return torch.from_numpy(np.asarray(x.detach().flatten(1)))


def test_a_model_without_gradients_is_sent_to_occlusion(photos):
    _, root = photos
    model = sb.wrap(Looked(), transform=lambda x: x.float() / 255)
    a, b = (np.asarray(Image.open(root / f"photos/a/{i}.png")).transpose(2, 0, 1)[None] for i in (0, 2))
    model.embed(np.concatenate([a, b]))
    with pytest.raises(SemblanceError, match="use method occlusion"):
        sb.explain(model, a, b, method="integrated")
    with pytest.raises(SemblanceError, match="pools no map"):
        sb.explain(model, a, b, method="cells")
    found = sb.explain(model, a, b)
    assert found.method == "occlusion" and found.gap is None
    check_report(found)


def test_one_class_only_is_explained_as_well(tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (12, 16, 16, 3), dtype=np.uint8)
    with sb.fit(x, "simclr", out=tmp_path / "one.space", epochs=1, labels=["only"] * 12) as space:
        assert space.explain("0", "1", curve=False).gap < 1e-5


def test_rows_of_numbers_are_explained_by_columns(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    with sb.fit(tmp_path / "x.npy", "as-is", out=tmp_path / "x.space") as space:
        for method in (None, "occlusion"):
            check_report(space.explain("3", "4", method=method))
        found = space.explain("3", "4")
    assert found.similarity == pytest.approx(float(x[3] @ x[4] / np.linalg.norm(x[3]) / np.linalg.norm(x[4])), abs=1e-5)


def test_two_nodes_are_explained_by_features_and_edges(tmp_path):
    needs("texas")
    with sb.fit("texas", "gcn", out=tmp_path / "g.space", epochs=2, seed=0) as space:
        found = space.explain("0", "5")
        check_report(found)
        assert [side.kind for side in found.parts][:2] == ["nodes", "features"] and found.gap < 0.05
        alone = space.explain("0", "5", method="occlusion")
        assert {side.kind for side in alone.parts} == {"edges"} and alone.gap is None
        with pytest.raises(SemblanceError, match="did you mean"):
            space.explain("0", "1830")


def test_a_graph_without_features_is_explained_by_its_edges(tmp_path):
    with sb.fit("karate", "deepwalk", out=tmp_path / "k.space", epochs=1, seed=0) as space:
        assert space.explain("0", "1").method == "occlusion"
        with pytest.raises(SemblanceError, match="use method occlusion"):
            space.explain("0", "1", method="integrated")
