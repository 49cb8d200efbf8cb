"""A row of the table of recipes, and tables on disk; needs no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A row of the table. `settings` maps each argument to its default; `module` is where the function stands.

    `superseded` maps an older version to the defaults it had that the next one changed.
    """

    name: str
    entry: str | None
    paper: str
    domains: tuple[str, ...]
    needs: tuple[str, ...]
    makes: str
    module: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    version: int = 1
    superseded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def defaults(self, version: int) -> dict[str, Any]:
        """What this version gave every argument: today's values, with the changes since taken back."""
        found = dict(self.settings)
        for older in range(self.version - 1, version - 1, -1):
            found |= self.superseded[str(older)]
        return found


def read_rows(path: Path) -> dict[str, Entry]:
    """Name -> row of a table on disk."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {r["name"]: Entry(**{**r, "domains": tuple(r["domains"]), "needs": tuple(r["needs"])}) for r in rows}


def write_rows(path: Path, rows: Iterable[Entry]) -> None:
    """The same on disk."""
    listed = [
        {**vars(row), "domains": list(row.domains), "needs": list(row.needs), "settings": dict(row.settings)}
        for row in rows
    ]
    path.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
