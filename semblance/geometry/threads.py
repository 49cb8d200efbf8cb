"""Tasks shared out to threads: whoever is free takes the next. Tasks must release the interpreter while they work.

    share([partial(work, 0, 50), partial(work, 50, 100)], threads=2)

The threads are those on which torch's own operations run, by the entry point of the OpenMP library that torch was built
with: threads of ours would get no core, since torch's idle ones turn for milliseconds after every operation. What torch
does within a task stays on the task's thread. Without that entry point (macOS, Windows), and in a forked child, whose
OpenMP threads are gone, the threads are a pool's.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import torch

_function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def share(tasks: Sequence[Callable[[], None]], threads: int) -> None:
    """Run all tasks on so many threads, this one included, without gradients; the first error comes back to the caller."""
    if threads <= 1:
        for task in tasks:
            task()
        return
    following = count()
    failed: list[BaseException] = []

    def take(_: Any = None) -> None:
        try:
            with torch.no_grad():  # the gradient mode belongs to a thread
                while not failed and (number := next(following)) < len(tasks):
                    tasks[number]()
        except BaseException as error:  # Ctrl-C included: nothing may escape into a thread that is not Python's
            failed.append(error)

    team = _team()
    if team is not None:
        team(_function(take), None, threads, 0)
    else:
        helpers = [_pool(threads).submit(take) for _ in range(threads - 1)]
        take()
        for helper in helpers:
            helper.result()
    if failed:
        raise failed[0]


@cache
def _team() -> Any:
    """GOMP_parallel(function, data, threads, flags), or None."""
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        call = ctypes.CDLL(str(library)).GOMP_parallel
    except (OSError, AttributeError):
        return None
    call.argtypes, call.restype = [_function, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    return call


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="semblance")


def _forked() -> None:
    """Neither kind of thread survives a fork: the child makes a pool of its own."""
    global _team
    _pool.cache_clear()
    _team = cache(lambda: None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
