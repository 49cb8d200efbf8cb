"""Several settings of one rule, of which the validation units choose; parameters with rates of their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from semblance.data.assemble import assemble
from semblance.data.dataset import Shape
from semblance.data.prepare import Prepare
from semblance.data.relational import Whole
from semblance.encoders.vectors import Identity
from semblance.errors import SemblanceError
from semblance.heads.classify import Linear
from semblance.learning.backprop import Apart, Backprop
from semblance.learning.best import measured, validation
from semblance.learning.chosen import Chosen
from semblance.learning.parts import Budget, Feed, Network, Parts
from semblance.objectives.classify import CrossEntropy
from tests.learning.toy import parts


def made() -> tuple[Parts, Feed]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3)).astype(np.float32)
    labels = (x[:, 0] + 0.5 * rng.normal(size=90) > 0).astype(np.int64)
    splits = {"train": np.arange(30), "val": np.arange(30, 90)}
    data = assemble("vectors", x, targets={"labels": labels}, classes=("a", "b"), splits=splits)
    torch.manual_seed(0)
    network = Parts(Network(Identity(3), Linear(3, 2)), CrossEntropy())
    return network, Feed(data, splits["train"], Whole(), Prepare(Shape("vectors", (3,), 2, 30), False))


def rule(decay: float, epochs: int = 30) -> Backprop:
    return Backprop("adam", lr=0.1, schedule="constant", weight_decay=decay, epochs=epochs, best="loss")


def weights(held: Parts) -> torch.Tensor:
    return held.network.head.map.weight.detach().clone()


def alone(decay: float) -> tuple[float, torch.Tensor]:
    held, feed = made()
    list(rule(decay).run(held, feed, Budget(seed=3)))
    return measured(held, validation(feed))["val_loss"], weights(held)


@pytest.mark.parametrize("order", [(1e-3, 0.3, 30.0), (30.0, 0.3, 1e-3)])
def test_what_stays_is_what_the_best_setting_alone_gives(order: tuple[float, ...]) -> None:
    each = {decay: alone(decay) for decay in order}
    best = min(each, key=lambda decay: each[decay][0])
    held, feed = made()
    history = list(Chosen(tuple(map(rule, order)), "loss").run(held, feed, Budget(seed=3)))
    assert torch.equal(weights(held), each[best][1])
    assert [m["rule"] for m in history] == [0.0] * 30 + [1.0] * 30 + [2.0] * 30
    assert Chosen((rule(0), rule(1))).epochs == 60
    assert not held.network.training


def test_no_rules_are_refused() -> None:
    with pytest.raises(SemblanceError, match="one or more"):
        Chosen(())


def test_parameters_apart_have_their_own_rate_and_decay_and_the_schedule_scales_it() -> None:
    held = parts()
    own = (Apart("network.encoder.layers.0", 0.5, 0.25), Apart("network.encoder", 2.0))
    optimizer = Backprop("adam", lr=0.1, weight_decay=1e-3, apart=own).make_optimizer(held)
    Backprop("adam", lr=0.1, apart=own).adjust(optimizer, 0.5, 10.0)
    rest, first, second = optimizer.param_groups
    assert [g["lr"] for g in (rest, first, second)] == pytest.approx([0.05, 0.25, 1.0])
    assert [g["weight_decay"] for g in (rest, first, second)] == [1e-3, 0.25, 0.0]
    assert {id(p) for p in first["params"]} == {id(p) for p in held.network.encoder.layers[0].parameters()}
    every: list[nn.Parameter] = [p for g in optimizer.param_groups for p in g["params"]]
    assert len({id(p) for p in every}) == len(every) == len(list(held.modules().parameters()))
