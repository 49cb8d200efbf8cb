"""Walks over cells: flags say what they should, what is met comes back to its cell, and closed walks tell rings apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.encoders.topology.simplicial_walks import WalkConvolution, flags, places
from semblance.errors import SemblanceError
from semblance.geometry.cell_builders import of_cliques, of_simplices
from semblance.geometry.cells import CellComplex, joined_cells
from semblance.geometry.crossings import cross, of_cells
from semblance.geometry.graph import Graph


def a_complex() -> CellComplex:
    """Triangles that share edges and vertices, and a tail; vertex 7 is alone."""
    ends = np.array([[0, 0, 0, 1, 1, 2, 3, 4, 4, 5], [1, 2, 3, 2, 3, 3, 4, 5, 6, 6]])
    return of_cliques(Graph(torch.from_numpy(np.concatenate([ends, ends[::-1]], 1)), 8), 2)


def states(complex_: CellComplex, width: int = 6) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(complex_.size(k), width, dtype=torch.float64) for k in range(3)]


def a_layer(**settings: object) -> WalkConvolution:
    torch.manual_seed(1)
    return WalkConvolution(6, 3, **{"length": 9, "window": 4, **settings}).double().eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [0, 1, 2])
def test_flags_are_those_of_the_boundary_matrices(k: int) -> None:
    complex_ = a_complex()
    through = of_cells(complex_, k)
    walked, _ = cross(through, np.flatnonzero(np.diff(through.start) > 0).repeat(20), 9, seed=0)
    walked = walked[walked[:, 1] >= 0]  # a triangle whose edges no other has walks nowhere
    told = flags(through, complex_.size(k - 1), walked, 4)
    lower, upper = (abs(complex_.matrix(j)).toarray() for j in (k, k + 1))
    apart = ~np.eye(complex_.size(k), dtype=bool)
    near = [~apart, (lower.T @ lower > 0) & apart, (upper @ upper.T > 0) & apart]
    for j in range(1, 5):
        for kind, table in enumerate(near):
            assert np.array_equal(told[:, j:, 4 * kind + j - 1], table[walked[:, j:], walked[:, :-j]])
            assert not told[:, :j, 4 * kind + j - 1].any()


def test_the_outputs_in_the_middle_of_the_window_are_averaged_over_the_visits() -> None:
    complex_, layer = a_complex(), a_layer(walks=3)
    x = states(complex_)
    for k, new in enumerate(layer(x, complex_)):
        through = of_cells(complex_, k)
        begin = np.flatnonzero(np.diff(through.start) > 0).repeat(3)
        numbers = 3 * begin + np.tile(np.arange(3), len(begin) // 3)
        walked, crossed = cross(through, begin, 9, seed=k, numbers=numbers)
        crossed = crossed[walked[:, 1] >= 0]
        walked = walked[walked[:, 1] >= 0]
        beside = torch.cat([*([x[k - 1]] if k else []), *x[k + 1 : k + 2], torch.zeros(1, 6, dtype=torch.float64)])
        total, visits = torch.zeros_like(x[k]), torch.zeros(len(x[k]), 1)
        for w in range(len(walked)):
            told = torch.from_numpy(flags(through, complex_.size(k - 1), walked[w : w + 1], 4))[0].double()
            rows = torch.cat([x[k][walked[w]], beside[crossed[w]], told], 1)
            for i in range(2, 7):
                part = rows[i - 2 : i + 3].T[None]  # five rows, of which the middle one is w_i's
                total[walked[w, i]] += layer.networks[k](part)[0, :, 0]
                visits[walked[w, i]] += 1
        expected = x[k] + layer.maps[k](total / visits.clamp(min=1))
        torch.testing.assert_close(new, expected)


def test_two_triangles_and_a_hexagon_differ_by_the_flags_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = np.stack([np.arange(6), (np.arange(6) + 1) % 6], 1)
    two = np.array([[0, 1], [1, 2], [2, 0], [3, 4], [4, 5], [5, 3]])
    both = [of_simplices([edges], 6) for edges in (ring, two)]
    layer = WalkConvolution(4, 2, length=40, walks=30).double().eval()

    def pooled(complex_: CellComplex) -> torch.Tensor:
        x = [torch.ones(6, 4, dtype=torch.float64)] * 2
        return torch.cat([h.mean(0) for h in layer(x, complex_)])

    one, other = map(pooled, both)
    far = (one - other).abs().max()
    assert far > 1e-4
    monkeypatch.setattr(
        "semblance.encoders.topology.simplicial_walks.flags", lambda t, f, w, s: np.zeros((*w.shape, 3 * s), np.float32)
    )
    one, other = map(pooled, both)
    # Not 0: a cell's visits, over which it averages, are at the start of a walk more or less often.
    assert (one - other).abs().max() < 0.01 * far


def test_more_walks_lower_the_spread_of_what_is_answered() -> None:
    complex_ = a_complex()
    x = states(complex_)
    spread = []
    for walks in (1, 16):
        answers = []
        for seed in range(12):
            layer = a_layer(walks=walks, seed=100 * seed)
            answers.append(torch.cat(layer(x, complex_)).detach())
        spread.append(torch.stack(answers).var(0).mean())
    assert spread[1] < 0.3 * spread[0]


def test_a_complex_among_others_walks_as_alone() -> None:
    one, layer = a_complex(), a_layer()
    several = joined_cells([of_simplices([np.array([[0, 1, 2]])], 3), one, one])
    first = several.member
    assert first is not None
    x = states(one)
    before = [torch.zeros(several.size(k) - 2 * one.size(k), 6, dtype=torch.float64) for k in range(3)]
    found = layer([torch.cat([b, h, h]) for b, h in zip(before, x, strict=True)], several)
    for k, alone in enumerate(layer(x, one)):
        torch.testing.assert_close(found[k][first[k] == 1], alone)
        torch.testing.assert_close(found[k][first[k] == 2], alone)
    assert places(several, 0).tolist() == [0, 1, 2, *range(8), *range(8)]


def test_a_cell_that_shares_nothing_keeps_its_place_and_nothing_breaks() -> None:
    layer = a_layer()
    lonely = of_simplices([np.array([[0, 1]])], 3)  # one edge: it has faces, which no other edge shares
    x = [torch.randn(3, 6, dtype=torch.float64), torch.randn(1, 6, dtype=torch.float64), torch.zeros(0, 6).double()]
    found = layer(x, lonely)
    torch.testing.assert_close(found[1], x[1] + layer.maps[1](torch.zeros_like(x[1])))
    assert [len(h) for h in found] == [3, 1, 0]


def test_a_window_that_does_not_fit_is_refused() -> None:
    for wrong in ({"window": 3}, {"length": 4}, {"walks": 0}, {"share": 0.0}):
        with pytest.raises(SemblanceError, match="give"):
            a_layer(**wrong)
    assert a_layer(depthwise=True)(states(a_complex()), a_complex())[2].shape == (a_complex().size(2), 6)
