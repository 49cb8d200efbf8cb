"""What branches promise: whose gradient flows, what a copy does, and how collapse is seen."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.errors import SemblanceError
from semblance.objectives.branches import (
    Branches,
    Copied,
    Stored,
    cross_correlation,
    frozen,
    negative_cosine,
    softmax_cross_entropy,
    spread_of,
    variance_covariance,
)
from semblance.objectives.projector import perceptron

N, D = 12, 6


class Net(nn.Module):
    """A linear encoder, or two untied ones, chosen by the view."""

    def __init__(self, untied: bool = False):
        super().__init__()
        self.maps = nn.ModuleList([nn.Linear(D, D) for _ in range(1 + untied)])

    def embed(self, batch):
        return self.maps[batch.get("branch", 0) % len(self.maps)](batch["x"]).tanh()


@pytest.fixture(autouse=True)
def _double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_default_dtype(before)


def a_batch(views: int = 2):
    return {
        "views": [{"x": torch.randn(N, D), "branch": i} for i in range(views)],
        "index": torch.arange(N),
    }


def gradients(objective: nn.Module, model: nn.Module, batch) -> torch.Tensor:
    model.zero_grad()
    objective(model, batch)[0].backward()
    return torch.cat(
        [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in model.parameters()]
    )


def test_the_target_branch_gets_no_gradient():
    model, batch = Net(untied=True), a_batch()
    gradients(Branches(predictor=nn.Linear(D, D), symmetric=False), model, batch)
    assert model.maps[0].weight.grad.abs().sum() > 0
    assert model.maps[1].weight.grad is None


def test_without_stop_gradient_the_target_branch_gets_one():
    model, batch = Net(untied=True), a_batch()
    gradients(Branches(predictor=nn.Linear(D, D), symmetric=False, stop_gradient=False), model, batch)
    assert model.maps[1].weight.grad.abs().sum() > 0


def test_with_identity_predictor_the_stop_gradient_halves_the_gradient():
    model, batch = Net(), a_batch()
    halved = gradients(Branches(), model, batch)
    whole = gradients(Branches(stop_gradient=False), model, batch)
    torch.testing.assert_close(2 * halved, whole, rtol=1e-6, atol=1e-7)
    assert whole.abs().max() > 1e-3


def test_the_loss_is_the_papers_two_terms():
    model, batch, head = Net(), a_batch(), nn.Linear(D, D)
    z1, z2 = (model.embed(view) for view in batch["views"])
    plain = 0.0
    for i in range(N):
        for z, target in ((z1, z2), (z2, z1)):
            p, t = head(z[i]), target[i]
            plain -= (p @ t / (p.norm() * t.norm())).item() / 2 / N
    assert float(Branches(predictor=head)(model, batch)[0]) == pytest.approx(plain, abs=1e-6)


def test_three_views_are_all_ordered_pairs():
    model, batch = Net(), a_batch(3)
    z = [F.normalize(model.embed(view), dim=1) for view in batch["views"]]
    pairs = [-(z[i] * z[j]).sum(1).mean() for i in range(3) for j in range(3) if i != j]
    assert float(Branches()(model, batch)[0]) == pytest.approx(float(sum(pairs)) / 6, abs=1e-6)


def test_pooled_targets_are_the_mean_direction_of_the_other_views():
    model, batch = Net(), a_batch(3)
    z = [F.normalize(model.embed(view), dim=1) for view in batch["views"]]
    terms = [negative_cosine(z[i], sum(z[j] for j in range(3) if j != i)) for i in range(3)]
    assert float(Branches(pooled=True)(model, batch)[0]) == pytest.approx(float(sum(terms)) / 3, abs=1e-6)


def test_one_view_is_refused():
    with pytest.raises(SemblanceError, match="draw 2 or more"):
        Branches()(Net(), a_batch(1))


def test_a_fixed_predictor_is_no_parameter_of_the_optimiser():
    objective = Branches(perceptron((D, D, D)), frozen(perceptron((D, 3, D))))
    asked = {name.split(".")[0] for name, p in objective.named_parameters() if p.requires_grad}
    assert asked == {"projector"}


def test_alternation_with_one_step_is_simsiam():
    model, batch = Net(), a_batch()
    with_copy = Branches(predictor=nn.Linear(D, D), targets=Copied(Net(), None, momentum=0.0, every=1))
    plain = Branches(predictor=with_copy.predictor)
    for _ in range(3):
        for loss in (plain, with_copy):
            torch.testing.assert_close(gradients(loss, model, batch), gradients(plain, model, batch))
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.1 * torch.randn_like(p))
        with_copy.after_step(model, batch)


def test_between_renewals_the_targets_stay():
    model, batch = Net(), a_batch()
    objective = Branches(targets=Copied(Net(), None, momentum=0.0, every=3))
    moved = []
    for _ in range(7):
        objective(model, batch)
        moved.append(objective.targets.encoder.maps[0].weight.clone())
        with torch.no_grad():
            model.maps[0].weight.add_(1.0)
        objective.after_step(model, batch)
    renewed = [not torch.equal(a, b) for a, b in pairwise(moved)]
    assert renewed == [False, False, True, False, False, True]


def test_the_copy_follows_by_the_stated_share_and_never_trains():
    model, batch = Net(), a_batch()
    objective = Branches(targets=Copied(Net(), None, momentum=0.9))
    objective(model, batch)
    start = model.maps[0].weight.detach().clone()
    with torch.no_grad():
        model.maps[0].weight.add_(1.0)
    objective.after_step(model, batch)
    torch.testing.assert_close(objective.targets.encoder.maps[0].weight, start + 0.1)
    assert not any(p.requires_grad for p in objective.targets.parameters())


def test_the_copy_survives_a_restart():
    model, batch = Net(), a_batch()
    objective = Branches(targets=Copied(Net(), None, momentum=0.9))
    objective(model, batch)
    with torch.no_grad():
        model.maps[0].weight.add_(1.0)
    objective.after_step(model, batch)
    restarted = Branches(targets=Copied(Net(), None, momentum=0.9))
    restarted.load_state_dict(objective.state_dict())
    assert float(restarted(model, batch)[0]) == float(objective(model, batch)[0])


def test_stored_targets_are_the_running_mean_of_directions():
    model, batch = Net(), a_batch()
    objective = Branches(targets=Stored(N, D, momentum=0.75), pooled=True)
    seen = torch.stack([F.normalize(model.embed(v), dim=1) for v in batch["views"]]).mean(0).detach()
    first = objective(model, batch)[0]
    assert float(first) == pytest.approx(float(Branches(pooled=True)(model, batch)[0]), abs=1e-6)
    objective.after_step(model, batch)
    torch.testing.assert_close(objective.targets.eta, seen, rtol=1e-6, atol=1e-6)
    again = a_batch()
    objective(model, again)
    objective.after_step(model, again)
    new = torch.stack([F.normalize(model.embed(v), dim=1) for v in again["views"]]).mean(0).detach()
    torch.testing.assert_close(objective.targets.eta, 0.75 * seen + 0.25 * new, rtol=1e-6, atol=1e-6)


def test_softmax_similarity_is_torchs_cross_entropy_with_soft_labels():
    p, target = torch.randn(N, D), torch.randn(N, D)
    torch.testing.assert_close(softmax_cross_entropy(p, target), F.cross_entropy(p, target.softmax(1)))


@pytest.mark.parametrize("rank, std", [("collapsed", 0.0), ("uniform", 1.0)])
def test_both_signs_of_collapse_are_seen(rank, std):
    z = torch.randn(4000, 16) if rank == "uniform" else torch.randn(4000, 1) * torch.ones(16) * 1e-9 + torch.ones(16)
    got = spread_of(z)
    assert got["std"] * math.sqrt(16) == pytest.approx(std, abs=0.02)
    assert got["rank"] == pytest.approx(16.0 if rank == "uniform" else 1.0, abs=0.3)


def test_collapse_under_plain_batch_norm_shows_in_the_rank_only():
    z = torch.randn(256, 1) * torch.randn(16).sign()
    got = spread_of(F.batch_norm(z, None, None, training=True))
    assert got["std"] * math.sqrt(16) > 0.5
    assert got["rank"] == pytest.approx(1.0, abs=1e-3)


def test_decorrelated_agreeing_branches_cost_nothing():
    z = torch.randn(64, D)
    z = (z - z.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov((z - z.mean(0)).T)).T)
    assert float(cross_correlation(z, z)) == pytest.approx(0, abs=1e-10)
    assert float(variance_covariance(z * 1.01, z * 1.01)) == pytest.approx(0, abs=1e-3)


def test_collapsed_branches_cost_both_covariance_losses():
    flat = torch.ones(64, D) + 1e-9 * torch.randn(64, D)
    assert float(variance_covariance(flat, flat)) > 20
    assert float(cross_correlation(flat, flat)) > D - 0.1
