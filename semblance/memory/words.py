"""Words: the distinct texts of a column in order, so that text is compared by its place among them.

The order is that of the code points, which is SQLite's. `like` follows SQLite's rules: % stands for any letters, _ for
one, ASCII letters match in either case, the letter after the escape stands for itself, and a text ends at a zero character.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SAMPLE = 4096
"""Words kept as Python strings, between which a search begins."""
UNREAD = "\ufffd\ufffe\uffff"
"""SQLite reads all three as the first."""


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """`sample` is every `step`-th word of `array`."""

    array: pa.StringArray
    sample: list[str]
    step: int

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> tuple[Words, NDArray[np.int32]]:
        """The words of a column of text, and the place of each row's among them, -1 where there is none."""
        distinct = pc.unique(column).drop_null()
        ordered = distinct.take(pc.sort_indices(distinct))
        codes = pc.fill_null(pc.index_in(column, value_set=ordered), -1).to_numpy()
        return cls.sorted(ordered), np.asarray(codes, np.int32)

    @classmethod
    def sorted(cls, ordered: pa.StringArray) -> Words:
        """Distinct words that are in order already."""
        step = 1 + len(ordered) // SAMPLE
        return cls(ordered, ordered.take(pa.array(np.arange(0, len(ordered), step))).to_pylist(), step)

    def __len__(self) -> int:
        return len(self.array)

    @property
    def nbytes(self) -> int:
        return int(self.array.nbytes)

    def before(self, word: str) -> int:
        """How many words come before this one.

        >>> Words.of(pa.chunked_array([["b", "a", "b", "d"]]))[0].before("c")
        2
        """
        near = bisect_left(self.sample, word)
        low, high = self._piece(near)
        return low if low == high else bisect_left(self.array, word, low, high, key=pa.StringScalar.as_py)

    def until(self, word: str) -> int:
        """How many words do not come after this one."""
        near = bisect_right(self.sample, word)
        low, high = self._piece(near)
        return low if low == high else bisect_right(self.array, word, low, high, key=pa.StringScalar.as_py)

    def _piece(self, near: int) -> tuple[int, int]:
        """The places between which a word lies that comes after `near` words of the sample."""
        if near == 0:
            return 0, 0
        return (near - 1) * self.step + 1, min(near * self.step, len(self.array))

    def like(self, pattern: str, escape: str | None) -> NDArray[np.bool_]:
        """[len(self)], whether each word matches."""
        regex = _regex(pattern, escape)
        if regex is None:
            return np.zeros(len(self), np.bool_)
        return np.asarray(pc.match_substring_regex(self.array, regex).to_numpy(zero_copy_only=False), np.bool_)


def _regex(pattern: str, escape: str | None) -> str | None:
    """The same pattern for RE2, which takes linear time on any; None if nothing can match it."""
    parts: list[str] = []
    letters = iter(pattern)
    for letter in letters:
        if letter == escape:
            letter = next(letters, "")
            if not letter:
                return None
        elif letter == "%":
            if not parts or parts[-1] != "[^\\x00]*":
                parts.append("[^\\x00]*")
            continue
        elif letter == "_":
            parts.append("[^\\x00]")
            continue
        if letter.isascii():
            parts.append(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else f"\\x{{{ord(letter):x}}}")
        else:
            parts.append(f"[{UNREAD}]" if letter in UNREAD else letter)
    return "\\A(?s:" + "".join(parts) + "(?:\\x00.*)?)\\z"
