"""Without labels, sets that met are learned from the hyperedges themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.data.relate import relate
from semblance.errors import SemblanceError
from semblance.geometry.hypergraph import Hypergraph
from semblance.objectives.set_links import SetLinks
from semblance.recipes.registry import build
from semblance.space.training import train


def test_sets_that_meet_again_and_again_are_learned_without_labels() -> None:
    triple = np.random.default_rng(0).integers(0, 6, 120)
    node = torch.from_numpy((3 * triple[:, None] + np.arange(3)).ravel())
    groups = Hypergraph(node, torch.arange(120).repeat_interleave(3), 18, 120, time=torch.arange(120.0))
    data = relate("hypergraph", groups)
    model = train(data, build("cat-walk", dim=16, walks=4, batch=16, lr=1e-2), epochs=40)
    assert model.network.head is None
    losses = [m["loss"] for m in model.history]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    assert model.embed(data).shape == (18, 16)


def test_a_hyperedge_is_drawn_only_where_there_is_something_to_tell() -> None:
    one = torch.tensor([0, 1])
    links = SetLinks(8)
    with pytest.raises(SemblanceError, match="no times"):
        links.drawn(Hypergraph(one, one, 2, 2), 3)
    with pytest.raises(SemblanceError, match="two nodes or more"):
        links.drawn(Hypergraph(one, one, 2, 2, time=one), 3)
