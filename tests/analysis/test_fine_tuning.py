"""The non-linear probe and the label curve, where it is known what they should say."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from semblance.analysis.fine_tuning import Perceptron, drawn_module, perceptron_scores
from semblance.analysis.label_curve import LabelCurve, label_curve
from semblance.analysis.probes import class_scores
from semblance.data.assemble import assemble
from semblance.data.dataset import ArrayDataset, Shape
from semblance.data.prepare import Prepare
from semblance.encoders.vectors import Flat
from semblance.errors import SemblanceError
from semblance.learning.backprop import Backprop


def quarters(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Exclusive or of two signs: nothing a linear map can read."""
    z = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
    return z, (z[:, 0] * z[:, 1] > 0).astype(np.int64)


def test_three_layers_read_what_a_linear_map_cannot():
    (z, y), (q, t) = quarters(0, 800), quarters(1, 400)
    deep = perceptron_scores(z, y, q, rule=Backprop("adam", lr=3e-3, epochs=14))
    flat = class_scores(z, y, q)[0]
    assert deep.shape == (400, 2)
    assert (deep.argmax(1) == t).mean() > 0.88
    assert (flat.argmax(1) == t).mean() < 0.6


def test_the_probe_has_as_many_layers_as_asked_and_one_is_linear():
    assert [m.out_features for m in Perceptron(6, 20, 3, 4).layers if isinstance(m, nn.Linear)] == [20, 20, 4]
    (one,) = Perceptron(6, 20, 1, 4).layers
    assert isinstance(one, nn.Linear)


def test_unlabelled_units_teach_the_probe_nothing_and_a_seed_repeats_it():
    (z, y), (q, _) = quarters(0, 120), quarters(1, 5)
    rule = Backprop("adam", lr=3e-3, epochs=2)
    some = np.where(np.arange(120) < 80, y, -1)
    moved = z.copy()
    moved[80:] = z[80:][::-1]  # the same columns' moments, other items
    first = perceptron_scores(z, some, q, 3, rule=rule)
    np.testing.assert_allclose(first, perceptron_scores(moved, some, q, 3, rule=rule), atol=1e-4)
    np.testing.assert_array_equal(first, perceptron_scores(z, some, q, 3, rule=rule))
    assert not np.array_equal(first, perceptron_scores(z, some, q, 4, rule=rule))


def clusters(n: int = 420) -> tuple[ArrayDataset, Prepare, torch.Tensor]:
    """Three classes, each off by 3 in a direction of its own out of sixty, and these directions [3, 60]."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    directions = np.linalg.qr(rng.normal(size=(60, 3)))[0].T
    x = (rng.normal(size=(n, 60)) + 3 * directions[y]).astype(np.float32)
    rows = np.arange(n)
    parts = {"train": rows[: n // 2], "test": rows[n // 2 :]}
    data = assemble("vectors", x, targets={"labels": y}, classes=("a", "b", "c"), splits=parts)
    prepare = Prepare(Shape("vectors", (60,), 3, n // 2), standardise=False)
    return data, prepare, torch.from_numpy(directions).float()


def test_a_start_that_knows_the_directions_is_ahead_while_labels_are_few():
    data, prepare, directions = clusters()
    knows = Flat(60, (3,))
    with torch.no_grad():
        knows.layers[0].weight.copy_(directions)
        knows.layers[0].bias.zero_()
    before = copy.deepcopy(knows.state_dict())
    starts = {"knows": lambda: copy.deepcopy(knows), "from scratch": lambda: Flat(60, (3,))}
    rule = Backprop("adam", lr=2e-2, epochs=12)
    curve = label_curve(data, prepare, starts, per_class=(3, 50, 999), draws=3, rule=rule)
    few, many = curve.of("knows")
    assert (few.per_class, many.per_class) == (3, 50)
    assert few.accuracy > curve.of("from scratch")[0].accuracy + 0.1
    assert few.low <= few.accuracy <= few.high and many.accuracy > 0.8
    assert all(torch.equal(before[name], value) for name, value in knows.state_dict().items())
    assert str(curve).startswith("with 3 labels per class, knows reaches")
    assert curve.table().column("start").to_pylist() == ["knows", "knows", "from scratch", "from scratch"]


def test_starts_that_are_the_same_have_the_same_curve_and_it_is_written(tmp_path):
    data, prepare, _ = clusters(90)
    rule = Backprop("adam", lr=1e-2, epochs=1)
    curve = label_curve(
        data,
        prepare,
        {"one": lambda: Flat(60, (3,)), "other": lambda: Flat(60, (3,))},
        per_class=(5,),
        draws=2,
        rule=rule,
    )
    one, other = curve.points
    assert (one.accuracy, one.low, one.high) == (other.accuracy, other.low, other.high)
    assert "ahead nowhere" in str(curve)
    curve.save(tmp_path / "curve.html")
    page = (tmp_path / "curve.html").read_text()
    assert "ahead nowhere" in page and "data:image/png;base64," in page and "<th>per_class</th>" in page
    assert len(LabelCurve(curve.points[:1]).plot().axes[0].get_legend().get_texts()) == 1


def test_more_labels_than_there_are_is_said():
    data, prepare, _ = clusters()
    with pytest.raises(SemblanceError, match="at most the 70 of the smallest class"):
        label_curve(data, prepare, {"one": lambda: Flat(60, (3,))}, per_class=(100,))


def test_a_module_drawn_by_a_seed_leaves_torchs_own_chance_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = drawn_module(lambda: nn.Linear(3, 3), 1)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first.weight, drawn_module(lambda: nn.Linear(3, 3), 1).weight)
    assert not torch.equal(first.weight, drawn_module(lambda: nn.Linear(3, 3), 1, 1).weight)
