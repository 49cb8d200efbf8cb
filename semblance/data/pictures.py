"""One picture: any file pillow reads, or an array -> uint8 [C, H, W] of the asked size; and back, as a small PNG.

Of every mode the value 255 is white: 16 bits are divided by 257, floats 0..1 multiplied by 255, wider ranges stretched
from their least to their greatest value. What is transparent lies on white. Animations and stacks give their first
frame. EXIF orientation is honoured. The size is reached by resizing the short side and cropping the middle.
"""

from __future__ import annotations

import datetime
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from semblance.errors import SemblanceError

LIMIT = 178_956_970
"""Pixels; pillow's own limit against files that decompress into all memory, looked at before anything is decoded."""
LARGE = 1 << 24
"""Pixels from which on one picture is decoded at a time, whatever the number of threads."""
THUMBNAIL = 96
GREY = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
BROKEN = (
    *(OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, SyntaxError, EOFError, MemoryError),
    *(AssertionError, NotImplementedError, struct.error, zlib.error, Image.DecompressionBombError),
)
"""What pillow's readers raise on broken files."""
ORIENTATION, TAKEN, CHANGED, EXIF = 0x0112, 0x9003, 0x0132, 0x8769
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)
_one_large = threading.Lock()


class Header(NamedTuple):
    """What a file says of itself before it is decoded: size as shown, whether it is grey, when it was taken."""

    width: int
    height: int
    grey: bool
    taken: datetime.datetime | None


