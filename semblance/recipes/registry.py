"""Recipes: named compositions of parts, and the table that lists them without importing torch.

A recipe is a function under `@recipe(...)` whose keyword arguments are plain values (numbers, strings, flags); it
returns a `Recipe` whose parts are lazy: each takes the data's `Shape` at fit. The table (`table.json`) is generated
from the decorators by `python -m semblance.recipes.registry` and a test holds it to the code.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from semblance.data.dataset import Shape
from semblance.errors import SemblanceError, unknown

TABLE = Path(__file__).with_name("table.json")
CATALOGUE = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True)
class Stage:
    """One stretch of learning: batches, views and the objective under a rule. A solver needs no objective."""

    rule: Any
    objective: Callable[[Shape], Any] | None = None
    batches: Any = None
    views: Any = None


@dataclass(frozen=True)
class Recipe:
    """Stages, and what they make.

    `encoder` and `head` are lazy parts, called with the data's Shape. `standardise` says whether inputs are brought to
    mean 0 and deviation 1 per channel (images: after division by 255) or taken as they are. `memory` is `batch`
    where peak memory is bounded by the batch and `data` where it grows with the data set (banks, full-batch solvers).
    """

    encoder: Callable[[Shape], Any]
    stages: tuple[Stage, ...] = ()
    head: Callable[[Shape], Any] | None = None
    makes: str = "model"
    standardise: bool = True
    memory: str = "batch"


@dataclass(frozen=True)
class Entry:
    """A row of the table. `settings` maps each argument to its default; `module` is where the function stands."""

    name: str
    entry: str | None
    paper: str
    domains: tuple[str, ...]
    needs: tuple[str, ...]
    makes: str
    module: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""


_DECORATED: dict[str, tuple[Entry, Callable[..., Recipe]]] = {}


def recipe(
    *,
    entry: str | None,
    paper: str,
    domains: str | tuple[str, ...],
    needs: str | tuple[str, ...] = (),
    makes: str = "model",
) -> Callable[[Callable[..., Recipe]], Callable[..., Recipe]]:
    """Register a recipe under its function's name (underscores become hyphens).

    `entry` is the catalogue's id (None for a free configuration), `needs` what the data must have (`labels`).
    """

    def register(function: Callable[..., Recipe]) -> Callable[..., Recipe]:
        name = function.__name__.strip("_").replace("_", "-")
        settings = {p.name: p.default for p in inspect.signature(function).parameters.values()}
        missing = [k for k, v in settings.items() if v is inspect.Parameter.empty]
        assert not missing, f"recipe {name}: arguments without a default: {missing}"
        row = Entry(
            name=name,
            entry=entry,
            paper=paper,
            domains=(domains,) if isinstance(domains, str) else tuple(domains),
            needs=(needs,) if isinstance(needs, str) else tuple(needs),
            makes=makes,
            module=function.__module__,
            settings=settings,
            summary=(inspect.getdoc(function) or "").split("\n")[0],
        )
        _DECORATED[name] = (row, function)
        return function

    return register


def decorated() -> dict[str, Entry]:
    """Every recipe of this package, by importing every file of the room: what the table is generated from."""
    package = importlib.import_module("semblance.recipes")
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        if module != "registry":
            importlib.import_module(f"semblance.recipes.{module}")
    return {name: row for name, (row, _) in sorted(_DECORATED.items())}


@cache
def table() -> dict[str, Entry]:
    """The table as shipped, name -> row; needs no torch."""
    rows = json.loads(TABLE.read_text())
    return {r["name"]: Entry(**{**r, "domains": tuple(r["domains"]), "needs": tuple(r["needs"])}) for r in rows}


@cache
def catalogue() -> tuple[dict[str, Any], ...]:
    """The 356 entries of the catalogue: id, title, year, family, rank, kind, room."""
    return tuple(json.loads(CATALOGUE.read_text()))


def check_settings(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """`--set key=value` against the recipe's signature: known keys, values of the default's kind.

    Strings (as typed on a command line) are read as the kind of the default. A wrong key is answered with the nearest
    right one.
    """
    if name not in table():
        raise unknown("recipe", name, table())
    defaults = table()[name].settings
    checked: dict[str, Any] = {}
    for key, value in given.items():
        if key not in defaults:
            raise unknown(f"setting of {name}", key, defaults)
        checked[key] = _as_kind(f"{name}: {key}", value, defaults[key])
    return checked


def _as_kind(what: str, value: Any, default: Any) -> Any:
    if default is None or value is None:
        return value
    kind = type(default)
    if kind is bool and isinstance(value, str):
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if value.lower() not in words:
            raise SemblanceError(f"{what} is {value!r}, but it is a flag: give true or false")
        return words[value.lower()]
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise SemblanceError(f"{what} is {value!r}, but it takes a {kind.__name__} such as {default!r}") from None


def build(name: str, **settings: Any) -> Recipe:
    """The recipe of this name with these settings, imported only now."""
    checked = check_settings(name, settings)
    importlib.import_module(table()[name].module)
    return _DECORATED[name][1](**checked)


def write_table() -> None:
    """Generate `table.json` from the decorators."""
    rows = [
        {**vars(row), "domains": list(row.domains), "needs": list(row.needs), "settings": dict(row.settings)}
        for row in decorated().values()
    ]
    TABLE.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    from semblance.recipes import registry  # the decorators register there, not in __main__

    registry.write_table()
