"""Read-outs that learn: as their equations, and indifferent to the order of nodes."""

import numpy as np
import pytest
import torch

from semblance.encoders.graphs.set_readouts import Linear, SetToSet, Sorted
from semblance.errors import SemblanceError

MEMBER = torch.tensor([0] * 3 + [1] * 7 + [3] * 2)  # graph 2 has no nodes


def states(width=5):
    return torch.randn(12, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("read", [SetToSet(5), Sorted(5, 6, 4), Sorted(5, 4, 4), Linear(5, 3)])
def test_a_graph_is_read_the_same_whatever_the_order_of_its_nodes_and_its_companions(read):
    read, x = read.double(), states()
    z = read(x, MEMBER, 4)
    assert z.shape == (4, read.dim) and z.isfinite().all()
    order = torch.from_numpy(np.lexsort([np.random.default_rng(0).random(12), MEMBER.numpy()]))
    assert torch.allclose(read(x[order], MEMBER, 4), z)
    assert torch.allclose(read(x[3:10], MEMBER[3:10] - 1, 1), z[1:2])


def test_set_to_set_asks_and_hears_as_often_as_told():
    read, x = SetToSet(5, steps=2).double(), states()
    q, cell = torch.zeros(1, 10, dtype=torch.float64), None
    for _ in range(2):
        cell = read.ask(q, cell)
        a = (x[3:10] @ cell[0][0]).softmax(0)
        q = torch.cat([cell[0], a[None] @ x[3:10]], 1)
    assert torch.allclose(read(x, MEMBER, 4)[1:2], q)


def test_the_nodes_of_largest_last_channel_are_read_in_that_order():
    read, x = Sorted(5, 4, 3).double(), states()
    own = x[3:10]
    kept = own[(-own[:, -1]).argsort()[:4]]
    first = torch.relu(read.first(kept.reshape(1, 1, -1)))
    wanted = torch.relu(read.second(torch.nn.functional.max_pool1d(first, 2))).flatten(1)
    assert torch.allclose(read(x, MEMBER, 4)[1:2], wanted)


def test_what_cannot_be_read_is_refused():
    with pytest.raises(SemblanceError, match="3 nodes are kept"):
        Sorted(5, 3)
    with pytest.raises(SemblanceError, match="0 steps"):
        SetToSet(5, 0)
