"""Losses and gradients against pytorch-metric-learning 2.9.0 on the same embeddings, and against published formulas written
out in float64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.data.mining import Mining
from semblance.data.semi_hard import SemiHard
from semblance.objectives.branches import Branches, cross_correlation, negative_cosine, variance_covariance
from semblance.objectives.contrast import Contrast, Points
from semblance.objectives.kernels import Cosine
from semblance.objectives.mined import Mined
from semblance.objectives.multi_similarity import MultiSimilarity
from semblance.objectives.neighbours import other_view, same_class, same_label
from semblance.objectives.triplets import Triplets, hinge, squared

N, WIDTH, CLASSES = 48, 16, 6


class AsItIs(nn.Module):
    def embed(self, batch):
        return batch["x"]


def a_batch():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % CLASSES
    z = torch.randn(N, WIDTH, generator=generator) + 0.8 * torch.randn(CLASSES, WIDTH, generator=generator)[labels]
    return z.requires_grad_(), {"labels": labels, "item": torch.arange(N // 2).repeat(2)}


def same(ours, theirs, z, more=0.0):
    """The same value (up to a constant) and gradient, to 1e-5."""
    values = [ours, theirs]
    gradients = [torch.autograd.grad(value, z)[0] for value in values]
    torch.testing.assert_close(ours, theirs + more, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)
    assert gradients[0].abs().max() > 1e-4


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_ntxent(temperature):
    from pytorch_metric_learning.losses import NTXentLoss

    z, batch = a_batch()
    same(Contrast(other_view, Cosine(temperature))(z, batch), NTXentLoss(temperature)(z, batch["item"]), z)


@pytest.mark.parametrize("many", [True, False])
def test_supcon_up_to_the_entropy_of_p(many, monkeypatch):
    from pytorch_metric_learning.losses import SupConLoss

    from semblance.objectives import contrast

    monkeypatch.setattr(contrast, "MANY", 1 if many else 2048)
    z, batch = a_batch()
    batch = {"labels": batch["labels"]}
    same(
        Contrast(same_label, Cosine(0.1))(z, batch), SupConLoss(0.1)(z, batch["labels"]), z, -math.log(N // CLASSES - 1)
    )


def of_triples(miner=None):
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.reducers import MeanReducer

    loss = TripletMarginLoss(0.2, distance=LpDistance(power=2), reducer=MeanReducer())
    return lambda z, labels: loss(z, labels, miner(z, labels) if miner else None)


def test_triplets_of_everyone():
    z, batch = a_batch()
    loss = Triplets(lambda a, b: hinge(a, b, 0.2), squared, mining=Mining("all", "all", 0.2))
    ours, _ = loss(AsItIs(), {**batch, "x": F.normalize(z, dim=1)})
    same(ours, of_triples()(z, batch["labels"]), z)


def test_semi_hard_triplets():
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.miners import TripletMarginMiner

    z, batch = a_batch()
    miner = TripletMarginMiner(0.2, "semihard", distance=LpDistance(power=2))
    loss = Mined(SemiHard("all", margin=0.2, distance="squared"), lambda a, b: hinge(a, b, 0.2))
    ours, told = loss(AsItIs(), {**batch, "x": z})
    assert told["triples"] == len(miner(z, batch["labels"])[0]) > 100 and told["active"] > 0.99
    same(ours, of_triples(miner)(z, batch["labels"]), z)


def with_weights(weights):
    """Our learned points with the peer's numbers."""
    points = Points(*weights.shape)
    points.weight.data.copy_(weights)
    return points


def test_proxies():
    from pytorch_metric_learning.losses import ProxyNCALoss

    peer_loss = ProxyNCALoss(CLASSES, WIDTH, softmax_scale=3.0)
    z, batch = a_batch()
    points = with_weights(peer_loss.proxies.detach())
    # |z - p|^2 = 2 - 2 cos: the softmax of distances times 3 is that of cosines over 1/6.
    ours = Contrast(same_class, Cosine(1 / 6), candidates=points)(z, batch)
    same(ours, peer_loss(z, batch["labels"]), z)


