"""Graphs of propositional formulas, in pairs that colour refinement cannot tell apart and of which one is satisfiable.

    a node for every literal x, not x and for every clause; edges x - not x and clause - its literals; two kinds of node
    on a cycle of variables:    (x_i or x_i+1), (not x_i or not x_i+1), so neighbours on the cycle differ
    one cycle of 2k: satisfiable;    two cycles of k, k odd: not

Both formulas of a pair get the same random satisfiable side formula on variables of their own. In pairs made separable the
satisfiable one gets a clause more, which holds under its solution. References: Abboud et al. 2021, arXiv:2010.01179 (EXP
and CEXP); the cycles are the catalogue's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from semblance.data.relate import relate
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph, joined

CLAUSES = 2
"""Clauses of the side formula a variable, of three literals each."""


@dataclass(frozen=True)
class Formula:
    """Clauses of literals: v + 1 is variable v, -(v + 1) its negation."""

    variables: int
    clauses: tuple[tuple[int, ...], ...]

    def satisfiable(self) -> bool:
        """By trying every assignment."""
        number = np.arange(2**self.variables)
        fits = np.ones(len(number), bool)
        for clause in self.clauses:
            fits &= np.any([((number >> (abs(v) - 1)) & 1) == (v > 0) for v in clause], 0)
        return bool(fits.any())

    def graph(self) -> tuple[Graph, np.ndarray]:
        """The graph and the kind of every node: 0 a literal, 1 a clause. Node 2v is variable v, 2v + 1 its negation."""
        literals = 2 * self.variables
        ends = [(2 * v, 2 * v + 1) for v in range(self.variables)]
        for number, clause in enumerate(self.clauses):
            ends += [(2 * abs(v) - 2 + (v < 0), literals + number) for v in clause]
        one = torch.tensor(ends, dtype=torch.int64).T
        kind = (np.arange(literals + len(self.clauses)) >= literals).astype(np.int64)
        return Graph(torch.cat([one, one.flip(0)], 1), len(kind)), kind


def cycles(*sizes: int) -> list[tuple[int, ...]]:
    """Clauses of cycles of these lengths, one after the other."""
    clauses: list[tuple[int, ...]] = []
    first = 1
    for size in sizes:
        for i in range(size):
            here, following = first + i, first + (i + 1) % size
            clauses += [(here, following), (-here, -following)]
        first += size
    return clauses


def side(variables: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Clauses of a random satisfiable formula."""
    while True:
        drawn = [rng.permutation(variables)[:3] + 1 for _ in range(CLAUSES * variables)]
        clauses = [tuple(int(v) for v in of * rng.choice([-1, 1], 3)) for of in drawn]
        if Formula(variables, tuple(clauses)).satisfiable():
            return clauses


def formula_pairs(count: int, k: int = 3, separable: float = 0.0, seed: int = 0) -> list[tuple[Formula, Formula]]:
    """Pairs (satisfiable, unsatisfiable); `separable` is the share of pairs that a clause more makes different."""
    if k < 3 or k % 2 == 0:
        raise SemblanceError(f"k is {k}, but two cycles of k have no solution for odd k from 3 only: give 3 or 5")
    rng = np.random.default_rng([66, seed])
    pairs = []
    for number in range(count):
        own = int(rng.integers(4, 7))
        beside = [tuple(v + 2 * k * (1 if v > 0 else -1) for v in clause) for clause in side(own, rng)]
        yes, no = [*cycles(2 * k), *beside], [*cycles(k, k), *beside]
        if number < separable * count:
            yes.append((1, -3))  # the first and the third variable of an even cycle are equal in every solution
        pairs.append((Formula(2 * k + own, tuple(yes)), Formula(2 * k + own, tuple(no))))
    return [pairs[i] for i in rng.permutation(count)]


def formula_graphs(
    counts: dict[str, int], k: int = 3, separable: float = 0.0, seed: int = 0
) -> tuple[RelationalDataset, list[tuple[Formula, Formula]]]:
    """counts: pairs of every split -> the graphs, one pair after the other, label 1 for satisfiable, and their formulas.
    x [V, 2]: the kind of a node. The nodes of every graph are numbered at random."""
    pairs = [
        pair
        for number, size in enumerate(counts.values())
        for pair in formula_pairs(size, k, separable, 10 * seed + number)
    ]
    rng = np.random.default_rng([67, seed])
    graphs, kinds = _shuffled([formula for pair in pairs for formula in pair], rng)
    ends = 2 * np.cumsum([0, *counts.values()])
    split = {name: np.arange(ends[i], ends[i + 1]) for i, name in enumerate(counts)}
    data = relate(
        "graphs",
        joined(graphs),
        x=np.eye(2, dtype=np.float32)[np.concatenate(kinds)],
        labels=np.tile([1, 0], len(pairs)),
        classes=("unsatisfiable", "satisfiable"),
        given_splits=[split],
        units="graph",
        count=len(graphs),
        name="formula graphs",
        what="formula graphs",
    )
    return data, pairs


def _shuffled(formulas: Sequence[Formula], rng: np.random.Generator) -> tuple[list[Graph], list[np.ndarray]]:
    graphs, kinds = [], []
    for formula in formulas:
        graph, kind = formula.graph()
        order = rng.permutation(len(kind))
        graphs.append(graph.part(torch.from_numpy(order)))
        kinds.append(kind[order])
    return graphs, kinds
