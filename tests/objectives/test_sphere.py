"""Directions of classes: lengths do not count, margins ask for more, and the plain form is a normalised softmax."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.errors import SemblanceError
from semblance.objectives.contrast import Contrast, Points
from semblance.objectives.kernels import Cosine
from semblance.objectives.neighbours import same_class
from semblance.objectives.sphere import Sphere


class AsItIs(nn.Module):
    def embed(self, batch):
        return batch["x"]


def made(**how) -> tuple[Sphere, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return Sphere(5, 8, **how).double(), torch.randn(20, 8).double(), torch.arange(20) % 5


def test_neither_the_length_of_features_nor_that_of_classes_counts():
    sphere, z, labels = made(margin=0.1, spread=0.5, centre=0.2)
    loss, _ = sphere.score(z, labels)
    sphere.weight.data *= torch.rand(5, 1).double() * 9 + 0.1
    torch.testing.assert_close(sphere.score(7 * z, labels)[0], loss, rtol=1e-10, atol=0)


def test_plain_it_is_the_contrast_with_points_of_classes():
    sphere, z, labels = made(scale=16.0)
    points = Points(5, 8).double()
    points.weight.data = sphere.weight.data
    expected = Contrast(same_class, Cosine(1 / 16), candidates=points)(z, {"labels": labels})
    torch.testing.assert_close(sphere.score(z, labels)[0], expected)


@pytest.mark.parametrize("how", [{"margin": 0.3}, {"angle": 0.4}])
def test_margins_are_those_of_cosine_and_angle(how):
    sphere, z, labels = made(**how)
    cosines = F.normalize(z, dim=1) @ F.normalize(sphere.weight, dim=1).T
    for i, k in enumerate(labels.tolist()):
        if "margin" in how:
            cosines[i, k] = cosines[i, k] - 0.3
        else:
            cosines[i, k] = math.cos(min(math.pi, math.acos(float(cosines[i, k])) + 0.4))
    torch.testing.assert_close(sphere.score(z, labels)[0], F.cross_entropy(16 * cosines, labels))
    assert sphere.score(z, labels)[0] > made()[0].score(z, labels)[0]


def test_spread_classes_cost_nothing_and_crowded_ones_do():
    sphere, z, labels = made(spread=1.0)
    plain = made()[0]
    for weight, extra in ((torch.eye(5, 8), 0.0), (torch.ones(5, 8), 1.0)):
        sphere.weight.data, plain.weight.data = weight.double(), weight.double()
        gap = sphere.score(z, labels)[0] - plain.score(z, labels)[0]
        assert float(gap) == pytest.approx(extra, abs=1e-9)


def test_the_scale_learns_only_where_it_is_asked_to():
    for learn in (True, False):
        sphere, z, labels = made(learn_scale=learn)
        sphere.score(z, labels)[0].backward()
        assert (sphere.log_scale.grad is not None) == learn


def test_unlabelled_items_are_left_out():
    sphere, z, labels = made()
    sphere.float()
    loss, told = sphere(
        AsItIs(), {"x": torch.cat([z, z[:3]]).float(), "labels": torch.cat([labels, -torch.ones(3).long()])}
    )
    torch.testing.assert_close(loss, sphere.score(z.float(), labels)[0])
    assert 0 <= told["accuracy"] <= 1
    nobody, _ = sphere(AsItIs(), {"x": z.float(), "labels": -torch.ones(20).long()})
    assert float(nobody) == 0


@pytest.mark.parametrize(
    ("how", "words"), [({"scale": 0.0}, "scale is 0"), ({"angle": 4.0}, "angle is 4"), ({"classes": 1}, "1 classes")]
)
def test_settings_that_make_no_sense_are_refused(how, words):
    with pytest.raises(SemblanceError, match=words):
        Sphere(**{"classes": 5, "dim": 8, **how})
