"""The catalogue's table as shipped: id, number, title, year, kind, room, family and rank of every entry.

    python -m semblance.recipes.catalogue FOLDER     writes catalogue.json from the FOLDER of the catalogue's YAML files

The entries' texts (what to build, what it shows) stay with the catalogue; here stands what `semblance recipes` lists.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from semblance.errors import SemblanceError
from semblance.recipes.registry import CATALOGUE

COLUMNS = ("id", "n", "title", "year", "family", "rank", "kind", "room")


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Every entry of the folder's YAML files, family by family (a family is a file), in the order of the files."""
    import yaml  # only who writes the table needs it

    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise SemblanceError(f"{folder} holds no .yaml files: give the folder of the catalogue")
    entries = [{**entry, "family": file.stem} for file in files for entry in yaml.safe_load(file.read_text())]
    return [{column: entry[column] for column in COLUMNS} for entry in entries]


def text_of(rows: list[dict[str, Any]]) -> str:
    """One entry a line."""
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"


if __name__ == "__main__":
    CATALOGUE.write_text(text_of(rows_of(Path(sys.argv[1]))))
