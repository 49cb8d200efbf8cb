"""Image files -> one array of bytes, in bounded memory.

The heads of all files are read first (size, colour, EXIF), then each picture is decoded once, brought to the data set's
size and written to its place in the cache; the next load of unchanged files maps what is there. A cache entry is a folder
(`x.bin`, the bytes of uint8 [N, C, H, W], and `facts.json`) that appears by one rename, so that two processes may write
the same one. Its name holds the folder, the options, and every file's path, size and time of change. The cache is the
user's cache folder, or the one named by SEMBLANCE_CACHE.

The cache is bounded: when an entry is added, those used longest ago are removed until the others fit into 20 GiB and into
half of the disk that they could have. An entry that is added is kept whatever its size; one that a process still reads
stays readable to it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from semblance.data.pictures import Bad, Header, decode, header, pair, quiet
from semblance.errors import Failed, SemblanceError
from semblance.places import cache_folder

SMALL = 64
"""Pictures of one common size up to this are kept as they are; all others come to this size unless told."""
MOST = 20 << 30
"""Bytes of all entries, and the share of the disk's free bytes (the entries' own counted as free), whichever is less."""
SHARE = 0.5
FORMAT = 1
"""Of cache entries; raise it when the same files would decode to other bytes."""
AT_A_TIME = 256
UNDER_WAY = 1 << 25
"""At most so many pictures, and about so many bytes of them, are decoded and not yet written."""
THREADS = min(8, (os.cpu_count() or 1) + 1)

Progress = Callable[[int, int, str], None]
Size = int | tuple[int, int] | None


def read_pictures(
    files: list[Path],
    names: list[str],
    place: str | None,
    size: Size,
    progress: Progress | None,
    all_may_fail: bool = False,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Pictures uint8 [N, C, H, W] and the facts of those that could be read: `kept` (their positions among the files),
    `shape`, `content` (hash), `skipped` (name, why), and per picture `bytes`, `width`, `height`, `taken`.

    From the cache where it has them, else decoded: into the cache under the name of their place, or without one into
    memory. size: (height, width) or one number; None keeps a common size of at most 64 pixels a side, else takes 64 x 64.
    More than half that cannot be read are an error, unless the files are a stretch of many in which `all_may_fail`.
    """
    size = None if size is None else pair(size)
    if place is None:
        return _decode_all(files, names, size, progress, None, all_may_fail)
    where = hashlib.blake2b(repr((FORMAT, place, size)).encode("utf-8", "surrogateescape"), digest_size=8)
    what = hashlib.blake2b(digest_size=12)
    for name, file in zip(names, files, strict=True):
        what.update(f"{name}\0{stamp(file)}\n".encode())
    try:
        cache = _cache()
        entry = cache / f"{where.hexdigest()}-{what.hexdigest()}"
        if not (entry / "facts.json").is_file():
            _write(cache, entry, files, names, size, progress)
            _prune(cache, entry)
        _used_now(entry)
        facts = json.loads((entry / "facts.json").read_text(encoding="utf-8"))
        return np.memmap(entry / "x.bin", np.uint8, "r", shape=tuple(facts["shape"])), facts
    except OSError as error:
        raise Failed(
            f"the cache of decoded images cannot be used ({error.strerror or error}: {error.filename or cache_folder()}): "
            "make room, or name another folder by SEMBLANCE_CACHE"
        ) from None


def stamp(file: Path) -> tuple[int, int]:
    """The size of a file and when it was changed, in nanoseconds."""
    try:
        stat = os.stat(file)
    except OSError:  # a link to nothing: it will be skipped when it is read
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def _cache() -> Path:
    folder = cache_folder() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".writing-*"):  # by a process that was killed
        if time.time() - left.stat().st_mtime > 86400:
            shutil.rmtree(left, ignore_errors=True)
    return folder


