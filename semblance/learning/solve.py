"""Solvers: what has a closed form, or a library's solver, instead of gradient steps.

Nothing        the network is taken as it is (ready embeddings, a wrapped model)
SolveHead      embeds every training unit in order and hands the embeddings to the head's own `solve`
SolveEncoder   hands the whole structure to the encoder's own `solve`
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from semblance.contracts import Metrics
from semblance.errors import SemblanceError
from semblance.learning.devices import precision_for
from semblance.learning.parts import Budget, Feed, Parts


@dataclass(frozen=True)
class Nothing:
    """No learning at all."""

    epochs: int = 0

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """Yields nothing."""
        # In the memory format that a loaded model has: elsewhere the last digits of a convolution would differ.
        layout: Any = {"memory_format": precision_for(data.device, budget.precision).memory_format}
        parts.network.to(data.device, **layout).eval()
        return iter(())


@dataclass(frozen=True)
class SolveHead:
    """Calls `head.solve(z [N, d], labels [N])` on the labelled training units. Holds all embeddings in memory."""

    epochs: int = 1

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """Yields once, what `solve` returns of metrics."""
        network = parts.network.to(data.device).eval()
        if network.head is None:
            raise SemblanceError("the recipe solves a head but names none: give Recipe(head=...)")
        z, labels = [], []
        with torch.no_grad():
            for batch in data.in_order():
                if "labels" not in batch:
                    raise SemblanceError("this recipe needs labels and the data has none: name the column by --label")
                z.append(network.embed(batch).float())
                labels.append(batch["labels"])
        every, known = torch.cat(z), torch.cat(labels)
        metrics = network.head.solve(every[known >= 0], known[known >= 0])
        yield {"epoch": 1.0, **(metrics or {})}


@dataclass(frozen=True)
class SolveEncoder:
    """Calls `encoder.solve(batch, seed)` once, on the batch of all training units with the structure that relates them."""

    epochs: int = 1

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """Yields once, what `solve` returns of metrics."""
        network = parts.network.to(data.device).eval()
        if not hasattr(network.encoder, "solve"):
            raise SemblanceError(f"the recipe solves its encoder, and {type(network.encoder).__name__} has no `solve`")
        if not getattr(data.dataset, "whole", False):
            raise SemblanceError(
                f"this recipe reads one whole graph and the data is {data.dataset.domain}: give a graph"
            )
        with torch.no_grad():
            for batch in data.in_order():
                yield {"epoch": 1.0, **(network.encoder.solve(batch, budget.seed) or {})}
