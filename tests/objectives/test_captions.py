"""Objectives of captions: CLIP's loss is the published formula, CatLIP's knows no other item."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from semblance.errors import SemblanceError
from semblance.learning.parts import Network
from semblance.objectives.captions import across, concepts


class Given(nn.Module):
    """An encoder whose embeddings are the batch's own numbers."""

    def embed(self, batch):
        return batch["x"]

    def embed_captions(self, tokens):
        return tokens


def symmetric(z, w, temperature):
    """Mean over pairs of both cross-entropies, as plain loops."""
    n, total = len(z), 0.0
    cosine = [[float(z[i] @ w[j] / (z[i].norm() * w[j].norm())) / temperature for j in range(n)] for i in range(n)]
    for i in range(n):
        total -= cosine[i][i] - math.log(sum(math.exp(cosine[i][j]) for j in range(n)))
        total -= cosine[i][i] - math.log(sum(math.exp(cosine[j][i]) for j in range(n)))
    return total / (2 * n)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_the_contrast_across_modalities_is_symmetric_infonce(temperature):
    z, w = torch.randn(2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = {"item": torch.arange(6).repeat(2), "view": torch.arange(2).repeat_interleave(6)}
    found = across(temperature).loss(torch.cat([z, w]), rows)
    assert float(found) == pytest.approx(symmetric(z, w, temperature), abs=1e-12)


def test_many_pairs_are_streamed_to_the_same_loss():
    z, w = torch.randn(2, 1100, 8, generator=torch.Generator().manual_seed(1))
    loss, metrics = across(0.2)(Network(Given()), {"x": z, "captions": w})
    logits = nn.functional.normalize(z, dim=1) @ nn.functional.normalize(w, dim=1).T / 0.2
    target = torch.arange(1100)
    whole = (nn.functional.cross_entropy(logits, target) + nn.functional.cross_entropy(logits.T, target)) / 2
    assert float(loss) == pytest.approx(float(whole), abs=1e-4)
    assert metrics["matched"] == pytest.approx(float((logits.argmax(1) == target).float().mean()))


def test_a_pair_is_compared_with_the_other_modality_only():
    z = torch.eye(3, dtype=torch.float64)
    rows = {"item": torch.arange(3).repeat(2), "view": torch.arange(2).repeat_interleave(3)}
    near = torch.cat([z, z]).requires_grad_()
    expected = -math.log(math.exp(1) / (math.exp(1) + 2))  # two pictures alike would add to the sum
    assert float(across(1.0).loss(near, rows).detach()) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("loss", ["each", "shared"])
def test_concepts_have_no_term_across_items_and_clip_has(loss):
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(7, 5, generator=generator).requires_grad_()
    labels = torch.rand(7, 5, generator=generator) < 0.5
    labels[:, 0] = True
    of = lambda part: concepts(loss)(lambda batch: batch["x"], {"x": logits[part], "labels": labels[part]})[0]  # noqa: E731
    items = torch.stack([of(slice(i, i + 1)) for i in range(7)])
    assert float(of(slice(None)).detach()) == pytest.approx(float(items.mean().detach()), abs=1e-6)
    gradient = torch.autograd.grad(items[0], logits)[0]
    assert float(gradient[1:].abs().max()) == 0 and float(gradient[0].abs().min()) > 0
    z, w = torch.randn(2, 4, 3, generator=generator)
    whole, _ = across()(Network(Given()), {"x": z, "captions": w})
    alone = [float(across()(Network(Given()), {"x": z[i : i + 1], "captions": w[i : i + 1]})[0]) for i in range(4)]
    assert alone == pytest.approx([0] * 4, abs=1e-6) and float(whole) > 0.1


def test_shared_targets_are_divided_by_their_number():
    logits = torch.tensor([[2.0, 0.5, -1.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([[True, False, True, False]])
    found, _ = concepts("shared")(lambda batch: logits, {"labels": labels})
    total = math.log(sum(math.exp(v) for v in logits[0].tolist()))
    assert float(found) == pytest.approx(-0.5 * ((2.0 - total) + (-1.0 - total)), abs=1e-6)
    with pytest.raises(SemblanceError, match="did you mean shared"):
        concepts("share")


def test_pictures_whose_captions_name_nothing_teach_nothing():
    logits, labels = torch.randn(3, 2, requires_grad=True), torch.tensor([[True, False], [False, False], [True, True]])
    concepts()(lambda batch: logits, {"labels": labels})[0].backward()
    assert float(logits.grad[1].abs().max()) == 0 and float(logits.grad[0].abs().min()) > 0


def test_a_batch_without_captions_is_refused():
    with pytest.raises(SemblanceError, match="the batch has none: give captions"):
        across()(Network(Given()), {"x": torch.randn(3, 2)})
