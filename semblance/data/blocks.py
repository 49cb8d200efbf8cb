"""Blocks: a compiled loop over many rows, shared out to threads in blocks.

The work function is called with (start, stop) and must release the interpreter (numba's nogil). The blocks are the same
for every number of threads, so partial sums kept per block add up to the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from semblance.geometry.threads import share


def over_blocks(work: Callable[[int, int], None], rows: int, block: int, threads: int) -> None:
    """Call work(start, stop) for every block of 0..rows, on up to `threads` threads; errors come back to the caller."""
    tasks = [partial(work, start, min(start + block, rows)) for start in range(0, rows, block)]
    share(tasks, min(threads, len(tasks)))
