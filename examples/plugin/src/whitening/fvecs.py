"""Files of vectors, each behind its length: int32 d, then d float32, little-endian, over and over.

The format of the corpus TEXMEX (Jegou, Douze, Schmid 2011, Product quantization for nearest neighbor search), in which sets
for benchmarks of nearest neighbours are handed out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from semblance.data.assemble import assemble
from semblance.data.dataset import ArrayDataset
from semblance.data.domains import Domain
from semblance.data.vectors import as_vectors
from semblance.errors import SemblanceError


def load_fvecs(path: Path, *, label: str | None = None, seed: int = 0, **_: Any) -> ArrayDataset:
    """The vectors of a file, mapped rather than read; the file holds no labels."""
    if label is not None:
        raise SemblanceError(f"{path} holds vectors only, and no column {label!r}: leave the label out")
    size = path.stat().st_size
    if size < 8:
        raise SemblanceError(f"{path} holds no vector: it has {size} bytes")
    d = int(np.fromfile(path, "<i4", 1)[0])
    if d < 1 or size % (4 * (d + 1)):
        raise SemblanceError(
            f"{path} is no .fvecs file, or cut short: {size} bytes are no whole vectors of {d} numbers"
        )
    rows = np.memmap(path, "<f4", "r", shape=(size // (4 * (d + 1)), d + 1))
    other = np.flatnonzero(rows[:, 0].view("<i4") != d)
    if len(other):
        raise SemblanceError(f"{path}: vector {other[0]} has another length than the first one's {d}")
    return assemble("vectors", as_vectors(rows[:, 1:], str(path)), seed=seed)


FVECS = Domain("fvecs", "vectors in .fvecs files", frozenset({".fvecs"}), load=load_fvecs, makes="vectors")
