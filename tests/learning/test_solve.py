from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from semblance.errors import SemblanceError
from semblance.learning.parts import Feed, Network, Parts
from semblance.learning.solve import Nothing, SolveEncoder, SolveHead
from tests.learning.toy import Toy, budget, feed


class Keeps(nn.Module):
    def solve(self, z: Tensor, labels: Tensor) -> dict[str, float]:
        self.z, self.labels = z, labels
        return {"seen": float(len(z))}


def test_the_head_is_given_every_labelled_unit_in_order_in_eval_mode() -> None:
    head, data = Keeps(), feed()
    data.dataset.targets["labels"][3] = -1
    network = Network(Toy(), head)
    metrics = list(SolveHead().run(Parts(network), data, budget()))
    rows = torch.arange(40) != 3
    x = torch.from_numpy(data.dataset.x)
    assert metrics == [{"epoch": 1.0, "seen": 39.0}]
    torch.testing.assert_close(head.z, network.eval().embed({"x": x})[rows])
    assert torch.equal(head.labels, torch.from_numpy(data.dataset.targets["labels"])[rows])


def test_a_recipe_without_a_head_to_solve_says_so() -> None:
    with pytest.raises(SemblanceError, match="names none"):
        list(SolveHead().run(Parts(Network(Toy())), feed(), budget()))


def test_data_without_labels_cannot_solve_a_head() -> None:
    data: Feed = feed()
    data.dataset.targets.clear()
    with pytest.raises(SemblanceError, match="--label"):
        list(SolveHead().run(Parts(Network(Toy(), Keeps())), data, budget()))


def test_nothing_changes_nothing() -> None:
    network = Network(Toy())
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert list(Nothing().run(Parts(network), feed(), budget())) == []
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


class SolvesItself(Toy):
    def solve(self, batch: dict[str, Any], seed: int) -> dict[str, float]:
        self.asked, self.seed = batch, seed
        return {"seen": float(len(batch["x"]))}


def test_the_encoder_is_given_the_whole_structure_once() -> None:
    data = feed()
    encoder = SolvesItself()
    network = Network(encoder)
    with pytest.raises(SemblanceError, match="one whole graph"):
        list(SolveEncoder().run(Parts(network), data, budget()))
    data.dataset = SimpleNamespace(whole=True, read=data.dataset.read)
    metrics = list(SolveEncoder().run(Parts(network), data, budget()))
    assert metrics == [{"epoch": 1.0, "seen": float(len(data.rows))}] and encoder.seed == budget().seed
    with pytest.raises(SemblanceError, match="Toy has no `solve`"):
        list(SolveEncoder().run(Parts(Network(Toy())), data, budget()))
