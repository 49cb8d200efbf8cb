"""Filtered: first a filter learns from the training units that are known to be good, then it scores all of them, then the
network learns from the best.

    s_i = cos(f(x_i), f(caption_i)),    kept = the top share of s,    the rule runs on what is kept

The filter is a network of its own (a smaller one will do), or several whose scores are averaged; it is dropped afterwards.
What decides is how clean the units are that it learned from, not how well it does the task itself.

Fang et al. 2023, Data Filtering Networks, arXiv:2309.17425.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from semblance.contracts import Metrics
from semblance.data.curation.filter import kept
from semblance.data.dataset import Shape
from semblance.data.moments import shape_of
from semblance.errors import SemblanceError
from semblance.learning.parts import INIT, Budget, Feed, Network, Parts, chance

FILTER = 2000  # where the filters' part of the chance of initialisation begins, beyond any recipe's stages


@dataclass(frozen=True)
class Filtered:
    """encoder and first: the filter (its `agreement(batch)` [N] is the score) and its rule; objective: what it learns by.
    rule: that of what is kept. clean: the attribute that marks the good units, "" where all are taken for good. top: the
    share that is kept. filters: how many."""

    encoder: Callable[[Shape], nn.Module]
    objective: Callable[[Shape], nn.Module]
    first: Any
    rule: Any
    clean: str = ""
    top: float = 0.2
    filters: int = 1

    def __post_init__(self) -> None:
        if self.filters < 1:
            raise SemblanceError(f"filters is {self.filters}: give 1 or more, whose scores are averaged")

    @property
    def epochs(self) -> int:
        """Of the network that is kept."""
        epochs: int = self.rule.epochs
        return epochs

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """Metrics per epoch, with `lesson` 0 for filters and 1 for the network, whose epochs also say which share of the
        units was `kept` and the `least` score. A resumed run trains the filters again, which gives the same ones."""
        good = self._good(data)
        scores = np.zeros(len(data.rows))
        alone = replace(budget, checkpoint=None, resume=False, seconds=None, epochs=None)
        for number in range(self.filters):
            shape = shape_of(data.dataset)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(chance(budget.seed, INIT, FILTER + number).integers(2**63)))
                judge = Parts(Network(self.encoder(shape)).to(data.device), self.objective(shape).to(data.device))
            feed = Feed(data.dataset, data.rows[good], data.sampler, data.prepare, data.views, data.device)
            for metrics in self.first.run(judge, feed, alone):
                yield {**metrics, "lesson": 0.0}
            scores += self._scores(judge.network, data) / self.filters
        rows = kept(scores, top=self.top)
        said = {"lesson": 1.0, "kept": len(rows) / len(scores), "least": float(scores[rows].min())}
        best = Feed(data.dataset, data.rows[rows], data.sampler, data.prepare, data.views, data.device)
        for metrics in self.rule.run(parts, best, budget):
            yield {**metrics, **said}

    def _good(self, data: Feed) -> np.ndarray:
        """Positions within the rows of the units that are known to be good."""
        if not self.clean:
            return np.arange(len(data.rows))
        table = getattr(data.dataset, "attributes")  # noqa: B009 (the contract promises it, not its type)
        if self.clean not in table.column_names:
            raise SemblanceError(
                f"the data has no column {self.clean!r} that marks clean units: give it one of true and false, "
                "or --set clean= to learn the filter from all"
            )
        marked = np.array([bool(value) for value in table.column(self.clean).to_pylist()], bool)[data.rows]
        if marked.sum() < 2:
            raise SemblanceError(
                f"{int(marked.sum())} training units are marked by {self.clean!r}: a filter needs two or more"
            )
        return np.flatnonzero(marked)

    def _scores(self, judge: Network, data: Feed) -> np.ndarray:
        """[n] of the training units."""
        judge.eval()
        with torch.inference_mode():
            found = [judge.encoder.agreement(batch).float().cpu().numpy() for batch in data.in_order()]
        return np.concatenate(found)
