"""Images."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

THUMBNAIL = 96


def thumbnail(x: np.ndarray) -> bytes:
    """uint8 [C, H, W] -> a PNG of at most 96 pixels a side."""
    image = Image.fromarray(x[0] if len(x) == 1 else np.ascontiguousarray(np.moveaxis(x[:3], 0, 2)))
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    held = io.BytesIO()
    image.save(held, "PNG", compress_level=1)
    return held.getvalue()
