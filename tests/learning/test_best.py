"""The best epoch by validation: its weights are what a run ends with, also when the run was stopped on the way."""

import numpy as np
import pytest
import torch
from torch import nn

from semblance.data.assemble import assemble
from semblance.data.dataset import Shape
from semblance.data.prepare import Prepare
from semblance.data.relational import Whole
from semblance.errors import Interrupted, SemblanceError
from semblance.heads.classify import Linear
from semblance.learning.backprop import Backprop
from semblance.learning.best import Best
from semblance.learning.parts import Budget, Feed, Network, Parts
from semblance.objectives.classify import CrossEntropy


class Scaled(nn.Module):
    """x times one learned number."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def embed(self, batch):
        return batch["x"] * self.scale


def run(tmp_path=None, epochs=12, best="accuracy", patience=0, stop=None, resume=False):
    """Labels of the validation units contradict those of training, so that learning makes validation worse."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    labels = (x[:, 0] > 0).astype(np.int64)
    labels[40:] = 1 - labels[40:]
    splits = {"train": np.arange(40), "val": np.arange(40, 60)}
    data = assemble("vectors", x, targets={"labels": labels}, classes=("a", "b"), splits=splits)
    torch.manual_seed(0)
    parts = Parts(Network(Scaled(), Linear(3, 2)), CrossEntropy())
    shape = Shape("vectors", (3,), 2, 40)
    feed = Feed(data, splits["train"], Whole(), Prepare(shape, False))

    def on_step(done, total, metrics):
        if stop is not None and done == stop:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)

    path = None if tmp_path is None else tmp_path / "run.safetensors"
    budget = Budget(epochs=epochs, checkpoint=path, resume=resume, on_step=on_step)
    rule = Backprop("adam", lr=0.05, schedule="constant", best=best, patience=patience)
    history, states = [], []
    for metrics in rule.run(parts, feed, budget):
        history.append(metrics)
        states.append({k: v.clone() for k, v in parts.network.state_dict().items()})
    return parts, history, states


@pytest.mark.parametrize(("measure", "sign"), [("accuracy", 1), ("loss", -1)])
def test_the_run_ends_with_the_weights_of_the_best_epoch(measure, sign):
    parts, history, states = run(best=measure)
    values = [sign * metrics[f"val_{measure}"] for metrics in history]
    best = int(np.argmax(values))
    assert best < len(values) - 1, "learning did not make validation worse, so the test shows nothing"
    for name, value in parts.network.state_dict().items():
        assert torch.equal(value, states[best][name])
    assert any(not torch.equal(states[-1][name], states[best][name]) for name in states[best])


def test_patience_ends_the_run_so_many_epochs_after_the_best():
    _, history, _ = run(epochs=50, best="loss", patience=3)
    best = int(np.argmin([metrics["val_loss"] for metrics in history]))
    assert len(history) == best + 4


def test_a_stopped_run_that_goes_on_ends_with_the_same_weights(tmp_path):
    whole, _, _ = run(best="loss")
    with pytest.raises(Interrupted):
        run(tmp_path, best="loss", stop=6)
    parts, history, _ = run(tmp_path, best="loss", resume=True)
    assert len(history) == 12
    for name, value in parts.network.state_dict().items():
        assert torch.equal(value, whole.network.state_dict()[name])


def test_without_validation_units_the_remedy_is_told():
    data = assemble("vectors", np.eye(4, dtype=np.float32), targets={}, classes=(), splits={"train": np.arange(4)})
    parts = Parts(Network(Scaled(), Linear(4, 2)), CrossEntropy())
    feed = Feed(data, np.arange(4), Whole(), Prepare(Shape("vectors", (4,), 2, 4), False))
    with pytest.raises(SemblanceError, match="no split `val`"):
        next(Backprop(best="accuracy").run(parts, feed, Budget()))


def test_an_unknown_measure_is_answered_with_the_known_ones():
    with pytest.raises(SemblanceError, match="accuracy"):
        Best("accuracies", nn.Linear(2, 2))


def test_data_without_validation_units_sets_a_fifth_of_the_training_units_aside():
    from semblance.recipes.registry import build
    from semblance.space.training import validated

    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    splits = {"train": np.arange(10, 60), "test": np.arange(10)}
    x = rng.normal(size=(60, 3)).astype(np.float32)
    data = assemble("vectors", x, targets={"labels": labels}, classes=("a", "b"), splits=splits)
    parted = validated(data, build("gcn"), seed=0).splits
    assert len(parted["val"]) == 10
    assert sorted([*parted["train"], *parted["val"]]) == list(range(10, 60))
    assert (labels[parted["val"]] == 1).sum() == 6  # class by class: 20 and 30 units
    assert parted["test"].tolist() == list(range(10))
    assert validated(data, build("as-is"), seed=0) is data