def _write(
    cache: Path, entry: Path, files: list[Path], names: list[str], size: Size, progress: Progress | None
) -> None:
    writing = Path(tempfile.mkdtemp(prefix=".writing-", dir=cache))
    try:
        _, facts = _decode_all(files, names, size, progress, writing / "x.bin")
        (writing / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
        try:
            os.rename(writing, entry)
        except OSError:
            if not (entry / "facts.json").is_file():  # else another process was faster, and its entry is as good
                raise
        for old in cache.glob(f"{entry.name.partition('-')[0]}-*"):
            if old != entry:  # the same folder before it changed
                _remove(old)
    finally:
        shutil.rmtree(writing, ignore_errors=True)


def _used_now(entry: Path) -> None:
    """Note when an entry was used; a cache of somebody else's, which can only be read, keeps no such note."""
    with suppress(PermissionError):
        os.utime(entry / "facts.json")


def _prune(cache: Path, added: Path) -> None:
    """Remove the entries used longest ago until what is left fits."""
    found = []
    for entry in cache.glob("[!.]*"):
        with suppress(OSError):  # another process removed it meanwhile
            held = sum(part.stat().st_size for part in entry.iterdir())
            found.append(((entry / "facts.json").stat().st_mtime_ns, held, entry))
    total = sum(held for _, held, _ in found)
    room = min(MOST, int(SHARE * (shutil.disk_usage(cache).free + total)))
    for _, held, entry in sorted(found):
        if total <= room:
            return
        if entry != added:
            _remove(entry)
            total -= held


def _remove(entry: Path) -> None:
    """An entry is gone at once, so that a kill leaves none without its facts."""
    going = entry.with_name(f".writing-{entry.name}")
    with suppress(OSError):  # another process removes it, or the system holds on to files that are read
        os.rename(entry, going)
        shutil.rmtree(going, ignore_errors=True)


def _decode_all(
    files: list[Path],
    names: list[str],
    size: Size,
    progress: Progress | None,
    out: Path | None,
    all_may_fail: bool = False,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Heads, then pictures, into a file or an array; what cannot be read is left out and its place taken by the next."""
    Image.init()  # pillow fills its tables of formats here, which threads should not do at once
    skipped: list[tuple[str, str]] = []
    with quiet(), ThreadPoolExecutor(THREADS) as pool:
        heads = list(_in_order(pool, lambda f: _tried(header, f), files, AT_A_TIME, "looking at images", progress))
        good = [i for i, head in enumerate(heads) if isinstance(head, Header)]
        skipped += [(names[i], str(head)) for i, head in enumerate(heads) if not isinstance(head, Header)]
        if not all_may_fail:
            enough(skipped, len(files))
        channels = 1 if all(heads[i].grey for i in good) else 3
        shape = (channels, *_size([heads[i] for i in good], size))
        at_a_time = max(2 * THREADS, min(AT_A_TIME, UNDER_WAY // int(np.prod(shape))))
        told = _in_order(
            pool, lambda i: _tried(decode, files[i], shape[1:], channels), good, at_a_time, "reading images", progress
        )
        kept, digest = [], hashlib.blake2b(repr(shape).encode(), digest_size=16)
        x = np.empty((len(good), *shape), np.uint8) if out is None else np.empty((0, *shape), np.uint8)
        with open(out or os.devnull, "wb") as file:
            for i, picture in zip(good, told, strict=True):
                if isinstance(picture, Bad):
                    skipped.append((names[i], str(picture)))
                    continue
                digest.update(picture.data)
                if out is None:
                    x[len(kept)] = picture
                else:
                    file.write(picture.data)
                kept.append(i)
        if not all_may_fail:
            enough(skipped, len(files))
    facts = {
        "kept": kept,
        "shape": [len(kept), *shape],
        "content": digest.hexdigest(),
        "skipped": sorted(skipped),
        "bytes": [os.stat(files[i]).st_size for i in kept],
        "width": [heads[i].width for i in kept],
        "height": [heads[i].height for i in kept],
        "taken": [None if heads[i].taken is None else heads[i].taken.isoformat() for i in kept],
    }
    return x[: len(kept)], facts


def _tried(work: Callable[..., Any], *args: Any) -> Any:
    """The result, or the Bad that says why there is none."""
    try:
        return work(*args)
    except Bad as bad:
        return bad


def _in_order(
    pool: ThreadPoolExecutor,
    work: Callable[[Any], Any],
    items: Sequence[Any],
    at_a_time: int,
    text: str,
    progress: Progress | None,
) -> Iterable[Any]:
    """Results one after the other."""
    for start in range(0, len(items), at_a_time):
        yield from pool.map(work, items[start : start + at_a_time])
        if progress is not None:
            progress(min(start + at_a_time, len(items)), len(items), text)


def _size(heads: list[Header], size: tuple[int, int] | None) -> tuple[int, int]:
    if size is not None:
        return size
    common = {(h.height, h.width) for h in heads}
    only = next(iter(common))
    return only if len(common) == 1 and max(only) <= SMALL else (SMALL, SMALL)


def enough(skipped: Sequence[tuple[str, str]], files: int) -> None:
    """Raises where more than half of the files could not be read."""
    if 2 * len(skipped) > files or len(skipped) == files:
        name, why = skipped[0]
        raise SemblanceError(
            f"{len(skipped):,} of {files:,} images cannot be read, the first of them {name!r} ({why}): "
            "check that the files are whole"
        )
