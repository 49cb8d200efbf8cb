"""Putting a dataset together: what every loader does once it has arrays, a name per unit and what is known of each."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.data.dataset import ArrayDataset
from semblance.data.splits import checked, drawn
from semblance.errors import SemblanceError

BLOCK = 1 << 24
"""Bytes hashed at a time."""


def assemble(
    domain: str,
    x: np.ndarray,
    *,
    ids: Sequence[str] | None = None,
    targets: Mapping[str, np.ndarray] | None = None,
    attributes: pa.Table | None = None,
    splits: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
    content: str = "",
    **known: Any,
) -> ArrayDataset:
    """Units in an array -> a dataset. Ids default to the position, attributes to `row`, splits to 80/20 by the seed.

    `content` is the hash of x where it is known already. Further keywords are the dataset's own.
    """
    units = len(x)
    targets = dict(targets or {})
    ids = [str(i) for i in range(units)] if ids is None else [str(i) for i in ids]
    for what, length in [("ids", len(ids)), *((name, len(column)) for name, column in targets.items())]:
        if length != units:
            raise SemblanceError(f"there are {length} {what} for {units} units: give one for each")
    if len(set(ids)) != units:
        name, count = Counter(ids).most_common(1)[0]
        raise SemblanceError(f"the id {name!r} stands {count} times: ids have to differ, so rename or drop the others")
    if attributes is None or not attributes.num_columns:
        attributes = pa.table({"row": np.arange(units)})
    digest = hashlib.blake2b((content or content_hash(x)).encode(), digest_size=16)
    digest.update("\0".join(ids).encode("utf-8", "surrogateescape"))
    for name in sorted(targets):
        digest.update(name.encode() + np.ascontiguousarray(targets[name]).tobytes())
    return ArrayDataset(
        domain=domain,
        x=x,
        ids=ids,
        targets=targets,
        attributes=attributes,
        splits=drawn(units, targets.get("labels"), seed) if splits is None else checked(splits, units),
        fingerprint=digest.hexdigest(),
        **known,
    )


def content_hash(x: np.ndarray) -> str:
    """Hash of an array's shape, type and values, read block by block (a memory map is never copied whole)."""
    digest = hashlib.blake2b(f"{x.dtype.str}{x.shape}".encode(), digest_size=16)
    rows = max(1, BLOCK // max(1, x[:1].nbytes))
    for start in range(0, len(x), rows):
        digest.update(np.ascontiguousarray(x[start : start + rows]).data)
    return digest.hexdigest()
