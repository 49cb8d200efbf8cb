"""Random node features: what is drawn when, what a mean over draws is, and that they tell apart what refinement cannot."""

import numpy as np
import pytest
import torch

from semblance.data.dataset import Shape
from semblance.data.graph_generators import inseparable_pairs
from semblance.encoders.graphs.drawn import DISTRIBUTIONS, Drawn, places
from semblance.errors import SemblanceError
from semblance.geometry.graph import joined
from semblance.recipes.graph_drawn import rni
from semblance.space.model import assemble
from semblance.testing.related import graphs, renumbered


def network(**settings):
    made = rni(**{"hidden": 16, "layers": 4, "epochs": 1, **settings})
    return assemble(made, Shape("graphs", (2,), 2, 10), seed=0).eval()


def pair_of():
    pair = inseparable_pairs()["decalin and bicyclopentyl"]
    return {"graph": joined(pair), "x": torch.ones(20, 1).repeat(1, 2)}


def test_in_training_every_pass_draws_anew_and_otherwise_a_draw_is_counted():
    batch, drawn = pair_of(), Drawn(3)
    with torch.random.fork_rng(devices=[]):
        assert not torch.equal(drawn.train()(batch), drawn(batch))
    drawn.eval()
    assert torch.equal(drawn(batch), drawn(batch))
    assert not torch.equal(drawn(batch), drawn({**batch, "draw": 1}))
    assert not torch.equal(drawn(batch), Drawn(3, seed=1).eval()(batch))
    # A node's draw follows its place in its graph, whatever else is in the batch.
    assert torch.equal(drawn(batch)[:10], drawn(batch)[10:])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("training", [True, False])
def test_draws_have_the_deviation_of_their_distribution(name, training):
    data = graphs()
    batch = data.read(np.arange(len(data)))
    sizes = torch.from_numpy(places(batch["graph"])[1])
    drawn = Drawn(400, distribution=name).train(training)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = drawn(batch)[sizes == 7]
    expected = {"normal": 1.0, "uniform": 3**-0.5}.get(name, (2 / 407) ** 0.5)
    assert abs(float(found.std()) / expected - 1) < 0.05
    if name.endswith("uniform"):
        assert float(found.abs().max()) <= expected * 3**0.5 + 1e-6


def test_the_answer_is_the_mean_of_the_answers_to_the_draws():
    net, batch = network(draws=3), pair_of()
    with torch.no_grad():
        each = [net.head(net.encoder.answer({**batch, "draw": t}), batch) for t in range(3)]
        assert torch.allclose(net(batch), torch.stack(each).mean(0), atol=1e-5)


def test_random_features_separate_what_refinement_cannot_and_without_them_nothing_does():
    with torch.no_grad():
        one, other = network(share=0.5).embed(pair_of())
        same, again = network(share=0.0).embed(pair_of())
    assert float((one - other).abs().max()) > 1e-2
    assert float((same - again).abs().max()) < 1e-5


def test_the_mean_over_many_draws_forgets_how_nodes_are_numbered():
    data = graphs()
    other = renumbered(data)[0]
    net = network(share=0.5, layers=2)

    def answers(source, start):
        batch = source.read(np.array([5]))
        with torch.no_grad():
            return torch.cat([net.encoder.answer({**batch, "draw": t})[:, :1] for t in range(start, start + 400)])

    a, b = answers(data, 0), answers(other, 400)
    error = (a.var() / 400 + b.var() / 400).sqrt()
    assert float((a.mean() - b.mean()).abs()) < 3 * float(error)
    assert float((a[:4].mean() - b[:4].mean()).abs()) > 1e-4  # a few draws do not


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(SemblanceError, match="normal"):
        Drawn(3, distribution="norml")
    with pytest.raises(SemblanceError, match="share is 2"):
        rni(share=2)
    with pytest.raises(SemblanceError, match="0 drawn features"):
        Drawn(0)
