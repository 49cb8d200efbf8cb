"""Sets asked about at a moment: what is hidden stays hidden, and every question has its like that did not meet."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from semblance.data.timed_sets import TimedSets, asked_of, conversations, half_replaced, of_sets, only, without
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph
from semblance.recipes.registry import build
from semblance.space.fit import fit
from semblance.space.model import Model
from semblance.space.training import train


def a_hypergraph(count: int = 200, nodes: int = 30) -> Hypergraph:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 5, count)
    node = np.concatenate([rng.permutation(nodes)[:k] for k in sizes])
    edge = torch.from_numpy(np.repeat(np.arange(count), sizes))
    return Hypergraph(torch.from_numpy(node), edge, nodes, count, time=torch.arange(count) // 2)


def members(hypergraph: Hypergraph) -> list[list[int]]:
    rows = hypergraph.by_edge()
    return [rows.index[a:b].tolist() for a, b in pairwise(rows.start)]


@pytest.mark.parametrize("mode", ["transductive", "inductive", "weak", "strong"])
def test_training_knows_nothing_of_hidden_nodes_nor_of_later_times(mode: str) -> None:
    learn, test = asked_of(a_hypergraph(600), mode, hidden=0.3, seed=1)
    seen = {v for i in np.concatenate([learn.splits["train"], learn.splits["val"]]) for v in members(learn.sets)[i]}
    known = {v for edge in members(learn.graph) for v in edge}
    asked = [members(test.sets)[i] for i in test.splits["test"]]
    everyone = set(range(30))
    if mode == "transductive":
        assert known == everyone
    else:
        new = everyone - known
        assert len(new) == 9
        assert not seen & new
        assert all(set(edge) & new for edge in asked)
        assert {"weak": any, "strong": all, "inductive": any}[mode](set(edge) <= new for edge in asked) == (
            mode != "weak"
        )
    moments = test.sets.time.numpy()
    assert moments[learn.splits["train"]].max() <= moments[learn.splits["val"]].min()
    assert moments[learn.splits["val"]].max() <= moments[test.splits["test"]].min()
    assert not len(learn.splits["test"])


def test_every_question_has_a_like_of_its_size_and_time_half_of_it_replaced() -> None:
    data = asked_of(a_hypergraph()).test
    half = len(data) // 2
    sets, moments = members(data.sets), data.sets.time.numpy()
    assert np.array_equal(moments[:half], moments[half:])
    assert data.targets["labels"].tolist() == [1] * half + [0] * half
    for met, other in zip(sets[:half], sets[half:], strict=True):
        assert len(set(other)) == len(met)
        assert len(set(met) & set(other)) >= len(met) // 2
    assert np.mean([a != b for a, b in zip(sets[:half], sets[half:], strict=True)]) > 0.9


def test_replaced_members_are_new_and_no_member_stands_twice() -> None:
    start, index = np.array([0, 3, 5, 9]), np.array([0, 1, 2, 3, 4, 0, 1, 2, 3])
    for seed in range(20):
        found = half_replaced(start, index, 5 if seed % 2 else 12, np.random.default_rng(seed))
        for a, b in pairwise(start):
            assert len(set(found[a:b].tolist())) == b - a
            assert len(set(found[a:b].tolist()) & set(index[a:b].tolist())) >= (b - a) // 2
    assert np.array_equal(half_replaced(np.array([0, 2]), index[:2], 2, np.random.default_rng(0)), [0, 1])


def test_a_conversation_is_a_sender_and_all_it_writes_to_within_the_span() -> None:
    #        0: 1 and 2 within 10 of its first message, then 3;   4 writes to 0 meanwhile
    source, target, time = [0, 4, 0, 0, 0], [1, 0, 2, 1, 3], [0, 3, 8, 10, 11]
    found = conversations(Graph(torch.tensor([source, target]), 5, directed=True, time=torch.tensor(time)), 10)
    assert members(found) == [[0, 4], [0, 1, 2], [0, 3]]
    assert found.time.tolist() == [3, 10, 11]
    assert (
        conversations(Graph(torch.tensor([source, target]), 5, directed=True, time=torch.tensor(time)), 10, 2).num_edges
        == 2
    )
    with pytest.raises(SemblanceError, match="--domain events"):
        conversations(Graph(torch.tensor([source, target]), 5))


def test_hyperedges_are_picked_in_the_order_asked_for() -> None:
    hypergraph = a_hypergraph(20)
    picked = only(hypergraph, np.array([7, 3, 3]))
    assert members(picked) == [members(hypergraph)[i] for i in (7, 3, 3)]
    gone = np.zeros(30, bool)
    gone[[0, 1]] = True
    assert members(without(hypergraph, gone)) == [e for e in members(hypergraph) if not set(e) & {0, 1}]


def test_questions_need_times_and_enough_hyperedges() -> None:
    hypergraph = a_hypergraph()
    with pytest.raises(SemblanceError, match="no times"):
        asked_of(Hypergraph(hypergraph.node, hypergraph.edge, 30, 200))
    with pytest.raises(SemblanceError, match="way of asking 'inductiv'"):
        asked_of(hypergraph, "inductiv")
    with pytest.raises(SemblanceError, match="leave none for test"):
        asked_of(a_hypergraph(20), "strong", hidden=0.05)
    with pytest.raises(SemblanceError, match="give both, or none"):
        of_sets(Hypergraph(hypergraph.node, hypergraph.edge, 30, 200), hypergraph, np.zeros(200), {})


def test_a_space_of_sets_is_fitted_saved_loaded_asked_and_answers(tmp_path) -> None:  # type: ignore[no-untyped-def]
    learn, test = asked_of(a_hypergraph(), seed=3)
    settings = {"dim": 8, "walks": 2, "length": 2}
    space = fit(learn, "cat-walk", out=tmp_path / "sets.space", epochs=1, **settings)
    assert len(space) == len(learn)
    model = train(learn, build("cat-walk", **settings), epochs=1, name="cat-walk", settings=settings)
    model.save(tmp_path / "model.safetensors")
    again = Model.load(tmp_path / "model.safetensors")
    assert np.array_equal(again.embed(test), model.embed(test))
    answers = again.predict(test)
    assert len(answers) == len(test)
    assert set(answers) <= {"apart", "together"}


def test_a_part_of_the_sets_is_asked_like_the_whole() -> None:
    data = asked_of(a_hypergraph()).learn
    part = data.subset(np.array([5, 150, 9]))
    assert isinstance(part, TimedSets)
    assert members(part.sets) == [members(data.sets)[i] for i in (5, 150, 9)]
    assert np.array_equal(part.raw(np.arange(3)), data.raw(np.array([5, 150, 9])))
    assert torch.equal(part.read(np.array([1]))["sets"].node, data.read(np.array([150]))["sets"].node)
