"""Domains of other packages: rows whose loader reads a kind of file that ours do not.

The packages are imported when a path has a suffix that is none of ours, or a domain is asked for by their name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semblance.data.dataset import ArrayDataset
from semblance.errors import Failed, SemblanceError
from semblance.plugins import Offer, offered, warn

if TYPE_CHECKING:
    from semblance.data.domains import Domain


def names() -> list[str]:
    """Of all domains that other packages offer; imports none of them."""
    return list(_offers())


def row_of(domain: str) -> Domain:
    """The row of this name, imported now."""
    return _row(_offers()[domain])


def loader(path: Path, domain: str | None = None) -> Domain | None:
    """The row whose loader reads this path: the one that `domain` names, else the one that takes its suffix, else None."""
    if not path.exists():
        return None
    if domain in _offers():
        return row_of(str(domain))
    suffix = path.suffix.lower()
    if path.is_dir() or not suffix or suffix in _ours():
        return None
    return _by_suffix().get(suffix)


def suffixes() -> str:
    """The kinds of files that other packages read, in words; "" where there are none."""
    return ", ".join(sorted(_by_suffix()))


def read(row: Domain, path: Path, **options: Any) -> ArrayDataset:
    """What the row's loader makes of a path, checked."""
    offer = _offers()[row.name]
    assert row.load is not None
    try:
        dataset = row.load(path, **options)
    except SemblanceError:
        raise
    except Exception as error:  # code of another package, which may raise anything
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise Failed(f"{path} could not be read by the package {offer.package} ({why}): is it whole?") from error
    wanted = row.makes or row.name
    if not isinstance(dataset, ArrayDataset) or dataset.domain != wanted:
        told = f"the domain {dataset.domain}" if isinstance(dataset, ArrayDataset) else type(dataset).__name__
        raise Failed(
            f"the loader {row.name!r} of the package {offer.package} made {told} and not a dataset of the domain {wanted}"
        )
    note = f"domain: {wanted} ({path.name}, {len(dataset):,} items, read by the package {offer.package})"
    known = {"source": dataset.source or str(path.absolute()), "name": dataset.name or path.stem}
    return replace(dataset, notes=(note, *dataset.notes), **known)


def _offers() -> Mapping[str, Offer]:
    from semblance.data.domains import DOMAINS

    return offered("domains", DOMAINS)


def _ours() -> frozenset[str]:
    from semblance.data.domains import ARRAYS, PICKLES, TABLES
    from semblance.data.images import SUFFIXES

    return SUFFIXES | ARRAYS | TABLES | PICKLES


def _by_suffix() -> dict[str, Domain]:
    """Suffix -> row, of all packages that can be imported; a suffix that is taken already is left out, with a warning."""
    found: dict[str, Domain] = {}
    ours = _ours()
    for offer in _offers().values():
        try:
            row = _row(offer)
        except SemblanceError as error:
            warn(str(error))
            continue
        for suffix in sorted(row.files):
            if suffix in ours:
                warn(f"{suffix} files of the package {offer.package} are left out: semblance reads them itself")
            elif suffix in found:
                other = _offers()[found[suffix].name].package
                warn(f"{suffix} files go to the package {other}, although {offer.package} offers to read them, too")
            else:
                found[suffix] = row
    return found


@cache
def _row(offer: Offer) -> Domain:
    from semblance.data.domains import DOMAINS, Domain

    row = offer.load()
    if not isinstance(row, Domain) or row.name != offer.name or row.load is None:
        told = f"the Domain {row.name!r}" if isinstance(row, Domain) else f"a {type(row).__name__}"
        raise Failed(
            f"the domain {offer.name!r} of the package {offer.package} leads to {told} and not to a Domain of that "
            "name with a loader: its makers have to mend the entry point"
        )
    if row.makes and row.makes not in DOMAINS:
        raise Failed(
            f"the domain {row.name!r} of the package {offer.package} makes {row.makes!r}: give one of "
            f"{', '.join(DOMAINS)}, or nothing for a domain of its own name"
        )
    return row
