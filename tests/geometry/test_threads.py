"""Sharing tasks out to threads."""

from __future__ import annotations

import multiprocessing
import threading
from functools import partial

import numpy as np
import pytest
import torch
from numba import njit

from semblance.geometry import threads
from semblance.geometry.threads import share


@njit(nogil=True)
def _turn(out: np.ndarray, at: int) -> None:  # pragma: no cover
    for _ in range(200_000):
        out[at] += 1


@pytest.fixture(params=["torch's threads", "a pool"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "a pool":
        monkeypatch.setattr(threads, "_team", lambda: None)


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_task_is_done_once(number: int) -> None:
    out = np.zeros(40)
    share([partial(_turn, out, at) for at in range(40)], number)
    assert (out == 200_000).all()


@pytest.mark.usefixtures("kind")
def test_two_threads_work_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=20)
    share([meeting.wait, meeting.wait], 2)  # one thread alone would wait for ever
    assert not meeting.broken


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("number", [1, 2])
def test_the_first_error_comes_back_and_ends_the_rest(number: int) -> None:
    done = []

    def fail() -> None:
        raise ValueError("row 7")

    with pytest.raises(ValueError, match="row 7"):
        share([fail, *[partial(done.append, at) for at in range(1000)]], number)
    assert len(done) < 1000


@pytest.mark.usefixtures("kind")
def test_tasks_write_into_what_belongs_to_a_gradient() -> None:
    weight, into = torch.ones(3, 3, requires_grad=True), torch.zeros(4, 3, 3)
    share([partial(torch.mm, weight, weight, out=into[at]) for at in range(4)], 2)
    assert (into == 3).all()
    assert torch.is_grad_enabled()


def test_a_forked_child_shares_tasks_out_as_its_parent_did() -> None:
    share([partial(_turn, np.zeros(2), at) for at in range(2)], 2)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        out = np.zeros(8)
        share([partial(_turn, out, at) for at in range(8)], 2)
        sender.send(out.sum())

    process = context.Process(target=child)
    process.start()
    assert receiver.poll(30)
    assert receiver.recv() == 1_600_000
    process.join(10)
    assert process.exitcode == 0
