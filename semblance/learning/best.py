"""The best state of a run: after every epoch the validation units are asked, and the weights that did best are kept.

`best` names what is compared: accuracy (higher wins; the loss where labels are numbers, which have none) or loss (lower
wins); the earlier epoch wins a tie. With `patience` the run ends after so many epochs without a better one. The kept
weights are buffers of a module, so that a checkpoint holds them and a resumed run ends with the same bits.
"""

from __future__ import annotations

import torch
from torch import nn

from semblance.contracts import Metrics
from semblance.errors import SemblanceError, unknown
from semblance.learning.parts import Feed, Parts

MEASURES = {"accuracy": 1.0, "loss": -1.0}


class Best(nn.Module):
    """Holds a copy of what `kept` has (network and objective) at its best epoch."""

    score: torch.Tensor
    epoch: torch.Tensor

    def __init__(self, measure: str, kept: nn.Module):
        super().__init__()
        if measure not in MEASURES:
            raise unknown("measure of the best epoch", measure, MEASURES)
        self.measure = measure
        self.names = {name: name.replace(".", "/") for name in kept.state_dict()}
        self.register_buffer("score", torch.tensor(float("-inf"), dtype=torch.float64))
        self.register_buffer("epoch", torch.tensor(-1))
        for name, value in kept.state_dict().items():
            self.register_buffer(self.names[name], value.detach().clone())

    @torch.no_grad()
    def offer(self, kept: nn.Module, metrics: Metrics, epoch: int) -> None:
        """Keep this epoch's state if its validation is the best so far."""
        measure = self.measure if f"val_{self.measure}" in metrics else "loss"
        found = metrics[f"val_{measure}"] * MEASURES[measure]
        if found > float(self.score):
            self.score.fill_(found)
            self.epoch.fill_(epoch)
            for name, value in kept.state_dict().items():
                getattr(self, self.names[name]).copy_(value)

    def restore(self, kept: nn.Module) -> None:
        """Bring back the best state, where there was one."""
        if int(self.epoch) >= 0:
            kept.load_state_dict({name: getattr(self, held) for name, held in self.names.items()})

    def waited(self, epoch: int) -> int:
        """Epochs since the best one, 0 before any."""
        return max(epoch - int(self.epoch), 0) if int(self.epoch) >= 0 else 0


def validation(feed: Feed) -> Feed:
    """The feed of the split `val`, as a rule that keeps its best epoch needs it."""
    rows = feed.dataset.splits.get("val")
    if rows is None or not len(rows):
        raise SemblanceError("the recipe keeps its best epoch by validation and the data has no split `val`: give one")
    return Feed(feed.dataset, rows, feed.sampler, feed.prepare, None, feed.device)


@torch.no_grad()
def measured(parts: Parts, feed: Feed) -> Metrics:
    """The objective's metrics over all units of a feed in eval mode, as `val_...`; leaves training mode on."""
    assert parts.objective is not None
    sums: dict[str, float] = {}
    modules = parts.modules().eval()
    for batch in feed.in_order():
        share = len(batch["index"]) / len(feed)
        for name, value in parts.objective(parts.network, batch)[1].items():
            sums[f"val_{name}"] = sums.get(f"val_{name}", 0.0) + share * value
    modules.train()
    return sums
