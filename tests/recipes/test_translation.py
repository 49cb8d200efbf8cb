"""Encoders that answer relative to training items."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from semblance.data.load import load
from semblance.recipes.registry import build
from semblance.space.training import train

DIGITS = load("digits").subset(np.arange(160))


def test_a_code_is_the_cosine_with_the_anchors_as_the_trained_encoder_sees_them() -> None:
    model = train(DIGITS, build("relative", anchors=20, least=1), seed=0, epochs=1)
    encoder = model.network.encoder
    x = next(iter(model.blocks(DIGITS, np.arange(10))))
    with torch.no_grad():
        z, anchors = (F.normalize(encoder.inner.embed({"x": part}), dim=1) for part in (x, encoder.items))
        torch.testing.assert_close(encoder.embed({"x": x}), z @ anchors.T, atol=1e-5, rtol=0)


def test_runs_of_other_seeds_have_the_same_anchors_which_are_training_items() -> None:
    first, second = (
        train(DIGITS, build("relative", anchors=20, least=1), seed=seed, epochs=1).network.encoder for seed in (0, 1)
    )
    assert torch.equal(first.items, second.items)
    assert not torch.equal(first.relative.anchors, second.relative.anchors)
    other = train(DIGITS, build("relative", anchors=20, draw=1, least=1), seed=0, epochs=1).network.encoder
    assert not torch.equal(first.items, other.items)
    model = train(DIGITS, build("relative", anchors=20, least=1), seed=0, epochs=0)
    stored = torch.cat(list(model.blocks(DIGITS, DIGITS.splits["train"])))
    near = torch.cdist(first.items.flatten(1), stored.flatten(1)).min(1).values  # by products, which lose digits
    assert (near < 0.05).all()


def test_more_anchors_than_training_items_are_all_of_them() -> None:
    model = train(DIGITS, build("relative", anchors=10_000, least=1), seed=0, epochs=1)
    assert model.dim == len(DIGITS.splits["train"])


def test_the_gradient_reaches_the_encoder_through_the_anchors_too() -> None:
    model = train(DIGITS, build("relative", anchors=20, least=1), seed=0, epochs=0)
    encoder = model.network.encoder.train()
    first = next(p for p in encoder.inner.parameters() if p.ndim > 1)
    x = next(iter(model.blocks(DIGITS, np.arange(10))))
    encoder.hold(torch.zeros_like(encoder.items))
    same, blank = [], {"x": x}
    for items in (torch.zeros_like(encoder.items), torch.ones_like(encoder.items)):
        encoder.hold(items)
        first.grad = None
        encoder.embed(blank).square().sum().backward()
        same.append(first.grad.clone())
    assert not torch.allclose(same[0], same[1])