def test_normalised_softmax():
    from pytorch_metric_learning.losses import NormalizedSoftmaxLoss

    peer_loss = NormalizedSoftmaxLoss(CLASSES, WIDTH, temperature=0.05)
    z, batch = a_batch()
    points = with_weights(peer_loss.W.detach().T)
    same(Contrast(same_class, Cosine(0.05), candidates=points)(z, batch), peer_loss(z, batch["labels"]), z)


@pytest.mark.parametrize("epsilon", [None, 0.1])
def test_multi_similarity(epsilon):
    from pytorch_metric_learning.losses import MultiSimilarityLoss
    from pytorch_metric_learning.miners import MultiSimilarityMiner
    from pytorch_metric_learning.reducers import MeanReducer

    z, batch = a_batch()
    pairs = MultiSimilarityMiner(epsilon)(z, batch["labels"]) if epsilon else None
    theirs = MultiSimilarityLoss(2.0, 50.0, 0.5, reducer=MeanReducer())(z, batch["labels"], pairs)
    same(MultiSimilarity(epsilon=epsilon)(z, batch), theirs, z)


# --- published formulas, as loops over items and coordinates in float64 -----------------------------------------------


def two_views():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(12, 5, generator=generator, dtype=torch.float64) for _ in range(2)]


def test_ntxent_as_published():
    z1, z2 = two_views()
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    total = 0.0
    for i in range(24):
        scores = [math.exp(float(z[i] @ z[k]) / 0.3) for k in range(24) if k != i]
        total -= math.log(math.exp(float(z[i] @ z[(i + 12) % 24]) / 0.3) / sum(scores)) / 24
    ours = Contrast(other_view, Cosine(0.3))(torch.cat([z1, z2]), {"item": torch.arange(12).repeat(2)})
    assert float(ours) == pytest.approx(total, rel=1e-12)


def test_symmetric_negative_cosine_as_published():
    z1, z2 = two_views()

    def cosine(p, z):
        return sum(float(a @ b / (a.norm() * b.norm())) for a, b in zip(p, z, strict=True)) / len(p)

    loss, _ = Branches(predictor=nn.Tanh())(AsItIs(), {"views": [{"x": z1}, {"x": z2}]})
    assert float(loss) == pytest.approx(-(cosine(z1.tanh(), z2) + cosine(z2.tanh(), z1)) / 2, rel=1e-12)
    assert float(negative_cosine(z1, z1)) == pytest.approx(-1)


def test_vicreg_as_published():
    z1, z2 = two_views()
    n, d = z1.shape
    invariance = sum(float((a - b) ** 2) for a, b in zip(z1.flatten(), z2.flatten(), strict=True)) / (n * d)
    variance = covariance = 0.0
    for z in (z1, z2):
        centred = z - z.mean(0)
        for j in range(d):
            variance += max(0.0, 1 - math.sqrt(float(centred[:, j] @ centred[:, j]) / (n - 1) + 1e-4)) / (2 * d)
            covariance += sum(float(centred[:, j] @ centred[:, k] / (n - 1)) ** 2 for k in range(d) if k != j) / d
    expected = 25 * invariance + 25 * variance + covariance
    assert float(variance_covariance(z1, z2)) == pytest.approx(expected, rel=1e-10)


def test_barlow_twins_as_published():
    z1, z2 = two_views()
    n, d = z1.shape
    (a, b), loss = [(z - z.mean(0)) / z.std(0, correction=0) for z in (z1, z2)], 0.0
    for j in range(d):
        for k in range(d):
            c = float(a[:, j] @ b[:, k]) / n
            loss += (1 - c) ** 2 if j == k else 0.005 * c**2
    assert float(cross_correlation(z1, z2)) == pytest.approx(loss, rel=1e-10)
