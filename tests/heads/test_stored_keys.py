"""Stored keys: Shepard's weights, special cases put in and taken out, attention with masks."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from semblance.errors import SemblanceError
from semblance.heads.prototypes.inverse_distance import InverseDistanceAttention, StoredKeys
from semblance.heads.prototypes.similarities import OF_DIRECTION, OF_DISTANCE, distances, of_distance, score_named

SCORES = [*OF_DISTANCE, *OF_DIRECTION]


def head(score="inverse", **more):
    torch.manual_seed(0)
    made = StoredKeys(5, 3, 8, score, **more).double()
    nn.init.normal_(made.values)
    nn.init.normal_(made.keys)
    return made


Z = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("power", [1, 2, 6])
def test_shares_are_shepards_weights(power):
    made = head(power=power, eps=0.01)
    w = 1 / (0.01 + (Z[:, None] - made.keys).norm(dim=2) ** power)
    torch.testing.assert_close(made.shares(Z), w / w.sum(1, keepdim=True))
    torch.testing.assert_close(made(Z, {}), (w / w.sum(1, keepdim=True)) @ made.values)


def test_at_a_key_its_value_is_the_answer():
    made = head(eps=1e-9)
    torch.testing.assert_close(made(made.keys.detach(), {}), made.values, atol=1e-6, rtol=1e-6)


@given(st.integers(0, 6), st.integers(0, 2))
def test_a_special_case_wins_by_the_formulas_lead_and_can_be_taken_out(row, c):
    made, z = head(eps=0.01), Z[row]
    before, total = made(z[None], {})[0].detach(), made.weights(z[None]).sum().detach()
    mended = copy.deepcopy(made)
    assert mended.augment(z, c) == (int(before.argmax()) != c)
    after = mended(z[None], {})[0].detach()
    assert int(after.argmax()) == c
    if mended.added.any():
        others = torch.arange(3) != c
        lead = (before.max() - before[c]) / (1 + 0.01 * total)
        torch.testing.assert_close(after[c] - after[others].max(), lead)
        ratio = (after / before)[others]
        torch.testing.assert_close(ratio, ratio[:1].expand(2))
        mended.remove()
    torch.testing.assert_close(mended(Z, {}), made(Z, {}))


def test_what_was_learned_is_not_taken_out_and_other_scores_are_not_mended():
    with pytest.raises(SemblanceError, match="was learned"):
        head().remove(0)
    with pytest.raises(SemblanceError, match="take score='inverse'"):
        head("dot").augment(Z[0], 1)


def test_what_was_put_in_is_loaded():
    made = head()
    made.augment(Z[0], int(made(Z[:1], {}).argmin()))
    again = head()
    again.load_state_dict(made.state_dict())
    assert torch.equal(again(Z, {}), made(Z, {})) and again.added.sum() == 1


@pytest.mark.parametrize("score", [*SCORES, "relu"])
def test_every_score_learns_from_a_gradient(score):
    made = StoredKeys(5, 3, 8, score)
    made.solve(Z.float(), torch.zeros(7, dtype=torch.long))
    nn.init.normal_(made.values)
    made(Z.float(), {}).square().sum().backward()
    assert made.keys.grad.abs().sum() > 0 and made.values.grad.abs().sum() > 0
    assert made.decode(made(Z.float(), {})) == made(Z.float(), {}).argmax(1).tolist()


def test_keys_start_around_the_mean():
    made = StoredKeys(2, 3, 4000)
    made.solve(torch.tensor([[0.0, 100.0], [10.0, 300.0]]), torch.tensor([0, 1]))
    torch.testing.assert_close(made.keys.mean(0), torch.tensor([5.0, 200.0]), rtol=0.01, atol=0.1)
    assert float(made.keys[:, 0].std().detach()) == pytest.approx(0.1 * 50**0.5, rel=0.05)


@pytest.mark.parametrize("score", SCORES)
def test_scores_of_pairs_are_scores_of_batches(score):
    of = score_named(score, 1e-3)
    q, k = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 6, 5)
    torch.testing.assert_close(of(q, k)[1, 2], of(q[1, 2], k[1, 2]), rtol=1e-4, atol=1e-5)
    assert distances(q, k).shape == (2, 3, 4, 6)


def test_unknown_scores_and_impossible_numbers_are_refused():
    with pytest.raises(SemblanceError, match="did you mean inverse"):
        score_named("invers")
    with pytest.raises(SemblanceError, match="above 0"):
        of_distance("log", eps=0)
    with pytest.raises(SemblanceError, match="do not divide"):
        InverseDistanceAttention(6, 4)


@pytest.mark.parametrize("heads", [1, 2])
def test_attention_sees_what_the_mask_lets_it(heads):
    torch.manual_seed(0)
    layer = InverseDistanceAttention(6, heads)
    x, mask = torch.randn(2, 4, 6), torch.ones(2, 4, dtype=torch.bool)
    mask[:, 3] = False
    changed = x.clone()
    changed[:, 3] += 5
    torch.testing.assert_close(layer(x[:, :3], x, mask), layer(x[:, :3], changed, mask))
    torch.testing.assert_close(layer(x[:, :2], x, mask), layer(x[:, :2], x[:, :3]))
    assert torch.isfinite(layer(x, x, torch.zeros(2, 4, dtype=torch.bool))).all()
