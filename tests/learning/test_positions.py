"""Taking places out of tokens: rank, orthogonality, what is left, and the rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.data.load import load
from semblance.errors import SemblanceError
from semblance.learning.positions import foretold, grid_places, unplace
from semblance.recipes.registry import build
from semblance.space.training import train


def tokens(n=300, d=20, seed=0):
    """Tokens of which six directions tell the place, and the others do not."""
    chance = torch.Generator().manual_seed(seed)
    where = grid_places(4, 4).repeat(n, 1)
    told = torch.cat([where, where**2, torch.sin(3 * where)], 1) @ torch.randn(6, d, generator=chance)
    return told + 0.5 * torch.randn(len(where), d, generator=chance), where


def test_places_are_the_middles_of_cells_row_by_row():
    found = grid_places(2, 4)
    assert found.shape == (8, 2)
    assert found[1].tolist() == [0.25, 0.375] and found[7].tolist() == [0.75, 0.875]


def test_every_round_lowers_the_rank_by_two_and_the_output_is_orthogonal_to_all_that_was_removed():
    x, where = tokens()
    for rounds in range(5):
        made = unplace(x, where, rounds)
        assert torch.linalg.matrix_rank(made.map, atol=1e-4) == 20 - 2 * rounds
        assert made.directions.shape == (2 * rounds, 20) and len(made.told) == rounds + 1
        if rounds:
            assert (x @ made.map @ made.directions.T).abs().max() < 1e-5 * x.abs().max()
    torch.testing.assert_close(made.map @ made.map, made.map)  # a projection: doing it twice changes nothing


def test_one_map_is_the_rounds_one_after_the_other():
    x, where = tokens()
    made, step = unplace(x, where, 3), x.double()
    for first, second in made.directions.double().view(3, 2, 20):
        step = step - (step @ first)[:, None] * first - (step @ second)[:, None] * second
    torch.testing.assert_close(x @ made.map, step.float(), rtol=0, atol=1e-4)


def test_places_are_told_before_and_not_after_and_what_does_not_tell_them_stays():
    x, where = tokens()
    made = unplace(x, where, 4)
    assert made.told[0] > 0.9 and made.told[-1] < 0.1
    free = torch.linalg.svd(grid_places(4, 4).repeat(300, 1).T @ x).Vh[2:]
    assert float((x @ made.map @ free.T).var() / (x @ free.T).var()) > 0.3


def test_how_well_places_are_told_is_scikit_learns_r2():
    from sklearn.linear_model import LinearRegression
    from sklearn.metrics import r2_score

    x, where = tokens()
    said = LinearRegression().fit(x, where).predict(x)
    assert foretold(x, where) == pytest.approx(r2_score(where, said), abs=1e-6)
    assert foretold(torch.zeros(32, 3), grid_places(4, 8)) == pytest.approx(0.0)


def test_too_many_rounds_are_refused():
    with pytest.raises(SemblanceError, match="10 rounds take 20 of 20"):
        unplace(*tokens(), 10)
    with pytest.raises(SemblanceError, match="came with 3 places"):
        unplace(torch.zeros(4, 8), torch.zeros(3, 2), 1)


def test_a_recipe_that_takes_places_out_leaves_its_map_in_the_network(tmp_path):
    data = load("digits").subset(np.arange(256))
    made = build("franca", width=16, blocks=1, heads=2, codes=16, levels=2, rounds=3, epochs=1, least=256, batch=64)
    model = train(data, made, seed=0)
    encoder = model.network.encoder
    assert torch.linalg.matrix_rank(encoder.map, atol=1e-4) == 10
    assert model.history[-1]["place_after"] < model.history[-1]["place_before"]
    z = encoder.embed({"x": torch.zeros(2, 1, 8, 8)})
    torch.testing.assert_close(z @ encoder.map, z, rtol=0, atol=1e-5)
