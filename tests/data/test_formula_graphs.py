"""Graphs of formulas: one of every pair is satisfiable, and colour refinement sees a difference only where one was made."""

import itertools

import numpy as np
import pytest

from semblance.data.formula_graphs import Formula, cycles, formula_graphs, formula_pairs
from semblance.encoders.graphs.refinement import wl_distinguishes
from semblance.errors import SemblanceError


def told(one, other):
    (a, kinds), (b, others) = one.graph(), other.graph()
    return wl_distinguishes(a, b, (kinds, others))


@pytest.mark.parametrize("k", [3, 5])
def test_one_of_every_pair_is_satisfiable_and_refinement_cannot_tell_which(k):
    for yes, no in formula_pairs(6, k):
        assert yes.satisfiable() and not no.satisfiable()
        assert not told(yes, no)


def test_refinement_separates_exactly_the_share_of_pairs_that_was_made_different():
    pairs = formula_pairs(10, separable=0.5)
    assert sum(told(*pair) for pair in pairs) == 5
    assert all(yes.satisfiable() and not no.satisfiable() for yes, no in pairs)


def test_satisfiability_is_that_of_a_loop_over_assignments():
    for formula in (Formula(5, tuple(cycles(5))), Formula(4, tuple(cycles(4))), Formula(2, ((1,), (-1, 2), (-2,)))):
        slow = any(
            all(any((values[abs(v) - 1]) == (v > 0) for v in clause) for clause in formula.clauses)
            for values in itertools.product([False, True], repeat=formula.variables)
        )
        assert formula.satisfiable() == slow


def test_the_graph_has_a_node_per_literal_and_clause_and_the_data_says_which():
    data, pairs = formula_graphs({"train": 3, "test": 2}, seed=1)
    assert len(data) == 10 and list(data.splits["test"]) == [6, 7, 8, 9]
    for number, formula in enumerate(formula for pair in pairs for formula in pair):
        x = data.x[data.graph.member.numpy() == number]
        assert x.sum(0).tolist() == [2 * formula.variables, len(formula.clauses)]
        assert (data.targets["labels"][number] == 1) == formula.satisfiable()
    graph = pairs[0][0].graph()[0]
    clauses = pairs[0][0].clauses
    assert graph.num_edges == 2 * (pairs[0][0].variables + sum(map(len, clauses)))
    assert np.array_equal(graph.rows().degree[-len(clauses) :], [len(c) for c in clauses])


def test_an_even_k_is_refused():
    with pytest.raises(SemblanceError, match="k is 4"):
        formula_pairs(1, 4)
