"""The loss in one pass against torch's."""

import pytest
import torch
import torch.nn.functional as F

from semblance.geometry.cross_entropy import cross_entropy


@pytest.mark.parametrize("scale", [1.0, 300.0])
@pytest.mark.parametrize("unlabelled", [0, 7])
def test_loss_and_gradient_are_those_of_torch_over_the_labelled(unlabelled, scale):
    chance = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(40, 6, generator=chance, dtype=torch.float64)
    labels = torch.randint(0, 6, (40,), generator=chance)
    labels[:unlabelled] = -1
    known = labels >= 0
    mine, peer = logits.float().requires_grad_(), logits.clone().requires_grad_()
    loss, theirs = cross_entropy(mine, labels), F.cross_entropy(peer[known], labels[known])
    torch.testing.assert_close(loss.double(), theirs, rtol=1e-5, atol=1e-5)
    (3 * loss).backward()
    (3 * theirs).backward()
    torch.testing.assert_close(mine.grad.double(), peer.grad, rtol=1e-4, atol=1e-6)
    wide = logits.clone().requires_grad_()
    torch.testing.assert_close(cross_entropy(wide, labels), theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_labels_the_loss_is_zero_and_moves_nothing(dtype):
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    loss = cross_entropy(logits, torch.full((5,), -1))
    loss.backward()
    assert float(loss.detach()) == 0 and not bool(logits.grad.any())


def test_a_strided_answer_is_read_as_it_is():
    wide = torch.randn(9, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(9) % 3
    torch.testing.assert_close(cross_entropy(wide[:, ::2][:, :3], labels), F.cross_entropy(wide[:, ::2][:, :3], labels))
