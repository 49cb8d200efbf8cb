"""Selections: sets of items with a name, kept beside a space, that outlive the program in which somebody drew them.

    SPACE/selections/NAME.json    {"schema": 1, "name", "ids", "created"}, written as a whole

A selection names items by their ids. Those that were removed since are left out when it is read; `where` says the same as
a condition for search, as long as it is not too many.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from semblance.errors import Failed, SemblanceError, unknown
from semblance.memory.atomic import all_or_nothing, write_file
from semblance.memory.conditions import Among
from semblance.memory.where import MOST_VALUES

FOLDER, SCHEMA = "selections", 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")


def checked_name(name: str) -> str:
    """The name, if a file can be called by it everywhere."""
    if not NAME.fullmatch(name) or name.endswith((".", " ")):
        raise SemblanceError(
            f"selection {name[:80]!r} has no good name: letters, digits, blanks, points, _, -; 64 at most, a letter first"
        )
    return name


class Selections:
    """The selections of one space folder."""

    def __init__(self, space: Path):
        self.folder = space / FOLDER

    def names(self) -> list[str]:
        """In order."""
        return sorted(path.stem for path in self.folder.glob("*.json") if NAME.fullmatch(path.stem))

    def counts(self) -> dict[str, int]:
        """How many items each had when it was kept."""
        return {name: len(self.ids(name)) for name in self.names()}

    def keep(self, name: str, ids: Sequence[str]) -> None:
        """Writes a selection, or replaces the one of this name; durable on return."""
        checked_name(name)
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        content = {"schema": SCHEMA, "name": name, "ids": list(dict.fromkeys(ids)), "created": created}
        with all_or_nothing(self.folder):
            self.folder.mkdir(exist_ok=True)
            write_file(self.folder / f"{name}.json", json.dumps(content).encode())

    def ids(self, name: str) -> list[str]:
        """What was kept, items that are gone since included."""
        checked_name(name)
        try:
            said: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text("utf-8"))
            found = [str(id) for id in said["ids"]]
        except FileNotFoundError:
            raise unknown("selection", name, self.names()) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failed(f"{self.folder / name}.json cannot be read ({error}): select the items again") from None
        return found

    def remove(self, name: str) -> None:
        """Forgets a selection; the items stay."""
        checked_name(name)
        try:
            (self.folder / f"{name}.json").unlink()
        except FileNotFoundError:
            raise unknown("selection", name, self.names()) from None


def condition(ids: Sequence[str]) -> str | None:
    """The items of these ids as a condition; None for more than a condition can name."""
    if not ids:
        return "id = '' and id <> ''"
    return str(Among("id", tuple(ids))) if len(ids) <= MOST_VALUES else None


def table(ids: Sequence[str], attributes: pa.Table) -> pa.Table:
    """Ids and attributes as they are written to a file; an attribute that is called `id` too gives way."""
    kept = attributes.drop_columns(["id"]) if "id" in attributes.column_names else attributes
    return kept.add_column(0, "id", pa.array(list(ids), pa.string()))
