"""Codes: vectors in four bits a sub-quantiser, for a scan that reads 16 to 32 times less than the vectors.

A vector is cut into short pieces and each is named by the nearest of 16 that k-means found (Jegou, Douze & Schmid 2011,
"Product quantization for nearest neighbor search"). Codes are `coarse` (pieces twice as long, half the bytes) or `fine`;
which of them serves a stretch of rows better is measured, not guessed (planner.py). faiss trains and encodes.
"""

from __future__ import annotations

import math

import faiss
import numpy as np
from numpy.typing import NDArray

from semblance.memory.fused.kernels import Codes
from semblance.memory.fused.shuffle import ROWS
from semblance.memory.segments import Floats

TRAINED = 25_000
"""Vectors that the pieces are learned from."""
MOST = 128
"""Sub-quantisers at most: 256 times 255 would leave 16 bits."""
Bytes = NDArray[np.uint8]


class Quantiser:
    """Vectors [n, d] -> packed codes [n, pairs] uint8, two codes a byte. `size` numbers make a piece."""

    def __init__(self, books: Floats, flat: bool):
        self.books = books  # [pieces, 16, size]
        self.bias = (books**2).sum(2) / 2 if flat else np.zeros(books.shape[:2], np.float32)
        count, _, size = books.shape
        self.width = count * size
        self._faiss = faiss.ProductQuantizer(self.width, count, 4)
        faiss.copy_array_to_vector(np.ascontiguousarray(books, np.float32).ravel(), self._faiss.centroids)

    @classmethod
    def train(cls, vectors: Floats, size: int, flat: bool) -> Quantiser:
        """Pieces learned from rows spread over `vectors`; flat: scores are of flat space, not of the sphere."""
        count = pieces(vectors.shape[1], size)
        learner = faiss.ProductQuantizer(count * size, count, 4)
        learner.cp.seed = 1
        learner.cp.min_points_per_centroid = 1  # few vectors make poor pieces, and need no warning
        chosen = vectors[:: max(1, len(vectors) // TRAINED)]
        chosen = np.resize(chosen, (max(len(chosen), 16), chosen.shape[1]))  # fewer are refused: they come again
        learner.train(padded(chosen, count * size))
        return cls(faiss.vector_to_array(learner.centroids).reshape(count, 16, size).copy(), flat)

    def encode(self, vectors: Floats) -> Bytes:
        """[n, d] -> [n, pairs]."""
        return self._faiss.compute_codes(padded(vectors, self.width))

    def codes(self, blocks: Bytes) -> Codes:
        """What a scan reads: blocks of `packed` codes beside what they stand for."""
        books = np.ascontiguousarray(self.books.transpose(0, 2, 1), np.float32)
        return Codes(blocks, books, np.ascontiguousarray(self.bias, np.float32))


def sizes(dim: int) -> tuple[int, int]:
    """Numbers in a piece: of coarse and of fine codes."""
    fine = max(2, math.ceil(dim / MOST))
    return 2 * fine, fine


def pieces(dim: int, size: int) -> int:
    """Pieces of `size` numbers that hold `dim` numbers: an even count."""
    return 2 * math.ceil(dim / (2 * size))


def padded(vectors: Floats, width: int) -> Floats:
    """[n, d] -> [n, width], zeros behind d, of the kind that kernels are compiled for."""
    if vectors.shape[1] == width:
        return np.require(vectors, np.float32, ["C", "A", "W"])
    wide = np.zeros((len(vectors), width), np.float32)
    wide[:, : vectors.shape[1]] = vectors
    return wide


def packed(codes: Bytes) -> Bytes:
    """Codes [n, pairs] of rows in their order -> blocks [ceil(n / 64), pairs, 64] (shuffle.py says how they lie)."""
    count, pairs = codes.shape
    whole = np.zeros((-(-count // ROWS) * ROWS, pairs), np.uint8)
    whole[:count] = codes
    halves = whole.reshape(-1, 2, ROWS // 2, pairs)
    first, second = halves[:, 0], halves[:, 1]
    blocks = np.empty((len(halves), pairs, ROWS), np.uint8)
    blocks[:, :, : ROWS // 2] = ((first & 15) | (second << 4)).transpose(0, 2, 1)
    blocks[:, :, ROWS // 2 :] = ((first >> 4) | (second & 240)).transpose(0, 2, 1)
    return blocks
