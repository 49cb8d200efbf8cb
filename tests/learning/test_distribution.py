"""Two processes with half a batch each are one with the whole: every objective core, batch norm, weights and buffers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from semblance.learning.backprop import Backprop
from semblance.learning.distribution import processes, share_of, together
from semblance.learning.parts import Budget, Feed, Parts
from semblance.learning.whole_norm import WholeBatch
from semblance.recipes.registry import build, own
from semblance.space.training import train
from semblance.testing import short, small
from tests.learning import toy
from tests.learning.toy import doubled, steps

NAMES = [
    name
    for name, row in own().items()
    if row.makes == "model"
    and set(row.domains) <= {"images", "vectors", "text"}
    and any(steps(stage) for stage in build(name, **short(name)).stages)
]


@dataclass
class Measured:
    """Instead of training: the loss and every gradient of a rule's first step, by however many processes there are."""

    rule: Any
    found: dict[str, Tensor]
    stage: int
    epochs: int = 1

    def run(self, parts: Parts, feed: Feed, budget: Budget) -> Iterator[dict[str, float]]:
        parts.modules().double().zero_grad()
        batch = doubled(feed.batch(feed.epoch(0, 0)[0]))
        torch.manual_seed(1)
        metrics = together(self.rule).step(parts, batch, 1.0, torch.autocast("cpu", enabled=False))
        self.found[f"{self.stage}.loss"] = torch.tensor(metrics["loss"])
        for key, parameter in parts.modules().named_parameters():
            if parameter.requires_grad:
                gradient = torch.zeros(()) if parameter.grad is None else parameter.grad.clone()
                self.found[f"{self.stage}.{key}"] = gradient
        parts.modules().float()
        return iter(())


def learned(name: str) -> dict[str, Tensor]:
    """What one step of each stage that steps finds."""
    recipe, found = build(name, **short(name)), {}
    stages = [
        replace(stage, rule=Measured(stage.rule, found, number)) if steps(stage) else stage
        for number, stage in enumerate(recipe.stages)
    ]
    train(small(own()[name].domains[0]), replace(recipe, stages=tuple(stages)), epochs=1)
    return found


def one_of_two(rank: int, folder: str, names: list[str]) -> None:
    """What each of two processes does; the first writes down what it found."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    for name in names:
        found = learned(name)
        if rank == 0:
            torch.save(found, f"{folder}/{name}.pt")
    held, short, history = nine(), nine(torch.bfloat16, torch.float32), told()
    if rank == 0:
        torch.save({"nine": held, "short": short, "told": history}, f"{folder}/beside.pt")
    dist.destroy_process_group()


def nine(values: torch.dtype = torch.float64, weights: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Nine items through batch norm: four here and five there, where there are two."""
    layer = nn.BatchNorm2d(3).to(weights)
    x = torch.linspace(-9, 9, 108).sin().reshape(9, 3, 2, 2).to(values).requires_grad_()
    if processes() == 1:
        y = layer(x)
    else:
        with WholeBatch():
            y = layer(x[share_of(9)])
    y.to(weights).pow(3).sum().backward()
    found = {"by x": x.grad, "by weight": layer.weight.grad, "by bias": layer.bias.grad}
    for gradient in found.values():  # of one sum over all items: every process has a part of it
        if processes() > 1:
            dist.all_reduce(gradient)
    return {"mean": layer.running_mean, "var": layer.running_var, **found}


def told() -> list[dict[str, float]]:
    """Three epochs of a toy whose batches do not divide by two."""
    rule, parts = Backprop(lr=0.1, epochs=3), toy.parts(dropout=0.0)
    parts.modules().double()
    feed = replace(toy.feed(), prepare=lambda x: x.double())
    return list(together(rule).run(parts, feed, Budget(seed=0)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    mp.start_processes(one_of_two, (str(folder), NAMES), nprocs=2, start_method="spawn")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_find_the_loss_and_the_gradients_of_one(folder: Path, name: str) -> None:
    two, one = torch.load(folder / f"{name}.pt"), learned(name)
    assert two.keys() == one.keys()
    for key in one:
        scale = one[key].abs().max().clamp_min(1.0)
        assert (one[key] - two[key]).abs().max() <= 1e-5 * scale, key


def test_batch_norm_takes_its_moments_over_both(folder: Path) -> None:
    two, one = torch.load(folder / "beside.pt")["nine"], nine()
    for key in one:
        assert torch.allclose(one[key], two[key], rtol=1e-10, atol=1e-12), key


def test_batch_norm_of_short_numbers_does_so_to_their_precision(folder: Path) -> None:
    two, one = torch.load(folder / "beside.pt")["short"], nine(torch.bfloat16, torch.float32)
    for key in one:
        assert torch.allclose(one[key].float(), two[key].float(), rtol=0.02, atol=0.05), key


def test_a_run_of_two_goes_where_a_run_of_one_goes(folder: Path) -> None:
    two, one = torch.load(folder / "beside.pt")["told"], told()
    assert [m["epoch"] for m in two] == [m["epoch"] for m in one] == [1.0, 2.0, 3.0]
    assert [m["loss"] for m in two] == pytest.approx([m["loss"] for m in one], rel=1e-9)
    assert one[-1]["loss"] < one[0]["loss"]
