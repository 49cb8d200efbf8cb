"""Answers: JSON and bytes as they go out, with what a cache needs to know.

JSON is written by `encoded`: NaN and infinity as null, times as text, and half characters, which ids may hold, as escapes.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

BYTES = "application/octet-stream"


def encoded(content: Any) -> bytes:
    """Content as JSON bytes."""
    try:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_other)
    except ValueError:  # NaN or infinity somewhere, which is rare: only then everything is gone through
        finite = _finite(content)
        text = json.dumps(finite, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_other)
    return text.encode("utf-8", "backslashreplace")  # half a character becomes \udcXX, which is JSON's own escape


def _other(value: Any) -> Any:
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    return value if not isinstance(value, float) or math.isfinite(value) else None


def answer(content: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    """A JSON object."""
    return Response(encoded(content), status, dict(headers or {}), "application/json")


def unchanged(request: Request, tag: str) -> bool:
    """Whether the asker has what this tag names."""
    asked = request.headers.get("if-none-match")
    return asked is not None and any(one.strip().removeprefix("W/") == tag for one in asked.split(","))


def cached(
    request: Request, tag: str, content: bytes, media: str = BYTES, headers: Mapping[str, str] | None = None
) -> Response:
    """Bytes under a tag: 304 for who has them. Whoever keeps them asks again every time, which costs a header."""
    more = {"ETag": tag, "Cache-Control": "private, no-cache", **(headers or {})}
    if unchanged(request, tag):
        return Response(status_code=304, headers=more)
    return Response(content, 200, more, media)
