"""Blocks of nodes: together they are the graph, and every unit stands in the batch of its block."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.data.graph_blocks import NodeBlocks
from semblance.errors import SemblanceError
from semblance.learning.parts import Feed
from semblance.testing import small


@pytest.mark.parametrize("count", [1, 4, 1000])
def test_every_node_is_in_one_block_and_every_unit_in_its_own(count: int) -> None:
    data = small("graph")
    rows = data.splits["train"]
    feed = Feed(data, rows, NodeBlocks(count), lambda x: x)
    batches = [feed.batch(index, 0, 0, step) for step, index in enumerate(feed.epoch(0, 0))]
    assert sorted(np.concatenate([b["block"].numpy() for b in batches]).tolist()) == list(range(60))
    assert sorted(np.concatenate([b["nodes"].numpy() for b in batches]).tolist()) == sorted(rows.tolist())
    for batch in batches:
        assert set(batch["nodes"].tolist()) <= set(batch["block"].tolist())
        assert batch["graph"] is data.graph
    assert len(batches) <= min(count, len(rows))


def test_blocks_come_in_another_order_every_epoch_and_the_same_for_a_seed() -> None:
    data = small("graph")
    feed = Feed(data, data.splits["train"], NodeBlocks(5), lambda x: x)
    first, again, other = (feed.epoch(0, e) for e in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert sorted(map(len, first)) == sorted(map(len, other))
    assert any(not np.array_equal(a, b) for e in range(1, 5) for a, b in zip(first, feed.epoch(0, e), strict=True))
    with pytest.raises(SemblanceError, match="1 block"):
        NodeBlocks(0)
