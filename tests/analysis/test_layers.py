"""Layers against layers, and what matched units like."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.analysis.hsic import cka, cka_matrix
from semblance.analysis.layers import layer_comparison
from semblance.analysis.liked import liked_units
from semblance.analysis.similarity import MEASURES
from semblance.errors import SemblanceError
from semblance.testing.report import check_report

RNG = np.random.default_rng(9)
COMMON = RNG.normal(size=(150, 8))


def network(seed: int) -> dict[str, np.ndarray]:
    """Three layers that drift, each with axes of its own."""
    maps, own, state, found = np.random.default_rng(0), np.random.default_rng(seed), COMMON, {}
    for name in ("low", "middle", "high"):
        state = np.tanh(state @ maps.normal(size=(8, 8)))
        found[name] = state @ own.normal(size=(8, 20))
    return found


ONE, TWO = network(1), network(2)


def test_a_heat_map_holds_the_measure_of_every_pair_of_layers() -> None:
    found = layer_comparison(ONE, TWO)
    expected = [[cka(x, y, True) for y in TWO.values()] for x in ONE.values()]
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    np.testing.assert_allclose(found.values, cka_matrix(list(ONE.values()), list(TWO.values())))
    for name in ("svcca", "rsa"):
        other = layer_comparison(ONE, TWO, measure=name)
        assert other.values[0, 2] == pytest.approx(MEASURES[name](ONE["low"], TWO["high"]))


def test_every_layer_is_read_once_however_many_partners_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    read = []
    counted = replace(MEASURES["rsa"], prepare=lambda x: read.append(x.shape) or MEASURES["svcca"].prepare(x))
    monkeypatch.setitem(
        MEASURES, "counted", replace(counted, between=MEASURES["svcca"].between, reorder=lambda a, o: a)
    )
    layer_comparison(ONE, TWO, measure="counted")
    assert len(read) == 6


def test_layers_of_two_seeds_find_each_other_and_noise_finds_none() -> None:
    found = layer_comparison(ONE, TWO, ("one", "two"))
    assert str(found).startswith("3 of 3 layers of one find the same layer of two nearest")
    assert (found.values.argmax(1) == [0, 1, 2]).all()
    noise = layer_comparison(ONE, {"a": RNG.normal(size=(150, 5))}, measure="neighbours")
    assert noise.values.max() == pytest.approx(noise.null, abs=0.05)


def test_the_sentence_tells_depth_where_the_layers_have_other_names() -> None:
    other = {f"block {i}": x for i, x in enumerate(reversed(TWO.values()))}
    assert "agrees with depth by -1.00" in str(layer_comparison(ONE, other))
    assert str(layer_comparison({"low": ONE["low"]}, other)).startswith("of the layers of x and y, low and block 2")


def test_a_heat_map_is_a_report(tmp_path: object) -> None:
    found = layer_comparison(ONE, TWO)
    check_report(found)
    assert found.table().num_rows == 9
    told = found.to_dict()
    assert told["layers"] == [["low", "middle", "high"]] * 2 and len(told["values"]) == 3
    axes = found.plot().axes[0]
    assert len(axes.texts) == 9
    assert [label.get_text() for label in axes.get_xticklabels()] == ["low", "middle", "high"]


def test_many_items_are_some_of_them_where_a_measure_grows_faster_than_they_do() -> None:
    x = RNG.normal(size=(1_200, 6))
    found = layer_comparison({"a": x}, {"b": x + 0.1}, measure="rsa")
    assert found.values[0, 0] > 0.99
    assert "rsa is of 1,000 of the 1,200 items" in found.notes
    wide = layer_comparison({"a": RNG.normal(size=(20, 30))}, {"b": RNG.normal(size=(20, 30))}, measure="svcca")
    assert "a of x has 30 features for 20 items: svcca is near 1 there for any data" in wide.notes
    assert wide.values[0, 0] > 0.9


def test_matched_units_like_the_same_items() -> None:
    x = np.maximum(COMMON, 0)
    order = RNG.permutation(8)
    found = liked_units(x, x[:, order] + 1e-3 * RNG.normal(size=x.shape), pairs=4, top=5)
    np.testing.assert_array_equal(order[found.matching.matched], np.arange(8))
    assert (found.shared >= 0.8).all()
    for k, unit in enumerate(found.pairs):
        assert set(found.liked[0, k]) == set(np.argsort(-x[:, unit])[:5])
    mixed = liked_units(x, RNG.permutation(x), pairs=4, top=5)
    assert mixed.shared.mean() < 0.4
    check_report(found)


def test_pictures_stand_beside_each_other_and_ids_where_there_are_none() -> None:
    drawn = []

    def picture(row: int) -> np.ndarray | None:
        drawn.append(row)
        return None if row == 3 else np.full((9, 7, 3), row, np.uint8)

    found = liked_units(COMMON, COMMON, picture=picture, pairs=3, top=4)
    assert set(drawn) == set(found.liked.ravel().tolist())
    figure = found.plot()
    assert [len(axes.images) for axes in figure.axes] == [1] * 6
    assert figure.axes[0].images[0].get_array().shape == (48, 4 * 48, 3)
    named = liked_units(COMMON, COMMON, ids=[f"item {i}" for i in range(150)], pairs=2)
    assert named.plot().axes[0].texts[0].get_text().startswith("item ")
    check_report(found)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: layer_comparison({}, TWO), "one layer or more a side"),
        (lambda: layer_comparison(ONE, {"a": COMMON[:-1]}), "of the same items in the same order"),
        (lambda: layer_comparison(ONE, TWO, measure="ckb"), "there is no measure 'ckb'"),
        (lambda: layer_comparison(ONE, {"a": np.full((150, 2), np.nan)}), "layer a of y: .*NaN or infinity in 150"),
        (lambda: layer_comparison(ONE, {"a": np.ones((150, 2))}), "layer a of y: .*the same for all 150 items"),
        (lambda: layer_comparison(ONE, {"a": np.ones((150, 2))}, measure="svcca"), "layer a of y: .*the same for all"),
        (lambda: layer_comparison(ONE, {"a": np.full((150, 2), np.nan)}, measure="svcca"), "layer a of y: .*NaN"),
        (lambda: layer_comparison(ONE, {"a": np.full((150, 2), np.nan)}, measure="rsa"), "layer a of y: .*NaN"),
        (lambda: layer_comparison(ONE, {"a": np.full((150, 2), np.nan)}, measure="neighbours"), "layer a of y: .*NaN"),
        (lambda: liked_units(COMMON, np.ones((150, 3))), "no unit of the first correlates"),
    ],
)
def test_what_layers_cannot_be_compared_is_said(call, said: str) -> None:
    with pytest.raises(SemblanceError, match=said):
        call()
