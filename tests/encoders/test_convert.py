"""Pretrained ResNets under torchvision's and timm's names: the converted net answers as the original does.

The original is written here from the paper (He et al. 2016), with the names of its parts that both libraries use; its
bottleneck strides in the 3x3, as theirs do.
"""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.encoders.vision.convert import pretrained, renamed, unwrapped
from semblance.errors import SemblanceError


class Block(nn.Module):
    """Two 3x3, or 1x1, 3x3, 1x1; added to the shortcut."""

    def __init__(self, width_in, width, stride, bottleneck):
        super().__init__()
        out = width * (4 if bottleneck else 1)
        if bottleneck:
            sizes = [(width_in, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
        else:
            sizes = [(width_in, width, 3, stride), (width, width, 3, 1)]
        self.count = len(sizes)
        for k, (a, b, kernel, s) in enumerate(sizes, 1):
            setattr(self, f"conv{k}", nn.Conv2d(a, b, kernel, s, kernel // 2, bias=False))
            setattr(self, f"bn{k}", nn.BatchNorm2d(b))
        self.downsample = None
        if stride != 1 or width_in != out:
            self.downsample = nn.Sequential(nn.Conv2d(width_in, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for k in range(1, self.count + 1):
            y = getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(y))
            y = F.relu(y) if k < self.count else y
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Reference(nn.Module):
    """ResNet for ImageNet up to its read-out; `fc` is there since the files hold it."""

    def __init__(self, depths, bottleneck, classes=1000):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        width_in = 64
        for i, depth in enumerate(depths):
            width = 64 * 2**i
            blocks = []
            for j in range(depth):
                blocks.append(Block(width_in, width, 2 if i and not j else 1, bottleneck))
                width_in = width * (4 if bottleneck else 1)
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(width_in, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return x.mean((2, 3))


def reference(depths=(2, 2, 2, 2), bottleneck=False, seed=0):
    """Random weights; the running moments are drawn too, since those of a new net would hide a mistake."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Reference(depths, bottleneck).eval()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, 0, 0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.uniform_(module.weight, 0.5, 1.0)
                nn.init.normal_(module.bias, 0, 0.1)
    return net


def images(n=2, size=64):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("row", "depths", "bottleneck"), [("resnet18", (2, 2, 2, 2), False), ("resnet50", (3, 4, 6, 3), True)]
)
def test_a_converted_resnet_answers_as_the_original(row, depths, bottleneck):
    original = reference(depths, bottleneck)
    net = pretrained(original.state_dict(), row)
    with torch.inference_mode():
        torch.testing.assert_close(net.embed({"x": images()}), original(images()), rtol=1e-5, atol=1e-5)
    assert not net.training


def test_the_golden_comparison_can_fail():
    original = reference((3, 4, 6, 3), True)
    with torch.inference_mode():
        elsewhere = pretrained(original.state_dict(), "resnet50", stride_in_first=True).embed({"x": images()})
        assert (elsewhere - original(images())).abs().max() > 1e-3


def test_every_weight_but_the_classifiers_is_carried_over():
    state = reference().state_dict()
    ours = renamed(state)
    assert len(ours) == len(state) - 2 and set(ours) == set(pretrained(state, "resnet18").state_dict())
    assert torch.equal(ours["stages.2.0.shortcut.conv.weight"], state["layer3.0.downsample.0.weight"])
    assert torch.equal(ours["stages.3.1.norms.1.running_var"], state["layer4.1.bn2.running_var"])


def test_prefixes_of_trainers_and_our_own_names_are_read():
    state = reference().state_dict()
    wrapped = {f"module.encoder.{name}": tensor for name, tensor in state.items()}
    assert list(unwrapped(wrapped)) == list(state)
    net = pretrained(wrapped, "resnet18")
    again = pretrained(net.state_dict(), "resnet18")
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))


def test_a_file_without_batch_counters_is_whole():
    state = {k: v for k, v in reference().state_dict().items() if not k.endswith("num_batches_tracked")}
    with torch.inference_mode():
        torch.testing.assert_close(pretrained(state, "resnet18").embed({"x": images()}), reference()(images()))


def broken(change):
    state = dict(reference().state_dict())
    change(state)
    return state


@pytest.mark.parametrize(
    ("state", "row", "says"),
    [
        (lambda: broken(lambda s: s.pop("layer2.0.conv1.weight")), "resnet18", "lacks 1 weights of resnet18"),
        (lambda: broken(lambda s: s.update({"layer1.0.se.fc1.weight": torch.ones(1)})), "resnet18", "1 weights that a"),
        (lambda: broken(lambda s: s.update({"conv1.weight": torch.ones(64, 3, 3, 3)})), "resnet18", "[64, 3, 3, 3]"),
        (lambda: broken(lambda s: s.pop("conv1.weight")), "resnet18", "no first convolution"),
        (lambda: broken(lambda s: None), "resnet34", "lacks"),
        (lambda: broken(lambda s: None), "resnet50", "name the row"),
        (lambda: broken(lambda s: None), "resnet81", "did you mean"),
        (lambda: {"weight": torch.ones(2)}, "resnet18", "plain ResNet"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_refused_in_one_line(state, row, says):
    with pytest.raises(SemblanceError, match=re.escape(says)) as caught:
        pretrained(state(), row)
    assert "\n" not in str(caught.value)
