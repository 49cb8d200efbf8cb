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

from semblance.learning.distribution import WholeBatch, mean_gradients, share_of, together
from semblance.learning.parts import Budget, Feed, Parts
from semblance.recipes.registry import build, own
from semblance.space.training import train
from semblance.testing import short, small


def steps(stage: Any) -> bool:
    return stage.objective is not None and hasattr(stage.rule, "step")


NAMES = [
    name
    for name, row in own().items()
    if row.makes == "model"
    and set(row.domains) <= {"images", "vectors", "text"}
    and any(steps(stage) for stage in build(name, **short(name)).stages)
]


def doubled(value: Any) -> Any:
    """The same in float64."""
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {k: doubled(v) for k, v in value.items()}
    return [doubled(v) for v in value] if isinstance(value, list) else value


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
    if rank == 0:
        torch.save(norms(), f"{folder}/norms.pt")
    else:
        norms()
    dist.destroy_process_group()


def norms() -> dict[str, Tensor]:
    """Nine items through batch norm: five here and four there, where there are two."""
    layer, x = nn.BatchNorm2d(3).double(), torch.linspace(-1, 2, 9 * 3 * 4).sin().double().reshape(9, 3, 2, 2)
    place = share_of(9) if dist.is_initialized() else slice(0, 9)
    own = x[place].requires_grad_()
    if dist.is_initialized():
        with WholeBatch():
            y = layer(own)
    else:
        y = layer(own)
    y.pow(3).sum().backward()
    mean_gradients(layer) if dist.is_initialized() else None
    return {"mean": layer.running_mean, "var": layer.running_var, "weight": layer.weight.grad * place_count()}


def place_count() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


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
