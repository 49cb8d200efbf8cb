"""What two aligned spaces answer: one query, the items of both; one file that brings the alignment back.

The spaces stay where and as they are. Vectors are translated when they are first asked for, and kept while a space does
not change.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from semblance.analysis.translated import Translated
from semblance.errors import SemblanceError, unknown
from semblance.memory.atomic import write_file
from semblance.memory.exact import scan
from semblance.memory.model_file import packed, read_model
from semblance.memory.translate import Translation, blank
from semblance.space.space import Space
from semblance.space.space import load as load_space

FORMAT = 1


@dataclass(frozen=True)
class Found:
    """The answer to one query. `matches` items of either space satisfied the filter; `results` are {space, id, distance,
    attributes}, nearest first, distances being cosine distances in the common space; `notes` say what was left out."""

    matches: int
    results: list[dict[str, Any]]
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> list[tuple[str, str]]:
        """(space, id), nearest first."""
        return [(one["space"], one["id"]) for one in self.results]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"matches": self.matches, "results": self.results, "notes": list(self.notes)}


class Aligned:
    """Two spaces with a translation between them; use it in a `with`, or close it. `quality` is None where no pair was left
    to judge by."""

    def __init__(
        self,
        spaces: tuple[Space, Space],
        translation: Translation,
        quality: Translated | None = None,
        fitted: int = 0,
        judged: Mapping[str, Any] | None = None,
    ):
        self.spaces, self.translation, self.quality, self.fitted = spaces, translation, quality, fitted
        first, second = (space.path.stem for space in spaces)
        self.names = (first, second) if first != second else (f"{first} (1)", f"{second} (2)")
        self.judged = dict(judged or ({} if quality is None else quality.to_dict()))
        self._met: dict[int, tuple[int, np.ndarray]] = {}

    def __enter__(self) -> Aligned:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the two spaces hold open."""
        for space in self.spaces:
            space.close()

    def __str__(self) -> str:
        if self.judged:
            return str(self.judged["sentence"])
        a, b = self.names
        return f"{self.method} from {a} into {b}, not judged: the two have no pair of items left to judge by"

    def __repr__(self) -> str:
        a, b = self.spaces
        return f"Aligned({str(a.path)!r}, {str(b.path)!r}: {self.method}, {self.fitted:,} pairs)"

    @property
    def method(self) -> str:
        """relative, procrustes or vec2vec."""
        return self.translation.method

    def translate(self, vectors: np.ndarray, of: str | int) -> np.ndarray:
        """Vectors [N, d] of one space (its name, or 0 or 1) -> unit vectors [N, m] in the common space."""
        side = self._side(of)
        z = np.atleast_2d(np.asarray(vectors, np.float32))
        dim = int(self.spaces[side].manifest["dim"])
        if z.shape[1] != dim:
            raise SemblanceError(f"the vectors have {z.shape[1]} numbers and {self.names[side]} {dim}: give {dim}")
        if not np.isfinite(z).all():
            raise SemblanceError("the vectors hold NaN or infinity: give finite numbers")
        return self.translation.meet(self.spaces[side].geometry.prepare(z), side)

    def search(self, query: Any, k: int = 5, where: str | None = None, of: str | int | None = None) -> Found:
        """The k nearest items of both spaces. query: an id, a path, or a vector [d], of the space `of`; without that, of
        the first space that knows it. An item is not its own neighbour. where: a condition over attributes; a space that
        lacks a column of it has no match, which a note says."""
        if k < 1:
            raise SemblanceError(f"k is {k}: ask for one neighbour or more")
        side, vector, itself = self._asked(query, of)
        asked = self.translation.meet(vector[None], side)
        matches, found, notes, refused = 0, [], [], []
        for at, space in enumerate(self.spaces):
            view = space.store.refresh()
            try:
                rows = view.rows_where(where)
            except SemblanceError as error:
                refused.append(error)
                notes.append(f"{self.names[at]} has no match: {error}")
                continue
            rows = np.asarray(rows)
            if at == side and itself is not None:
                rows = rows[rows != itself]
            matches += len(rows)
            if not len(rows):
                continue
            near, far = scan(self._common(at), rows, asked, k, "cosine")
            attributes = view.attributes(rows=near[0]).to_pylist()
            found += [
                {"space": self.names[at], "id": name, "distance": float(distance), "attributes": attribute}
                for name, distance, attribute in zip(view.ids(near[0]), far[0], attributes, strict=True)
            ]
        if len(refused) == 2:
            raise refused[0]
        found.sort(key=lambda one: one["distance"])
        return Found(matches, found[:k], tuple(notes))

    def _side(self, of: str | int) -> int:
        if of in (0, 1):
            return int(of)
        if of not in self.names:
            raise unknown("space of this alignment", of, self.names)
        return self.names.index(str(of))

    def _asked(self, query: Any, of: str | int | None) -> tuple[int, np.ndarray, int | None]:
        """Side, vector [d], and the position of the item that asks."""
        sides = [0, 1] if of is None else [self._side(of)]
        if of is None and isinstance(query, np.ndarray) and query.ndim == 1:
            widths = [int(space.manifest["dim"]) for space in self.spaces]
            sides = [side for side in sides if widths[side] == len(query)] or sides
            if len(sides) == 2 and widths[0] == widths[1]:
                raise SemblanceError(
                    f"both spaces have {widths[0]} dimensions, so the vector may be of either: say of={self.names[0]!r} or "
                    f"of={self.names[1]!r}"
                )
        errors = []
        if isinstance(query, str):  # an id of either comes before a file of that name
            for side in sides:
                with suppress(SemblanceError):
                    row = self.spaces[side].store.refresh().row_of(query)
                    return side, self.spaces[side].store.view.vectors([row])[0], row
        for side in sides:
            try:
                vector, item = self.spaces[side]._vector(self.spaces[side].store.refresh(), query)
                return side, vector, item
            except SemblanceError as error:
                errors.append(error)
        raise (
            errors[0]
            if len(errors) == 1
            else SemblanceError(
                f"neither space takes the query: {self.names[0]}: {errors[0]}; {self.names[1]}: {errors[1]}"
            )
        )

    def _common(self, side: int) -> np.ndarray:
        """A space's items in the common space, kept while the space does not change."""
        view = self.spaces[side].store.view
        held = self._met.get(side)
        if held is None or held[0] != view.version:
            held = (view.version, self.translation.meet(view.vectors(), side))
            self._met[side] = held
        return held[1]

    def save(self, path: str | Path) -> None:
        """One file: the translation, how it was judged, and where the two spaces lie, seen from it."""
        path = Path(path)
        if not path.parent.is_dir():
            raise SemblanceError(
                f"there is no folder {path.parent} to write {path.name} into: make it, or choose another"
            )
        head = {
            "format": FORMAT,
            "method": self.method,
            "facts": self.translation.facts,
            "spaces": [_seen_from(space.path, path) for space in self.spaces],
            "made_by": [_maker(space) for space in self.spaces],
            "fitted": self.fitted,
            "judged": self.judged,
        }
        write_file(path, packed(self.translation.state_dict(), {"semblance": json.dumps(head)}))

    @classmethod
    def load(cls, path: str | Path, a: Any = None, b: Any = None) -> Aligned:
        """What `save` wrote. a, b: the spaces, where they lie elsewhere now."""
        path = Path(path)
        if not path.is_file():
            raise SemblanceError(f"there is no file {path}: give one that `save` of an alignment wrote")
        tensors, meta = read_model(path)
        head = json.loads(meta.get("semblance", "{}"))
        if "method" not in head or head.get("format") != FORMAT:
            raise SemblanceError(f"{path} is no alignment of format {FORMAT}: make it again with sb.align")
        translation = blank(head["method"], head["facts"])
        translation.load_state_dict(tensors)
        places = (
            path.parent / told if given is None else given for given, told in zip((a, b), head["spaces"], strict=True)
        )
        first, second = (opened(place) for place in places)
        for space, maker in zip((first, second), head["made_by"], strict=True):
            if _maker(space) != maker:
                raise SemblanceError(
                    f"{space.path} was fitted again since, and its vectors mean something else now: align the spaces again"
                )
        return cls((first, second), translation, fitted=head["fitted"], judged=head["judged"])


def opened(given: Any) -> Space:
    """A space, or the one in a folder."""
    return given if isinstance(given, Space) else load_space(given)


def _seen_from(space: Path, file: Path) -> str:
    """Relative, so that a folder with all three can be moved."""
    return os.path.relpath(space.resolve(), file.parent.resolve())


def _maker(space: Space) -> str:
    """What says that the vectors still mean the same: the live model, and the run that made it."""
    return f"{space.manifest.get('model')} {space.manifest.get('recipe_hash')}"
