"""Linear scores, and predictions averaged over crops and sizes."""

from __future__ import annotations

import pytest
import torch

from semblance.encoders.vision.stagenet import stage_net
from semblance.errors import SemblanceError
from semblance.heads.classify import Linear, predict_crops, shorter_side, ten_crops
from semblance.learning.parts import Network


def some(n, *shape, seed=0):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


def network(**axes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = stage_net("small", channels=1, width=4, **axes)
        return Network(net, Linear(net.dim, 5)).eval()


def test_scores_are_linear_in_the_embedding():
    head, z = Linear(4, 3), some(6, 4)
    torch.testing.assert_close(head(z, {}), z @ head.map.weight.T + head.map.bias)


def test_the_answer_is_the_best_class_by_name_where_names_are_known():
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, -1.0, 2.0]])
    assert Linear(4, 3, ("ash", "elm", "fir")).decode(logits) == ["elm", "ash"]
    assert Linear(4, 3).decode(logits) == [1, 0]


def test_a_classifier_without_classes_asks_for_labels():
    with pytest.raises(SemblanceError, match="0 classes: label the data"):
        Linear(4, 0)


def test_ten_crops_are_corners_and_centre_with_mirrors():
    x = torch.arange(35.0).view(1, 1, 5, 7)
    crops = list(ten_crops(x, (3, 3)))
    assert len(crops) == 10
    assert [int(c[0, 0, 0, 0]) for c in crops[::2]] == [0, 4, 14, 18, 9]
    assert all(torch.equal(a.flip(3), b) for a, b in zip(crops[::2], crops[1::2], strict=True))


def test_the_crops_of_a_whole_picture_are_the_picture():
    x = some(2, 1, 6, 6)
    assert all(torch.equal(c, x) for c in list(ten_crops(x, (6, 6)))[::2])


def test_averaged_predictions_are_the_mean_over_crops_one_by_one():
    net, x = network(), some(3, 1, 20, 20)
    total = torch.zeros(3, 5)
    for scale in (20, 26):
        for crop in ten_crops(shorter_side(x, scale), (16, 16)):
            total += net({"x": crop}).softmax(1).detach()
    torch.testing.assert_close(predict_crops(net, x, (16, 16), (20, 26)), total / 20)


def test_averaged_predictions_do_not_know_left_from_right_though_the_net_does():
    net, x = network(), some(3, 1, 20, 20)
    assert not torch.allclose(net({"x": x}), net({"x": x.flip(3)}), atol=1e-3)
    torch.testing.assert_close(predict_crops(net, x, (16, 16)), predict_crops(net, x.flip(3), (16, 16)))
    torch.testing.assert_close(predict_crops(net, x), predict_crops(net, x.flip(3)))


def test_averaged_predictions_are_probabilities():
    p = predict_crops(network(), some(3, 1, 20, 20), (12, 14), (18,))
    torch.testing.assert_close(p.sum(1), torch.ones(3))
    assert (p >= 0).all()


def test_scaling_sets_the_shorter_side_and_keeps_the_proportion():
    assert shorter_side(some(1, 1, 20, 30), 10).shape[2:] == (10, 15)


def test_a_crop_larger_than_the_picture_is_refused():
    with pytest.raises(SemblanceError, match="crops of 30 by 16 do not fit into images of 20 by 20"):
        predict_crops(network(), some(1, 1, 20, 20), (30, 16))
