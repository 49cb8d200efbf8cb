"""Set walks know nodes by their place in walks alone, pool sets whatever their order, and see triples that pairs do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.encoders.topology.set_walks import SetMixer, SetWalks, as_hyperedges, over_pairs, without_names
from semblance.errors import SemblanceError
from semblance.geometry.crossings import cross, of_hyperedges
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph


def hyperedges(*sets: tuple[int, ...], nodes: int = 9, time: list[float] | None = None) -> Hypergraph:
    node = torch.tensor([v for members in sets for v in members])
    edge = torch.tensor([e for e, members in enumerate(sets) for _ in members])
    return Hypergraph(node, edge, nodes, len(sets), time=None if time is None else torch.tensor(time))


def random_sets(seed: int = 0, nodes: int = 12, count: int = 40) -> Hypergraph:
    rng = np.random.default_rng(seed)
    sets = [tuple(rng.permutation(nodes)[: rng.integers(2, 5)].tolist()) for _ in range(count)]
    return hyperedges(*sets, nodes=nodes, time=np.arange(count, dtype=float).tolist())


def an_encoder(**settings: object) -> SetWalks:
    torch.manual_seed(0)
    return SetWalks(**{"dim": 8, "walks": 6, "length": 3, **settings}).double().eval()  # type: ignore[arg-type]


def test_a_pooled_set_does_not_hang_on_order_or_companions() -> None:
    torch.manual_seed(1)
    mixer, x = SetMixer(6).double(), torch.randn(9, 6, dtype=torch.float64)
    which = torch.tensor([0, 0, 0, 0, 1, 2, 2, 2, 2])
    pooled = mixer(x, which, 4)
    order = torch.randperm(9)
    torch.testing.assert_close(mixer(x[order], which[order], 4), pooled)
    torch.testing.assert_close(mixer(x[:4], which[:4], 1), pooled[:1])
    assert not pooled[3].any()
    assert not torch.allclose(mixer(x[:3], which[:3], 1), pooled[:1])


def test_shares_and_members_are_those_of_plain_loops() -> None:
    known, walks = random_sets(), 5
    asked, sizes = np.array([0, 3, 5, 7, 7, 2]), np.array([3, 1, 2])
    begin = asked.repeat(walks)
    walked, _ = cross(of_hyperedges(known), begin, 3, seed=4, until=np.repeat([30.0, 25.0, 1.0], sizes * walks))
    seen = without_names(known, walked, sizes, walks)
    rows, start = known.by_edge(), np.cumsum([0, *sizes])
    slots: dict[tuple[int, int], int] = {}
    has = np.zeros((known.num_edges + 1, 12), bool)  # the last row: no hyperedge
    has[known.edge, known.node] = True
    for q in range(3):
        part = walked[start[q] * walks : start[q + 1] * walks].reshape(sizes[q], walks, 3)
        steps = seen.step[start[q] * walks : start[q + 1] * walks].reshape(part.shape)
        assert ((steps == seen.count) == (part < 0)).all()
        share = has[part].mean(1)  # [nodes of the set, steps, nodes]
        for a, j, i in np.argwhere(part >= 0):
            e, pair = part[a, j, i], steps[a, j, i]
            members = rows.index[rows.start[e] : rows.start[e + 1]]
            for w, slot in zip(members, seen.member[seen.owner == pair], strict=True):
                assert slots.setdefault((q, w), slot) == slot
                np.testing.assert_allclose(seen.share[seen.slot == slot], share[:, :, w], atol=1e-6)
    assert len(set(slots.values())) == len(slots) == len(np.unique(seen.slot))


def test_names_do_not_matter_only_places_in_walks() -> None:
    # Walks of one step over all that is known are the same law under any names, so means over many are, nearly.
    known, encoder = random_sets(count=12), an_encoder(walks=4000)
    place = torch.from_numpy(np.random.default_rng(2).permutation(12))
    other = Hypergraph(place[known.node], known.edge, 12, known.num_edges, time=known.time)
    asked, moved = hyperedges((0, 1, 2), (3, 4), nodes=12), None
    asked = Hypergraph(asked.node, asked.edge, 12, 2, time=torch.tensor([12.0, 9.0]))
    moved = Hypergraph(place[asked.node], asked.edge, 12, 2, time=asked.time)
    z, same = (encoder.embed({"graph": g, "sets": s}) for g, s in ((known, asked), (other, moved)))
    wrong = encoder.embed({"graph": known, "sets": moved})
    assert (z - same).abs().max() < 0.1 * (z - wrong).abs().max()


def test_the_future_is_not_seen() -> None:
    known = random_sets()
    sets = Hypergraph(known.node, known.edge, 12, 40, time=known.time)
    cut = known.time.numpy() <= 20
    past = Hypergraph(
        known.node[cut[known.edge]], known.edge[cut[known.edge]], 12, int(cut.sum()), time=known.time[cut]
    )
    encoder = an_encoder()
    encoder.unit.fill_(1.0)
    z, without = (encoder.embed({"graph": g, "sets": sets}) for g in (known, past))
    assert torch.equal(z[:21], without[:21])
    assert not torch.allclose(z[30:], without[30:])


def of_three(known: Hypergraph, encoder: SetWalks) -> torch.Tensor:
    asked = Hypergraph(torch.arange(3), torch.zeros(3, dtype=torch.int64), known.num_nodes, 1, time=torch.tensor([9.0]))
    return encoder.embed({"graph": known, "sets": asked})


def test_three_that_met_at_once_differ_from_three_pairs_over_hyperedges_and_not_over_pairs() -> None:
    at_once = hyperedges((0, 1, 2), nodes=3, time=[0.0])
    by_pairs = hyperedges((0, 1), (1, 2), (0, 2), nodes=3, time=[0.0, 0.0, 0.0])
    for settings, differs in (({}, True), ({"over": "pairs", "pooling": "mean"}, False)):
        encoder = an_encoder(walks=8, **settings)
        far = (of_three(at_once, encoder) - of_three(by_pairs, encoder)).abs().max()
        assert bool(far > 1e-4) == differs


def test_many_sets_are_embedded_part_by_part_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known = random_sets()
    sets = Hypergraph(known.node, known.edge, 12, 40, time=known.time)
    encoder = an_encoder()
    whole = encoder.embed({"graph": known, "sets": sets})
    monkeypatch.setattr("semblance.encoders.topology.set_walks.CHUNK", 7)
    torch.testing.assert_close(encoder.embed({"graph": known, "sets": sets}), whole)


def test_every_edge_is_a_hyperedge_and_every_hyperedge_its_pairs() -> None:
    ends = torch.tensor([[0, 1, 1, 2, 3], [1, 0, 2, 1, 3]])
    found = as_hyperedges(Graph(ends, 4))
    assert [set(found.node[found.edge == e].tolist()) for e in range(found.num_edges)] == [{0, 1}, {1, 2}, {3}]
    pairs = over_pairs(hyperedges((0, 1, 2), (4,), time=[3.0, 5.0]), "pairs")
    members = [set(pairs.node[pairs.edge == e].tolist()) for e in range(pairs.num_edges)]
    assert members == [{0, 1}, {0, 2}, {1, 2}, {4}]
    assert pairs.time.tolist() == [3.0, 3.0, 3.0, 5.0]


def test_a_wrong_setting_is_refused() -> None:
    for wrong in ({"pooling": "max"}, {"over": "edges"}, {"law": "all"}):
        with pytest.raises(SemblanceError, match="there is no"):
            an_encoder(**wrong)
    with pytest.raises(SemblanceError, match="0 walks"):
        an_encoder(walks=0)
