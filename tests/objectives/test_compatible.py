"""A new network beside an old one: the old one stays, and every triple has something to learn."""

from __future__ import annotations

import torch
from torch import nn

from semblance.objectives.compatible import Compatible
from semblance.objectives.mined import Mined
from semblance.recipes.mined import compatible


class Linear(nn.Module):
    def __init__(self, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        self.norm, self.project, self.dim = nn.BatchNorm1d(6), nn.Linear(6, 4), 4

    def embed(self, batch):
        return self.project(self.norm(batch["x"]))


def a_batch():
    return {"x": torch.randn(24, 6, generator=torch.Generator().manual_seed(0)), "labels": torch.arange(24) % 4}


def test_the_old_network_neither_learns_nor_counts_what_it_sees():
    old, new = Linear(0), Linear(1)
    objective = Compatible(old, Mined())
    objective.train()
    before = old.norm.running_mean.clone()
    loss, told = objective(new, a_batch())
    loss.backward()
    assert told["triples"] > 0 and new.project.weight.grad.abs().sum() > 0
    assert old.project.weight.grad is None and torch.equal(before, old.norm.running_mean) and not old.training


def test_triples_of_the_old_network_alone_and_an_item_with_itself_are_left_out():
    seen = []

    def every(z, labels):
        n = len(z)
        anchor, positive, negative = (
            index.flatten() for index in torch.meshgrid(*[torch.arange(n)] * 3, indexing="ij")
        )
        keep = (labels[anchor] == labels[positive]) & (labels[anchor] != labels[negative]) & (anchor != positive)
        seen.append(int(keep.sum()))
        return anchor[keep], positive[keep], negative[keep]

    batch = {k: v[:8] for k, v in a_batch().items()}
    _, told = Compatible(Linear(0), Mined(every))(Linear(1), batch)
    # 8 items of 4 labels, twice: of a label 4 rows. An anchor's positives are 3, one of them the item itself.
    assert seen == [16 * 3 * 12]
    all_old = 8 * 1 * 6
    assert told["triples"] == 16 * 2 * 12 - all_old


def test_the_new_network_starts_with_the_old_ones_last_layer_which_learns_first():
    old, new = Linear(0), Linear(1)
    made = compatible(old, new, epochs=4)
    started = made.encoder(None)
    assert torch.equal(started.project.weight, old.project.weight) and not torch.equal(
        new.project.weight, old.project.weight
    )
    assert [stage.rule.epochs for stage in made.stages] == [1, 4]
    made.stages[0].objective(None)
    assert started.project.weight.requires_grad and not started.norm.weight.requires_grad
    made.stages[1].objective(None)
    assert all(p.requires_grad for p in started.parameters()) and all(p.requires_grad for p in old.parameters())
