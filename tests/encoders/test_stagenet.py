"""The stage net: counts of every row, limits that join neighbouring rows, and what any encoder owes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from semblance.data.dataset import Shape
from semblance.encoders.vision.blocks import BlockSpec, Layout, PostActivation, PreActivation, ZeroPadded, norm_named
from semblance.encoders.vision.rows import ROWS
from semblance.encoders.vision.stagenet import he_initialise, multiply_adds, on_images, stage_net
from semblance.errors import SemblanceError

# Parameters with a linear classifier of this many classes: the catalogue's, exact.
COUNTS = {
    ("resnet18", 1000): 11_689_512,
    ("resnet34", 1000): 21_797_672,
    ("resnet50", 1000): 25_557_032,
    ("resnet101", 1000): 44_549_160,
    ("resnet152", 1000): 60_192_808,
    ("resnet20", 10): 269_722,
    ("resnet32", 10): 464_154,
    ("resnet44", 10): 658_586,
    ("resnet56", 10): 853_018,
    ("plain56", 10): 853_018,
    ("resnet110", 10): 1_727_962,
    ("resnet1202", 10): 19_421_274,
    ("resnext50-32x4d", 1000): 25_028_904,
    ("resnext101-32x4d", 1000): 44_177_704,
    ("resnext101-64x4d", 1000): 83_455_272,
    ("resnext29-8x64d", 10): 34_426_698,
    ("resnext29-16x64d", 10): 68_155_210,
    ("wrn-16-4", 10): 2_748_890,
    ("wrn-16-8", 10): 10_961_370,
    ("wrn-16-10", 10): 17_116_634,
    ("wrn-22-8", 10): 17_158_106,
    ("wrn-28-10", 10): 36_479_194,
    ("wrn-28-10", 100): 36_536_884,
    ("wrn-28-12", 10): 52_517_850,
    ("wrn-40-1", 10): 563_930,
    ("wrn-40-2", 10): 2_243_546,
    ("wrn-40-4", 10): 8_949_210,
    ("wrn-16-2", 10): 691_674,
    ("wrn-46-1", 10): 661_146,
    ("wrn-172-1", 10): 2_702_682,
    ("wrn-50-2", 1000): 68_883_240,
}
# Multiply-adds with the classifier, in the catalogue's unit and rounding.
WORK = {
    ("resnet18", True): "1.814",
    ("resnet34", True): "3.664",
    ("resnet50", True): "3.858",
    ("resnet101", True): "7.570",
    ("resnet152", True): "11.282",
    ("resnet50", False): "4.089",
    ("resnet101", False): "7.801",
    ("resnet152", False): "11.514",
    ("resnext50-32x4d", False): "4.230",
    ("resnext101-32x4d", False): "7.970",
    ("resnext101-64x4d", False): "15.460",
    ("wrn-50-2", False): "11.398",
}
TINY = {
    "small": {"width": 8},
    "conv4": {"width": 8},
    "offshelf4": {"width": 8},
    "resnet8": {"width": 4},
    "plain8": {"width": 4},
    "resnet18": {"width": 4},
    "resnet18-small-image": {"width": 4},
    "resnet50": {"width": 4},
    "resnext29-8x64d": {"width": 4, "depths": (1, 1, 1), "inner": 2},
    "wrn-16-2": {"width": 8},
}


def tiny(row: str, seed: int = 0, **axes) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return stage_net(row, channels=1, size=(16, 16), **{**TINY[row], **axes})


def some_images(n: int, seed: int = 0, channels: int = 1, size: int = 16) -> torch.Tensor:
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("row", "classes"), COUNTS, ids=str)
def test_a_row_has_exactly_the_published_parameters(row, classes):
    with torch.device("meta"):
        net = stage_net(row)
    assert parameters(net) + net.dim * classes + classes == COUNTS[row, classes]


@pytest.mark.parametrize(("row", "first"), WORK, ids=str)
def test_a_row_does_the_published_work_at_224_pixels(row, first):
    with torch.device("meta"):
        net = stage_net(row, stride_in_first=first)
    assert f"{(multiply_adds(net, (224, 224)) + net.dim * 1000) / 1e9:.3f}" == WORK[row, first]


def test_resnet56_does_125_million_multiply_adds_at_32_pixels():
    with torch.device("meta"):
        net = stage_net("resnet56")
    assert f"{(multiply_adds(net, (32, 32)) + net.dim * 10) / 1e6:.1f}" == "125.5"


def test_wrn_28_10_does_five_billion_multiply_adds_at_32_pixels():
    with torch.device("meta"):
        net = stage_net("wrn-28-10")
    assert f"{(multiply_adds(net, (32, 32)) + net.dim * 10) / 1e9:.3f}" == "5.243"


def test_the_small_net_has_the_work_its_claims_are_budgeted_for():
    assert f"{multiply_adds(stage_net('small', channels=1), (28, 28), channels=1) / 1e6:.1f}" == "4.5"
    assert f"{multiply_adds(stage_net('small'), (32, 32)) / 1e6:.1f}" == "4.9"


def test_counting_leaves_the_network_as_it_was():
    net = tiny("small")
    before = net.embed({"x": some_images(2)})
    multiply_adds(net, (16, 16), channels=1)
    assert net.training
    torch.testing.assert_close(net.embed({"x": some_images(2)}), before)


# What any encoder owes.


@pytest.mark.parametrize("row", TINY)
def test_an_embedding_does_not_depend_on_its_companions(row):
    net = tiny(row).eval()
    x = some_images(6)
    torch.testing.assert_close(net.embed({"x": x})[:2], net.embed({"x": x[:2]}), rtol=1e-4, atol=1e-5)


def test_the_companion_check_can_fail():
    net = tiny("small").train()  # batch statistics: companions do matter
    x = some_images(6)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(net.embed({"x": x})[:2], net.embed({"x": x[:2]}), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("row", TINY)
def test_every_parameter_receives_a_gradient(row):
    # From 64 pixels the deepest maps still have several places, so no norm sees a constant.
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = stage_net(row, channels=1, size=(64, 64), **TINY[row]).train()
    z = net.embed({"x": some_images(4, size=64)})
    (z * torch.randn(z.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@pytest.mark.parametrize("row", TINY)
@pytest.mark.parametrize("items", [0, 1])
def test_one_item_and_none_are_answered(row, items):
    net = tiny(row).eval()
    z = net.embed({"x": some_images(3)[:items]})
    assert z.shape == (items, net.dim)
    assert torch.isfinite(z).all()


@pytest.mark.parametrize("row", TINY)
def test_float32_agrees_with_float64(row):
    net, exact = tiny(row).eval(), tiny(row).double().eval()
    x = some_images(4)
    torch.testing.assert_close(net.embed({"x": x}).double(), exact.embed({"x": x.double()}), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("row", TINY)
def test_saved_and_loaded_it_gives_the_same_output(row):
    net, other = tiny(row, seed=0), tiny(row, seed=1)
    net.embed({"x": some_images(8)})  # moves the running statistics, which must be saved too
    other.load_state_dict(net.state_dict())
    x = some_images(3, seed=1)
    assert torch.equal(net.eval().embed({"x": x}), other.eval().embed({"x": x}))


@pytest.mark.parametrize("row", TINY)
def test_the_maps_are_those_of_all_stages_and_the_last_is_read_out(row):
    net = tiny(row).eval()
    maps = net.forward({"x": some_images(2)})
    assert [m.shape[1] for m in maps] == list(net.widths)
    read = maps[-1].flatten(1) if net.readout == "flatten" else maps[-1].mean((2, 3))
    torch.testing.assert_close(net.embed({"x": some_images(2)}), read)


# Limits that join neighbours, and slower truths.


def test_resnext_of_cardinality_one_is_resnet():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        one = stage_net("resnext50-32x4d", width=4, cardinality=1, inner=1, depths=(1, 1, 1, 1)).eval()
    other = stage_net("resnet50", width=4, stride_in_first=False, depths=(1, 1, 1, 1)).eval()
    other.load_state_dict(one.state_dict())
    x = some_images(2, channels=3, size=32)
    assert torch.equal(one.embed({"x": x}), other.embed({"x": x}))


def test_a_grouped_bottleneck_is_a_sum_over_its_branches():
    spec = BlockSpec(Layout((1, 3, 1), 2), width_in=6, inner=8, width_out=12, cardinality=4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = PostActivation(spec, norm_named("none")).apply(he_initialise)
    x = some_images(2, channels=6, size=5)
    total = block.shortcut(x)
    for branch in range(4):
        rows = slice(2 * branch, 2 * branch + 2)
        y = F.relu(F.conv2d(x, block.convs[0].weight[rows]))
        y = F.relu(F.conv2d(y, block.convs[1].weight[rows], padding=1))
        total = total + F.conv2d(y, block.convs[2].weight[:, rows])
    torch.testing.assert_close(block(x), F.relu(total), rtol=1e-4, atol=1e-5)


def test_a_zero_padded_shortcut_is_the_identity_where_nothing_changes():
    x = some_images(2, channels=3)
    assert torch.equal(ZeroPadded(3, 3, 1)(x), x)
    strided = ZeroPadded(3, 5, 2)(x)
    assert torch.equal(strided[:, :3], x[:, :, ::2, ::2])
    assert not strided[:, 3:].any()


@pytest.mark.parametrize(("kind", "before"), [(PostActivation, False), (PreActivation, True)])
def test_a_block_whose_last_weights_vanish_is_its_shortcut(kind, before):
    block = kind(BlockSpec(Layout((3, 3), before=before), 4, 4, 4, shortcut="A"), norm_named("none"))
    nn.init.zeros_(block.convs[-1].weight)
    nn.init.zeros_(block.convs[-1].bias)
    x = some_images(2, channels=4)
    assert torch.equal(block(x), x if before else x.relu())


def test_a_plain_net_is_its_residual_twin_without_the_sums():
    plain, residual = tiny("plain8").eval(), tiny("resnet8").eval()
    plain.load_state_dict(residual.state_dict())  # the same names and sizes
    x = some_images(4)
    assert not torch.allclose(plain.embed({"x": x}), residual.embed({"x": x}))
    for block in [b for stage in residual.stages for b in stage]:
        block.shortcut = None
    assert torch.equal(plain.embed({"x": x}), residual.embed({"x": x}))


@pytest.mark.parametrize("row", ["offshelf4", "conv4", "resnet18"])
@settings(max_examples=15, deadline=None)
@given(height=st.integers(17, 40), width=st.integers(17, 40))
def test_the_width_of_a_flattened_read_out_is_known_beforehand(row, height, width):
    net = stage_net(row, channels=1, size=(height, width), readout="flatten", **TINY[row]).eval()
    assert net.embed({"x": torch.zeros(1, 1, height, width)}).shape[1] == net.dim


def test_dilation_keeps_the_resolution_that_stride_gives_up():
    net = tiny("resnet8", strides=(1, 2, 1), dilations=(1, 1, 2)).eval()
    assert [m.shape[-1] for m in net.forward({"x": some_images(1)})] == [16, 8, 8]


def test_a_flattened_net_reads_places_and_a_pooled_one_does_not():
    x = some_images(2)
    for row, blind in (("small", True), ("conv4", False)):
        net = tiny(row, strides=(1, 1, 1, 1)).eval()
        for conv in [m for m in net.modules() if isinstance(m, nn.Conv2d)]:
            conv.weight.data[:, :, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0  # 1x1: sees no neighbours
        assert torch.allclose(net.embed({"x": x}), net.embed({"x": x.flip(3)}), atol=1e-5) is blind


def test_weights_start_with_the_variance_of_he():
    conv = stage_net("resnet18-small-image").stages[3][1].convs[1]
    assert float(conv.weight.detach().var() * 512 * 9) == pytest.approx(2, rel=0.01)


def test_the_lazy_part_takes_channels_and_size_from_the_data():
    net = on_images("offshelf4")(Shape("images", (1, 28, 28), 10, 100))
    assert net.embed({"x": some_images(2, size=28)}).shape == (2, net.dim)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: stage_net("resnet51"), "did you mean"),
        (lambda: stage_net("small", widht=3), "width"),
        (lambda: stage_net("small", width=0), "width is 0"),
        (lambda: stage_net("small", norm="bach"), "did you mean batch"),
        (lambda: stage_net("small", readout="median"), "readout"),
        (lambda: stage_net("resnet8", depths=(1, 1)), r"\(1, 1\), but it has 3 stages"),
        (lambda: stage_net("resnet8", shortcut="D"), "shortcut 'D'"),
        (lambda: stage_net("resnet18", cardinality=4), "cardinality 4 needs a block of three"),
        (lambda: stage_net("conv4", channels=1), "needs the images' size"),
        (lambda: stage_net("conv4", channels=1, size=(8, 8)), "8 by 8 pixels are too small"),
        (lambda: on_images("small")(Shape("vectors", (64,), 0, 10)), "reads images"),
    ],
)
def test_wrong_axes_are_answered_in_one_line(wrong, says):
    with pytest.raises(SemblanceError, match=says) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_every_other_row_builds_too():
    for name in set(ROWS) - {row for row, _ in COUNTS} - {"plain1202", "plain110"}:
        with torch.device("meta"):
            assert stage_net(name, size=(32, 32)).dim > 0
