"""Words: an explanation by pieces of words, told by whole words.

The share of a word is the sum of its pieces' shares, and that of a pair of words the sum over pairs of their pieces, so the
sums stay what they were. The curve stays that of the pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from semblance.analysis.explanation import Explanation, Parts

Span = tuple[int, int]


def in_words(found: Explanation, sides: Sequence[tuple[str, Sequence[Span]]]) -> Explanation:
    """sides: both texts, each with the spans of its pieces (first, last + 1 letter). A text without pieces stays."""
    words = [words_of(text, spans) for text, spans in sides]
    parts = tuple(_joined(side, text, own) for side, (text, _), own in zip(found.parts, sides, words, strict=True))
    pairs = found.pairs
    if pairs is not None:
        one, two = (_belongs(own) for own in words)
        pairs = one @ pairs @ two.T
    return replace(found, parts=parts, pairs=pairs)


def words_of(text: str, spans: Sequence[Span]) -> list[tuple[Span, list[int]]]:
    """The words that the pieces make: (span, positions of its pieces). A piece goes on with the word before it where both
    are letters or digits that touch; a piece that shows no letter (a blank, the rest of one) goes with the next."""
    made: list[tuple[Span, list[int]]] = []
    held: list[int] = []
    for place, (first, last) in enumerate(spans):
        if not text[first:last].strip():
            held.append(place)
            continue
        touches = bool(made) and not held and made[-1][0][1] >= first
        if touches and text[first].isalnum() and text[made[-1][0][1] - 1].isalnum():
            (start, end), pieces = made[-1]
            made[-1] = ((start, max(end, last)), [*pieces, place])
        else:
            made.append(((first, last), [*held, place]))
        held = []
    if held and made:
        made[-1][1].extend(held)
    elif held:
        made.append(((0, len(text)), held))
    return made


def _joined(side: Parts, text: str, words: Sequence[tuple[Span, list[int]]]) -> Parts:
    names = tuple(text[first:last].strip() or text for (first, last), _ in words)
    share = np.array([side.share[pieces].sum() for _, pieces in words], np.float64)
    return replace(side, names=names, share=share)


def _belongs(words: Sequence[tuple[Span, list[int]]]) -> np.ndarray:
    """[words, pieces], 1 where a piece is of a word."""
    table = np.zeros((len(words), sum(len(pieces) for _, pieces in words)))
    for word, (_, pieces) in enumerate(words):
        table[word, pieces] = 1
    return table
