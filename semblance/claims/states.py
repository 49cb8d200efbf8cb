"""The state of every recipe: what `semblance recipes` and `sb.recipes()` list, without torch.

    planned     in the catalogue, not built yet
    built       has a recipe, and no evidence
    shown       its claim was run and every part passed
    not shown   its claim was run and a part did not pass
    stale       its claim was run, and the code has changed since

In a checkout the states are read from results/; an installed package ships the verdicts of its release.
"""

from __future__ import annotations

import json
from typing import Any

from semblance.claims import evidence
from semblance.errors import unknown
from semblance.recipes import registry

STATES = ("planned", "built", "shown", "not shown", "stale")


def verdicts() -> dict[str, str]:
    """Entry -> shown, not shown or stale, for every entry that was run."""
    if evidence.checkout() is None:
        return dict(json.loads(evidence.STATES.read_text())) if evidence.STATES.exists() else {}
    return {
        entry: "stale" if evidence.is_stale(found) else found["verdict"] for entry, found in evidence.recorded().items()
    }


def rows(family: str | None = None) -> list[dict[str, Any]]:
    """Every catalogue entry, every free configuration and every recipe of another package: {name, entry, family, title,
    domains, needs, makes, rank, state, package}.

    An entry with several recipes has a row for each; one without has its id for a name and None where only a recipe could
    tell. Free configurations have no entry, family, rank or claim, and so have the recipes of other packages, which are
    not imported for this; `package` is None for ours.
    """
    found = verdicts()
    of_entry: dict[str | None, list[registry.Entry]] = {}
    for recipe in registry.own().values():
        of_entry.setdefault(recipe.entry, []).append(recipe)
    listed = []
    for entry in registry.catalogue():
        state = found.get(entry["id"], "built" if entry["id"] in of_entry else "planned")
        about = {"entry": entry["id"], "family": entry["family"], "title": entry["title"], "rank": entry["rank"]}
        listed += [_row(recipe, state, **about) for recipe in of_entry.get(entry["id"], [None])]
    listed += [_row(recipe, "built", title=recipe.paper) for recipe in of_entry.get(None, [])]
    for recipe in registry.others().values():
        listed.append(_row(recipe, "built", title=recipe.paper, package=registry.package_of(recipe.name)))
    return [row for row in listed if family is None or row["family"] == family]


def narrowed(rows: list[dict[str, Any]], domain: str | None, needs: list[str] | None) -> list[dict[str, Any]]:
    """The rows of recipes that learn from this domain and need these things and no others (["nothing"]: none); None
    asks for nothing. What is not built yet has neither."""
    for kind, key, asked in (("domain", "domains", [domain] if domain else []), ("need", "needs", needs or [])):
        known = sorted({value for row in rows for value in row[key] or ()})
        for one in asked:
            if one not in known and not (kind == "need" and one == "nothing"):
                raise unknown(kind, one, known)
    wanted = None if needs is None else set(needs) - {"nothing"}
    return [
        row
        for row in rows
        if (domain is None or domain in (row["domains"] or ()))
        and (wanted is None or (row["needs"] is not None and set(row["needs"]) == wanted))
    ]


def details(name: str) -> dict[str, Any]:
    """What the table knows of one recipe beyond its row: paper, summary, settings with their defaults."""
    if name not in registry.table():
        return {"paper": None, "summary": None, "settings": None}
    recipe = registry.row_of(name)
    return {"paper": recipe.paper, "summary": recipe.summary, "settings": dict(recipe.settings)}


def families() -> list[str]:
    """The catalogue's families."""
    return sorted({entry["family"] for entry in registry.catalogue()})


def _row(
    recipe: registry.Entry | None,
    state: str,
    entry: str | None = None,
    family: str | None = None,
    title: str = "",
    rank: int | None = None,
    package: str | None = None,
) -> dict[str, Any]:
    known = recipe if recipe and recipe.makes else None  # of another package only the name may be known
    return {
        "name": recipe.name if recipe else entry,
        "entry": entry,
        "family": family,
        "title": title,
        "domains": list(known.domains) if known else None,
        "needs": list(known.needs) if known else None,
        "makes": known.makes if known else None,
        "rank": rank,
        "state": state,
        "package": package,
    }
