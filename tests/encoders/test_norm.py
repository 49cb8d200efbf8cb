"""Batch norm with shortcut and ReLU: the compiled path against float64 truth, and one checkpoint for both paths."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.encoders.vision.fused_norm import FusedNorm
from semblance.encoders.vision.norm import BatchNormAct, fused

CASES = [(True, True), (True, False), (False, True), (False, False)]


def rows(shape=(6, 16, 9, 7), seed=0) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2 + 1
    return x.bfloat16().contiguous(memory_format=torch.channels_last)


def layer(activation: bool, channels: int = 16, seed: int = 5) -> BatchNormAct:
    generator = torch.Generator().manual_seed(seed)
    module = BatchNormAct(channels, activation)
    with torch.no_grad():
        module.weight.copy_(torch.rand(channels, generator=generator) + 0.5)
        module.bias.copy_(torch.randn(channels, generator=generator))
        module.running_mean.copy_(torch.randn(channels, generator=generator))
    return module


def compiled(module: BatchNormAct, x: Tensor, shortcut: Tensor | None, gradient: Tensor) -> list[Tensor]:
    """Output and gradients of x, the shortcut, weight and bias."""
    x = x.clone().requires_grad_()
    shortcut = None if shortcut is None else shortcut.clone().requires_grad_()
    y = module(x, shortcut)
    assert type(y.grad_fn).__name__ == "FusedNormBackward"
    y.backward(gradient)
    return [
        t
        for t in (y.detach(), x.grad, None if shortcut is None else shortcut.grad, module.weight.grad, module.bias.grad)
        if t is not None
    ]


def truth(module: BatchNormAct, x: Tensor, shortcut: Tensor | None, gradient: Tensor, mask: Tensor) -> list[Tensor]:
    """The same in float64. The ReLU's mask is given: rounding decides it where y is next to 0."""
    leaves = [
        t.double().requires_grad_()
        for t in (x, *([] if shortcut is None else [shortcut]), module.weight.detach(), module.bias.detach())
    ]
    x, weight, bias = leaves[0], leaves[-2], leaves[-1]
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, correction=0)
    y = (x - mean) / torch.sqrt(var + module.eps) * weight[:, None, None] + bias[:, None, None]
    y = y if shortcut is None else y + leaves[1]
    y = y * mask if module.activation else y
    y.backward(gradient.double())
    return [y.detach(), *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize(("activation", "short"), CASES)
def test_the_compiled_path_is_float64_rounded_once(activation, short):
    x, gradient = rows(), rows(seed=2)
    shortcut = rows(seed=1) if short else None
    module = layer(activation)
    got = compiled(module, x, shortcut, gradient)
    want = truth(module, x, shortcut, gradient, got[0] != 0)
    # bfloat16 keeps 8 bits; sums of 378 rows stay in float32.
    for a, b in zip(got[: len(got) - 2], want, strict=False):
        torch.testing.assert_close(a.double(), b, rtol=2**-8, atol=2e-3)
    for a, b in zip(got[-2:], want[-2:], strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-3)


def test_the_comparison_can_fail():
    x, gradient, module = rows(), rows(seed=2), layer(True)
    got = compiled(module, x, None, gradient)
    want = truth(module, x, None, gradient, torch.ones_like(x))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(got[1].double(), want[1], rtol=2**-8, atol=2e-3)


def test_the_mask_is_that_of_the_sum():
    x, shortcut, module = rows(), rows(seed=1), layer(True)
    y = module(x, shortcut)
    with torch.no_grad():
        whole = (
            F.batch_norm(x.double(), None, None, module.weight.double(), module.bias.double(), True) + shortcut.double()
        )
    sure = whole.abs() > 0.02
    assert torch.equal((y != 0)[sure], (whole > 0)[sure])


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_running_statistics_are_those_of_batch_norm(offset):
    x, module, plain = rows() + offset, layer(True), nn.BatchNorm2d(16)
    plain.load_state_dict(module.state_dict())
    for _ in range(3):
        module(x)
        plain(x.float())
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], value, rtol=1e-4, atol=1e-4)


def test_both_paths_and_torch_share_one_checkpoint():
    assert {k: v.shape for k, v in BatchNormAct(16).state_dict().items()} == {
        k: v.shape for k, v in nn.BatchNorm2d(16).state_dict().items()
    }
    x, first, second = rows(), layer(True), layer(True)
    first(x)
    with fused(False):
        second(x)
    second.load_state_dict(first.state_dict())
    first.eval(), second.eval()
    assert torch.equal(first(x), second(x))


def test_the_plain_path_is_torch_where_the_compiled_one_does_not_apply():
    module, x = layer(True), rows()
    for y in (module(x.float()), module(x.contiguous()), module.eval()(x)):
        assert type(y.grad_fn).__name__ != "FusedNormBackward"
    module.train()
    with fused(False):
        assert type(module(x).grad_fn).__name__ != "FusedNormBackward"
    assert type(module(x).grad_fn).__name__ == "FusedNormBackward"
    plain = F.relu(F.batch_norm(x.float(), None, None, module.weight, module.bias, True) + x.float())
    torch.testing.assert_close(module(x.float(), x.float()), plain)


def test_the_number_of_threads_does_not_change_a_bit():
    before, results = torch.get_num_threads(), []
    x, shortcut, gradient = (rows((40, 64, 20, 20), seed) for seed in range(3))
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(compiled(layer(True, 64), x, shortcut, gradient))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("activation", [True, False])
def test_a_nan_is_not_hidden(activation):
    x = rows()
    x[0, 3, 2, 2] = float("nan")
    y = layer(activation)(x)
    assert bool(torch.isnan(y[:, 3]).all()) and not bool(torch.isnan(y[:, [0, 1, 2, 4]]).any())


def test_a_gradient_that_is_spread_out_from_a_mean_is_understood():
    x, module = rows().requires_grad_(), layer(True)
    module(x).mean((2, 3)).float().square().sum().backward()
    y, plain = rows().requires_grad_(), layer(True)
    with fused(False):
        plain(y).mean((2, 3)).float().square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=0.05, atol=2e-3)


def test_nothing_has_to_ask_for_gradients():
    with torch.no_grad():
        assert layer(True)(rows(), rows(seed=1)).shape == (6, 16, 9, 7)
    assert FusedNorm.__name__ == "FusedNorm"
