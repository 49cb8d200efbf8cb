"""Values: what a user compares a column with, as the column stores it, or one line that says why it cannot be.

The same rules hold for what is written in a condition and for what is bound to its question marks.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as at

from semblance.errors import SemblanceError
from semblance.memory.columns import counts_nanoseconds, is_number, is_time
from semblance.memory.conditions import Microseconds, Nanoseconds

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
Complain = Callable[[str], SemblanceError]


def stored(value: Any, name: str, kind: pa.DataType, error: Complain) -> int | float | str:
    """The value as column `name` of this type stores it.

    >>> stored("1970-01-02", "day", pa.date32(), SemblanceError), stored(0.1, "w", pa.float32(), SemblanceError)
    (86400000000, 0.10000000149011612)
    """
    if value is None:
        raise error(f"nothing equals null: write `{name} is null`")
    if isinstance(value, (bool, np.bool_)):
        if at.is_boolean(kind):
            return int(value)
        raise error(f"column {name!r} holds {holds(kind)}, and true and false are neither")
    if isinstance(value, (int, float, np.integer, np.floating)):
        return _number(value.item() if isinstance(value, np.generic) else value, name, kind, error)
    if isinstance(value, str):
        return _text(str(value), name, kind, error)
    if isinstance(value, datetime.date):
        if is_time(kind):
            return _moment(value.isoformat(), name, kind, error)
        raise error(f"column {name!r} holds {holds(kind)}, and {value} is a date")
    raise error(f"column {name!r} holds {holds(kind)}, and a value of type {type(value).__name__} is none of these")


def _number(value: int | float, name: str, kind: pa.DataType, error: Complain) -> int | float:
    if isinstance(value, float) and math.isnan(value):  # a whole number may be too large for a float
        raise error(f"nan is no number, and {name!r} is never equal to it: write `{name} is null` for what is missing")
    if at.is_boolean(kind) and value in (0, 1):
        return int(value)
    if not is_number(kind):
        raise error(f"column {name!r} holds {holds(kind)}, and {value} is a number")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise error(f"{value} does not fit into 64 bits")
    if at.is_float32(kind):
        # 0.1 is meant as the column's own 0.1, which in 32 bits is another number; what is too large is infinite there.
        return float(np.float32(value)) if abs(value) < 3.4e38 else _rounded(value)
    return value


def _rounded(value: float) -> float:
    with np.errstate(over="ignore"):  # takes longer than the rounding, so it is left to the few that need it
        return float(np.float32(value))


def _text(value: str, name: str, kind: pa.DataType, error: Complain) -> int | str:
    if is_time(kind):
        return _moment(value, name, kind, error)
    if not at.is_string(kind):
        raise error(f"column {name!r} holds {holds(kind)}, and {value!r} is text")
    if "\0" in value:
        raise error(f"{value[:50]!r} holds a zero character, at which SQLite would stop reading")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise error(f"{ascii(value)[:50]} holds half a character (a lone surrogate)") from None
    return value


def _moment(written: str, name: str, kind: pa.DataType, error: Complain) -> int:
    """A date or time in ISO 8601 as whole micro- or nanoseconds since 1970 in UTC."""
    try:
        moment = datetime.datetime.fromisoformat(written)
    except ValueError:
        raise error(f"{written!r} is no date: write '2024-05-31' or '2024-05-31 18:30' for {name!r}") from None
    zoned = at.is_timestamp(kind) and kind.tz is not None
    if moment.tzinfo is not None and not zoned:
        raise error(f"{written!r} names a time zone and column {name!r} has none: leave the zone out")
    try:
        moment = moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment.astimezone(datetime.UTC)
    except OverflowError:
        raise error(f"{written!r} is outside the years that {name!r} can hold") from None
    since = moment - EPOCH
    micro = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if not counts_nanoseconds(kind):
        return Microseconds(micro)
    if not -(2**63) <= micro * 1000 < 2**63:
        raise error(f"{written!r} is outside the years that {name!r} can hold")
    return Nanoseconds(micro * 1000)


def holds(kind: pa.DataType) -> str:
    """What a column of this type holds, in the user's words."""
    if is_number(kind):
        return "numbers"
    if at.is_boolean(kind):
        return "true or false"
    if is_time(kind):
        return "dates and times"
    return "text" if at.is_string(kind) else "lists"
