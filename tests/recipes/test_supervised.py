"""What the supervised and frozen recipes promise beyond the contract of every recipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from sklearn.datasets import load_digits

from semblance.claims.signed_digits import signed, signed_digits
from semblance.data.dataset import Shape
from semblance.encoders.wrapped import AtStage
from semblance.recipes.frozen import affine_jitter, cnn_features_off_the_shelf
from semblance.recipes.supervised import moved_a_little, resnet, supervised
from semblance.space.training import train

SHAPE = Shape("images", (1, 8, 8), 10, 200)


def a_few_digits():
    whole = signed_digits()
    return whole.subset(np.concatenate([whole.splits["train"][:300], whole.splits["test"][:100]]))


def accuracy(model, dataset):
    test = dataset.subset(dataset.splits["test"])
    return float((np.array(model.predict(test)).astype(int) == test.targets["labels"]).mean())


def test_a_few_epochs_tell_most_digits_apart():
    data = a_few_digits()
    model = train(data, supervised(width=8, batch=30, lr=1e-2, least=1, epochs=8), seed=0)
    assert accuracy(model, data) > 0.85


def test_labels_decide_what_is_learned():
    data = a_few_digits()
    shuffled = np.random.default_rng(0).permutation(data.targets["labels"][:300])
    wrong = replace(data, targets={"labels": np.concatenate([shuffled, data.targets["labels"][300:]])})
    assert accuracy(train(wrong, supervised(width=8, batch=30, lr=1e-2, least=1, epochs=4), seed=0), data) < 0.4


def test_the_residual_recipe_divides_its_rate_by_ten_at_half_and_three_quarters():
    rule = resnet(lr=0.1).stages[0].rule
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)], "scheduled": True}], lr=0.1)
    rates = []
    for progress in (0.0, 0.49, 0.51, 0.76):
        rule.adjust(optimizer, progress, 10.0)
        rates.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.001])


def test_the_shortcut_can_be_chosen():
    counts = {}
    for kind in ("none", "A", "B", "C"):
        net = resnet(backbone="resnet8", width=4, shortcut=kind).encoder(SHAPE)
        counts[kind] = sum(p.numel() for p in net.parameters())
    assert counts["none"] == counts["A"] < counts["B"] < counts["C"]


def test_frozen_means_frozen():
    data = a_few_digits()
    whole = cnn_features_off_the_shelf(width=8, batch=30, least=1, epochs=2)
    solved = train(data, whole, seed=0)
    unsolved = train(data, replace(whole, stages=whole.stages[:1]), seed=0)
    trained, before = solved.network.encoder.state_dict(), unsolved.network.encoder.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in trained.items())
    assert solved.network.head.weight.any() and not unsolved.network.head.weight.any()
    assert accuracy(solved, data) > 0.6


def test_a_layer_is_read_while_the_whole_net_is_trained():
    data = a_few_digits()
    model = train(data, cnn_features_off_the_shelf(width=8, layer=1, C=1.0, batch=30, least=1, epochs=1), seed=0)
    start = train(data, cnn_features_off_the_shelf(width=8, layer=1, C=1.0, epochs=0), seed=0)
    assert isinstance(model.network.encoder, AtStage) and model.dim == 16
    deepest = "encoder.encoder.stages.3.0.convs.0.weight"
    assert not torch.equal(model.network.state_dict()[deepest], start.network.state_dict()[deepest])
    assert float(model.network.head.cost) == 1.0


def test_views_keep_colours_and_mirror_colour_pictures_only():
    for choose in (moved_a_little, affine_jitter):
        assert choose((3, 32, 32)).flip and not choose((1, 32, 32)).flip
        maps = choose((3, 32, 32)).draw(5, (3, 32, 32), torch.Generator().manual_seed(0))
        expected = torch.cat([torch.eye(3), torch.zeros(3, 1)], 1).expand(5, 3, 4)
        torch.testing.assert_close(maps.colours, expected, atol=1e-5, rtol=0)


def test_signed_digits_run_from_minus_one_to_one():
    data = signed_digits()
    encoder = signed(supervised(width=4)).encoder(SHAPE)
    shown = encoder._shown({"x": torch.from_numpy(data.x).float() / 255})["x"]
    pixels = load_digits().data.reshape(-1, 1, 8, 8)
    torch.testing.assert_close(shown, torch.from_numpy(pixels / 8 - 1).float(), atol=1e-5, rtol=0)
    assert len(data.splits["train"]) == 1200 and len(data.splits["test"]) == 597
    assert not set(data.splits["train"]) & set(data.splits["test"])
