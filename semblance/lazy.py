"""Names that are imported when they are asked for: the table of contents of a room, as its `__init__.py` uses it.

    __getattr__, __dir__, __all__ = lazy(__name__, {"fit": "fit", "Space": "space"})

says that `fit` stands in the submodule `fit` and `Space` in `space`; `"name": "module:other"` hands on another name,
`"name": "module:"` the module itself. A submodule called like the function in it (`space/fit.py`) would hide the function
once it is imported, since Python binds a submodule to its package. Such a module is therefore made callable: it answers
a call as its function would.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

Table = tuple[Callable[[str], Any], Callable[[], list[str]], tuple[str, ...]]


def lazy(package: str, table: Mapping[str, str]) -> Table:
    """`__getattr__`, `__dir__` and `__all__` of a package whose public names stand in its table, name -> module."""

    def getattribute(name: str) -> Any:
        if name not in table:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        place, colon, attribute = table[name].partition(":")
        module = importlib.import_module(f"{package}.{place}")
        return module if colon and not attribute else getattr(module, attribute or name)

    class Room(ModuleType):
        """A package that makes a submodule callable when it is bound under the name of a public function."""

        def __setattr__(self, name: str, value: Any) -> None:
            if isinstance(value, ModuleType) and not table.get(name, ":").endswith(":"):

                def call(_: ModuleType, *args: Any, **kwargs: Any) -> Any:
                    return getattribute(name)(*args, **kwargs)

                value.__class__ = type("CallableModule", (type(value),), {"__call__": call})
            super().__setattr__(name, value)

    def directory() -> list[str]:
        return sorted({*vars(sys.modules[package]), *table})

    sys.modules[package].__class__ = Room
    return getattribute, directory, tuple(table)
