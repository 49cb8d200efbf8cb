"""Patches, positions and mixing: every edge lies in a patch, a walk's returns are those of the matrix, tokens that are not
there say nothing, and the mixer sees what colour refinement does not."""

import networkx as nx
import numpy as np
import pytest
import torch

from semblance.data.dataset import Shape
from semblance.data.graph_generators import both_ways
from semblance.data.regular_graphs import circulant, labelled_rings, rook_and_shrikhande, skip_links
from semblance.encoders.graphs.mixing import ATTENTIONS, Attending, Mixer, kernel, returns
from semblance.encoders.graphs.positions import Positions, spectral, walks
from semblance.encoders.graphs.refinement import wl_distinguishes
from semblance.encoders.graphs.substructures import patches
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph, joined
from semblance.recipes.graph_patches import graph_mixer, graph_vit
from semblance.space.model import assemble
from semblance.testing.related import graphs, renumbered


def some(seed=0):
    rng = np.random.default_rng(seed)
    sizes = (1, 7, 12, 30)
    each = [both_ways(rng.integers(0, n, (2, 2 * n)), n) for n in sizes]
    return joined(each)


def rows_of(pieces):
    """The set of nodes of every piece."""
    member = pieces.graph.member.numpy()
    return [set(pieces.node.numpy()[member == b].tolist()) for b in range(pieces.count)]


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("hops", [0, 1, 2])
def test_a_patch_is_a_block_and_what_is_within_its_hops(hops, anew):
    graph = some()
    pieces, _ = patches(graph, 4, hops, anew=anew, drop=0.1 if anew else 0.0)
    near = [{v} for v in range(graph.num_nodes)]
    ends = graph.edge_index.T.tolist()
    for _ in range(hops):
        near = [set().union(*(near[u] for u in [v, *(a for a, b in ends if b == v)])) for v in range(len(near))]
    home = pieces.home.numpy()
    for b, held in enumerate(rows_of(pieces)):
        assert held == set().union(*(near[v] for v in np.flatnonzero(home == b)))


def test_every_edge_lies_in_a_patch_and_patches_keep_the_edges_between_their_nodes():
    graph = some()
    pieces, _ = patches(graph, 5)
    held = rows_of(pieces)
    ends = graph.edge_index.T.tolist()
    assert all(any({u, v} <= inside for inside in held) for u, v in ends)
    found = sorted(map(tuple, pieces.node[pieces.graph.edge_index].T.tolist()))
    assert found == sorted((u, v) for inside in held for u, v in ends if {u, v} <= inside)


