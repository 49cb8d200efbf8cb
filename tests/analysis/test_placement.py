"""Where among the layers of a network a population stands."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.analysis.placement import place, robustness, simulated_area
from semblance.analysis.similarity import MEASURES, svcca
from semblance.errors import SemblanceError
from semblance.testing.report import check_report

RNG = np.random.default_rng(2)
COMMON = RNG.normal(size=(90, 12))


def layers(seed: int) -> dict[str, np.ndarray]:
    """Three layers that drift away from the first, with units of their own for every seed."""
    rng, found, state = np.random.default_rng(seed), {}, COMMON
    maps = np.random.default_rng(0)
    for name in ("low", "middle", "high"):
        state = np.tanh(state @ maps.normal(size=(12, 12)) / 2)
        found[name] = np.maximum(state @ rng.normal(size=(12, 300)), 0)
    return found


NETWORK, BRAIN = layers(1), layers(2)


def areas(*names: str) -> dict[str, np.ndarray]:
    return {f"{i}-{name}": simulated_area(BRAIN[name], 200, np.random.default_rng(i)) for i, name in enumerate(names)}


def test_areas_stand_at_the_layers_that_they_come_from() -> None:
    found = place(areas("low", "middle", "high"), [NETWORK], neurons=150)
    assert (found.depth == [0, 1, 2]).mean() > 0.9
    assert not found.notes
    assert "sequential" in str(found)
    assert (found.ceiling > 0.9).all()
    check_report(found)


def test_areas_of_one_layer_are_parallel_whatever_they_sum_up_to() -> None:
    found = place(areas("low", "high", "high", "high"), [NETWORK], neurons=150)
    assert found.spread < 0.3
    assert "parallel" in str(found)


def test_few_neurons_are_warned_of() -> None:
    found = place(areas("low", "middle", "high"), [NETWORK], neurons=3)
    assert any("with 3 neurons" in note for note in found.notes)
    assert "record more neurons" in str(found)


def test_what_a_placement_stands_on_is_told_by_neurons_images_and_sets_of_images() -> None:
    report = robustness(
        areas("low", "high"), [NETWORK], neurons=(3, 150), images=(20,), image_sets={"even": np.arange(0, 90, 2)}
    )
    rows = {(row["what"], row["kept"]): row for row in report.table().to_pylist()}
    assert list(rows) == [("all", "all"), ("neurons", "3"), ("neurons", "150"), ("images", "20"), ("image set", "even")]
    assert rows["neurons", "3"]["agrees"] < rows["neurons", "150"]["agrees"]
    assert rows["neurons", "3"]["score"] < rows["neurons", "150"]["score"]
    check_report(report)


def test_one_trial_has_no_ceiling_and_several_networks_take_turns() -> None:
    flat = {name: responses.mean(1) for name, responses in areas("low").items()}
    found = place(flat, [NETWORK, layers(3)], measure="svcca")
    assert np.isnan(found.ceiling).all()
    assert found.table().to_pylist()[0]["ceiling"] is None


def test_directions_may_be_a_number_and_with_all_of_them_linear_maps_change_nothing() -> None:
    x, y = COMMON[:, :7], np.tanh(COMMON[:, 3:9])
    assert svcca(directions=6)(x, y) == pytest.approx(svcca(kept=1.0, directions=6)(x, y))
    assert svcca(directions=1)(x, x + 0.0) == pytest.approx(1)
    assert svcca(1.0)(x, y @ RNG.normal(size=(6, 6))) == pytest.approx(svcca(1.0)(x, y), abs=1e-6)
    assert MEASURES["rsa"](x, x) == pytest.approx(1, abs=1e-9)


def test_a_simulated_area_is_a_part_of_its_layer_with_noise() -> None:
    found = simulated_area(BRAIN["low"], 40, np.random.default_rng(0), trials=400, noise=0.5)
    assert found.shape == (90, 400, 40)
    deviation = found.std(1).mean()
    assert deviation == pytest.approx(0.5 * BRAIN["low"].std(), rel=0.02)
    nearest = np.abs(found.mean(1)[:, :, None] - BRAIN["low"][:, None]).max(0).min(1)
    assert (nearest < 0.2 * BRAIN["low"].std()).all()


GOOD = areas("low")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: place({}, [NETWORK]), "no area is given"),
        (lambda: place({"a": np.ones(9)}, [NETWORK]), r"the area a has shape \(9,\)"),
        (lambda: place({"a": np.full((90, 3), np.nan)}, [NETWORK]), "NaN or infinity in 90 of 90"),
        (lambda: place({**GOOD, "b": np.ones((80, 3))}, [NETWORK]), "different numbers of images"),
        (lambda: place({"b": np.ones((80, 3))}, [NETWORK]), "layer low saw 90 images and the areas 80"),
        (lambda: place({"b": np.ones((3, 3))}, [NETWORK]), "too few"),
        (lambda: place(GOOD, []), "no network is given"),
        (lambda: place(GOOD, [NETWORK, {"low": NETWORK["low"]}]), "give the same of each"),
        (lambda: place(GOOD, [NETWORK], measure="ssm"), "there is no measure 'ssm'"),
        (lambda: simulated_area(BRAIN["low"], 301, RNG), "301 neurons of a layer of 300"),
    ],
)
def test_what_cannot_be_placed_is_said(call, said: str) -> None:
    with pytest.raises(SemblanceError, match=said):
        call()
