"""Methods of other packages: what they offer by entry points, read without importing any of them.

    [project.entry-points."semblance.recipes"]
    pca-whitening = "whitening.recipe:pca_whitening"     # a function under @recipe
    [project.entry-points."semblance.domains"]
    fvecs = "whitening.files:FVECS"                      # a Domain, with a loader for a kind of file
    [project.entry-points."semblance.indexes"]
    kd-tree = "whitening.index:KdTree"                   # (dim, geometry, **settings) -> an Index
    [project.entry-points."semblance.reports"]
    hubness = "whitening.report:hubness"                 # (space, **settings) -> a Report

A package that ships `semblance-recipes.json` (`python -m semblance.recipes.registry PACKAGE` writes it) has its recipes
listed in full before it is imported; without that file they are listed by name. What is broken costs one warning that
names its package, and nothing of ours stops working. A name is taken once: ours first, and of two packages with the same
name neither.
"""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from semblance.errors import Failed

GROUPS = ("recipes", "domains", "indexes", "reports")
TABLE = "semblance-recipes.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class PluginWarning(UserWarning):
    """Another package offers something that cannot be used."""


@dataclass(frozen=True)
class Offer:
    """One entry point: what `package` offers under `name`, and where it stands."""

    group: str
    name: str
    package: str
    version: str
    module: str
    attribute: str

    @property
    def kind(self) -> str:
        """The group's name for one of its members: recipe, domain, index, report."""
        return "index" if self.group == "indexes" else self.group.removesuffix("s")

    def load(self) -> Any:
        """The object itself: imports the package."""
        try:
            found = importlib.import_module(self.module)
            for part in self.attribute.split(".") if self.attribute else ():
                found = getattr(found, part)
        except (Exception, SystemExit) as error:  # code of another package, which may raise anything
            why = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
            raise Failed(
                f"the {self.kind} {self.name!r} of the package {self.package} cannot be loaded ({why}): "
                f"update or uninstall {self.package}"
            ) from error
        return found

    def folder(self) -> Path | None:
        """Where its package lies, found without importing it; None where it is not a folder."""
        from importlib.util import find_spec

        try:
            spec = find_spec(self.module.partition(".")[0])
        except (ImportError, ValueError, AttributeError):
            return None
        places = list(spec.submodule_search_locations or ()) if spec else []
        return Path(places[0]) if places else None


def offered(group: str, ours: Collection[str] = ()) -> dict[str, Offer]:
    """What other packages offer in this group, name -> offer, except under names that are ours or that two packages use;
    these are warned of."""
    every = [offer for offer in installed() if offer.group == group]
    kept: dict[str, Offer] = {}
    for offer in every:
        others = [other.package for other in every if other.name == offer.name and other is not offer]
        if offer.name in ours:
            warn(
                f"{offer.kind} {offer.name!r} of the package {offer.package} is left out: semblance has that name itself"
            )
        elif others:
            both = " and ".join(sorted({offer.package, *others}))
            warn(f"{offer.kind} {offer.name!r} is left out, for both {both} offer it: uninstall one of them")
        else:
            kept[offer.name] = offer
    return kept


def installed() -> tuple[Offer, ...]:
    """Every offer of every installed package, in the order of their names."""
    return _installed(tuple(sys.path))


@cache
def _installed(path: tuple[str, ...]) -> tuple[Offer, ...]:
    from importlib.metadata import distribution, distributions  # slow to import

    names: set[str] = set()
    for one in distributions():
        try:
            if "semblance." in (one.read_text("entry_points.txt") or ""):
                names.add(one.metadata["Name"] or "")
        except Exception as error:  # metadata may be damaged in any way
            warn(f"the metadata of an installed package cannot be read ({error}): reinstall it")
    found = []
    for name in sorted(names):
        try:
            first = distribution(name)  # of two copies on the path, the one that an import would find
            points = [point for point in first.entry_points if point.group.startswith("semblance.")]
            found += [_offer(point, name, first.version) for point in points]
        except Exception as error:
            warn(f"the package {name or '(without a name)'} offers nothing, its entry points are damaged ({error})")
    strange = [o for o in found if o.group not in GROUPS or not _NAME.fullmatch(o.name) or not o.module]
    for offer in strange:
        warn(
            f"the package {offer.package} offers {offer.name!r} in semblance.{offer.group}, which is left out: groups are "
            f"{', '.join(GROUPS)}, names are letters, digits and '-', targets module:name"
        )
    return tuple(sorted((o for o in found if o not in strange), key=lambda o: (o.group, o.name, o.package)))


def _offer(point: Any, package: str, version: str) -> Offer:
    module, _, attribute = point.value.partition("[")[0].strip().partition(":")
    return Offer(
        point.group.removeprefix("semblance."), point.name, package, version, module.strip(), attribute.strip()
    )


_WARNED: set[str] = set()


def warn(line: str) -> None:
    """One warning in a process, however often its cause is met."""
    if line not in _WARNED:
        _WARNED.add(line)
        warnings.warn(line, PluginWarning, stacklevel=3)
