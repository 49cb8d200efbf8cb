"""Leave one out: the restricted KL it is, the k-NN classifier it becomes, and the queue it keeps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.errors import SemblanceError
from semblance.objectives.branches import Copied
from semblance.objectives.contrast import Contrast
from semblance.objectives.kernels import Cosine
from semblance.objectives.leave_one_out import LeaveOneOut, voted
from semblance.objectives.neighbours import same_label


class Linear(nn.Module):
    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.map = nn.Linear(6, 4)

    def embed(self, batch):
        return self.map(batch["x"])


def points(n: int = 24):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, 5, generator=generator).double().requires_grad_()
    return z, torch.arange(n) % 3


def of(z, labels, k, temperature=0.3):
    u = F.normalize(z, dim=1)
    return voted(u @ u.T / temperature, labels, labels, k)


@pytest.mark.parametrize("k", [8, 15, 23])
def test_it_is_the_kl_of_the_core_with_p_being_q_within_the_label(k):
    z, labels = points()
    rows, _ = of(z, labels, k)
    core = Contrast(same_label, Cosine(0.3), nearest=k, restrict=True)(z, {"labels": labels})
    torch.testing.assert_close(rows.mean(), core, rtol=1e-6, atol=1e-6)
    ours, theirs = (torch.autograd.grad(value, z, retain_graph=True)[0] for value in (rows.mean(), core))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_with_all_as_neighbours_it_is_the_chance_that_the_k_nn_classifier_gives():
    z, labels = points()
    u = F.normalize(z, dim=1)
    for i, row in enumerate(of(z, labels, 23)[0]):
        weight = torch.exp(u @ u[i] / 0.3)
        weight[i] = 0
        torch.testing.assert_close(row, -torch.log(weight[labels == labels[i]].sum() / weight.sum()))


def test_without_a_like_among_the_nearest_the_nearest_like_joins_them():
    z = torch.tensor([[1.0, 0.0], [0.99, 0.1], [0.98, 0.15], [0.0, 1.0], [0.1, 0.9]]).double()
    labels = torch.tensor([0, 1, 1, 0, 0])
    rows, right = of(z, labels, 2)
    u = F.normalize(z, dim=1)
    s = torch.exp(u @ u[0] / 0.3)
    torch.testing.assert_close(rows[0], -torch.log(s[4] / (s[1] + s[2] + s[4])))  # 4 is the nearest of its label
    assert not right[0] and right[3]


def test_items_far_away_are_asked_nothing():
    z, labels = points()
    gradient = torch.autograd.grad(of(z, labels, 3)[0][0], z)[0].abs().sum(1)
    assert 3 <= int((gradient > 0).sum()) <= 5  # itself, three neighbours, perhaps one of its label


def test_unlabelled_items_and_an_empty_queue_have_no_say():
    z, labels = points()
    some = torch.where(torch.arange(24) < 18, labels, -1)
    torch.testing.assert_close(of(z, some, 10)[0], of(z[:18], labels[:18], 10)[0])
    with pytest.raises(SemblanceError, match="another of its label"):
        of(z[:3], labels[:3], 2)


def test_the_queue_holds_the_copys_latest_embeddings_with_their_labels():
    model, batch = Linear(), {"x": torch.randn(10, 6), "labels": torch.arange(10) % 2}
    objective = LeaveOneOut(4, k=5, teacher=Copied(Linear(1), None, 0.5), size=25)
    loss, told = objective(model, batch)
    loss.backward()
    objective.after_step(model, batch)
    torch.testing.assert_close(objective.keys[:10], F.normalize(Linear().embed(batch), dim=1).detach())
    assert objective.labels.tolist() == (torch.arange(10) % 2).tolist() + [-1] * 15
    assert objective.teacher.encoder.map.weight.grad is None and 0 <= told["voted"] <= 1
    for _ in range(2):
        objective(model, batch)
        objective.after_step(model, batch)
    assert len(objective.keys) == 25 and (objective.labels >= 0).all()


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(SemblanceError, match="k is 0"):
        LeaveOneOut(4, k=0)
