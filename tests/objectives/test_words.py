"""Bags of visual words: what they are, whose they are, and that words may come and go."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from semblance.encoders.vision.stagenet import stage_net
from semblance.errors import SemblanceError
from semblance.objectives.branches import Copied
from semblance.objectives.words import BagsOfWords, Generated, Vocabulary, cross_entropy, perplexity, widths_of, within
from semblance.recipes.backbones import backbone_of
from semblance.recipes.words import obow
from semblance.space.training import train
from semblance.testing import small


def a_net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return stage_net("half", size=(32, 32))


def an_objective(net: nn.Module, words: int = 24, **axes) -> BagsOfWords:
    torch.manual_seed(1)
    held = [
        Vocabulary(words, 64, **{k: v for k, v in axes.items() if k in ("delta", "live", "rare")}) for _ in range(2)
    ]
    rest = {k: v for k, v in axes.items() if k in ("kappa", "lengths")}
    return BagsOfWords(Copied(copy.deepcopy(net), None, 0.9), held, 64, **rest)


def views(n: int = 6, seed: int = 2):
    generator = torch.Generator().manual_seed(seed)
    sizes = (32, 32, 16, 16)
    return {"views": [{"x": torch.randn(n, 3, side, side, generator=generator)} for side in sizes]}


@pytest.mark.parametrize("rare", [False, True])
@pytest.mark.parametrize("delta", [0.0, 0.1, 1.0])
def test_bags_are_not_negative_and_sum_to_one(delta, rare):
    torch.manual_seed(0)
    held = Vocabulary(20, 8, delta, rare=rare)
    bags = held.bags(torch.randn(5, 8, 6, 6).relu())
    assert bags.shape == (5, 20) and bool((bags >= 0).all())
    torch.testing.assert_close(bags.sum(1), torch.ones(5))


def test_as_the_width_goes_to_nothing_the_soft_bag_becomes_the_hard_one():
    torch.manual_seed(0)
    maps = torch.randn(5, 8, 6, 6)
    hard, soft = (Vocabulary(20, 8, delta).double().eval() for delta in (0.0, 1e-6))
    soft.words.copy_(hard.words)
    torch.testing.assert_close(soft.bags(maps.double()), hard.bags(maps.double()), atol=1e-6, rtol=0)
    loop = torch.zeros(5, 20)
    for i, picture in enumerate(within(maps)):
        for cell in picture.flatten(1).T:
            loop[i, int((hard.words - cell.double()).norm(dim=1).argmin())] = 1
    torch.testing.assert_close(hard.bags(maps.double()).float(), loop / loop.sum(1, keepdim=True))


def test_soft_codes_are_those_of_the_distances():
    torch.manual_seed(0)
    held = Vocabulary(7, 3, 0.2).eval()
    cells = torch.randn(2, 5, 3)
    apart = torch.cdist(cells, held.words.expand(2, -1, -1)).square()
    torch.testing.assert_close(held.codes(cells), (-apart / (0.2 * 0.5)).softmax(2))
    held.train()
    held.codes(cells)
    assert float(held.near) == pytest.approx(0.99 * 0.5 + 0.01 * float(apart.amin(2).mean()), rel=1e-5)


def test_one_local_mean_of_each_picture_enters_and_the_oldest_leave():
    torch.manual_seed(0)
    held = Vocabulary(10, 4)
    first = held.words.clone()
    maps = torch.arange(3.0)[:, None, None, None].expand(3, 4, 5, 5) + 100
    for _ in range(3):
        held.take(maps)
    assert torch.equal(held.words[9], first[9]) and torch.equal(held.words[:9, 0], torch.arange(3.0).repeat(3) + 100)
    held.take(maps)  # 9, then around to 0 and 1
    assert torch.equal(held.words[[9, 0, 1], 0], torch.arange(3.0) + 100) and int(held.oldest) == 2
    kept = Vocabulary(10, 4, live=False)
    before = kept.words.clone()
    kept.take(maps)
    assert torch.equal(before, kept.words)


def test_border_cells_are_left_out_where_three_by_three_remain():
    maps = torch.randn(1, 1, 5, 5)
    assert torch.equal(within(maps), maps[:, :, 1:4, 1:4]) and within(maps[:, :, :4, :4]).shape[2:] == (4, 4)


@pytest.mark.parametrize("training", [True, False])
def test_who_permutes_the_words_permutes_the_answer(training):
    torch.manual_seed(0)
    make, words, z = Generated(8, 16).double().train(training), torch.randn(12, 8).double(), torch.randn(5, 16).double()
    order = torch.randperm(12)
    torch.testing.assert_close(z @ make(words[order]).T, (z @ make(words).T)[:, order])
    torch.testing.assert_close(make(words).norm(dim=1), torch.ones(12).double())


def test_the_loss_is_the_mean_over_levels_and_the_sum_over_sizes():
    net = a_net()
    objective = an_objective(net).eval()
    net.eval()
    batch = views()
    loss, told = objective(net, batch)
    bags, weights = objective.bags(batch["views"][0]["x"]), objective.weights()
    each = []
    for view in batch["views"][1:]:
        logits = objective.told(net.embed(view), weights)
        each.append(torch.stack([cross_entropy(a, b) for a, b in zip(logits, bags, strict=True)]).mean())
    torch.testing.assert_close(loss, each[0] + (each[1] + each[2]) / 2)
    assert 1 <= told["perplexity"] <= 24


def test_the_copy_begins_as_the_network_and_rises_to_standing_still():
    net = a_net()
    objective, batch = an_objective(net), views()
    with torch.no_grad():
        next(net.parameters()).add_(1.0)  # after the copy was made: it is filled when training begins
    loss, _ = objective(net, batch)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), objective.teacher.encoder.parameters(), strict=True))
    loss.backward()
    assert not any(p.requires_grad for p in objective.teacher.parameters())
    assert all(p.grad is not None for p in [*net.parameters(), *objective.generated.parameters()])
    momenta = []
    for progress in (0.0, 0.5, 1.0):
        objective.advance(progress)
        momenta.append(objective.teacher.momentum)
    assert momenta == pytest.approx([0.9, 0.95, 1.0])


def test_only_directions_count_where_lengths_do_not():
    net = a_net()
    z = torch.randn(4, 64)
    for lengths in (True, False):
        objective = an_objective(net, lengths=lengths).eval()
        one, two = (objective.told(factor * z, objective.weights())[0] for factor in (1, 3))
        assert torch.allclose(one, two) is not lengths
        if not lengths:
            assert float(one.detach().abs().max()) <= 8


def test_perplexity_counts_words_in_use():
    assert perplexity(torch.eye(5)) == pytest.approx(5)
    assert perplexity(torch.tensor([[0.5, 0.5, 0, 0]])) == pytest.approx(2)


def test_encoders_without_maps_and_items_without_crops_are_refused():
    with pytest.raises(SemblanceError, match="stage net"):
        train(small("images"), obow(backbone="patches", least=1), epochs=1)
    assert widths_of(backbone_of("small")(small_shape()), (3, 32, 32), 2) == [128, 128]
    net = a_net()
    with pytest.raises(SemblanceError, match="1 view"):
        an_objective(net)(net, {"views": views()["views"][:1]})


def small_shape():
    from semblance.data.dataset import Shape

    return Shape("images", (3, 32, 32), 0, 10)


def test_crops_come_to_tell_the_words_of_the_whole_better_than_the_mean_bag_does():
    data = small("images")
    model = train(data, obow(words=16, batch=20, least=200, epochs=10, lr=5e-3, small=0), seed=0)
    model.network.eval()
    model.objective.eval()
    x = torch.cat(list(model.blocks(data, data.splits["test"])))
    with torch.no_grad():
        (bag, _), logits = (
            model.objective.bags(x),
            model.objective.told(model.network.embed({"x": x}), model.objective.weights()),
        )
        told = float(cross_entropy(logits[0], bag))
    mean = bag.mean(0)
    blind = float(-(mean * mean.clamp_min(1e-12).log()).sum())
    assert math.isfinite(told) and told < blind
