"""Mined triples in an objective: what it asks for, and what it answers where nothing is left to learn."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.data.semi_hard import SemiHard
from semblance.errors import SemblanceError
from semblance.objectives.mined import Mined
from semblance.objectives.multi_similarity import MultiSimilarity
from semblance.objectives.triplets import logistic


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(6, 4, bias=False)

    def embed(self, batch):
        return self.map(batch["x"])


def a_batch(n=32):
    generator = torch.Generator().manual_seed(0)
    return {"x": torch.randn(n, 6, generator=generator), "labels": torch.arange(n) % 5}


@pytest.mark.parametrize("directions", [True, False])
@pytest.mark.parametrize(
    "rule", [SemiHard(), SemiHard("all", margin=0.2), SemiHard("drawn"), SemiHard(positives="hardest")]
)
def test_the_loss_is_that_of_the_triples_found(rule, directions):
    model, batch = Linear(), a_batch()
    z = model.embed(batch)
    z = F.normalize(z, dim=1) if directions else z
    torch.manual_seed(0)
    anchor, positive, negative = rule(z, batch["labels"])
    a, b = (z[anchor] - z[positive]).square().sum(1), (z[anchor] - z[negative]).square().sum(1)
    torch.manual_seed(0)
    loss, told = Mined(rule, logistic, directions=directions)(model, batch)
    torch.testing.assert_close(loss, F.softplus(a - b).mean())
    assert told["triples"] == len(anchor)
    loss.backward()
    assert model.map.weight.grad.abs().sum() > 0


def test_without_labels_the_other_view_is_the_positive():
    model, batch = Linear(), a_batch()
    views = {"views": [{"x": batch["x"]}, {"x": batch["x"] + 0.01}]}
    objective = Mined(SemiHard(margin=None), from_views=True)
    assert objective.needs == {"views"} and Mined().needs == {"labels"}
    _, told = objective(model, views)
    assert 0 < told["triples"] <= 64


def test_where_all_are_apart_the_loss_is_a_zero_that_can_be_derived():
    model = Linear()
    batch = {"x": torch.eye(6)[torch.arange(12) // 2] * 100, "labels": torch.arange(12) // 2}
    model.map.weight.data = torch.eye(4, 6)
    batch = {k: v[:8] for k, v in batch.items()}
    loss, told = Mined(SemiHard("all", margin=0.1))(model, batch)
    loss.backward()
    assert float(loss) == 0 == told["triples"] and float(model.map.weight.grad.abs().sum()) == 0


def test_multi_similarity_is_zero_when_every_pair_is_in_order():
    batch = {"labels": torch.arange(8) // 2}
    apart = torch.eye(4)[batch["labels"]]
    loss = MultiSimilarity()
    assert float(loss(apart, batch)) == 0 and loss.counted == 0
    mixed = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    assert float(loss(mixed, batch)) > 0 and 0 < loss.counted <= 1
    unlabelled = {"labels": torch.cat([batch["labels"], torch.tensor([-1])])}
    torch.testing.assert_close(loss(torch.cat([mixed, mixed[:1]]), unlabelled), loss(mixed, batch))


@pytest.mark.parametrize("how", [{"alpha": 0.0}, {"beta": -1.0}])
def test_scales_that_are_none_are_refused(how):
    with pytest.raises(SemblanceError, match="more than 0"):
        MultiSimilarity(**how)


def test_one_label_teaches_nothing():
    with pytest.raises(SemblanceError, match="two labels or more"):
        MultiSimilarity()(torch.randn(4, 3), {"labels": torch.zeros(4)})
