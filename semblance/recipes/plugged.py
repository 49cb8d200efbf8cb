"""Recipes of other packages: listed from the table that a package ships, or by name; imported when they are built."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from semblance.errors import Failed
from semblance.plugins import TABLE, Offer, offered, warn
from semblance.recipes.rows import Entry, read_rows


def rows(ours: Collection[str]) -> dict[str, Entry]:
    """Name -> row of every recipe that another package offers; imports none of them.

    Where the package ships no table a row knows its name only: `makes` is "". They belong to no entry of our catalogue,
    whose evidence speaks of our code.
    """
    found = {}
    for name, offer in offered("recipes", ours).items():
        row = _shipped(offer).get(name) or Entry(name, None, "", (), (), "", offer.module)
        found[name] = Entry(**{**vars(row), "entry": None, "module": offer.module})
    return found


def package_of(name: str, ours: Collection[str]) -> str | None:
    """The package that offers this recipe; None for ours."""
    offer = offered("recipes", ours).get(name)
    return None if offer is None else offer.package


def loaded(name: str, ours: Collection[str]) -> tuple[Entry, Callable[..., Any]]:
    """Row and function of a recipe of another package, imported now."""
    offer = offered("recipes", ours)[name]
    function = offer.load()
    row = getattr(function, "row", None)
    if not isinstance(row, Entry) or row.name != name:
        what = f"a recipe of the name {row.name!r}" if isinstance(row, Entry) else "no function under @recipe"
        raise Failed(
            f"the recipe {name!r} of the package {offer.package} leads to {what}: its makers have to mend the entry point"
        )
    return row, function


def _shipped(offer: Offer) -> dict[str, Entry]:
    folder = offer.folder()
    if folder is None or not (folder / TABLE).is_file():
        return {}
    try:
        return read_rows(folder / TABLE)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        warn(f"{TABLE} of the package {offer.package} cannot be read ({error}): its recipes are listed by name only")
        return {}
