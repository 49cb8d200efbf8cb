"""Blocks: a compiled loop over many rows, shared out to threads in blocks.

The work function is called with (start, stop) and must release the interpreter (numba's nogil). The blocks are the same
for every number of threads, so partial sums kept per block add up to the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count


def over_blocks(work: Callable[[int, int], None], rows: int, block: int, threads: int) -> None:
    """Call work(start, stop) for every block of 0..rows, on up to `threads` threads; errors come back to the caller."""
    blocks = -(-rows // block)
    threads = min(threads, blocks)
    if threads <= 1:
        for start in range(0, rows, block):
            work(start, min(start + block, rows))
        return
    following = count()

    def take() -> None:
        # Whoever is free takes the next block: another process on one of the cores then costs less.
        while (number := next(following)) < blocks:
            work(number * block, min((number + 1) * block, rows))

    helpers = [_pool(threads).submit(take) for _ in range(threads - 1)]
    take()
    for helper in helpers:
        helper.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="semblance-blocks")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork: the child makes its own
    os.register_at_fork(after_in_child=_pool.cache_clear)
