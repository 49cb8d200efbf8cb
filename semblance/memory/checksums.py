"""Checksums: a CRC-32 of every MiB of an append-only file, kept beside its length, so that silent damage has a place.

    sums[n] = crc32(bytes n * 2^20 to (n + 1) * 2^20 of the file)      4 bytes each; the last covers what there is

They grow with the file (a CRC goes on where it stopped) and cost an addition under a tenth of its time. Reading does not
look at them: `check` does, and a compaction before it copies. A file of an older version has none, and is trusted.
"""

from __future__ import annotations

import zlib
from pathlib import Path

STEP = 1 << 20
"""Bytes under one checksum: small, so that damage costs few items; large, so that a full segment's fit on a page."""


def extended(sums: bytes, length: int, more: memoryview) -> bytes:
    """The checksums of a file of `length` bytes with `sums`, after `more` was written behind it."""
    if length and not sums:
        return sums
    done = 0
    while done < len(more):
        inside = (length + done) % STEP
        piece = more[done : done + STEP - inside]
        before = int.from_bytes(sums[-4:], "little") if inside else 0
        sums = (sums[:-4] if inside else sums) + zlib.crc32(piece, before).to_bytes(4, "little")
        done += len(piece)
    return sums


def broken(path: Path, sums: bytes, length: int) -> list[tuple[int, int]]:
    """The stretches (first byte, byte behind) of the first `length` bytes of a file that are not what was written."""
    found = []
    with open(path, "rb") as file:
        for number in range(len(sums) // 4):
            start, stop = number * STEP, min((number + 1) * STEP, length)
            block = file.read(stop - start)
            if zlib.crc32(block).to_bytes(4, "little") != sums[4 * number : 4 * number + 4]:
                found.append((start, stop))
    return found
