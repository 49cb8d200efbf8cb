"""Recipes: named compositions of parts, and the table that lists them without importing torch.

A recipe is a function under `@recipe(...)` whose keyword arguments are plain values (numbers, strings, flags); it
returns a `Recipe` whose parts are lazy: each takes the data's `Shape` at fit. The table (`table.json`) is generated
from the decorators by `python -m semblance.recipes.registry` and a test holds it to the code.

A name is a promise of its defaults. When they change, the recipe gets a new `version`, and `superseded` keeps what the one
before had, so that `simsiam@1` stays what it was; a plain name is the newest version. What is stored names the version.

Other packages join by entry points (`semblance/plugins.py`); `python -m semblance.recipes.registry PACKAGE` writes the
table that such a package ships.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from semblance.data.concepts import Concepts
from semblance.data.dataset import Shape
from semblance.data.pieces import Cutting
from semblance.errors import SemblanceError, unknown
from semblance.plugins import TABLE as SHIPPED
from semblance.plugins import offered
from semblance.recipes import plugged
from semblance.recipes.rows import Entry, read_rows, write_rows

TABLE = Path(__file__).with_name("table.json")
SAMPLER = "sampler"
"""The one setting that every recipe which shuffles has beside its own (sampling.py)."""
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
    `cutting` says how texts become numbers, and `captions` what those of images become: numbers too (a Cutting), or
    classes (Concepts), which then stand in the place of labels; without it they are not read.
    Beside an encoder, a recipe that makes an index may say which (`index`: the Shape of the embeddings -> an Index);
    one that makes a report has nothing but that (`report`).
    """

    encoder: Callable[[Shape], Any]
    stages: tuple[Stage, ...] = ()
    head: Callable[[Shape], Any] | None = None
    makes: str = "model"
    standardise: bool = True
    memory: str = "batch"
    index: Callable[[Shape], Any] | None = None
    report: Callable[[], Any] | None = None
    cutting: Cutting = field(default_factory=Cutting)
    captions: Cutting | Concepts | None = None


_DECORATED: dict[str, tuple[Entry, Callable[..., Recipe]]] = {}


def recipe(
    *,
    entry: str | None,
    paper: str,
    domains: str | tuple[str, ...],
    needs: str | tuple[str, ...] = (),
    makes: str = "model",
    superseded: Mapping[int, Mapping[str, Any]] | None = None,
) -> Callable[[Callable[..., Recipe]], Callable[..., Recipe]]:
    """Register a recipe under its function's name (underscores become hyphens).

    `entry` is the catalogue's id (None for a free configuration), `needs` what the data must have (`labels`).
    `superseded` holds, for every older version, the defaults that the next one changed: `{1: {"lr": 0.03}}` makes the
    signature version 2. Where a new setting changes what the old defaults did, its value of then stands there too.
    """
    older = {str(version): dict(defaults) for version, defaults in sorted((superseded or {}).items())}

    def register(function: Callable[..., Recipe]) -> Callable[..., Recipe]:
        name = function.__name__.strip("_").replace("_", "-")
        settings = {p.name: p.default for p in inspect.signature(function).parameters.values()}
        missing = [k for k, v in settings.items() if v is inspect.Parameter.empty]
        assert not missing, f"recipe {name}: arguments without a default: {missing}"
        assert list(older) == [str(n + 1) for n in range(len(older))], f"recipe {name}: versions are 1, 2, ..."
        strange = [key for defaults in older.values() for key in defaults if key not in settings]
        assert not strange, f"recipe {name}: superseded defaults of no argument: {strange}"
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
            version=len(older) + 1,
            superseded=older,
        )
        function.row = row  # type: ignore[attr-defined]
        held = _DECORATED.get(name)
        if held is None or _is_ours(row) or not _is_ours(held[0]):  # another package's name never replaces ours
            _DECORATED[name] = (row, function)
        return function

    return register


def decorated() -> dict[str, Entry]:
    """Every recipe of this package, by importing every file of the room: what the table is generated from."""
    package = importlib.import_module("semblance.recipes")
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        if module != "registry":
            importlib.import_module(f"semblance.recipes.{module}")
    return {name: row for name, (row, _) in sorted(_DECORATED.items()) if _is_ours(row)}


@cache
def own() -> dict[str, Entry]:
    """The table as shipped, name -> row; needs no torch."""
    return read_rows(TABLE)