def test_every_graph_has_its_patches_or_one_for_every_node_and_shares_are_even():
    graph = some()
    pieces, _ = patches(graph, 5)
    sizes = np.bincount(graph.member.numpy())
    assert np.bincount(pieces.owner.numpy()).tolist() == [min(5, n) for n in sizes]
    of_block = np.bincount(pieces.home.numpy())
    assert all(of_block <= -(-sizes // np.minimum(5, sizes))[pieces.owner.numpy()])


def test_a_graph_is_cut_the_same_whoever_is_with_it_and_anew_in_training():
    graph = some()
    alone, _ = graph.take(np.array([3]))
    one, many = patches(alone, 6)[0], patches(graph, 6)[0]
    here = graph.member == 3
    assert torch.equal(one.home, many.home[here] - many.home[here].min())
    torch.manual_seed(0)
    assert len({tuple(patches(alone, 6, anew=True)[0].home.tolist()) for _ in range(5)}) > 1


def test_overlaps_count_shared_nodes_and_sharing_is_the_mean_over_copies():
    pieces, count = patches(some(), 5)
    held = rows_of(pieces)
    found = pieces.overlaps(count, 5)
    for i, a in enumerate(held):
        for j, b in enumerate(held):
            if pieces.owner[i] == pieces.owner[j]:
                assert found[pieces.owner[i], pieces.place[i], pieces.place[j]] == len(a & b)
    x = torch.randn(len(pieces.node), 3, dtype=torch.float64)
    shared = pieces.shared(x)
    for v in set(pieces.node.tolist()):
        rows = pieces.node == v
        assert torch.allclose(shared[rows], x[rows].mean(0).expand(int(rows.sum()), 3))


def test_returns_of_walks_are_the_diagonal_of_the_walk_matrix():
    graph = some(1)
    a = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    plain = graph.undirected()
    a.index_put_(
        (plain.edge_index[1], plain.edge_index[0]), torch.ones(plain.num_edges, dtype=torch.float64), accumulate=True
    )
    p = a / a.sum(1, keepdim=True).clamp(min=1e-300)
    wanted = torch.stack([torch.linalg.matrix_power(p, k).diagonal() for k in range(1, 8)], 1)
    assert torch.allclose(walks(graph, 7), wanted, atol=1e-12)
    assert torch.allclose(returns(p[None], 7)[0], wanted, atol=1e-12)


def test_spectral_positions_are_eigenvectors_of_every_graph_by_itself():
    graph = joined([circulant(9, 1, 3), both_ways(np.array([[0, 1, 2], [1, 2, 3]]), 4)])
    found = spectral(graph, 5).numpy()
    for number in range(2):
        here = graph.member.numpy() == number
        a = nx.to_numpy_array(
            nx.from_edgelist(graph.part(torch.from_numpy(np.flatnonzero(here))).edge_index.T.tolist())
        )
        order = list(nx.from_edgelist(graph.part(torch.from_numpy(np.flatnonzero(here))).edge_index.T.tolist()))
        a = a[np.argsort(order)][:, np.argsort(order)]
        root = a.sum(1) ** -0.5
        s = root[:, None] * a * root
        held = found[here][:, : min(5, here.sum() - 1)]
        values = (held * (s @ held)).sum(0)
        assert np.allclose(s @ held, held * values) and (np.diff(values) < 1e-9).all()
    assert (found[9:, 3:] == 0).all()


@pytest.mark.parametrize("make", [lambda: Mixer(8, 5), *(lambda a=a: Attending(8, 2, a) for a in ATTENTIONS)])
def test_tokens_that_are_not_there_get_and_give_nothing(make):
    layer = make().double().eval()
    x, there = torch.randn(2, 5, 8, dtype=torch.float64), torch.arange(5) < torch.tensor([[3], [0]])
    x = x * there[:, :, None]
    near = torch.rand(2, 5, 5, dtype=torch.float64)
    near = near / near.sum(2, keepdim=True)
    out = layer(x, there, near)
    assert (out[~there] == 0).all() and out.isfinite().all() and (out[0, :3] != 0).any()
    if isinstance(layer, Attending):
        cut = layer(x[:1, :3], there[:1, :3], near[:1, :3, :3]) if layer.attention != "kernel" else out[:1, :3]
        assert torch.allclose(out[:1, :3], cut)


def test_attention_times_the_overlap_is_its_equation():
    layer = Attending(4, 1).double()
    x, there = torch.randn(1, 3, 4, dtype=torch.float64), torch.ones(1, 3, dtype=torch.bool)
    near = torch.rand(1, 3, 3, dtype=torch.float64)
    q, k, v = layer.ask(layer.before(x)).chunk(3, 2)
    mixed = (q @ k.transpose(1, 2) / 2).softmax(2) * near @ v
    y = x + layer.answer(mixed)
    assert torch.allclose(layer(x, there, near), y + layer.channels.map(layer.channels.before(y)))
    rows = kernel(near / near.sum(2, keepdim=True)).sum(2)
    assert torch.allclose(rows, torch.ones_like(rows))


def of_patches(count):
    """A small mixer with random weights, whose nodes have no positions."""
    made = graph_mixer(hidden=16, patches=count, layers=2, mixers=2, positions="none")
    return assemble(made, Shape("graphs", (1,), 2, 1), seed=0).encoder.eval()


def test_the_mixer_separates_on_average_what_colour_refinement_takes_for_one():
    rook, shrikhande = rook_and_shrikhande()
    board = nx.line_graph(nx.complete_bipartite_graph(4, 4))
    as_nx = [nx.from_edgelist(g.edge_index.T.tolist()) for g in (rook, shrikhande)]
    assert nx.is_isomorphic(as_nx[0], board) and not nx.is_isomorphic(*as_nx)
    assert all(nx.is_strongly_regular(g) for g in as_nx)
    assert not wl_distinguishes(rook, shrikhande)
    cut, whole = (of_patches(count) for count in (8, 1))
    rng = np.random.default_rng(0)

    @torch.no_grad()
    def mean(graph, network):
        drawn = [graph.part(torch.from_numpy(rng.permutation(16))) for _ in range(60)]
        return network.embed({"graph": joined(drawn), "x": torch.ones(16 * 60, 1)})

    one, other = mean(rook, cut), mean(shrikhande, cut)
    error = ((one.var(0) + other.var(0)) / 60).sqrt()
    assert ((one.mean(0) - other.mean(0)).abs() / error).max() > 5
    one, other = mean(rook, whole), mean(shrikhande, whole)
    assert torch.allclose(one, other, atol=1e-5)


def test_with_a_patch_for_every_node_attention_is_indifferent_to_numbers():
    data, rows = graphs(), np.arange(12)
    network = assemble(graph_vit(hidden=16, layers=2, mixers=1), Shape("graphs", (2,), 2, 1), seed=0).encoder.eval()
    with torch.no_grad():
        one, other = (network.embed(d.read(rows)) for d in (data, renumbered(data)[0]))
    assert torch.allclose(one, other, atol=1e-5)


def test_a_node_is_the_token_of_its_patch():
    batch = graphs().read(np.arange(5))
    encoder = assemble(
        graph_vit(hidden=16, patches=3, layers=1, mixers=1), Shape("graphs", (2,), 2, 1), 0
    ).encoder.eval()
    with torch.no_grad():
        tokens, there, pieces = encoder.tokens(batch)
        states = encoder(batch)
        z = encoder.embed(batch)
    for v in range(batch["graph"].num_nodes):
        home = pieces.home[v]
        assert torch.equal(states[v], tokens[pieces.owner[home], pieces.place[home]])
    assert torch.allclose(z, torch.stack([t[h].mean(0) for t, h in zip(tokens, there, strict=True)]), atol=1e-6)


def test_circulant_graphs_differ_and_rings_ask_a_balanced_question():
    data = skip_links(copies=3, folds=3)
    assert len(data) == 30 and all((d == 4).all() for d in [data.graph.rows().degree])
    told = {skip: walks(circulant(41, 1, skip), 16)[0].numpy().round(9).tobytes() for skip in (2, 3, 4, 5, 6, 9)}
    assert len(set(told.values())) == 6
    rings = labelled_rings({"train": 40, "val": 10}, nodes=12, seed=3)
    batch = rings.read(np.arange(50))
    x, asked = torch.from_numpy(rings.x).reshape(50, 12, 7), torch.as_tensor(batch["node_labels"]).reshape(50, 12)
    assert ((asked >= 0) == (x[..., 5] == 1)).all()
    first, second = (x[torch.arange(50), x[..., 5 + k].argmax(1), :5].argmax(1) for k in range(2))
    assert torch.equal((first == second).long(), asked.max(1).values) and int(asked.max(1).values.sum()) == 25
    ring = nx.from_edgelist(rings.graph.take(np.array([7]))[0].edge_index.T.tolist())
    ends = [int(x[7, :, 5 + k].argmax()) for k in range(2)]
    assert nx.shortest_path_length(ring, *ends) == 6 and set(dict(ring.degree).values()) == {2}


def test_what_cannot_be_cut_or_mixed_is_refused():
    empty = Graph(torch.empty(2, 0, dtype=torch.int64), 0, member=torch.empty(0, dtype=torch.int64), num_graphs=0)
    assert patches(empty, 3)[0].count == 0 and walks(empty, 3).shape == (0, 3)
    with pytest.raises(SemblanceError, match="10 channels do not divide into 4 heads"):
        Attending(10, 4)
    with pytest.raises(SemblanceError, match="times"):
        Attending(8, 2, "soft")
    with pytest.raises(SemblanceError, match="of -1 hops"):
        graph_mixer(hops=-1).encoder(Shape("graphs", (2,), 2, 1))
    with pytest.raises(SemblanceError, match="walks"):
        Positions(assemble(graph_vit(hidden=8), Shape("graphs", (2,), 2, 1), 0).encoder.initial.given, "walk")
    with pytest.raises(SemblanceError, match="gin"):
        graph_mixer(inner="gine").encoder(Shape("graphs", (2,), 2, 1))
