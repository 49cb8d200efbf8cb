"""Loading: whatever the user has -> a dataset, with the domain inferred and said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semblance.data import named
from semblance.data.arrays import from_array
from semblance.data.dataset import ArrayDataset
from semblance.data.moments import shape_of

__all__ = ["load", "shape_of"]


def load(
    data: Any,
    *,
    domain: str | None = None,
    label: str | None = None,
    id_column: str | None = None,
    size: int | tuple[int, int] | None = None,
    labels: Any = None,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> ArrayDataset:
    if isinstance(data, ArrayDataset):
        return data
    if named.is_name(data):
        return named.read(data, seed)
    return from_array(data, labels=labels, seed=seed)
