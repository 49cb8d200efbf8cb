"""What is computed of a structure once and kept with it: rows of edges, operators, spectra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, eq=False, kw_only=True)
class Keeps:
    """A frozen structure with a memory of its own, which no copy inherits."""

    kept: dict[Any, Any] = field(default_factory=dict, repr=False)

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` gives, computed at the first call with this key and kept as long as the structure."""
        if key not in self.kept:
            self.kept[key] = make()
        found: T = self.kept[key]
        return found
