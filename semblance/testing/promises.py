"""Promises: one check after the other, and a line that says which promise was broken, by what."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from semblance.errors import SemblanceError, unknown

Excused = Mapping[str, str] | None
"""Promises that have no meaning for a component, each with the reason, which the run prints."""


def keep(what: str, promises: Mapping[str, Callable[..., None]], excused: Excused, *given: Any) -> None:
    """Calls every promise with what is given; the first broken one raises an AssertionError with its name."""
    reasons = dict(excused or {})
    for name in reasons:
        if name not in promises:
            raise unknown("promise", name, promises)
    for name, promise in promises.items():
        if name in reasons:
            print(f"{what}: {name!r} is not checked: {reasons[name]}")
            continue
        try:
            promise(*given)
        except Exception as error:  # the component may raise anything
            sentence = (inspect.getdoc(promise) or "").split("\n")[0]
            why = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            raise AssertionError(f"{what} breaks the promise {name!r} ({sentence}): {why}") from error


def that(holds: bool, why: str) -> None:
    """Raises AssertionError where it does not hold; an `assert` would be silent under `python -O`."""
    if not holds:
        raise AssertionError(why)


def equal(found: Any, wanted: Any, what: str, tolerance: float = 0.0) -> None:
    """Two arrays of one shape whose values differ by at most `tolerance`; NaN equals nothing."""
    one, two = np.asarray(found), np.asarray(wanted)
    that(one.shape == two.shape, f"{what}: shape {list(one.shape)} and not {list(two.shape)}")
    if not one.size:
        return
    apart = np.abs(one.astype(np.float64) - two.astype(np.float64))
    that(not np.isnan(apart).any(), f"{what}: NaN stands among them")
    that(bool((apart <= tolerance).all()), f"{what}: differ by {apart.max():.3g}, allowed is {tolerance:.3g}")


def refuses(call: Callable[[], Any], what: str) -> str:
    """The one line of the SemblanceError that a call has to raise."""
    try:
        call()
    except SemblanceError as error:
        that(
            "\n" not in str(error) and len(str(error)) > 10, f"{what}: the error is no line that explains it: {error!r}"
        )
        return str(error)
    except Exception as error:
        raise AssertionError(f"{what}: raised {type(error).__name__} and not a SemblanceError with one line") from error
    raise AssertionError(f"{what}: was not refused")
