"""Cell complexes: boundaries of boundaries, holes, orientations, and complexes taken apart and joined."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from semblance.errors import SemblanceError
from semblance.geometry.cell_builders import grid, of_cliques, of_polygons, of_simplices, product
from semblance.geometry.cells import CellComplex, joined_cells
from semblance.geometry.graph import Graph
from semblance.geometry.laplacians import hodge_laplacian

OCTAHEDRON = [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1], [5, 2, 1], [5, 3, 2], [5, 4, 3], [5, 1, 4]]


def klein(n, m):
    """An n by m grid whose one pair of sides is joined straight, the other with a flip."""

    def at(i, j):
        i, j = (0, -j) if i == n else (i, j)
        return i * m + j % m

    return of_polygons([[at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)] for i in range(n) for j in range(m)])


@st.composite
def complexes(draw):
    nodes = draw(st.integers(1, 8))
    pairs = draw(st.lists(st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)), max_size=20))
    graph = Graph(torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T, nodes)
    return of_cliques(graph, top=draw(st.integers(1, 3)))


def by_rank(complex_):
    """Betti numbers in floating point."""
    ranks = [0, *(np.linalg.matrix_rank(complex_.matrix(k).toarray()) for k in range(1, complex_.dim + 1)), 0]
    return [n - ranks[k] - ranks[k + 1] for k, n in enumerate(complex_.num_cells)]


@pytest.mark.parametrize(
    ("complex_", "betti"),
    [
        (grid((4, 5), (True, True)), [1, 2, 1]),
        (of_polygons(OCTAHEDRON), [1, 0, 1]),
        (of_simplices([OCTAHEDRON]), [1, 0, 1]),
        (klein(4, 5), [1, 1, 0]),
        (grid((2, 3, 2)), [1, 0, 0, 0]),
        (grid((3, 3, 3), (True, True, True)), [1, 3, 3, 1]),
        (grid((4, 3), (True, False)), [1, 1, 0]),
        (CellComplex.of_boundaries([], num_nodes=3), [3]),
    ],
    ids=["torus", "octahedron", "the same as simplices", "klein bottle", "box", "3-torus", "cylinder", "points"],
)
def test_betti_numbers_count_the_holes_and_the_kernel_of_the_hodge_laplacian_has_as_many_dimensions(complex_, betti):
    complex_.check()
    assert complex_.betti().tolist() == [betti]
    for k, holes in enumerate(betti):
        assert hodge_laplacian(complex_.matrix(k), complex_.matrix(k + 1)).kernel().shape[1] == holes


@settings(max_examples=80, deadline=None)
@given(complexes())
def test_betti_numbers_equal_those_by_floating_point_ranks(complex_):
    assert complex_.betti().tolist() == [by_rank(complex_)]


def test_the_alternating_sum_of_cells_is_that_of_holes():
    for complex_ in (klein(5, 6), grid((3, 4, 2)), of_polygons(OCTAHEDRON)):
        signs = (-1) ** np.arange(complex_.dim + 1)
        assert (complex_.counts() * signs).sum() == (complex_.betti() * signs).sum()


@settings(max_examples=50, deadline=None)
@given(complexes(), st.integers(0, 2**31))
def test_other_orientations_change_no_hole_and_only_signs(complex_, seed):
    rng = np.random.default_rng(seed)
    signs = [rng.choice([-1.0, 1.0], n) for n in complex_.num_cells]
    turned = complex_.reoriented(signs)
    turned.check()
    assert turned.betti().tolist() == complex_.betti().tolist()
    for k in range(1, complex_.dim + 1):
        expected = signs[k - 1][:, None] * complex_.matrix(k).toarray() * signs[k]
        assert np.array_equal(turned.matrix(k).toarray(), expected)


def test_a_boundary_that_does_not_close_is_refused_with_the_cell():
    good = grid((2, 2))
    second = good.matrix(2).toarray()
    second[np.flatnonzero(second[:, 3])[0], 3] *= -1
    with pytest.raises(SemblanceError, match=r"B_1 B_2 is not zero \(an entry of 2 at cell 3 of dimension 2\)"):
        CellComplex.of_boundaries([good.matrix(1), second])


def test_boundaries_that_do_not_follow_one_another_are_refused():
    with pytest.raises(SemblanceError, match="B_2 has 3 rows, but there are 12 cells of dimension 1"):
        CellComplex.of_boundaries([grid((2, 2)).matrix(1), np.zeros((3, 1))])
    with pytest.raises(SemblanceError, match="B_1 holds nan"):
        CellComplex.of_boundaries([np.array([[np.nan], [1.0]])])
    with pytest.raises(SemblanceError, match="give num_nodes"):
        CellComplex.of_boundaries([])


def test_joined_complexes_stay_apart_and_are_taken_out_again_in_any_order():
    parts = [grid((3, 3), (True, True)), of_polygons(OCTAHEDRON), grid((4,)), klein(3, 4)]
    whole = joined_cells(parts)
    assert whole.betti().tolist() == [[1, 2, 1], [1, 0, 1], [1, 0, 0], [1, 1, 0]]
    assert whole.counts()[2].tolist() == [5, 4, 0]
    taken, cells = whole.take(np.array([3, 1]))
    assert taken.betti().tolist() == [[1, 1, 0], [1, 0, 1]]
    for k in (1, 2):
        rows, columns = cells[k - 1], cells[k]
        assert np.array_equal(taken.matrix(k).toarray(), whole.matrix(k).toarray()[rows][:, columns])
        assert np.array_equal(whole.member[k][columns].numpy(), np.array([3, 1])[taken.member[k].numpy()])


def test_a_subcomplex_holds_the_faces_of_its_cells():
    square = grid((1, 1))
    with pytest.raises(SemblanceError, match="cell 0 of dimension 2 is kept without its face 1"):
        square.keep([np.ones(4), [True, False, True, True], [True]])
    ring, cells = square.keep([np.ones(4), np.ones(4), [False]])
    assert ring.betti().tolist() == [[1, 1, 0]]
    assert [len(c) for c in cells] == [4, 4, 0]


def test_the_cells_within_vertices_are_those_whose_vertices_are_all_there():
    whole = grid((2, 2))  # vertices numbered along the second axis
    part, cells = whole.within([0, 1, 3, 4, 8])
    assert part.num_cells == (5, 4, 1)
    assert part.betti().tolist() == [[2, 0, 0]]
    assert cells[0].tolist() == [0, 1, 3, 4, 8]
    turned, again = whole.within([8, 4, 3, 1, 0])
    assert again[0].tolist() == [8, 4, 3, 1, 0]
    for k in (1, 2):
        assert np.array_equal(turned.matrix(k).toarray(), whole.matrix(k).toarray()[again[k - 1]][:, again[k]])


def test_rows_of_a_boundary_list_faces_and_cofaces():
    complex_ = of_polygons(OCTAHEDRON)
    matrix = sparse.csc_array(complex_.matrix(2))
    rows = complex_.by_cell(2)
    for j in range(8):
        mine = rows.index[rows.start[j] : rows.start[j + 1]]
        assert sorted(mine.tolist()) == sorted(matrix.indices[matrix.indptr[j] : matrix.indptr[j + 1]].tolist())
    assert complex_.by_face(2).degree.tolist() == [2] * 12


def test_the_product_rule_gives_a_complex_of_the_expected_size():
    circle, sphere = grid((3,), (True,)), of_polygons(OCTAHEDRON)
    both = product(circle, sphere)
    assert both.betti().tolist() == [[1, 1, 1, 1]]
    assert both.num_cells == (18, 18 + 36, 36 + 24, 24)


def test_vertices_and_edges_alone_are_a_graph():
    whole = joined_cells([grid((2, 2)), grid((3,), (True,)), grid((1,), (True,))])
    graph = whole.graph()
    boundary = whole.matrix(1).toarray()
    laplacian = boundary @ boundary.T
    assert graph.is_symmetric()
    assert sorted(map(tuple, graph.edge_index.T.tolist())) == sorted(zip(*np.nonzero(laplacian < 0), strict=True))
    assert graph.num_graphs == 3
    assert graph.num_nodes == 13
    assert whole.rows().degree.tolist() == graph.rows().degree.tolist()