def table() -> dict[str, Entry]:
    """Name -> row, of our recipes and of those that installed packages offer (which are not imported)."""
    return {**own(), **others()}


def others() -> dict[str, Entry]:
    """The rows of other packages' recipes. One whose package ships no table knows its name only: `makes` is ""."""
    return plugged.rows(own())


def package_of(name: str) -> str | None:
    """The installed package that offers this recipe; None for ours."""
    return plugged.package_of(name, own())


@cache
def catalogue() -> tuple[dict[str, Any], ...]:
    """The 356 entries of the catalogue: id, title, year, family, rank, kind, room."""
    return tuple(json.loads(CATALOGUE.read_text()))


def row_of(name: str) -> Entry:
    """The row of a recipe, by its name with or without a version, whose settings are that version's defaults."""
    plain, at, number = name.partition("@")
    rows = table()
    if plain not in rows:
        raise unknown("recipe", plain, rows)
    row = rows[plain]
    if not row.makes:  # of a package that ships no table: only its code knows more
        row = plugged.loaded(plain, own())[0]
    if not at:
        return row
    if number not in {str(version) for version in range(1, row.version + 1)}:
        known = f"{plain}@1" if row.version == 1 else f"{plain}@1 to {plain}@{row.version}"
        raise SemblanceError(f"there is no version {number!r} of recipe {plain}: there is {known}, or plain {plain}")
    return replace(row, version=int(number), settings=row.defaults(int(number)))


def stored_name(name: str) -> str:
    """The name that a file keeps, with its version: `simsiam` -> `simsiam@1`; "" (a module of the user's) stays."""
    return f"{row_of(name).name}@{row_of(name).version}" if name else name


def told_name(stored: str) -> str:
    """The name that people read: without the version where it is today's. What has none comes from version 1."""
    plain, _, number = stored.partition("@")
    rows = own() if plain in own() else table()
    if plain not in rows or str(rows[plain].version) == (number or "1"):
        return plain
    return f"{plain}@{number or 1}"


def check_settings(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """`--set key=value` against the recipe's signature: known keys, values of the default's kind.

    Strings (as typed on a command line) are read as the kind of the default. A wrong key is answered with the nearest
    right one.
    """
    defaults = row_of(name).settings
    checked: dict[str, Any] = {}
    for key, value in given.items():
        if key == SAMPLER and key not in defaults:
            checked[key] = str(value)
            continue
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
    """The recipe of this name (`simsiam`, or `simsiam@1` for that version's defaults), imported only now."""
    checked, row = check_settings(name, settings), row_of(name)
    # Only a version that is named puts its defaults in: today's are the function's own.
    older = dict(row.settings) if "@" in name else {}
    sampler = checked.pop(SAMPLER) if SAMPLER in checked and SAMPLER not in row.settings else ""
    made = recipe_function(row.name)(**{**older, **checked})
    if not sampler:
        return made
    from semblance.recipes.sampling import with_sampler  # it needs what is defined here

    return with_sampler(made, sampler, name)


def recipe_function(name: str) -> Callable[..., Recipe]:
    """The decorated function of this name, without a version; imported now."""
    if name not in own() and name in offered("recipes", own()):
        return plugged.loaded(name, own())[1]
    importlib.import_module(row_of(name).module)
    return _DECORATED[name][1]


def _is_ours(row: Entry) -> bool:
    return row.module.startswith("semblance.")


def write_table() -> None:
    """Generate `table.json` from the decorators."""
    write_rows(TABLE, decorated().values())


def write_shipped(package: str) -> Path:
    """Generate the table of recipes that another, installed package ships, from its entry points."""
    module = importlib.import_module(package)
    if not hasattr(module, "__path__"):
        raise SemblanceError(f"{package} is one file, and a table needs a package's folder: make it a package")
    names = [o.name for o in offered("recipes", own()).values() if o.module.partition(".")[0] == package]
    if not names:
        raise SemblanceError(
            f"{package} offers no recipes: name them under entry points semblance.recipes, and install it"
        )
    path = Path(module.__path__[0]) / SHIPPED
    write_rows(path, [plugged.loaded(name, own())[0] for name in names])
    return path


if __name__ == "__main__":
    from semblance.recipes import registry  # the decorators register there, not in __main__

    if sys.argv[1:]:
        print(registry.write_shipped(sys.argv[1]))
    else:
        registry.write_table()
