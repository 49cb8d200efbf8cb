from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.analysis.explain import Asked, explain
from semblance.analysis.explain_text import METHODS, text_along
from semblance.analysis.integrated_jacobians import along, pair, similarity_matrix
from semblance.data.pieces import PLAIN
from semblance.encoders.sequences.text import TextEncoder
from semblance.encoders.vectors import Flat
from semblance.errors import SemblanceError


def curved(x):
    """[n, P, 3] -> [n, 2], smooth."""
    return torch.stack([x.sin().sum((1, 2)), (x[:, :, 0] * x[:, :, 1]).sum(1).tanh()], 1)


def two(seed=0, parts=4):
    chance = torch.Generator().manual_seed(seed)
    x, r = torch.randn(2, 2, parts, 3, dtype=torch.float64, generator=chance).unbind(1)
    return x, 0.2 * r


def matrix(steps, quadrature="midpoint", mode="auto", embed=curved):
    x, r = two()
    return pair(*(along(embed, x[i], r[i], steps, quadrature, mode) for i in range(2)))


def test_the_matrix_sums_to_the_similarity_less_what_the_references_make():
    x, r = two()
    a, b = curved(x[:1])[0], curved(x[1:])[0]
    ra, rb = curved(r[:1])[0], curved(r[1:])[0]
    found = matrix(200)
    wanted = float(a @ b - ra @ b - a @ rb + ra @ rb)
    assert found.shifted == pytest.approx(wanted, abs=1e-12) and found.matrix.sum() == pytest.approx(wanted, abs=1e-4)
    assert found.similarity == pytest.approx(float(a @ b)) and found.left == pytest.approx(float(a @ b) - wanted)


def test_for_a_linear_encoder_one_step_is_exact():
    w = torch.randn(5, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x, r = two()
    found = pair(*(along(lambda h: h.flatten(1) @ w.T, x[i], r[i], steps=1) for i in range(2)))
    delta = (x - r).flatten(1)
    every = delta[0][:, None] * (w.T @ w) * delta[1]  # by feature; parts are three features each
    wanted = every.view(4, 3, 4, 3).sum((1, 3)).numpy()
    np.testing.assert_allclose(found.matrix, wanted, atol=1e-10)
    assert found.error < 1e-12


def test_the_matrix_of_the_turned_pair_is_the_transpose():
    x, r = two()
    sides = [along(curved, x[i], r[i], 7) for i in range(2)]
    np.testing.assert_allclose(pair(*sides).matrix, pair(*sides[::-1]).matrix.T, atol=1e-14)


@pytest.mark.parametrize("quadrature", ["midpoint", "gauss"])
def test_forward_and_reverse_derivatives_agree(quadrature):
    one, other = (matrix(9, quadrature, mode).matrix for mode in ("forward", "reverse"))
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_the_error_falls_with_the_square_of_the_steps_and_faster_by_gauss():
    errors = {n: matrix(n).error for n in (5, 10, 40)}
    assert errors[5] / errors[10] == pytest.approx(4, rel=0.3) and errors[10] / errors[40] == pytest.approx(16, rel=0.3)
    assert matrix(10, "gauss").error < 1e-3 * errors[10]


def test_steps_and_quadratures_that_cannot_be_are_refused():
    with pytest.raises(SemblanceError, match="needs one point or more"):
        matrix(0)
    with pytest.raises(SemblanceError, match="did you mean gauss"):
        matrix(5, "gaus")


def opened(pooling="weighted"):
    torch.manual_seed(0)
    made = TextEncoder(60, 16, 2, 2, 24, pooling, gate=0.5).eval()
    with torch.no_grad():
        for name, parameter in made.mix.named_parameters():
            if "before" in name:
                parameter += 0.2 * torch.randn_like(parameter)
    return made


TEXTS = torch.randint(PLAIN, 60, (2, 7), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("pooling", ["weighted", "mean", "max", "first"])
def test_written_out_derivatives_are_those_of_torch_for_every_pooling_and_layer(pooling, layer):
    encoder = opened(pooling).double()
    quick, slow = (text_along(encoder, TEXTS[0], layer, 3, mode=mode) for mode in ("auto", "forward"))
    torch.testing.assert_close(quick.parts, slow.parts, rtol=1e-10, atol=1e-12)
    assert quick.parts.shape == (16, 7), "a token put before the text is none of its parts"


@pytest.mark.parametrize("layer", [0, 1])
def test_token_pairs_sum_to_the_cosine_less_the_references(layer):
    encoder = opened()
    found = pair(*(text_along(encoder, text, layer, 300) for text in TEXTS))
    assert found.error < 1e-3
    pairs, cosine, left = similarity_matrix(found)
    z = encoder.embed({"x": TEXTS}).detach()
    assert cosine == pytest.approx(float(torch.cosine_similarity(z[:1], z[1:])[0]), abs=1e-5)
    assert pairs.sum() == pytest.approx(cosine - left, abs=2e-3)


def asked(**more):
    batch = {"x": torch.nn.functional.pad(TEXTS, (0, 2))}
    return Asked(more.pop("encoder", opened()), batch, ("one", "two"), **more)


@pytest.mark.parametrize("method", METHODS)
def test_texts_are_explained_by_their_tokens(method):
    words = [[f"w{i}" for i in range(7)], [f"v{i}" for i in range(7)]]
    found = explain("text", asked(method=method, known={"tokens": words}, steps=60))
    assert [side.names for side in found.parts] == [tuple(w) for w in words] and found.method == method
    assert all(side.kind == "tokens" for side in found.parts)
    if method == "pairs":
        assert found.pairs.shape == (7, 7) and found.gap < 0.01
        np.testing.assert_allclose(found.parts[0].share, found.pairs.sum(1))
    assert found.curve.deletion[0] == pytest.approx(found.similarity, abs=1e-5)
    assert found.curve.deletion[-1] == 0, "nothing is left to be alike"


def test_what_a_token_gives_alone_is_what_is_lost_without_it():
    encoder = opened()
    found = explain("text", asked(encoder=encoder, method="occlusion", curve=False))
    z = encoder.embed({"x": TEXTS}).detach()
    for k in range(7):
        text = TEXTS[0].clone()
        text[k] = 0
        lost = torch.cosine_similarity(encoder.embed({"x": text[None]})[0].detach(), z[1], dim=0)
        assert found.parts[0].share[k] == pytest.approx(found.similarity - float(lost), abs=1e-5)


def test_an_encoder_without_states_of_tokens_is_explained_by_what_it_does_without_each():
    class Bag(torch.nn.Module):
        def embed(self, batch):
            return torch.nn.functional.one_hot(batch["x"], 60)[..., 1:].sum(1).float()

    assert explain("text", asked(encoder=Bag())).method == "occlusion"
    with pytest.raises(SemblanceError, match="use method occlusion"):
        explain("text", asked(encoder=Bag(), method="pairs"))
    with pytest.raises(SemblanceError, match="did you mean pairs"):
        explain("text", asked(method="pair"))
    assert not hasattr(Flat, "states")


def test_weights_drawn_at_random_get_another_matrix():
    """The explanation depends on what was learned: with other weights it is another."""
    first = pair(*(text_along(opened(), text, 0, 20) for text in TEXTS)).matrix
    other = opened()
    torch.manual_seed(9)
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    second = pair(*(text_along(other, text, 0, 20) for text in TEXTS)).matrix
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.5
