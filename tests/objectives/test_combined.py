"""Several tasks on one trunk: what is summed, whose turn it is, who sees what, and where the lasso stops."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semblance.data.dataset import Shape
from semblance.encoders.vision.stagenet import stage_net
from semblance.encoders.vision.units import Units
from semblance.errors import SemblanceError
from semblance.objectives.pretexts.asked import trunk_of
from semblance.objectives.pretexts.colours import Shown
from semblance.objectives.pretexts.combined import Combined, penalised
from semblance.objectives.pretexts.table import TABLE

SHAPE = Shape("images", (3, 32, 32), 10, 40, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
FOUR = ("relative-position", "colourisation", "exemplar", "motion-segmentation")


@pytest.fixture(autouse=True)
def _chance():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Seeded(nn.Module):
    """A task that draws the same whenever it is asked."""

    def __init__(self, task: nn.Module, seed: int):
        super().__init__()
        self.task, self.seed = task, seed

    def forward(self, model, batch):
        torch.manual_seed(self.seed)
        return self.task(model, batch)


class Told(nn.Module):
    """A task whose loss is a given number, and which keeps what it was shown."""

    def __init__(self, value: float):
        super().__init__()
        self.value, self.after = nn.Parameter(torch.tensor(value)), 0

    def forward(self, model, batch):
        self.batch = batch
        return self.value * 1, {"loss": float(self.value)}

    def after_step(self, model, batch):
        self.after += 1


def of(net: nn.Module, names=FOUR, **axes) -> Combined:
    trunk = trunk_of(net, (3, 32, 32))
    made = {name: Seeded(TABLE[name].make(trunk, SHAPE), number) for number, name in enumerate(names)}
    return Combined(made, {name: TABLE[name].sees for name in names}, shown=Shown(SHAPE), **axes).double().eval()


def batch(n: int = 6) -> dict:
    x = torch.randn(n, 3, 32, 32, dtype=torch.float64)
    return {"x": x, "views": [{"x": x}, {"x": x.flip(3)}, {"x": x.roll(3, 2)}], "index": torch.arange(n)}


def test_the_gradient_of_the_summed_loss_is_the_sum_of_each_tasks_gradient():
    net = stage_net("small", width=4).double().eval()
    combined, given = of(net, weights={"exemplar": 2.0}), batch()
    summed = torch.autograd.grad(combined(net, given)[0], list(net.parameters()))
    sums = [torch.zeros_like(p) for p in net.parameters()]
    for name in FOUR:
        loss = combined.weights[name] * combined.tasks[name](net, combined.given(given, name))[0]
        for total, g in zip(sums, torch.autograd.grad(loss, list(net.parameters())), strict=True):
            total += g
    for total, g in zip(sums, summed, strict=True):
        torch.testing.assert_close(total, g, atol=1e-10, rtol=1e-8)
    assert max(float(g.abs().max()) for g in summed) > 1e-4


def test_one_hot_weights_of_the_last_block_give_the_naive_net():
    net = stage_net("small", width=4).double().eval()
    mixed = Units(net, 4, start="last").double().eval()
    plain, reading, given = of(net), of(net, mixes=True), batch()
    reading.load_state_dict(plain.state_dict())
    torch.testing.assert_close(plain(net, given)[0], reading(mixed, given)[0], atol=1e-10, rtol=0)
    with torch.no_grad():
        mixed.share.copy_(torch.full_like(mixed.share, 0.25))
    assert abs(float(plain(net, given)[0] - reading(mixed, given)[0])) > 1e-5


def test_alternating_tasks_come_in_turn_and_only_who_was_asked_goes_on():
    tasks = {"a": Told(1.0), "b": Told(10.0)}
    combined = Combined(tasks, {"a": "plain", "b": "plain"}, how="alternating")
    losses = []
    for _ in range(4):
        losses.append(float(combined(nn.Identity(), batch())[0]))
        combined.after_step(nn.Identity(), batch())
    assert losses == [1.0, 10.0, 1.0, 10.0]
    assert [task.after for task in tasks.values()] == [2, 2]
    again = Combined({"a": Told(1.0), "b": Told(10.0)}, {"a": "plain", "b": "plain"}, how="alternating")
    combined.after_step(nn.Identity(), batch())
    again.load_state_dict(combined.state_dict())
    assert float(again(nn.Identity(), batch())[0]) == 10.0  # whose turn it is comes back from disk


def test_summed_losses_are_weighed_and_told_by_name():
    combined = Combined({"a": Told(1.0), "b": Told(10.0)}, {"a": "plain", "b": "plain"}, weights={"b": 0.5})
    loss, told = combined(nn.Identity(), batch())
    assert float(loss) == 6.0 and told == {"a loss": 1.0, "b loss": 10.0, "loss": 6.0}
    balanced = Combined({"a": Told(4.0), "b": Told(10.0)}, {"a": "plain", "b": "plain"}, balanced=True)
    assert float(balanced(nn.Identity(), batch())[0]) == 2.0  # each counts 1 at its first step
    with torch.no_grad():
        balanced.tasks["a"].value.fill_(1.0)
    assert float(balanced(nn.Identity(), batch())[0]) == 1.25
    one = Combined({"a": Told(3.0)}, {"a": "plain"})
    assert one(nn.Identity(), batch())[1] == {"loss": 3.0} and one.needs == frozenset()


def test_a_task_sees_the_views_that_its_row_says():
    tasks = {"a": Told(1.0), "b": Told(1.0), "c": Told(1.0)}
    combined, given = Combined(tasks, {"a": "plain", "b": "strong", "c": "pair"}), batch()
    combined(nn.Identity(), given)
    assert combined.needs == {"views"}
    assert torch.equal(tasks["a"].batch["x"], given["x"])
    assert torch.equal(tasks["b"].batch["x"], given["views"][1]["x"])
    assert [v["x"] is w["x"] for v, w in zip(tasks["c"].batch["views"], given["views"][1:], strict=True)] == [True] * 2


def test_harmonised_tasks_cannot_be_told_apart_by_their_colours():
    net = stage_net("small", width=4).double().eval()
    given = batch()
    grey = of(net, ("rotation",), harmonised="grey")
    raw = grey.shown.colours(grey.harmonise(given["x"]))
    torch.testing.assert_close(raw[:, 0], raw[:, 1])
    torch.testing.assert_close(raw[:, 1], raw[:, 2])
    dropped = of(net, ("rotation",), harmonised="dropped").harmonise(given["x"])
    kept = (dropped == given["x"]).flatten(2).all(2).sum(1)
    assert kept.tolist() == [1] * 6
    seen, combined = [], of(net, FOUR, harmonised="grey")
    watched = net.stages[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    combined(net, given)
    watched.remove()
    assert len(seen) == 5  # two views of the exemplar task
    for x in seen:
        torch.testing.assert_close(*(grey.shown.colours(x)[:, c] for c in (0, 2)), atol=1e-6, rtol=0)


def test_the_lasso_is_in_the_loss_and_weights_that_cross_zero_stay_there():
    net = stage_net("small", width=4).double().eval()
    mixed, given = Units(net, 1).double().eval(), batch()
    with torch.no_grad():
        mixed.share.copy_(torch.tensor([[0.5, -0.25, 1e-4, 0.0]]))
    plain, lasso = of(net, ("rotation",), mixes=True), of(net, ("rotation",), mixes=True, lasso=2.0)
    lasso.load_state_dict(plain.state_dict())
    difference = lasso(mixed, given)[0] - plain(mixed, given)[0]
    torch.testing.assert_close(difference, torch.tensor(2 * 0.7501, dtype=torch.float64))
    gradients = []
    for combined in (plain, lasso):
        gradients.append(torch.autograd.grad(combined(mixed, given)[0], mixed.share)[0])
    away = gradients[1] - gradients[0]
    torch.testing.assert_close(away[0, :3], torch.tensor([2.0, -2.0, 2.0], dtype=torch.float64))
    assert float(gradients[1][0, 3]) == 0 != float(gradients[0][0, 3])  # at 0 the task does not outdo the penalty
    with torch.no_grad():
        mixed.share.copy_(torch.tensor([[0.4, 0.1, -1e-4, 0.2]]))
    lasso.after_step(mixed, given)
    # The last one moved although nothing outdid the penalty (momentum): it rests.
    assert mixed.share.tolist()[0] == pytest.approx([0.4, 0.0, 0.0, 0.0])
    assert (mixed.share == 0).tolist() == [[False, True, True, True]]


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"how": "mixed"}, "way of combining"),
        ({"harmonised": "gray"}, "grey"),
        ({"harmonised": "grey"}, "give shown="),
        ({"lasso": 0.1}, "mixes its blocks"),
        ({"lasso": -1.0}, "0 or more"),
    ],
)
def test_what_does_not_fit_together_is_refused(axes, words):
    with pytest.raises(SemblanceError, match=words):
        Combined({"a": Told(1.0)}, {"a": "plain"}, **axes)


def test_tasks_that_review_all_units_are_shown_them_when_they_are_due():
    net = stage_net("small", width=4)
    clustering = TABLE["clustering"].make(trunk_of(net, (3, 32, 32)), SHAPE)
    combined = Combined({"clustering": clustering, "a": Told(1.0)}, {"clustering": "strong", "a": "plain"})
    assert combined.due(0)
    shown = [{"x": torch.randn(40, 3, 32, 32), "index": torch.arange(40)}]
    combined.review(net.eval(), shown, 0, torch.Generator().manual_seed(0))
    assert not combined.due(0) and combined.due(1)
    assert len(clustering.part.unique()) == 2
    assert not Combined({"a": Told(1.0)}, {"a": "plain"}).due(0)


def test_the_gradient_of_the_penalty_is_added_once_however_often_a_task_reads():
    net = stage_net("small", width=4).double().eval()
    mixed, given = Units(net, 1).double().eval(), batch()
    found = []
    for strength in (0.0, 0.5):
        combined = of(net, ("exemplar",), mixes=True, lasso=strength)
        found.append(torch.autograd.grad(combined(mixed, given)[0], mixed.share)[0])
    torch.testing.assert_close(found[1] - found[0], torch.full((1, 4), 0.5, dtype=torch.float64))


def test_at_zero_the_penalised_gradient_is_the_smallest_one():
    g, a = torch.tensor([0.3, -0.3, 2.0, -2.0, 0.1]), torch.tensor([0.0, 0.0, 0.0, 0.0, -4.0])
    torch.testing.assert_close(penalised(g, a, 0.5), torch.tensor([0.0, 0.0, 1.5, -1.5, -0.4]))
