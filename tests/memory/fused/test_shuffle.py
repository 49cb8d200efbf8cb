"""The shuffle in all its widths gives the plain loop's scores, and writes nowhere else."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from collections.abc import Callable

import numba as nb
import numpy as np
import pytest
from llvmlite import binding

from semblance.memory.fused.shuffle import ROWS, SHUFFLES, choose, lowest_bit, scorer

GUARD = 0xAB


def known() -> list[str]:
    """The widths that this processor has."""
    features = dict(binding.get_host_cpu_features())
    wanted = {"avx512": "avx512bw", "avx2": "avx2", "ssse3": "ssse3"}
    own = [name for name, feature in wanted.items() if features.get(feature)]
    return ["neon"] if platform.machine() in ("aarch64", "arm64") else own


@functools.cache
def compiled(name: str) -> Callable[..., None]:
    score = scorer(name)

    @nb.njit
    def run(blocks, table, words, least, out, hits):
        size = blocks.shape[1] * ROWS
        for b in range(len(blocks)):
            address = out.ctypes.data + 64 + 2 * ROWS * b
            hits[b] = score(blocks.ctypes.data + b * size, table.ctypes.data, blocks.shape[1], words[b], least, address)

    return run


def scores_of(
    name: str, blocks: np.ndarray, table: np.ndarray, words: np.ndarray, least: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores [blocks, 64] and hits [blocks], computed between guard bytes that must survive."""
    out = np.full(128 + 2 * ROWS * len(blocks), GUARD, np.uint8)
    hits = np.zeros(len(blocks), np.uint64)
    compiled(name)(blocks, table, words, np.uint16(least), out, hits)
    assert (out[:64] == GUARD).all() and (out[-64:] == GUARD).all(), "it wrote outside its buffer"
    return out[64:-64].view(np.uint16).reshape(-1, ROWS).copy(), hits


def drawn(pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    entries = rng.integers(0, 256, (pairs, 2, 16), dtype=np.uint8)
    table = np.repeat(entries, 2, axis=1).reshape(pairs, ROWS)
    return rng.integers(0, 256, (5, pairs, ROWS), dtype=np.uint8), table, rng.integers(0, 2**64, 5, dtype=np.uint64)


@pytest.mark.parametrize("name", ["plain", *known()])
@pytest.mark.parametrize("pairs", [1, 3, 64])
def test_a_score_is_the_sum_of_its_codes_entries_in_every_width(name: str, pairs: int) -> None:
    blocks, table, words = drawn(pairs, pairs)
    low, high = blocks & 15, blocks >> 4
    expected = np.zeros((len(blocks), ROWS), np.int64)
    for line in range(pairs):
        for half in range(2):
            entries = table[line, 32 * half : 32 * half + 16].astype(np.int64)
            piece = slice(32 * half, 32 * half + 32)
            expected += np.concatenate([entries[low[:, line, piece]], entries[high[:, line, piece]]], axis=1)
    least = int(np.median(expected))
    scores, hits = scores_of(name, blocks, table, words, least)
    np.testing.assert_array_equal(scores, expected)
    bits = np.unpackbits(hits.view(np.uint8), bitorder="little").reshape(-1, ROWS).astype(bool)
    allowed = np.unpackbits(words.view(np.uint8), bitorder="little").reshape(-1, ROWS).astype(bool)
    np.testing.assert_array_equal(bits, (expected >= least) & allowed)


def test_the_largest_sum_fits_into_sixteen_bits() -> None:
    blocks, table = np.full((1, 64, ROWS), 0xFF, np.uint8), np.full((64, ROWS), 255, np.uint8)
    for name in ("plain", *known()):
        scores, _ = scores_of(name, blocks, table, np.full(1, 2**64 - 1, np.uint64), 1)
        assert (scores == 128 * 255).all()


def test_bits_are_found_from_the_lowest() -> None:
    @nb.njit
    def lowest(word):
        return lowest_bit(word)

    assert [lowest(np.uint64(1 << place)) for place in (0, 5, 63)] == [0, 5, 63]
    assert lowest(np.uint64(0b101000)) == 3


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names features of x86")
@pytest.mark.parametrize(
    ("features", "name"),
    [("+avx512bw,+avx2", "avx512"), ("+ssse3,+avx2,-avx512bw", "avx2"), ("+ssse3", "ssse3"), ("-avx2", "plain")],
)
def test_the_width_is_that_of_the_features_numba_compiles_for(features: str, name: str) -> None:
    code = "from semblance.memory.fused.shuffle import choose; print(choose())"
    told = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": features}
    run = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == name


def test_this_machine_has_a_width() -> None:
    assert choose() in {*SHUFFLES, "plain"}
