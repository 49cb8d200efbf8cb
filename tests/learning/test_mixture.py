"""Experts in turn: nobody else moves, rounds end when validation does not improve, and the best round stays."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from semblance.errors import SemblanceError
from semblance.learning import mixture
from semblance.learning.backprop import Backprop
from semblance.learning.mixture import InTurn, only
from semblance.recipes.registry import build
from semblance.space.training import train
from semblance.testing import small


def test_within_a_turn_only_one_experts_parameters_ask_for_a_gradient():
    held = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    held["b"].bias.requires_grad_(False)
    with only(held, ("b.",)):
        assert [n for n, p in held.named_parameters() if p.requires_grad] == ["b.weight"]
    assert [n for n, p in held.named_parameters() if p.requires_grad] == ["a.weight", "a.bias", "b.weight"]
    with pytest.raises(SemblanceError, match="begins with 'c'"), only(held, ("c",)):
        pass


def test_the_strong_expert_does_not_move_while_the_weak_one_learns():
    data = small("graph")
    seen = []

    class Watching(Backprop):
        def run(self, parts, data, budget):
            def state():
                return {n: p.detach().clone() for n, p in parts.network.named_parameters()}

            before = state()
            yield from super().run(parts, data, budget)
            after = state()
            seen.append({".".join(n.split(".")[:3]) for n in after if not torch.equal(before[n], after[n])})

    made = build("mowst", rounds=1, epochs=5)
    rule = Watching("adam", lr=0.01, schedule="constant", epochs=5, best="loss")
    stage = made.stages[0]
    watched = replace(stage, rule=InTurn(rule, stage.rule.turns, 1))
    train(data, replace(made, stages=(watched,)), seed=0)
    weak, strong = {"encoder.experts.0", "head.heads.0"}, {"encoder.experts.1", "head.heads.1"}
    assert seen == [weak, strong, weak, strong]


def test_rounds_end_with_the_first_that_does_not_improve_and_the_best_stays(monkeypatch):
    data, made = small("graph"), build("mowst", rounds=5, epochs=2, alone=False)
    scores, states = iter([0.0, 0.5, 0.7, 0.7]), []

    def score(self, parts, asked):
        states.append(mixture._state(parts.modules()))
        return next(scores)

    monkeypatch.setattr(InTurn, "_score", score)
    model = train(data, made, seed=0)
    assert {metrics["round"] for metrics in model.history} == {1.0, 2.0, 3.0}
    best = {name.removeprefix("network."): value for name, value in states[2].items() if name.startswith("network.")}
    assert all(torch.equal(value, best[name]) for name, value in model.network.state_dict().items())


def test_one_expert_or_no_round_is_refused():
    with pytest.raises(SemblanceError, match="give two"):
        InTurn(Backprop(), (("a",),))
    with pytest.raises(SemblanceError, match="give two"):
        InTurn(Backprop(), (("a",), ("b",)), rounds=0)
