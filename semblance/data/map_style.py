"""Map-style datasets of torch (`len(d)`, `d[i]`) -> arrays by role, read item by item into one array.

An item is x, or (x, y). x is a PIL image, an image as bytes ([H, W], [H, W, 3] or [3, H, W]), an image as floats in 0..1
([C, H, W], what usual transforms give, times 255), or a vector [d]. Normalised images are refused: bytes cannot hold them,
and a recipe standardises by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from semblance.errors import SemblanceError


def is_map_style(data: Any) -> bool:
    """Whether this is torch's `Dataset` with a length; torch is not imported to see that."""
    return _of_torch(data, "Dataset") and hasattr(data, "__len__") and hasattr(data, "__getitem__")


def refuse_streams(data: Any) -> None:
    """An error for what of torch gives items and cannot be asked for one of them."""
    if _of_torch(data, "DataLoader"):
        raise SemblanceError("the data is a DataLoader: give its dataset, as sb.fit(loader.dataset)")
    if _of_torch(data, "Dataset"):
        raise SemblanceError(
            "the data is an iterable dataset: give a map-style one, with a length and items by position"
        )


def read_items(data: Any) -> dict[str, np.ndarray]:
    """All items of a map-style dataset -> {"x": [N, ...]} and, where items are pairs, "labels": [N]."""
    if not len(data):
        raise SemblanceError("the dataset is empty: give at least one item")
    x: np.ndarray | None = None
    labels: list[Any] = []
    for row in range(len(data)):
        item = data[row]
        if isinstance(item, Mapping):
            raise SemblanceError(f"item {row} of the dataset is a {type(item).__name__}: give items x, or (x, y)")
        paired = isinstance(item, tuple | list)
        if paired and len(item) not in (1, 2):
            raise SemblanceError(f"item {row} of the dataset has {len(item)} parts: give items x, or (x, y)")
        value = _stored(item[0] if paired else item, row)
        if x is None:
            x = np.empty((len(data), *value.shape), value.dtype)
        if value.shape != x.shape[1:] or value.dtype != x.dtype:
            raise SemblanceError(
                f"item {row} of the dataset is {value.dtype} {list(value.shape)}, item 0 {x.dtype} {list(x.shape[1:])}: "
                "give items of one shape and type"
            )
        x[row] = value
        if paired and len(item) == 2:
            labels.append(_label(item[1], row))
    assert x is not None
    if labels and len(labels) != len(x):
        raise SemblanceError(f"{len(labels)} of {len(x)} items of the dataset have a label: give each one, or none")
    return {"x": x, "labels": np.array(labels)} if labels else {"x": x}


def _of_torch(data: Any, name: str) -> bool:
    return any(c.__module__.startswith("torch.utils.data") and c.__name__ == name for c in type(data).__mro__)


def _stored(x: Any, row: int) -> np.ndarray:
    """An item as it is stored: uint8 [H, W] or [H, W, C], or float32 [d]."""
    if hasattr(x, "detach"):
        x = x.detach().cpu().numpy()
    elif hasattr(x, "mode") and hasattr(x, "convert"):  # a PIL image
        x = np.asarray(x if x.mode in ("L", "RGB") else x.convert("RGB"))
    x = np.asarray(x)
    if x.dtype.kind not in "fiub" or x.ndim not in (1, 2, 3):
        raise SemblanceError(
            f"item {row} of the dataset is {x.dtype} {list(x.shape)}: give an image [C, H, W] or a vector [d]"
        )
    if x.ndim == 1:
        return x.astype(np.float32)
    if x.dtype != np.uint8:
        low, high = float(x.min()), float(x.max())
        if not (low >= 0 and high <= 1):
            raise SemblanceError(
                f"item {row} of the dataset is an image from {low:.3g} to {high:.3g}: give bytes or floats in 0..1, "
                "without the normalising transform (a recipe standardises by itself)"
            )
        x = np.round(x * 255).astype(np.uint8)
    return np.moveaxis(x, 0, 2) if x.ndim == 3 and x.shape[0] in (1, 3) and x.shape[2] not in (1, 3) else x


def _label(y: Any, row: int) -> Any:
    """A class or a number as Python has it."""
    y = y.item() if hasattr(y, "item") and getattr(y, "ndim", 0) == 0 else y
    if y is not None and not isinstance(y, str | int | float | bool):
        raise SemblanceError(
            f"the label of item {row} of the dataset is a {type(y).__name__}: give a class or a number"
        )
    return y
