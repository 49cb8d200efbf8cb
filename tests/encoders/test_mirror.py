"""A stage net backwards."""

from __future__ import annotations

import pytest
import torch

from semblance.data.dataset import Shape
from semblance.encoders.vectors import Flat
from semblance.encoders.vision.mirror import Mirror
from semblance.encoders.vision.stagenet import multiply_adds
from semblance.errors import SemblanceError
from semblance.recipes.backbones import backbone_of


def a_net(item, **axes):
    with torch.device("meta"):
        return backbone_of("small", dim=10, readout="flatten", **axes)(Shape("images", item, 0, 4))


@pytest.mark.parametrize("item", [(1, 28, 28), (3, 32, 32), (3, 17, 23), (1, 8, 8)])
def test_pictures_come_back_in_their_shape_through_every_width_and_size(item):
    mirror = Mirror(a_net(item), item)
    assert mirror(torch.randn(3, 10)).shape == (3, *item)
    assert [shape[0] for shape in mirror.shapes] == [item[0], 32, 64, 128, 128]
    assert mirror.shapes[1][1:] == tuple(-(-side // (2 if min(item[1:]) >= 16 else 1)) for side in item[1:])


def test_it_costs_what_the_net_costs():
    item = (1, 28, 28)
    there, back = a_net(item), Mirror(a_net(item), item)
    cost = (
        sum(
            step.weight[0].numel() * shape[0] * shape[1] * shape[2]
            for step, shape in zip(back.steps, back.shapes[:0:-1], strict=True)
        )
        + back.last.weight.numel()
    )
    assert cost == multiply_adds(there, (28, 28), 1)


def test_what_has_no_stages_has_no_mirror():
    with pytest.raises(SemblanceError, match="stage net"):
        Mirror(Flat(10), (1, 28, 28))  # type: ignore[arg-type]
