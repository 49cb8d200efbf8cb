"""Lent memory is nobody else's while somebody holds it."""

import copy
import gc

import torch

from semblance.geometry.lent import Lender


def free(lender):
    gc.collect()
    return {buffer.ctypes.data for buffer in lender.free}


def test_a_buffer_comes_back_when_the_last_view_of_it_is_gone_and_not_before():
    lender = Lender()
    first = lender.lend(100, 10)
    place, view = first.data_ptr(), first[3:, ::2]
    del first
    assert place not in free(lender) and lender.lend(100, 10).data_ptr() != place
    view.fill_(1)
    del view
    assert place in free(lender)


def test_what_autograd_saved_is_still_held():
    lender = Lender()
    x = torch.ones(50, 4, requires_grad=True)
    held = lender.lend(50, 4).fill_(3)
    place = held.data_ptr()
    product = (x * held).sum()
    del held
    assert place not in free(lender)
    product.backward()
    assert bool((x.grad == 3).all())
    del product
    assert free(lender) == {place}


def test_a_large_buffer_is_not_spent_on_a_small_request():
    lender = Lender()
    large = lender.lend(100_000)
    place = large.data_ptr()
    del large
    assert lender.lend(10).data_ptr() != place
    assert lender.lend(90_000).data_ptr() == place


def test_buffers_start_on_a_cache_line_and_hold_what_is_asked_for():
    lender = Lender()
    tensors = [
        lender.lend(*shape, dtype=dtype) for shape in ((3,), (0, 4), (7, 5)) for dtype in (torch.float32, torch.int32)
    ]
    assert all(t.data_ptr() % 64 == 0 or t.numel() == 0 for t in tensors)
    assert [tuple(t.shape) for t in tensors[::2]] == [(3,), (0, 4), (7, 5)]


def test_a_copy_starts_without_buffers():
    lender = Lender()
    lender.lend(10)
    assert free(lender) and not copy.deepcopy(lender).free
