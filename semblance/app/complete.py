"""What the shell offers after a word is begun: names of recipes, data sets and entries. Nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterable


def recipes(incomplete: str) -> list[str]:
    """Recipes that can be run, ours and other packages'."""
    from semblance.recipes.registry import table

    return _begun(table(), incomplete)


def sets(incomplete: str) -> list[str]:
    """Known data sets that are here; where none fits, the shell offers files."""
    from semblance.data.named import data_list

    return _begun([row.name for row in data_list() if row.present], incomplete)


def entries(incomplete: str) -> list[str]:
    """Catalogue entries that have a claim to reproduce."""
    from semblance.claims.evidence import claimed

    return _begun(claimed(), incomplete)


def _begun(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
