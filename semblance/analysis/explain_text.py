"""Why two texts are near: by pairs of their tokens.

pairs       integrated Jacobians: a matrix of the tokens of one by those of the other, which sums to the cosine less what is
            left of it for padding of the same lengths; encoders with states of tokens, from any layer on
occlusion   the cosine less what it is without a token; any encoder

What is taken away becomes padding at its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semblance.analysis.explain import Asked, cosine
from semblance.analysis.explanation import Explanation, Parts
from semblance.analysis.faithfulness import curve
from semblance.analysis.integrated_jacobians import Along, Push, along, pair, similarity_matrix
from semblance.data.pieces import PADDING
from semblance.encoders.sequences.pushed import push
from semblance.encoders.sequences.transformer import sinusoidal
from semblance.errors import SemblanceError

METHODS = ("pairs", "occlusion")


def explain(asked: Asked) -> Explanation:
    """The two texts of the batch [2, T]. known: `tokens`, the names of the tokens of both; `layer`, from which on (0)."""
    texts = [row[row != PADDING] for row in asked.batch["x"]]
    method = asked.method or (METHODS[0] if _has_states(asked.encoder) else METHODS[1])
    if method == "pairs" and not _has_states(asked.encoder):
        raise SemblanceError("this model shows no states of tokens to take apart: use method occlusion")
    named = asked.known.get("tokens") or [[str(int(t)) for t in text] for text in texts]
    with torch.no_grad():
        z = torch.cat([asked.encoder.embed({"x": text[None]}) for text in texts])
    similarity, pairs, reference = float(cosine(z[:1], z[1:])[0]), None, None
    if method == "pairs":
        sides = [text_along(asked.encoder, text, asked.known.get("layer", 0), asked.steps) for text in texts]
        pairs, similarity, reference = similarity_matrix(pair(*sides))
        shares = [pairs.sum(1), pairs.sum(0)]
    else:
        shares = [similarity - _without_each(asked.encoder, text, z[1 - i]) for i, text in enumerate(texts)]
    parts = tuple(
        Parts(name, "tokens", tuple(words), np.asarray(share, np.float64), reference)
        for name, words, share in zip(asked.names, named, shares, strict=True)
    )
    found = None
    if asked.curve and sum(map(len, texts)) > 1:
        found = curve(_value(asked.encoder, texts), np.concatenate(shares), asked.seed)
    return Explanation(
        asked.names, similarity, parts, method, without="padding", pairs=pairs, curve=found, notes=asked.notes
    )


def _has_states(encoder: Any) -> bool:
    return all(hasattr(encoder, name) for name in ("states", "above", "pool", "tokens"))


def text_along(
    encoder: Any, text: Tensor, layer: int = 0, steps: int = 50, quadrature: str = "midpoint", mode: str = "auto"
) -> Along:
    """A text's tokens int64 [T] -> how each moves the embedding on the way from padding of the same length, as its states
    before block `layer` do (0: as the tokens' own vectors do)."""
    tokens = encoder.tokens(text[None])
    with torch.no_grad():
        start = encoder.states(tokens)
        x, reference = encoder.above(torch.cat([start, torch.zeros_like(start)]), tokens.expand(2, -1), 0, layer)
    push = _pushed(encoder, tokens, layer) if mode == "auto" else None
    found = along(_above(encoder, tokens, layer), x, reference, steps, quadrature, mode, push)
    extra = tokens.shape[1] - len(text)  # a token put before the text is none of its parts
    return Along(found.parts[:, extra:], found.z, found.reference) if extra else found


def _above(encoder: Any, tokens: Tensor, layer: int) -> Callable[[Tensor], Tensor]:
    def embed(h: Tensor) -> Tensor:
        every = tokens.expand(len(h), -1)
        z: Tensor = encoder.pool(encoder.above(h, every, layer), every)
        return z

    return embed


def _pushed(encoder: Any, tokens: Tensor, layer: int) -> Push | None:
    """The derivatives written out, for encoders whose read-out is a weighted mean of a transformer's states."""
    if getattr(encoder, "pooling", None) not in ("weighted", "mean"):
        return None
    share = encoder.shares(tokens)[0]
    positions = sinusoidal(tokens.shape[1], encoder.dim, encoder.pieces.weight)
    there = encoder.present(tokens)[0]
    return lambda points, delta: push(encoder.mix.blocks[layer:], points, there, positions, delta, share)


@torch.no_grad()
def _without_each(encoder: Any, text: Tensor, other: Tensor) -> np.ndarray:
    """[T]: the cosine with each token taken away."""
    rows = torch.where(torch.eye(len(text), dtype=torch.bool), PADDING, text)
    found: np.ndarray = cosine(encoder.embed({"x": rows}), other[None].expand(len(rows), -1)).numpy()
    return found


def _value(encoder: Any, texts: list[Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    """bool [n, P] of the tokens that stay, those of the first text before those of the second -> cosines [n]; 0 where
    nothing stays of either, since two empty texts would be alike for no word of theirs."""

    @torch.no_grad()
    def value(kept: np.ndarray) -> np.ndarray:
        sides = torch.from_numpy(kept).split([len(text) for text in texts], dim=1)
        z = [encoder.embed({"x": torch.where(side, text, PADDING)}) for side, text in zip(sides, texts, strict=True)]
        there = torch.stack([side.any(1) for side in sides]).all(0)
        found: np.ndarray = (cosine(*z) * there).numpy()
        return found

    return value
