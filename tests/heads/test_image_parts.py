"""Image parts: distances by hand, prototypes that are places of training pictures, points that sum up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.errors import SemblanceError
from semblance.heads.prototypes.image_parts import ImageParts
from semblance.learning.parts import Budget, Network, Parts
from semblance.learning.project import PutOntoParts, RefitLast
from semblance.objectives.parts import NearOwnParts


class Maps(nn.Module):
    """Pictures are their own maps."""

    dim = 6

    def forward(self, batch):
        return [batch["x"]]

    def embed(self, batch):
        return batch["x"].mean((2, 3))


class Data:
    """What the rules ask of a feed."""

    device = torch.device("cpu")

    def __init__(self, x, labels):
        self.x, self.labels = x, labels

    def in_order(self, size=4):
        for start in range(0, len(self.x), 4):
            rows = torch.arange(start, min(start + 4, len(self.x)))
            yield {"x": self.x[rows], "labels": self.labels[rows], "index": rows}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network(Maps(), ImageParts(6, 3, parts=2, dim=4))


X = torch.randn(11, 6, 3, 5, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(11) % 3


def test_logits_are_the_formula(network):
    head = network.head
    with torch.no_grad():
        z = head.add(X)
        for n in range(3):
            d = torch.stack([(z[n] - p[:, None, None]).square().sum(0).min() for p in head.prototypes])
            s = ((d + 1) / (d + 1e-4)).log()
            own = head.owner == torch.arange(3)[:, None]
            expected = (torch.where(own, 1.0, -0.5) * s).sum(1)
            torch.testing.assert_close(network({"x": X})[n], expected, rtol=1e-4, atol=1e-4)


def test_tokens_are_maps_in_a_line(network):
    tokens = X.flatten(2).mT
    torch.testing.assert_close(network.head(tokens, {}), network({"x": X}))
    with pytest.raises(SemblanceError, match="no places"):
        network.head(torch.zeros(2, 6), {})


def test_prototypes_become_the_nearest_places_of_their_own_class(network):
    head = network.head
    before = head.prototypes.detach().clone()
    (metrics,) = PutOntoParts().run(Parts(network), Data(X, LABELS), Budget())
    z = head.add(X).detach()
    for j, p in enumerate(before):
        own = head.owner[j] == LABELS
        gaps = (z[own] - p[:, None, None]).square().sum(1)
        assert (z[head.source[j], :, head.place[j, 0], head.place[j, 1]] - p).square().sum() == pytest.approx(
            float(gaps.min()), rel=1e-5
        )
    assert (LABELS[head.source] == head.owner).all() and metrics["moved"] > 0
    nearest = head.nearest([X])
    assert nearest[head.source, torch.arange(6)].max() < 1e-5


def test_the_points_of_an_answer_sum_to_its_logit(network):
    PutOntoParts().run(Parts(network), Data(X, LABELS), Budget())
    for c in (None, 0, 2):
        logits = network({"x": X[:1]})[0]
        told = network.head.explain([X[:1]], c)
        asked = int(logits.argmax()) if c is None else c
        assert sum(e.points for e in told) == pytest.approx(float(logits[asked]), abs=1e-5)
        assert [e.points for e in told] == sorted((e.points for e in told), reverse=True)
        assert told[0].heat[told[0].place] == told[0].heat.max()
        assert told[0].similarity == pytest.approx(float(told[0].heat.max()))
    with pytest.raises(SemblanceError, match="give one"):
        network.head.explain([X])


def test_the_last_layer_alone_is_refitted_to_lower_its_loss(network):
    head, kept = network.head, network.head.prototypes.detach().clone()

    def loss():
        with torch.no_grad():
            return float(F.cross_entropy(network({"x": X}), LABELS))

    before = loss()
    list(RefitLast().run(Parts(network), Data(X, LABELS), Budget()))
    assert loss() < before and torch.equal(head.prototypes, kept)
    free = head.weight.detach().clone()
    list(RefitLast(l1=0.5).run(Parts(network), Data(X, LABELS), Budget()))
    other = head.owner != torch.arange(3)[:, None]
    assert head.weight.detach()[other].abs().mean() < free[other].abs().mean()


def test_the_objective_is_its_three_terms_and_holds_the_last_layer(network):
    batch = {"x": X, "labels": torch.where(torch.arange(11) < 9, LABELS, -1)}
    loss, told = NearOwnParts(0.8, 0.08)(network, batch)
    d, y = network.head.nearest([X[:9]]), LABELS[:9]
    own = network.head.owner == y[:, None]
    cluster = torch.stack([row[o].min() for row, o in zip(d, own, strict=True)]).mean()
    separation = torch.stack([row[~o].min() for row, o in zip(d, own, strict=True)]).mean()
    cross = F.cross_entropy(network({"x": X[:9]}), y)
    assert float(loss) == pytest.approx(float(cross + 0.8 * cluster - 0.08 * separation), rel=1e-4)
    loss.backward()
    assert network.head.weight.grad is None and network.head.prototypes.grad.abs().sum() > 0
    assert told["cluster"] == pytest.approx(float(cluster), rel=1e-4)
    assert float(NearOwnParts()(network, {"x": X, "labels": torch.full((11,), -1)})[0]) == 0


def test_prototypes_that_are_near_strangers_go_and_are_loaded_as_gone(network):
    head = network.head
    near = head.owner[:, None].repeat(1, 6)
    near[1] = (head.owner[1] + 1) % 3
    assert head.prune(near) == 1 and head.prototypes.shape == (5, 4) and head.weight.shape == (3, 5)
    again = ImageParts(6, 3, parts=2, dim=4)
    again.load_state_dict(head.state_dict())
    torch.testing.assert_close(again([X], {}), head([X], {}))
    assert np.array_equal(again.owner.numpy(), head.owner.numpy())
