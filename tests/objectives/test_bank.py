"""Banks: full softmax and NCE over stored vectors, and what may happen to these."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.errors import SemblanceError
from semblance.objectives.bank import Bank, InstanceDiscrimination, NoiseContrast, Queue, stored
from semblance.objectives.contrast import Contrast
from semblance.objectives.kernels import Cosine
from semblance.objectives.neighbours import itself, own_point


class Embeds(nn.Module):
    """A linear encoder."""

    def __init__(self, width: int = 5, dim: int = 8):
        super().__init__()
        self.map = nn.Linear(width, dim)

    def embed(self, batch):
        return self.map(batch["x"])


def a_batch(items: int = 16, units: int = 200, seed: int = 0) -> dict:
    generator = torch.Generator().manual_seed(seed)
    return {
        "x": torch.randn(items, 5, generator=generator),
        "index": torch.randperm(units, generator=generator)[:items],
    }


def a_bank(units: int = 200, dim: int = 8) -> Bank:
    torch.manual_seed(0)
    return Bank(units, dim)


def test_all_items_as_candidates_give_the_gradient_of_the_full_softmax():
    bank = F.normalize(a_bank().vectors.double(), dim=1)
    batch = a_batch() | {"bank": bank}
    z = torch.randn(16, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    ours = Contrast(own_point, Cosine(0.07), candidates=stored)(z, batch)
    plain = F.cross_entropy(F.normalize(z, dim=1) @ bank.T / 0.07, batch["index"])
    torch.testing.assert_close(ours, plain, atol=1e-9, rtol=0)
    torch.testing.assert_close(torch.autograd.grad(ours, z)[0], torch.autograd.grad(plain, z)[0], atol=1e-9, rtol=0)


def test_the_bank_stays_on_the_unit_sphere_and_moves_only_where_it_was_visited():
    torch.manual_seed(0)
    model, objective = Embeds(), InstanceDiscrimination(200, 8)
    before = objective.bank.vectors.clone()
    visited = torch.zeros(200, dtype=torch.bool)
    for step in range(20):
        batch = a_batch(seed=step)
        objective(model, batch)[0].backward()
        objective.after_step(model, batch)
        visited[batch["index"]] = True
    vectors = objective.bank.vectors
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(200), atol=1e-6, rtol=0)
    assert torch.equal(vectors[~visited], before[~visited])
    assert ((vectors - before).norm(dim=1) > 1e-3)[visited].all()


def test_an_update_is_the_normalised_middle_of_old_and_new():
    bank = a_bank()
    old, new = bank.vectors[3].clone(), F.normalize(torch.ones(8), dim=0)
    bank.update(torch.tensor([3]), 7 * new[None])
    torch.testing.assert_close(bank.vectors[3], F.normalize(old + new, dim=0))


def test_noise_contrast_is_its_published_sum():
    bank = a_bank()
    batch = a_batch(items=4) | {"bank": bank.vectors}
    loss = NoiseContrast(temperature=0.2, negatives=6)
    z = F.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(2)), dim=1)
    noise = torch.randint(200, (4, 6), generator=torch.Generator().manual_seed(3))
    value = loss(z, batch, noise)
    normaliser = 200 * torch.stack([(z[i] @ bank.vectors[k] / 0.2).exp() for i in range(4) for k in noise[i]]).mean()
    expected = 0.0
    for i in range(4):

        def data(k, v=z[i]):
            chance = (v @ bank.vectors[k] / 0.2).exp() / normaliser
            return chance / (chance + 6 / 200)

        expected -= data(batch["index"][i]).log() + sum((1 - data(k)).log() for k in noise[i])
    torch.testing.assert_close(value, expected / 4)


def test_the_normaliser_estimated_from_twenty_batches_is_within_three_percent():
    torch.manual_seed(0)
    bank = Bank(6000, 128)
    loss = NoiseContrast(temperature=0.07, negatives=512)
    z = F.normalize(torch.randn(20, 128, 128), dim=2)
    for step in range(20):
        loss(z[step], {"index": torch.arange(128), "bank": bank.vectors})
    exact = (z[-10:].flatten(0, 1) @ bank.vectors.T / 0.07).logsumexp(1).exp().mean()
    assert abs(float(loss.log_z.exp() / exact) - 1) < 0.03
    assert abs(float(exact) / 6000 / 2.2 - 1) < 0.1, "the figure in the docstring"


def test_a_tracked_normaliser_follows_features_that_draw_together_and_the_first_one_does_not():
    losses = {}
    for normaliser in ("tracked", "first"):
        bank = a_bank(units=500)
        loss = NoiseContrast(temperature=0.07, negatives=64, normaliser=normaliser)
        batch = {"index": torch.arange(32), "bank": bank.vectors}
        loss(F.normalize(torch.randn(32, 8), dim=1), batch)
        bank.vectors.copy_(F.normalize(bank.vectors * 0.1 + 1, dim=1))
        together = F.normalize(torch.randn(32, 8) * 0.1 + 1, dim=1)
        for _ in range(40):
            losses[normaliser] = float(loss(together, batch))
    assert losses["tracked"] < 10 < 100 < losses["first"]


def test_evaluating_the_loss_does_not_move_the_normaliser():
    loss = NoiseContrast(negatives=6).eval()
    loss(torch.ones(4, 8), a_batch(items=4) | {"bank": a_bank().vectors})
    assert loss.log_z == 0 and loss.seen == 0


def test_the_proximal_term_is_the_squared_step_from_the_stored_vector():
    model, batch = Embeds(), a_batch()
    torch.manual_seed(0)
    plain = InstanceDiscrimination(200, 8)
    torch.manual_seed(0)
    held = InstanceDiscrimination(200, 8, proximal=30.0)
    v = F.normalize(model.embed(batch), dim=1)
    step = (v - plain.bank.vectors[batch["index"]]).square().sum(1).mean()
    torch.testing.assert_close(held(model, batch)[0], plain(model, batch)[0] + 30 * step)


def test_a_queue_holds_the_latest_keys_and_its_loss_is_mocos_cross_entropy():
    torch.manual_seed(0)
    queue = Queue(12, 8)
    for _ in range(3):
        keys = F.normalize(torch.randn(5, 8), dim=1)
        queue.push(keys)
    torch.testing.assert_close(queue.keys[:5], keys)
    assert queue.keys.shape == (12, 8)
    z = torch.randn(5, 8)
    own = F.normalize(torch.randn(5, 8), dim=1)
    unit = F.normalize(z, dim=1)
    logits = torch.cat([(unit * own).sum(1, keepdim=True), unit @ queue.keys.T], 1) / 0.07
    value = Contrast(itself, Cosine(0.07), candidates=queue)(z, {"keys": own, "x": z})
    torch.testing.assert_close(value, F.cross_entropy(logits, torch.zeros(5, dtype=torch.int64)))


def test_everything_that_must_survive_a_resume_is_in_the_state():
    names = set(InstanceDiscrimination(20, 4, negatives=5).state_dict())
    assert {"bank.vectors", "loss.log_z", "loss.seen"} <= names


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keep": 1.0}, r"keep is 1\.0"),
        ({"proximal": -1.0}, r"proximal is -1\.0"),
        ({"negatives": -3}, "negatives is -3"),
        ({"negatives": 5, "normaliser": "frist"}, "did you mean first"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(SemblanceError, match=message):
        InstanceDiscrimination(20, 4, **settings)


def test_two_runs_from_one_seed_draw_the_same_noise():
    def run() -> list[float]:
        torch.manual_seed(5)
        bank, loss = Bank(50, 8), NoiseContrast(negatives=7)
        z = torch.randn(4, 8)
        return [float(loss(z, {"index": torch.arange(4), "bank": bank.vectors})) for _ in range(3)]

    first = run()
    assert first == run() and len(set(first)) == 3 and all(math.isfinite(v) for v in first)
