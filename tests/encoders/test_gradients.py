"""Networks that see changes of brightness only."""

from __future__ import annotations

import torch

from semblance.data.dataset import Shape
from semblance.encoders.vision.gradients import on_gradients
from semblance.encoders.vision.stagenet import on_images


def a_net():
    torch.manual_seed(0)
    return on_gradients(on_images("half"))(Shape("images", (3, 16, 16), 0, 8)).eval()


def test_slopes_are_read_off_a_ramp_and_nothing_off_a_flat_picture():
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    ramp = (2 * columns + 3 * rows).expand(1, 3, 16, 16)
    seen = a_net().seen({"x": ramp})["x"][0, :, 1:-1, 1:-1]
    torch.testing.assert_close(seen, torch.tensor([4.0, 6.0])[:, None, None].expand_as(seen))
    assert not a_net().seen({"x": torch.ones(2, 3, 16, 16)})["x"].any()


def test_colours_of_equal_brightness_look_alike_to_it():
    net, x = a_net(), torch.rand(4, 3, 16, 16)
    colour = torch.randn(4, 3, 1, 1)
    shifted = x + colour - colour.mean(1, keepdim=True)
    torch.testing.assert_close(net.embed({"x": x}), net.embed({"x": shifted}), atol=1e-5, rtol=1e-4)
    assert net.embed({"x": x}).shape == (4, net.dim) and len(net({"x": x})) == 4
