"""Indexes by name: ours, and those that other packages offer; each is made for vectors of d numbers and a geometry."""

from __future__ import annotations

import importlib
from typing import Any

from semblance.contracts import Index
from semblance.errors import Failed, SemblanceError, unknown
from semblance.plugins import offered

OURS = {"exact": "exact:Exact", "filtered": "filtered:Filtered", "window": "window_index:WindowIndex"}


def index_names() -> dict[str, str | None]:
    """Name -> the package that offers it, None for ours; imports none of them."""
    others = {name: offer.package for name, offer in offered("indexes", OURS).items()}
    return dict.fromkeys(OURS) | others


def index_named(name: str, dim: int, geometry: str = "cosine", **settings: Any) -> Index:
    """An empty index for vectors of `dim` numbers.

    >>> index = index_named("exact", 2, "euclidean")
    >>> index.add(["a", "b"], [[0, 0], [3, 4]])
    >>> index.search([[0, 0]], 2)
    ([['a', 'b']], [array([0., 5.], dtype=float32)])
    """
    if name not in index_names():
        raise unknown("index", name, index_names())
    if name in OURS:
        module, _, kind = OURS[name].partition(":")
        make = getattr(importlib.import_module(f"semblance.memory.{module}"), kind)
    else:
        make = offered("indexes", OURS)[name].load()
    try:
        index = make(dim=dim, geometry=geometry, **settings)
    except SemblanceError:
        raise
    except TypeError as error:
        raise SemblanceError(f"the index {name!r} does not take these settings ({error})") from None
    if not isinstance(index, Index):
        package, kind = index_names()[name], type(index).__name__
        raise Failed(f"the index {name!r} of the package {package} is a {kind}, which lacks the Index contract")
    return index
