from __future__ import annotations

import math

import pytest
import torch

from semblance.encoders.sequences.pushed import push
from semblance.encoders.sequences.transformer import Attention, Block, Transformer, sinusoidal
from semblance.errors import SemblanceError


def drawn(gate=0.7, blocks=2, width=8, heads=2):
    torch.manual_seed(0)
    made = Transformer(width, blocks, heads, 12, gate).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return made


def slow_attention(layer, h, present):
    """Query by query, head by head, in plain loops."""
    q, k, v = (layer.read(h).detach() @ torch.eye(3 * h.shape[1], dtype=h.dtype)).chunk(3, dim=1)
    width = h.shape[1] // layer.heads
    mixed = torch.zeros_like(h)
    for head in range(layer.heads):
        part = slice(head * width, (head + 1) * width)
        for i in range(len(h)):
            scores = [float(q[i, part] @ k[j, part]) / math.sqrt(width) for j in range(len(h)) if present[j]]
            shares = torch.tensor(scores, dtype=h.dtype).softmax(0)
            rows = [v[j, part] for j in range(len(h)) if present[j]]
            mixed[i, part] = sum(share * row for share, row in zip(shares, rows, strict=True))
    return layer.write(mixed)


def test_attention_is_a_weighted_mean_over_the_tokens_that_are_there():
    torch.manual_seed(0)
    layer, h = Attention(8, 2).double(), torch.randn(5, 8, dtype=torch.float64)
    present = torch.tensor([True, True, False, True, False])
    torch.testing.assert_close(layer(h[None], present[None])[0], slow_attention(layer, h, present))


def test_padding_never_changes_an_output():
    made = drawn()
    h, more = torch.randn(1, 4, 8).double(), torch.randn(1, 3, 8).double()
    there = torch.ones(1, 4, dtype=torch.bool)
    padded = made(torch.cat([h, more], 1), torch.nn.functional.pad(there, (0, 3)), sinusoidal(7, 8, h))
    torch.testing.assert_close(padded[:, :4], made(h, there, sinusoidal(4, 8, h)), rtol=0, atol=1e-14)


def test_with_gates_of_0_a_stack_is_the_identity_and_without_gates_it_is_not():
    h, there = torch.randn(2, 4, 8), torch.ones(2, 4, dtype=torch.bool)
    assert torch.equal(Transformer(8, 2, 2, gate=0.0)(h, there), h)
    assert not torch.allclose(Transformer(8, 2, 2)(h, there), h)


def test_without_positions_the_order_of_tokens_does_not_matter_and_with_them_it_does():
    made, h, there = drawn(), torch.randn(1, 5, 8).double(), torch.ones(1, 5, dtype=torch.bool)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(made(h[:, order], there), made(h, there)[:, order])
    p = sinusoidal(5, 8, h)
    assert not torch.allclose(made(h[:, order], there, p), made(h, there, p)[:, order])


def test_blocks_can_be_entered_in_the_middle():
    made, h, there = drawn(), torch.randn(1, 5, 8).double(), torch.ones(1, 5, dtype=torch.bool)
    assert torch.equal(made(made.blocks[0](h, there), there, start=1), made(h, there))


def test_gradients_are_those_of_the_function():
    block = Block(4, 2, 6, gate=0.5).double()
    h, there = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True), torch.tensor([[True, True, False]])
    assert torch.autograd.gradcheck(lambda x: block(x, there)[:, :2], (h,))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(SemblanceError, match="width of 8 does not divide into 3 heads"):
        Attention(8, 3)


@pytest.mark.parametrize("gate", [0.7, None])
@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_movements_pushed_through_are_the_derivatives_that_torch_finds(gate, blocks):
    made = drawn(gate, blocks)
    h, delta = torch.randn(2, 5, 8).double(), torch.randn(5, 8).double()
    present, share = torch.tensor([True, True, True, False, True]), torch.tensor([0.4, 0.1, 0.2, 0.0, 0.3]).double()
    positions = sinusoidal(5, 8, h)

    def pooled(x):
        return (share[:, None] * made(x, present.expand(len(x), -1), positions)).sum(-2)

    with torch.no_grad():
        found = push(list(made.blocks), h, present, positions, delta, share)
        for part in range(5):
            alone = torch.zeros(2, 5, 8).double()
            alone[:, part] = delta[part]
            wanted = torch.func.jvp(pooled, (h,), (alone,))[1]
            torch.testing.assert_close(found[:, part], wanted, rtol=1e-10, atol=1e-12)
