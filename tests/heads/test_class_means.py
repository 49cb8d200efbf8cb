"""Class means: the identities of the paper, against loops, and classes that come later."""

from __future__ import annotations

import pytest
import torch

from semblance.errors import SemblanceError
from semblance.geometry import ball
from semblance.heads.prototypes.class_means import ClassMeans, Described, class_means, scores


def items(seed=0, n=60, d=6, classes=5):
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    centres = 3 * torch.randn(classes, d, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    return centres[y] + torch.randn(n, d, generator=g, dtype=torch.float64), y


def test_means_and_distances_are_those_of_loops():
    (z, y), (q, _) = items(), items(1, 7)
    c = torch.stack([z[y == k].mean(0) for k in range(5)])
    torch.testing.assert_close(class_means(z, y, 5), c)
    loops = torch.stack([-((q - point) ** 2).sum(1) for point in c], 1)
    torch.testing.assert_close(scores(q, z, y, 5), loops)
    cosine = torch.stack([torch.cosine_similarity(q, point[None]) for point in c], 1)
    torch.testing.assert_close(scores(q, z, y, 5, "cosine"), cosine)


def test_the_logits_are_those_of_a_linear_classifier():
    (z, y), (q, _) = items(), items(1, 20)
    c = class_means(z, y, 5)
    torch.testing.assert_close(scores(q, z, y, 5).softmax(1), (2 * q @ c.T - (c**2).sum(1)).softmax(1))


@pytest.mark.parametrize("distance", ["euclidean", "cosine", "hyperbolic"])
def test_with_one_shot_matching_and_prototypes_agree_and_with_more_they_do_not(distance):
    (z, y), (q, _) = items(), items(1, 20)
    if distance == "hyperbolic":
        z, q = ball.exp0(0.1 * z, 1.0), ball.exp0(0.1 * q, 1.0)
    one = [scores(q, z[:5], y[:5], 5, distance, read).softmax(1) for read in ("prototypes", "matching")]
    torch.testing.assert_close(*one)
    soft = {"euclidean": 0.05, "cosine": 5.0, "hyperbolic": 1.0}[distance]
    more = [scores(q, z, y, 5, distance, read, soft).softmax(1) for read in ("prototypes", "matching")]
    assert (more[0] - more[1]).abs().max() > 1e-3


def test_in_the_ball_means_are_einstein_midpoints_and_logits_squared_hyperbolic_distances():
    (z, y), (q, _) = items(), items(1, 7)
    z, q = ball.exp0(0.1 * z, 0.3), ball.exp0(0.1 * q, 0.3)
    # Klein coordinates, each weighed by its Lorentz factor, item by item.
    klein = [[2 * v / (1 + 0.3 * float(x @ x)) for v in x.tolist()] for x in z]
    gamma = [1 / (1 - 0.3 * sum(v * v for v in k)) ** 0.5 for k in klein]
    for k in range(5):
        of = [i for i in range(len(z)) if y[i] == k]
        middle = torch.tensor([sum(gamma[i] * klein[i][d] for i in of) for d in range(6)], dtype=torch.float64)
        middle = middle / sum(gamma[i] for i in of)
        middle = middle / (1 + (1 - 0.3 * middle @ middle).sqrt())
        torch.testing.assert_close(class_means(z, y, 5, "hyperbolic(0.3)")[k], middle)
        squared = ball.distances(q, middle[None], 0.3)[:, 0] ** 2
        torch.testing.assert_close(scores(q, z, y, 5, "hyperbolic(0.3)")[:, k], -squared)


def test_near_the_centre_of_the_ball_prototypes_are_four_times_the_euclidean_ones():
    (z, y), (q, _) = items(), items(1, 20)
    z, q = 1e-4 * z, 1e-4 * q
    torch.testing.assert_close(scores(q, z, y, 5, "hyperbolic"), 4 * scores(q, z, y, 5), rtol=1e-4, atol=1e-12)


def test_matching_is_the_softmax_over_support_items():
    (z, y), (q, _) = items(), items(1, 4)
    weight = (-((q[:, None] - z) ** 2).sum(2)).softmax(1)
    loops = torch.stack([weight[:, y == k].sum(1) for k in range(5)], 1)
    torch.testing.assert_close(scores(q, z, y, 5, read="matching").softmax(1), loops)


@pytest.mark.parametrize("read", ["prototypes", "matching"])
def test_a_class_added_later_leaves_the_ratios_of_the_others(read):
    (z, y), (q, _) = items(), items(1, 10)
    head = ClassMeans(6, 4, read=read, scale=0.1, names=("a", "b", "c", "d")).double()
    head.solve(z[y < 4], y[y < 4])
    before = head(q, {}).softmax(1)
    head.add(z[y == 4], y[y == 4], names=("e",))
    after = head(q, {}).softmax(1)
    torch.testing.assert_close(after[:, :4] / after[:, :1], before / before[:, :1])
    assert head.decode(head(z[y == 4], {})).count("e") == 12


def test_items_given_in_two_parts_are_as_if_given_at_once():
    z, y = items()
    z = ball.exp0(0.1 * z, 1.0)
    for distance in ("euclidean", "mahalanobis", "hyperbolic"):
        once, twice = (ClassMeans(6, 5, distance).double() for _ in range(2))
        once.solve(z, y)
        twice.solve(z[:25], y[:25])
        twice.add(z[25:], y[25:])
        torch.testing.assert_close(once(z, {}), twice(z, {}))


def test_mahalanobis_undoes_a_stretch_that_euclidean_suffers_from():
    z, y = items(n=500)
    q, t = items(1, 500)
    stretch = torch.diag(torch.tensor([60.0, 1, 1, 1, 1, 1], dtype=torch.float64))
    noise = torch.randn(2, 500, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 2
    right = {}
    for distance in ("euclidean", "mahalanobis"):
        head = ClassMeans(6, 5, distance).double()
        head.solve((z + noise[0]) @ stretch, y)
        right[distance] = float((head((q + noise[1]) @ stretch, {}).argmax(1) == t).double().mean())
    assert right["mahalanobis"] > right["euclidean"] + 0.05


def test_mahalanobis_with_little_shrinking_is_the_pooled_covariance():
    z, y = items(n=400)
    head = ClassMeans(6, 5, "mahalanobis").double()
    head.solve(z, y)
    c = class_means(z, y, 5)
    s = (z - c[y]).T @ (z - c[y]) / (400 - 5)
    s = 0.9 * s + 0.1 * s.diagonal().mean() * torch.eye(6)
    gap = z[:, None] - c
    torch.testing.assert_close(head(z, {}), -torch.einsum("nkd,de,nke->nk", gap, s.inverse(), gap))


def test_a_class_without_items_is_never_the_answer():
    z, y = items()
    head = ClassMeans(6, 9).double()
    head.solve(z, y)
    logits = head(z, {})
    assert torch.isfinite(logits).all()
    assert int(logits.argmax(1).max()) < 5


def test_a_grown_head_comes_back_from_its_state():
    z, y = items()
    head = ClassMeans(6, 5, read="matching").double()
    head.solve(z, y)
    head.add(z[:3], torch.full((3,), 5))
    again = ClassMeans(6, 5, read="matching").double()
    again.load_state_dict(head.state_dict())
    torch.testing.assert_close(again(z, {}), head(z, {}))


def test_described_classes_have_prototypes_of_unit_length_and_learn():
    attributes = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    head = Described(attributes, 6)
    z = 5 * torch.eye(6)[:4]
    logits = head(z, {})
    c = torch.nn.functional.normalize(head.map(attributes), dim=1)
    torch.testing.assert_close(logits, -(torch.cdist(z, c) ** 2), rtol=1e-4, atol=1e-4)
    torch.nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    assert float(head.map.weight.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ClassMeans(3, 2, "euclid"), "euclidean"),
        (lambda: ClassMeans(3, 2, read="match"), "matching"),
        (lambda: ClassMeans(3, 2, "mahalanobis", "matching"), "prototypes"),
        (lambda: ClassMeans(3, 2)(torch.ones(1, 3), {}), "no classes yet"),
    ],
)
def test_a_wrong_head_is_answered_with_its_remedy(make, text):
    with pytest.raises(SemblanceError, match=text):
        make()
