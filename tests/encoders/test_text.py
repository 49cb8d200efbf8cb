from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.data.pieces import FIRST, PADDING, PLAIN, SEPARATOR
from semblance.encoders.sequences.text import POOLINGS, TextEncoder, encoder_of, joined
from semblance.errors import SemblanceError
from semblance.testing import check_encoder


def opened(**settings):
    """An encoder whose blocks do something."""
    torch.manual_seed(0)
    return TextEncoder(50, 16, 2, 2, 24, gate=0.6, **settings).eval()


def texts(*lengths, seed=1):
    chance = torch.Generator().manual_seed(seed)
    rows = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for row, length in zip(rows, lengths, strict=True):
        row[:length] = torch.randint(PLAIN, 50, (length,), generator=chance)
    return rows


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_text_encoder_keeps_the_contract(pooling):
    check_encoder(lambda shape: encoder_of(shape, dim=16, heads=2, feedforward=24, pooling=pooling, gate=0.5), "text")


@pytest.mark.parametrize("pooling", POOLINGS)
def test_an_embedding_does_not_change_with_batch_mates_padding_and_order(pooling):
    encoder, x = opened(pooling=pooling), texts(3, 9, 1, 6)
    with torch.no_grad():
        alone = torch.cat([encoder.embed({"x": row[row != PADDING][None]}) for row in x])
        order = torch.tensor([2, 0, 3, 1])
        among = encoder.embed({"x": torch.nn.functional.pad(x[order], (0, 5))})
    together = encoder.embed({"x": torch.nn.functional.pad(x[order], (0, 5))})  # with gradients: one batch
    for z in (among, together):
        torch.testing.assert_close(z, alone[order], rtol=0, atol=1e-6)


def test_many_texts_are_embedded_in_their_order_whatever_their_lengths(monkeypatch):
    monkeypatch.setattr("semblance.encoders.sequences.text.AT_ONCE", 12)
    encoder, x = opened(), texts(*np.random.default_rng(0).integers(1, 9, 40))
    with torch.no_grad():
        torch.testing.assert_close(encoder.embed({"x": x}), encoder.embed({"x": x.flip(0)}).flip(0))
    torch.testing.assert_close(encoder.embed({"x": x}), torch.cat([encoder.embed({"x": row[None]}) for row in x]))


def test_poolings_are_what_they_are_called():
    x = texts(4, 2)
    for pooling, wanted in (
        ("mean", lambda h: h.mean(0)),
        ("max", lambda h: h.amax(0)),
        ("first", lambda h: h[0]),
    ):
        encoder = opened(pooling=pooling)
        h, there = encoder({"x": x})
        z = encoder.embed({"x": x})
        for k in range(2):
            torch.testing.assert_close(z[k], wanted(h[k][there[k]]))
    assert (encoder.tokens(x)[:, 0] == FIRST).all()


def test_an_untrained_encoder_is_a_bag_of_words_weighted_by_how_rare_they_are():
    share = torch.rand(50, generator=torch.Generator().manual_seed(0)).tolist()
    encoder = TextEncoder(50, 16, heads=2, share=share, texts=99).eval()
    x = texts(5)
    rarity = torch.tensor([np.log(100 / (1 + 99 * share[t])) + 1 for t in x[0]], dtype=torch.float32)
    wanted = (rarity[:, None] * encoder.pieces.weight[x[0]]).sum(0) / rarity.sum()
    torch.testing.assert_close(encoder.embed({"x": x})[0], wanted)
    torch.testing.assert_close(encoder.embed({"x": x.flip(1)})[0], wanted)


def test_a_text_without_tokens_is_answered_and_a_token_left_out_is_padding_at_its_place():
    encoder, x = opened(), texts(5)
    assert encoder.embed({"x": torch.zeros(2, 3, dtype=torch.int64)}).isfinite().all()
    left = x.clone()
    left[0, 2] = PADDING
    _, there = encoder({"x": left})
    assert there[0].tolist() == [True, True, False, True, True]
    assert not torch.allclose(encoder.embed({"x": left}), encoder.embed({"x": x[:, [0, 1, 3, 4]]}), atol=1e-6)


def test_two_texts_are_joined_without_gaps_and_their_sides_are_told():
    one, two = texts(3, 1), texts(2, 4, seed=2)
    both, segment = joined(one, two)
    assert both[0].tolist() == [*one[0].tolist(), SEPARATOR, *two[0, :2].tolist()]
    assert both[1].tolist() == [one[1, 0].item(), SEPARATOR, *two[1].tolist()]
    assert segment[1].tolist() == [0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("settings", "told"), [({"pooling": "men"}, "did you mean mean"), ({"dim": 15, "heads": 1}, "give an even number")]
)
def test_settings_that_cannot_be_are_refused(settings, told):
    with pytest.raises(SemblanceError, match=told):
        TextEncoder(50, **settings)