class Bad(SemblanceError):
    """This picture cannot be read; the text says why, without its name."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without pillow's warnings (large pictures, odd metadata); the limit is looked at here. For the whole process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def header(source: Path | bytes) -> Header:
    """Read no more than the head of a file."""
    with _opened(source) as image:
        width, height = image.size[::-1] if _orientation(image) in SIDEWAYS else image.size
        return Header(width, height, _is_grey(image), _taken(image))


def decode(
    source: Path | str | bytes | np.ndarray, size: int | tuple[int, int] | None = None, channels: int = 3
) -> np.ndarray:
    """A file, its bytes or an array (uint8 [H, W], [H, W, 3] or [C, H, W]) -> uint8 [channels, H, W] of this size.

    size: (height, width), or one number for both; None keeps the picture's own. channels: 1 (grey) or 3.
    """
    if size is not None:
        size = pair(size)  # a wrong size is the caller's mistake, not the picture's
    if isinstance(source, np.ndarray):
        return _fitted(_from_array(source), 1, size, channels)
    with _opened(Path(source) if isinstance(source, str) else source) as image:
        width, height = image.size
        if width * height < LARGE:
            return _decoded(image, size, channels)
        with _one_large:
            return _decoded(image, size, channels)


def _decoded(image: Image.Image, size: int | tuple[int, int] | None, channels: int) -> np.ndarray:
    try:
        turn = _orientation(image)
        if size is not None and image.format == "JPEG" and image.mode in ("L", "RGB"):
            # A JPEG can be decoded at 1/2, 1/4 or 1/8: at least twice the asked size is left to resize.
            height, width = pair(size)
            image.draft(None, (2 * max(width, height), 2 * max(width, height)))
        image.load()
        return _fitted(_plain(image), turn, size, channels)
    except BROKEN as error:
        raise Bad(_why(error)) from None


def thumbnail(x: np.ndarray) -> bytes:
    """uint8 [C, H, W] -> a PNG of at most 96 pixels a side."""
    image = Image.fromarray(np.ascontiguousarray(x[0] if len(x) < 3 else np.moveaxis(x[:3], 0, 2)))
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    held = io.BytesIO()
    image.save(held, "PNG", compress_level=1)
    return held.getvalue()


def as_pictures(x: np.ndarray, what: str = "the array") -> np.ndarray:
    """uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with C 1 or 3 -> [N, C, H, W]; a memory map stays one."""
    if x.dtype != np.uint8:
        hint = "multiply by 255 first where white is 1, then" if x.dtype.kind == "f" else "where white is 255,"
        raise SemblanceError(f"{what} holds {x.dtype} {list(x.shape)}, and images are bytes: {hint} x.astype('uint8')")
    if x.ndim not in (3, 4):
        raise SemblanceError(f"{what} has shape {list(x.shape)}: images are uint8 [N, H, W] or [N, H, W, 3]")
    if not x.size:
        raise SemblanceError(f"{what} is empty (shape {list(x.shape)}): give at least one image of one pixel")
    if x.ndim == 3:
        ready = x[:, None]
    elif x.shape[3] == 3 or (x.shape[3] == 1 and x.shape[1] not in (1, 3)):  # [N, 3, H, 3] is read as [N, H, W, 3]
        ready = np.moveaxis(x, 3, 1)
    elif x.shape[1] in (1, 3):
        ready = x
    else:
        raise SemblanceError(
            f"{what} has shape {list(x.shape)}: images have 1 or 3 channels, [N, H, W, 3] or [N, 3, H, W]"
        )
    return ready if isinstance(x, np.memmap) else np.ascontiguousarray(ready)


def resized(x: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """uint8 [N, C, H, W] -> [N, C, *size], in memory; the same array where it has that size."""
    height, width = pair(size)
    if x.shape[2:] == (height, width):
        return x
    out = np.empty((*x.shape[:2], height, width), np.uint8)
    for i, picture in enumerate(x):
        out[i] = decode(picture, (height, width), x.shape[1])
    return out


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """A size as (height, width)."""
    try:
        height, width = (size, size) if isinstance(size, int | np.integer) else size
        good = int(height) >= 1 and int(width) >= 1
    except (TypeError, ValueError):
        good = False
    if not good:
        raise SemblanceError(f"size is {size!r}: give a number of pixels from 1, or (height, width)")
    return int(height), int(width)


@contextmanager
def _opened(source: Path | bytes) -> Iterator[Image.Image]:
    try:
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    except BROKEN as error:
        raise Bad(_why(error)) from None
    with image:
        if image.width * image.height > LIMIT:
            raise Bad(f"{image.width} x {image.height} pixels are more than 179 megapixels")
        yield image


def _why(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no image that pillow knows"
    if isinstance(error, Image.DecompressionBombError):
        return "more than 179 megapixels"
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return "no such file"
    return (str(error) or type(error).__name__).splitlines()[0]


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except BROKEN:
        return 1  # a picture whose EXIF block is broken is shown as it lies


def _taken(image: Image.Image) -> datetime.datetime | None:
    try:
        exif = image.getexif()
        text = exif.get_ifd(EXIF).get(TAKEN) or exif.get(CHANGED)
        return None if not text else datetime.datetime.strptime(str(text).strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
    except BROKEN:
        return None


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P" and image.palette is not None and image.palette.mode == "RGB":
        colours = np.frombuffer(bytes(image.palette.palette), np.uint8)
        colours = colours[: len(colours) // 3 * 3].reshape(-1, 3)
        return len(colours) > 0 and bool((colours == colours[:, :1]).all())
    return image.mode in GREY


def _plain(image: Image.Image) -> Image.Image:
    """Any mode -> L or RGB."""
    mode = image.mode
    if mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if mode == "1":
        return image.convert("L")
    if mode.startswith("I") or mode == "F":
        return Image.fromarray(_to_bytes(np.asarray(image)))
    if mode == "LAB":
        return ImageCms.profileToProfile(
            image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, (255, 255, 255, 255))
        flat = Image.alpha_composite(white, seen).convert("RGB")
        return flat.getchannel(0) if mode in ("LA", "La", "L") else flat
    return image.convert("RGB")


def _to_bytes(values: np.ndarray) -> np.ndarray:
    """[H, W] of 16 or 32 bits or floats -> uint8, as the module says."""
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        scale, start = 255.0, 0.0
    elif low >= 0 and high <= 255:
        scale, start = 1.0, 0.0
    elif low >= 0 and high <= 65535:
        scale, start = 1 / 257, 0.0
    else:
        scale, start = 255 / (high - low), low
    return np.round((values - start) * scale).astype(np.uint8)


def _from_array(x: np.ndarray) -> Image.Image:
    if x.dtype != np.uint8 or x.ndim not in (2, 3) or not x.size:
        raise SemblanceError(f"the image is {x.dtype} {list(x.shape)}: give uint8 [H, W], [H, W, 3] or [3, H, W]")
    if x.ndim == 3:
        x = x if x.shape[2] in (1, 3) and x.shape[0] not in (1, 3) else np.moveaxis(x, 0, 2)
        x = x[:, :, 0] if x.shape[2] == 1 else x
    return Image.fromarray(np.ascontiguousarray(x))


def _fitted(image: Image.Image, turn: int, size: int | tuple[int, int] | None, channels: int) -> np.ndarray:
    """L or RGB -> uint8 [channels, H, W]: resized so that it covers the size, the middle kept, turned as EXIF says."""
    if size is not None:
        height, width = pair(size)
        if turn in SIDEWAYS:
            height, width = width, height
        if image.size != (width, height):
            scale = min(image.width / width, image.height / height)
            left, top = (image.width - width * scale) / 2, (image.height - height * scale) / 2
            box = (
                max(left, 0.0),
                max(top, 0.0),
                min(left + width * scale, image.width),
                min(top + height * scale, image.height),
            )
            image = image.resize((width, height), Image.Resampling.BILINEAR, box)
    if turn in TURNS:
        image = image.transpose(TURNS[turn])
    x = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return x[None].copy() if channels == 1 else np.ascontiguousarray(np.moveaxis(x, 2, 0))
