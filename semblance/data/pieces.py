"""Pieces: texts cut into numbered pieces of words, and texts of different lengths as one array.

    "Unhappily married"  ->  " un" "happ" "ily" " married"  ->  412 1093 702 3388

Pieces are byte pairs (Sennrich, Haddow & Birch 2016, arXiv:1508.07909), over bytes, so that no text of any language holds
one that is not known. They are learned from the training texts, which always gives the same pieces, or read from a
`tokenizer.json`. Numbers below `PLAIN` are no pieces: padding, the first token, a separator of two texts, a hidden token.

The work is done by the library `tokenizers`, which comes with the extra `text`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from semblance.data.dataset import ArrayDataset
from semblance.errors import SemblanceError

PADDING, FIRST, SEPARATOR, HIDDEN, PLAIN = range(5)


class Tokens:
    """N texts as numbers, one after the other; reading rows [n] gives int64 [n, T], T the longest, padded behind.

    numbers: int32, below `size`; start: int64 [N + 1], text i being numbers[start[i] : start[i + 1]]. `texts` are the texts
    themselves, `by` says which pieces cut them.
    """

    def __init__(self, numbers: np.ndarray, start: np.ndarray, texts: np.ndarray, size: int, by: str = ""):
        self.numbers, self.start, self.texts, self.size, self.by = numbers, start, texts, size, by

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def shape(self) -> tuple[int]:
        """[N]: rows differ in length."""
        return (len(self),)

    @property
    def lengths(self) -> np.ndarray:
        """[N] tokens of each text."""
        return np.diff(self.start)

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = np.arange(len(self))[index] if isinstance(index, slice) else np.asarray(index, np.int64)
        length = self.start[rows + 1] - self.start[rows]
        place = np.arange(max(int(length.max(initial=0)), 1))
        held = place < length[..., None]
        if not len(self.numbers):
            return np.zeros(held.shape, np.int64)
        at = np.where(held, self.start[rows][..., None] + place, 0)
        return np.where(held, self.numbers[at], PADDING).astype(np.int64)

    def take(self, rows: np.ndarray) -> Tokens:
        """The texts at these positions."""
        padded = self[rows]
        start = np.concatenate([[0], np.cumsum(self.lengths[rows])])
        return Tokens(padded[padded != PADDING].astype(np.int32), start, self.texts[rows], self.size, self.by)


@dataclass(frozen=True)
class Cutting:
    """What a recipe says of it: how many numbers there are, the longest text in pieces (what is longer is cut there), and a
    `tokenizer.json` to read instead of learning."""

    vocabulary: int = 8000
    length: int = 128
    file: str = ""

    def learned(self, texts: Sequence[str]) -> Pieces:
        """Pieces of these texts, or those of the file."""
        if self.length < 1 or self.vocabulary < LEAST:
            raise SemblanceError(
                f"length is {self.length} and vocabulary {self.vocabulary}: give 1 or more, and {LEAST} or more"
            )
        if not self.file:
            return Pieces(_learn(texts, self.vocabulary), self.length)
        path = Path(self.file)
        path = path / "tokenizer.json" if path.is_dir() else path
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SemblanceError(f"{path} cannot be read as a tokenizer ({error}): give a tokenizer.json") from None
        pieces = Pieces(content, self.length)
        assert pieces.size  # reads it, and says what is wrong with it
        return pieces


@dataclass(frozen=True)
class Pieces:
    """A tokenizer (`content`, as JSON) and the longest text in pieces."""

    content: str
    length: int = 128

    @cached_property
    def _library(self) -> Any:
        tokenizer = _tokenizers().Tokenizer
        try:
            return tokenizer.from_str(self.content)
        except Exception as error:  # the library raises plain Exceptions
            raise SemblanceError(f"this is no tokenizer ({str(error)[:80]}): give a tokenizer.json") from None

    @cached_property
    def name(self) -> str:
        """A hash of what cuts, and where."""
        return hashlib.blake2b(f"{self.length} {self.content}".encode(), digest_size=8).hexdigest()

    @cached_property
    def size(self) -> int:
        """Numbers there are: pieces, and those that are none."""
        return int(self._library.get_vocab_size()) + PLAIN

    def cut(self, dataset: ArrayDataset) -> ArrayDataset:
        """The dataset with its texts as Tokens; a note says how many were longer than is read. What these pieces have cut
        already passes."""
        texts = dataset.x
        if isinstance(texts, Tokens):
            if texts.by == self.name:
                return dataset
            texts = texts.texts
        rows = [np.array(found.ids, np.int32) for found in self._library.encode_batch_fast(list(texts), **PLAINLY)]
        long = sum(len(row) > self.length for row in rows)
        rows = [row[: self.length] + PLAIN for row in rows]
        start = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        numbers = np.concatenate([*rows, np.empty(0, np.int32)])
        notes = dataset.notes
        if long:
            notes += (f"{long:,} of {len(rows):,} texts are longer than {self.length} pieces: the rest is not read",)
        return replace(dataset, x=Tokens(numbers, start, texts, self.size, self.name), notes=notes)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where in the text each of its pieces stands, as (first, last + 1) letter, blanks left out."""
        found = []
        for first, last in self._library.encode(text, **PLAINLY).offsets[: self.length]:
            word = text[first:last]
            found.append((first + len(word) - len(word.lstrip()), last))
        return found


PLAINLY: dict[str, Any] = {"add_special_tokens": False}
LEAST = 256 + PLAIN + 1
"""Every byte is a piece."""


def _learn(texts: Sequence[str], size: int) -> str:
    """The JSON of pieces learned from texts."""
    library = _tokenizers()
    kinds, parts, learners = library.normalizers, library.pre_tokenizers, library.trainers
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.normalizer = kinds.Sequence([kinds.NFKC(), kinds.Lowercase()])
    tokenizer.pre_tokenizer = parts.ByteLevel(add_prefix_space=True)
    every = parts.ByteLevel.alphabet()
    # Word pieces with a mark of continuation come out in another order every time; byte pairs do not.
    learner = learners.BpeTrainer(vocab_size=size - PLAIN, show_progress=False, initial_alphabet=sorted(every))
    tokenizer.train_from_iterator(texts, learner)
    content: str = tokenizer.to_str()
    return content


def _tokenizers() -> Any:
    # Its threads do not survive a fork, and it says so on stderr unless it is told how many to have.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import tokenizers
        import tokenizers.models
    except ImportError:
        raise SemblanceError("texts are cut into pieces by tokenizers: pip install 'semblance[text]'") from None
    return tokenizers
