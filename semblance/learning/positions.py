"""Positions: what tokens of patches tell of their place in the picture, and how to take it out.

    round    fit (row, column) ~ sigmoid(x w), w [d, 2], by squared error; x <- x less its part along both directions
    map      after all rounds x M, M = B B', B an orthonormal basis of what is left: one linear map of rank d - 2 rounds

RASA, of Venkataramanan et al. 2025, arXiv:2507.14137 (Franca).

    unplace           tokens with their places -> the map, the directions, how well places were told in each round
    RemovePositions   the rule: gathers tokens of training pictures and gives the map to the encoder (`vision.unplaced`)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from semblance.contracts import Metrics
from semblance.errors import SemblanceError
from semblance.learning.parts import Budget, Feed, Parts

ENOUGH = 2**17
"""Tokens that a map is fitted to, at most."""


@dataclass(frozen=True)
class Unplacing:
    """map [d, d]; directions [2 rounds, d], orthonormal; told: R2 of the linear prediction before each round and after."""

    map: Tensor
    directions: Tensor
    told: tuple[float, ...]


def grid_places(rows: int, columns: int) -> Tensor:
    """[rows * columns, 2] of the middle of each cell, in 0..1."""
    down, across = (torch.arange(n) + 0.5 for n in (rows, columns))
    return torch.stack([down[:, None].expand(-1, columns) / rows, across.expand(rows, -1) / columns], 2).flatten(0, 1)


def unplace(tokens: Tensor, places: Tensor, rounds: int = 8, steps: int = 10) -> Unplacing:
    """Tokens [n, d] with their places [n, 2] in 0..1 -> what takes places out, found in double precision.

    The fit stops after a few steps on purpose. Early on its directions are those along which tokens of different places
    lie apart; fitted to the end they are regression's, and what correlates with them stays behind and tells as much: on an
    untrained transformer of 16 tokens R2 after 8 rounds is 0.00 with 10 steps, 0.13 with 20 and 0.57 with 50.
    """
    d = tokens.shape[1]
    if not 0 <= 2 * rounds < d:
        raise SemblanceError(f"{rounds} rounds take {2 * rounds} of {d} directions: give fewer, so that some are left")
    if len(tokens) != len(places) or not len(tokens):
        raise SemblanceError(f"{len(tokens)} tokens came with {len(places)} places: give one of each, and one at least")
    x, where = tokens.double(), places.double()
    basis = torch.eye(d, dtype=torch.float64, device=x.device)
    removed, told = [], [foretold(x, where)]
    for _ in range(rounds):
        left = x @ basis  # [n, d - what is gone]
        along = torch.linalg.qr(_fitted(left, where, steps), mode="complete").Q
        removed.append((basis @ along[:, :2]).T)
        basis = basis @ along[:, 2:]
        told.append(foretold(x @ basis, where))
    directions = torch.cat(removed) if removed else x.new_zeros(0, d)
    return Unplacing((basis @ basis.T).to(tokens), directions.to(tokens), tuple(told))


def foretold(tokens: Tensor, places: Tensor) -> float:
    """R2 of the best linear prediction with a constant, over both coordinates: 1 when tokens tell their place, 0 when they
    do not."""
    x, y = tokens.double(), places.double()
    x, y = x - x.mean(0), y - y.mean(0)
    solved = torch.linalg.lstsq(x.T @ x, x.T @ y, driver="gelsd").solution
    return float(1 - (y - x @ solved).square().sum() / y.square().sum().clamp_min(1e-12))


def _fitted(x: Tensor, where: Tensor, steps: int) -> Tensor:
    """w [d, 2]; the step is in units of the tokens' own spread."""
    w = torch.zeros(x.shape[1], 2, dtype=x.dtype, device=x.device, requires_grad=True)
    scale = x.square().mean().sqrt().clamp_min(1e-12)
    optimizer = torch.optim.LBFGS([w], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = ((x / scale @ w).sigmoid() - where).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return w.detach()


@dataclass(frozen=True)
class RemovePositions:
    """Yields once: R2 of the places before and after. The encoder is one with `map`, whose forward gives tokens."""

    rounds: int = 8
    epochs: int = 1

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """Tokens come from pictures that are spread over the whole training part."""
        network = parts.network.to(data.device).eval()
        encoder = network.encoder
        if not hasattr(encoder, "map"):
            raise SemblanceError(
                f"places are taken out by a map, and {type(encoder).__name__} has none: take the unplaced encoder"
            )
        encoder.map.copy_(torch.eye(encoder.dim))
        found, where = [], []
        pictures = len(data.rows)
        for batch in data.in_order(256):
            with torch.no_grad():
                tokens, _ = encoder(batch)
            rows, columns = (size // encoder.patch for size in batch["x"].shape[2:])
            every = max(1, -(-pictures * tokens.shape[1] // ENOUGH))
            kept = tokens[::every].float()
            found.append(kept.flatten(0, 1))
            where.append(grid_places(rows, columns).to(kept).repeat(len(kept), 1))
        made = unplace(torch.cat(found), torch.cat(where), self.rounds)
        encoder.map.copy_(made.map)
        yield {"epoch": 1.0, "place_before": made.told[0], "place_after": made.told[-1]}
