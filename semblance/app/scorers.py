"""Who scores a pool, by what was typed: a space, a column, chance, bounds, or what is fitted to a clean set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from semblance.errors import SemblanceError

FITTED = ("quality", "autoencoder", "labels")
BOUNDS = ("words", "side", "contrast")


@contextmanager
def scorer_of(text: str, pool: Any, good: Any, seed: int) -> Iterator[Any]:
    """A function of a dataset, or a column's name; a space stays open while this lasts."""
    if (Path(text) / "space.db").exists():
        from semblance.space.space import load

        with load(text) as space:
            yield space.agreement
    elif text == "random":
        from semblance.data.curation.rules import Drawn

        yield Drawn(seed)
    elif text in FITTED:
        yield _fitted(text, pool, good)
    elif text.partition("=")[0] in BOUNDS:
        yield _rules(text)
    else:
        yield text


def _fitted(text: str, pool: Any, good: Any) -> Any:
    from semblance.analysis import quality

    if good is None:
        raise SemblanceError(f"--scores {text} is fitted to data that is known to be good: name it by --clean")
    if text == "quality":
        return quality.Quality(good, pool)
    return quality.OwnLabel(good) if text == "labels" else quality.Reconstruction(good)


def _rules(text: str) -> Any:
    """words=3-40,side=64,contrast=0.02 -> Rules."""
    from semblance.data.curation.rules import Rules

    given: dict[str, Any] = {}
    for part in text.split(","):
        key, _, value = part.partition("=")
        try:
            if key == "words":
                low, _, high = value.partition("-")
                given[key] = (int(low), int(high))
            else:
                given[key] = {"side": int, "contrast": float}[key](value)
        except (KeyError, ValueError):
            raise SemblanceError(
                f"--scores {part!r} is no bound: write words=3-40, side=64 or contrast=0.02, with commas between"
            ) from None
    return Rules(**given)
