"""Families of random graphs: the shapes on which methods are compared.

    erdos_renyi       every pair by one chance, drawn for the graph
    barabasi_albert   new nodes join old ones by their degree
    grid, ladder, line, star
    caveman           cliques without edges between them
    tree              every node hangs on an earlier one
    caterpillar, lobster   a spine, with leaves one or two deep

A family is a function of the number of nodes and a generator that gives an adjacency matrix: bool [n, n], symmetric,
without loops. Those of Corso et al. 2020, arXiv:2004.05718, who also toggle some edges (`toggled`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

Rng = np.random.Generator


def erdos_renyi(n: int, rng: Rng) -> np.ndarray:
    """Every pair with a chance that is drawn for the graph."""
    return _symmetric(np.triu(rng.random((n, n)) < rng.random(), 1))


def barabasi_albert(n: int, rng: Rng) -> np.ndarray:
    """Every new node joins m earlier ones, by degree; m is drawn for the graph."""
    m = int(rng.integers(1, max(n // 2, 2)))
    degree, found = np.zeros(n), np.zeros((n, n), bool)
    for new in range(m, n):
        weight = degree[:new] + (degree[:new].sum() == 0)
        weight = weight + 1e-9  # so that m distinct ones can be drawn
        old = rng.choice(new, m, replace=False, p=weight / weight.sum())
        found[new, old] = True
        degree[old] += 1
        degree[new] += m
    return _symmetric(found)


def grid(n: int, rng: Rng) -> np.ndarray:
    """Rows and columns as equal in number as n allows."""
    across = max(k for k in range(1, int(n**0.5) + 1) if n % k == 0)
    at = np.arange(n).reshape(-1, across)
    return _edges(n, [*zip(at[:-1].ravel(), at[1:].ravel()), *zip(at[:, :-1].ravel(), at[:, 1:].ravel())])  # noqa: B905


def caveman(n: int, rng: Rng) -> np.ndarray:
    """Cliques of the size that makes their number and size as equal as n allows."""
    size = min(k for k in range(1, n + 1) if n % k == 0 and k * k >= n)
    group = np.arange(n) // size
    return (group[:, None] == group) & ~np.eye(n, dtype=bool)


def tree(n: int, rng: Rng) -> np.ndarray:
    """Every node hangs on one of the earlier ones."""
    return _edges(n, ((i, int(rng.integers(i))) for i in range(1, n)))


def ladder(n: int, rng: Rng) -> np.ndarray:
    """Two lines side by side, with rungs; an odd node is a foot."""
    half = n // 2
    pairs = [(i, i + 1) for i in range(n - 1) if i != half - 1] + [(i, half + i) for i in range(half)]
    return _edges(n, pairs)


def line(n: int, rng: Rng) -> np.ndarray:
    """A path."""
    return _edges(n, ((i, i + 1) for i in range(n - 1)))


def star(n: int, rng: Rng) -> np.ndarray:
    """A hub and leaves."""
    return _edges(n, ((0, i) for i in range(1, n)))


def caterpillar(n: int, rng: Rng) -> np.ndarray:
    """A line of random length, every other node a leaf of it."""
    spine = int(rng.integers(1, n))
    return _edges(n, _hung(n, spine, [(spine, n)], rng))


def lobster(n: int, rng: Rng) -> np.ndarray:
    """A caterpillar whose leaves have leaves."""
    spine = int(rng.integers(1, n - 1))
    leaves = int(rng.integers(spine + 1, n))
    return _edges(n, _hung(n, spine, [(spine, leaves), (leaves, n)], rng))


def _hung(n: int, spine: int, levels: list[tuple[int, int]], rng: Rng) -> list[tuple[int, int]]:
    """A line 0 .. spine - 1; the nodes of every level hang on random ones of the level before."""
    pairs = [(i, i + 1) for i in range(spine - 1)]
    before = (0, spine)
    for level in levels:
        pairs += [(i, int(rng.integers(*before))) for i in range(*level)]
        before = level
    return pairs


def toggled(adjacency: np.ndarray, rng: Rng, share: float = 0.1) -> np.ndarray:
    """A share of the edges removed and, in expectation, as many others added."""
    pairs = np.triu(np.ones_like(adjacency), 1)
    there, free = adjacency & pairs, ~adjacency & pairs
    chance = share * there.sum() / max(free.sum(), 1)
    draw = rng.random(adjacency.shape)
    return _symmetric((there & (draw >= share)) | (free & (draw < chance)))


def _edges(n: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    found = np.zeros((n, n), bool)
    at = np.array(list(pairs), dtype=int).reshape(-1, 2)
    found[at[:, 0], at[:, 1]] = True
    return _symmetric(found)


def _symmetric(half: np.ndarray) -> np.ndarray:
    return half | half.T


FAMILIES: tuple[Callable[[int, Rng], np.ndarray], ...] = (
    erdos_renyi,
    barabasi_albert,
    grid,
    caveman,
    tree,
    ladder,
    line,
    star,
    caterpillar,
    lobster,
)
