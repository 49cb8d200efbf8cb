"""Decoding: a file that somebody sent, read by a process that has little memory, little time and no files of its own.

    memory `MEMORY`, processor `SECONDS`, clock `PATIENCE`, at most `PIXELS` pixels, no file may be written

The process gets one line of JSON and the bytes, and answers a line of JSON and bytes. What breaks the decoder, or a file
that unpacks into all memory, ends that process; the server says so and goes on.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np

from semblance.app.server.problems import Problem

PIXELS = 50_000_000
MEMORY, SECONDS, PATIENCE = 2 << 30, 10, 20.0
NUMBERS = 100_000
"""Of one vector."""
ROOM = 32 << 20
"""Bytes that an answer may have."""
_AT_A_TIME = threading.BoundedSemaphore(2)


def image(content: bytes, item: tuple[int, ...]) -> tuple[np.ndarray, bytes]:
    """An image file -> uint8 [C, H, W] as a model of such items takes it, and a small PNG of it."""
    said, data = _asked({"what": "image", "item": item}, content)
    size = int(np.prod(item))
    pixels = np.frombuffer(data[:size], np.uint8).reshape(item)
    return pixels, data[size : size + int(said["thumbnail"])]


def vector(content: bytes) -> np.ndarray:
    """A .npy file of one vector -> float32 [d]."""
    _, data = _asked({"what": "vector"}, content)
    return np.frombuffer(data, np.float32)


def _asked(question: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    import semblance

    if not content:
        raise Problem("bad-request", "the file is empty", "send a file that holds something")
    path = os.path.dirname(os.path.dirname(os.path.abspath(semblance.__file__)))
    # Nothing of our environment: no token, no proxy, no folder of the user's.
    environment = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PATH": os.defpath}
    if not _AT_A_TIME.acquire(timeout=PATIENCE):
        raise Problem("too-many", "other files are being read", "try again", seconds=5)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "semblance.app.server.decoding"],
            input=json.dumps(question).encode() + b"\n" + content,
            capture_output=True,
            timeout=PATIENCE,
            env=environment,
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        raise Problem(
            "bad-request", f"the file was not read within {PATIENCE:.0f} seconds", "send a simpler one"
        ) from None
    finally:
        _AT_A_TIME.release()
    head, _, data = done.stdout.partition(b"\n")
    try:
        said = json.loads(head)
    except ValueError:
        raise Problem(
            "bad-request", "the file took more memory or time to read than it may", "send a smaller one"
        ) from None
    if "problem" in said:
        raise Problem(
            said["kind"], said["problem"], "send an image" if question["what"] == "image" else "send a .npy file"
        )
    return said, data


def _bound() -> None:
    """From here on this process can take little and write nothing."""
    import resource

    limits = {"RLIMIT_AS": MEMORY, "RLIMIT_CPU": SECONDS, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": 64}
    for name, most in limits.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):
            # A system without this limit still has the others, and the clock of the server.
            sys.stderr.write(f"{name} cannot be set\n")


def _decode_image(content: bytes, item: list[int]) -> tuple[dict[str, Any], bytes]:
    from semblance.data.pictures import decode, header, quiet, thumbnail

    with quiet():
        head = header(content)
        if head.width * head.height > PIXELS:
            told = f"the image has {head.width} x {head.height} pixels, and {PIXELS:,} is the most"
            return {"kind": "too-large", "problem": told}, b""
        pixels = decode(content, (item[1], item[2]), item[0])
        small = thumbnail(decode(content, None, 3) if head.width * head.height < 1 << 20 else pixels)
    return {"thumbnail": len(small)}, pixels.tobytes() + small


def _decode_vector(content: bytes) -> tuple[dict[str, Any], bytes]:
    if not content.startswith(b"\x93NUMPY"):
        return {"kind": "unsupported-media", "problem": "the file is no .npy file"}, b""
    found = np.load(io.BytesIO(content), allow_pickle=False)
    if (
        found.dtype.kind not in "fiu"
        or found.size > NUMBERS
        or found.size != max(found.shape, default=0)
        or not found.size
    ):
        told = (
            f"the file holds {found.dtype} {list(found.shape)}, and one vector of at most {NUMBERS:,} numbers is read"
        )
        return {"kind": "bad-request", "problem": told}, b""
    return {}, found.reshape(-1).astype(np.float32).tobytes()


def main() -> None:
    """One question from the input, one answer to the output."""
    _bound()
    question = json.loads(sys.stdin.buffer.readline())
    content = sys.stdin.buffer.read()
    try:
        if question["what"] == "image":
            said, data = _decode_image(content, question["item"])
        else:
            said, data = _decode_vector(content)
    except MemoryError:
        said, data = {"kind": "too-large", "problem": "the file unpacks into more memory than it may take"}, b""
    except Exception as error:  # whatever a decoder makes of what a stranger sent
        told = (str(error) or type(error).__name__).splitlines()[0][:200]
        said, data = {"kind": "bad-request", "problem": f"the file cannot be read: {told}"}, b""
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n" + data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
