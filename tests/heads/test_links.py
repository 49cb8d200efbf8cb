"""Scores of pairs: symmetric, completed links of no weight are none, and the counts are those of analysis/links.py."""

import numpy as np
import pytest
import torch

from semblance.analysis.links import neighbourhood_scores
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.heads.links import Counted, PairScores, Pooled, Product

NODES, WIDTH = 30, 6


def a_graph(seed=0, edges=80):
    ends = torch.from_numpy(np.random.default_rng(seed).integers(0, NODES, (2, edges)))
    ends = ends[:, ends[0] != ends[1]]
    return Graph(torch.cat([ends, ends.flip(0)], 1).unique(dim=1), NODES)


def made(seed=0, **settings):
    torch.manual_seed(seed)
    return Pooled(WIDTH, 8, **settings).double()


def states(seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(NODES, WIDTH)))


def some_pairs(count=40, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, NODES, (2, count)))


SCORES = [
    Product(),
    made(over="none"),
    made(over="common"),
    made(over="union"),
    made(over="union", depth=2),
    Counted("adamic-adar"),
]


@pytest.mark.parametrize("score", SCORES, ids=lambda s: f"{type(s).__name__}-{getattr(s, 'over', '')}")
def test_a_score_does_not_change_when_the_nodes_trade_places(score):
    one, two = some_pairs()
    torch.testing.assert_close(score(states(), a_graph(), one, two), score(states(), a_graph(), two, one))


@pytest.mark.parametrize("depth", [1, 2])
def test_completed_links_of_no_weight_leave_the_common_neighbours(depth):
    common, completed = made(over="common"), made(over="union", depth=depth, absent=1.0)
    one, two = some_pairs()
    assert (common(states(), a_graph(), one, two) - completed(states(), a_graph(), one, two)).abs().max() < 1e-12
    counting = made(over="union", depth=depth)  # and with weight they do say something
    assert (common(states(), a_graph(), one, two) - counting(states(), a_graph(), one, two)).abs().max() > 1e-3


@pytest.mark.parametrize("depth", [1, 2])
def test_completion_is_what_a_loop_over_the_neighbours_gives(depth):
    graph, h, score = a_graph(), states(), made(over="union", depth=depth, absent=0.25)
    near = [set(graph.edge_index[1][graph.edge_index[0] == v].tolist()) for v in range(NODES)]

    def slow(i, j, left):
        total = torch.zeros(WIDTH, dtype=torch.float64)
        for u in (near[i] | near[j]) - {i, j}:
            if u in near[i] and u in near[j]:
                total += h[u]
            elif left:
                total += 0.75 * slow(j if u in near[i] else i, u, left - 1).sigmoid() * h[u]
        return score.answer(torch.cat([h[i] * h[j], total])[None])[0, 0]

    one, two = some_pairs(6)
    wanted = torch.stack([slow(i, j, depth) for i, j in zip(one.tolist(), two.tolist(), strict=True)])
    torch.testing.assert_close(score(h, graph, one, two), wanted)


def test_gradients_pass_the_completed_links_only_where_asked():
    one, two = some_pairs()
    found = {}
    for through in (False, True):
        score, h = made(over="union", through=through), states().requires_grad_()
        score(h, a_graph(), one, two).sum().backward()
        found[through] = h.grad
    assert (found[True] - found[False]).abs().max() > 1e-6


@pytest.mark.parametrize("how", ["common-neighbours", "adamic-adar"])
def test_the_counts_are_those_that_links_are_ranked_beside(how):
    graph, pairs = a_graph(), some_pairs()
    ours = Counted(how)(states(), graph, *pairs)
    np.testing.assert_allclose(ours.numpy(), neighbourhood_scores(graph, pairs.numpy(), how))


def test_a_common_neighbour_of_degree_four_is_worth_a_quarter_to_resource_allocation():
    star = torch.tensor([[0, 0, 0, 0], [1, 2, 3, 4]])
    graph = Graph(torch.cat([star, star.flip(0)], 1), 5)
    score = Counted("resource-allocation")(torch.zeros(5, 1), graph, torch.tensor([1, 0]), torch.tensor([2, 1]))
    assert score.tolist() == [0.25, 0.0]


def test_the_answer_for_a_node_is_the_best_of_its_strangers():
    graph, h, score = a_graph(), states(), made()
    head = PairScores(score, shortlist=NODES)
    with torch.no_grad():
        answers = head.decode(head(h, {"graph": graph, "nodes": torch.arange(NODES)}))
        for v, answer in enumerate(answers):
            known = set(graph.edge_index[1][graph.edge_index[0] == v].tolist()) | {v}
            strangers = torch.tensor([u for u in range(NODES) if u not in known])
            scores = score(h, graph, torch.full_like(strangers, v), strangers)
            assert answer == int(strangers[scores.argmax()])


def test_a_node_that_is_linked_to_all_has_no_next_link():
    ends = torch.tensor([[0, 0, 1], [1, 2, 2]])
    graph = Graph(torch.cat([ends, ends.flip(0)], 1)[:, [0, 1, 3, 4]], 3)  # a path 1 - 0 - 2
    head = PairScores(Product())
    assert head.decode(head(torch.ones(3, 2), {"graph": graph})) == [None, 2, 1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"over": "comon"}, "common"), ({"over": "union", "depth": 0}, "give 1 or 2"), ({"absent": 2.0}, "from 0 to 1")],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(SemblanceError, match=words):
        made(**settings)
