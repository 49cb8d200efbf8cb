"""Contrast: closed forms of the losses it unites, and what any loss of neighbours owes."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from semblance.errors import SemblanceError
from semblance.objectives import divergences, kernels, neighbours
from semblance.objectives.contrast import Contrast, Points, everyone, other_views, others
from semblance.objectives.kernels import Cosine, Dot, Harmonic, SharedCluster, StudentT
from semblance.objectives.neighbours import Listed, other_view, same_class, same_label


def a_batch(items: int = 8, views: int = 2, width: int = 6, seed: int = 0) -> tuple[Tensor, dict]:
    """z [views * items, width] in float64, views of four labels."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(views * items, width, generator=generator, dtype=torch.float64, requires_grad=True)
    return z, {
        "item": torch.arange(items).repeat(views),
        "view": torch.arange(views).repeat_interleave(items),
        "labels": (torch.arange(items) % 4).repeat(views),
        "x": torch.randn(views * items, 3, generator=generator, dtype=torch.float64),
    }


LOSSES = {
    "simclr": Contrast(other_view, Cosine(0.2)),
    "supcon": Contrast(same_label, Cosine(0.1)),
    "debiased": Contrast(same_label, debias=0.4, debias_q=0.2),
    "nearest": Contrast(same_label, nearest=9),
    "restricted": Contrast(same_label, restrict=True),
    "clip": Contrast(other_view, candidates=other_views),
    "sne": Contrast(neighbours.Gaussian(perplexity=4.0), kernels.Gaussian()),
    "t-sne": Contrast(neighbours.Gaussian(perplexity=4.0, joint=True), StudentT(), joint=True),
    "clusters": Contrast(same_label, SharedCluster(), candidates=everyone, debias=0.6),
    "harmonic": Contrast(same_label, Harmonic(3.0)),
    "total variation": Contrast(same_label, divergence=divergences.total_variation),
    "jensen-shannon": Contrast(same_label, divergence=divergences.jensen_shannon),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def check_order(loss) -> None:
    z, batch = a_batch()
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(loss(z[order], {k: v[order] for k, v in batch.items()}), loss(z, batch))


@every_loss
def test_the_order_of_the_rows_does_not_matter(loss):
    check_order(loss)


def test_the_order_check_can_fail():
    with pytest.raises(AssertionError):
        check_order(lambda z, batch: (z[0] - z[1]).square().sum())


@every_loss
def test_a_loss_is_a_scalar_with_a_finite_gradient_for_every_row(loss):
    z, batch = a_batch()
    value = loss(z, batch)
    value.backward()
    assert value.shape == () and value >= -1e-12
    assert z.grad.isfinite().all() and (z.grad.abs().sum(1) > 0).all()


@every_loss
def test_equal_embeddings_give_a_finite_loss_and_gradient(loss):
    z, batch = a_batch()
    same = torch.ones_like(z, requires_grad=True)
    value = loss(same, batch)
    value.backward()
    assert value.isfinite() and same.grad.isfinite().all()
    assert loss(torch.zeros_like(z), batch).isfinite()


# Where p is made of q it is held fixed, so differences of the value are not its gradient: that one has its own test.
@pytest.mark.parametrize("name", [name for name in LOSSES if name != "restricted"])
def test_the_gradient_is_that_of_finite_differences(name):
    loss = LOSSES[name]
    z, batch = a_batch(items=4, width=3)
    assert torch.autograd.gradcheck(lambda z: loss(z, batch), (z,), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("name", ["simclr", "supcon", "debiased", "restricted", "sne", "t-sne", "harmonic"])
def test_only_angles_and_distances_count(name):
    z, batch = a_batch()
    turned = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    torch.testing.assert_close(LOSSES[name](z @ turned, batch), LOSSES[name](z, batch))


@pytest.mark.parametrize("seed", range(50))
def test_infonce_is_torchs_cross_entropy_on_the_same_logits(seed):
    z, batch = a_batch(seed=seed)
    unit = F.normalize(z, dim=1)
    logits = (unit @ unit.T / 0.2).fill_diagonal_(-math.inf)
    partner = (torch.arange(16) + 8) % 16
    torch.testing.assert_close(LOSSES["simclr"](z, batch), F.cross_entropy(logits, partner), atol=1e-9, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_supcon_is_its_usual_form_less_the_mean_log_number_of_positives(seed):
    z, batch = a_batch(seed=seed)
    labels = batch["labels"]
    unit = F.normalize(z, dim=1)
    total, constant = 0.0, 0.0
    for i in range(16):
        rest = [j for j in range(16) if j != i]
        normaliser = torch.stack([unit[i] @ unit[j] / 0.1 for j in rest]).logsumexp(0)
        positives = [j for j in rest if labels[j] == labels[i]]
        total -= sum(unit[i] @ unit[j] / 0.1 - normaliser for j in positives) / len(positives) / 16
        constant += math.log(len(positives)) / 16
    torch.testing.assert_close(LOSSES["supcon"](z, batch), total - constant, atol=1e-6, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_class_points_give_cross_entropy_and_leave_out_what_has_no_label(seed):
    z, batch = a_batch(seed=seed)
    points = Points(4, 6).double()
    loss = Contrast(same_class, Dot(), candidates=points)
    logits = z @ points.weight.T
    torch.testing.assert_close(loss(z, batch), F.cross_entropy(logits, batch["labels"]), atol=1e-9, rtol=0)
    batch["labels"][::3] = -1
    torch.testing.assert_close(
        loss(z, batch), F.cross_entropy(logits, batch["labels"], ignore_index=-1), atol=1e-9, rtol=0
    )


def test_prototypes_as_the_only_members_of_their_clusters_give_cross_entropy():
    z, batch = a_batch(width=4)
    sure = torch.eye(4, dtype=torch.float64) * 200
    loss = Contrast(same_class, SharedCluster(), candidates=lambda z, batch: (sure, None))
    torch.testing.assert_close(loss(z, batch), F.cross_entropy(z, batch["labels"]), atol=1e-9, rtol=0)


@given(st.integers(0, 10_000), st.sampled_from(["kl", "total_variation", "jensen_shannon"]))
@settings(max_examples=20, deadline=None)
def test_the_loss_is_zero_exactly_where_q_is_p(seed, name):
    z, batch = a_batch(seed=seed)
    z = z.detach()
    scores = Cosine(0.3)(z, z).fill_diagonal_(-math.inf)
    loss = Contrast(lambda batch: scores.softmax(1), Cosine(0.3), divergence=getattr(divergences, name))
    assert abs(float(loss(z, batch))) < 1e-12
    assert float(loss(z + torch.randn_like(z), batch)) > 1e-4


def test_a_list_of_neighbours_means_the_same_as_its_matrix():
    z, batch = a_batch(views=3)
    dense = Contrast(lambda batch: other_view(batch).dense(24).double(), Cosine(0.2))
    torch.testing.assert_close(Contrast(other_view, Cosine(0.2))(z, batch), dense(z, batch))


def test_divergences_keep_their_bounds():
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
    log_q = torch.tensor([[1e-300, 1.0], [0.5, 0.5]], dtype=torch.float64).log()
    torch.testing.assert_close(divergences.total_variation(p, log_q), torch.tensor([1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(
        divergences.jensen_shannon(p, log_q), torch.tensor([math.log(2), 0.0], dtype=torch.float64)
    )
    assert divergences.kl(p, log_q)[0] > 600


def test_a_uniform_share_in_p_pulls_the_best_q_towards_uniform_by_that_share():
    z, batch = a_batch()
    p = torch.rand(16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p /= p.sum(1, keepdim=True)
    best = (0.7 * p + 0.3 / 16).log()
    loss = Contrast(lambda batch: p, lambda z, points: best, candidates=everyone, debias=0.3)
    assert abs(float(loss(z, batch))) < 1e-12
    twice = Contrast(lambda batch: p, lambda z, points: p.log(), candidates=everyone, debias=0.3, debias_q=0.3)
    assert abs(float(twice(z, batch))) < 1e-12


def test_restricting_p_to_the_label_gives_minus_log_q_of_the_label_in_value_and_gradient():
    z, batch = a_batch()
    near = batch["labels"][:, None] == batch["labels"]
    log_q = Cosine(0.1)(z, z).masked_fill(torch.eye(16, dtype=torch.bool), -math.inf).log_softmax(1)
    expected = -log_q.masked_fill(~near, -math.inf).logsumexp(1).mean()
    value = Contrast(same_label, Cosine(0.1), restrict=True)(z, batch)
    torch.testing.assert_close(value, expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(*(torch.autograd.grad(v, z, retain_graph=True)[0] for v in (value, expected)))


def test_all_candidates_are_the_nearest_when_there_are_no_more():
    z, batch = a_batch()
    torch.testing.assert_close(Contrast(same_label, nearest=15)(z, batch), Contrast(same_label)(z, batch))
    assert Contrast(same_label, nearest=3)(z, batch) != Contrast(same_label)(z, batch)


def test_a_batch_in_which_nothing_can_be_compared_is_one_stated_error():
    z, batch = a_batch()
    with pytest.raises(SemblanceError, match="batch of 1 "):
        Contrast(same_class)(z[:1], {"labels": batch["labels"][:1]})
    with pytest.raises(SemblanceError, match="none of the 16 rows"):
        Contrast(same_class, Dot(), candidates=Points(4, 6).double())(z, {"labels": torch.full((16,), -1)})
    with pytest.raises(SemblanceError, match="one view only"):
        Contrast(other_view, candidates=other_views)(z, batch | {"view": torch.zeros(16)})


@pytest.mark.parametrize(
    "wrong", [{"debias": 1.5}, {"debias_q": -0.1}, {"nearest": 0}], ids=lambda wrong: next(iter(wrong))
)
def test_settings_out_of_range_are_named(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(SemblanceError, match=f"{name} is {value}"):
        Contrast(same_label, **wrong)


@pytest.mark.parametrize("kernel", [Cosine, Dot, kernels.Gaussian, StudentT, Harmonic])
def test_a_kernel_that_would_divide_by_nothing_says_so(kernel):
    with pytest.raises(SemblanceError, match=r"is 0\.0, but scores are scaled by it"):
        kernel(0.0)


def test_half_precision_inputs_of_a_wide_batch_do_not_overflow_the_mask():
    z, batch = a_batch()
    assert LOSSES["simclr"](z.detach().bfloat16(), batch).isfinite()
    assert others(z, batch)[1].sum() == 16 * 15
    assert isinstance(other_view(batch), Listed)
