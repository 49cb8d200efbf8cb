"""Explain why two items are near: sb.explain(space, x, y), which shows the parts of either that the nearness is made of.

    sb.explain("photos.space", "cat/3.png", "cat/7.png").plot()
    sb.explain(space, "cat/3.png")              # with what is nearest to it
    sb.explain(model, "a.png", "b.png", method="occlusion")

An item is an id of the space, a file, or an array of one unit. What an id stands for is read again from the data of the
fit; where that is gone, pictures are explained by their thumbnails, and the report says so.
"""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semblance.analysis.explain import STEPS, Asked
from semblance.analysis.explain import explain as explained
from semblance.analysis.explanation import Explanation
from semblance.analysis.words import in_words
from semblance.data.dataset import ArrayDataset
from semblance.data.pictures import as_pictures
from semblance.data.prepare import Prepare
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError, unknown
from semblance.space.model import Model, conform
from semblance.space.space import Space
from semblance.space.space import load as load_space


def explain(
    space: Space | Model | str | Path,
    x: Any,
    y: Any = None,
    *,
    method: str | None = None,
    curve: bool = True,
    steps: int = STEPS,
    seed: int = 0,
) -> Explanation:
    """Which parts of two items make them near: shares that sum to the similarity where the method is a decomposition, a
    picture, a sentence, and a curve that shows whether the similarity falls with those parts.

    x, y: ids of the space, files, or arrays; without y the nearest other item. method: of the domain (see docs/explain.md),
    by default the most telling one that the model allows. curve: some 50 more passes. steps: of integrals.
    """
    if isinstance(space, str | Path):
        with load_space(space) as opened:
            return explain(opened, x, y, method=method, curve=curve, steps=steps, seed=seed)
    model = space.model if isinstance(space, Space) else space
    if y is None:
        y = _nearest(space, x)
    finder = _Finder(space if isinstance(space, Space) else None, model)
    asked = finder.asked(x, y)
    model.network.eval()
    found = explained(model.shape.domain, replace(asked, method=method, curve=curve, steps=steps, seed=seed))
    return in_words(found, asked.stored) if "tokens" in asked.known else found


def _nearest(space: Space | Model, x: Any) -> str:
    """The id of the nearest other item."""
    if not isinstance(space, Space):
        raise SemblanceError("a model alone knows no other items: name two to explain")
    found = space.search(x, k=1)
    if isinstance(found, list) or not found.ids:
        raise SemblanceError("there is no other item in this space to explain a nearness to: add one")
    return found.ids[0]


class _Finder:
    """From what a user named to what the encoder reads."""

    def __init__(self, space: Space | None, model: Model):
        self.space, self.model = space, model
        self.notes: list[str] = []

    def asked(self, x: Any, y: Any) -> Asked:
        """The pair as a batch, with what stands beside it."""
        names = (self._name(x, "the first"), self._name(y, "the second"))
        if self.model.shape.domain == "images":
            return self._images(names, x, y)
        if self.model.shape.domain == "vectors":
            return self._vectors(names, x, y)
        if self.model.shape.domain == "text":
            return self._texts(x, y)
        return self._related(names, x, y)

    def _name(self, item: Any, otherwise: str) -> str:
        return str(item) if isinstance(item, str | Path | int | np.integer) else otherwise

    def _images(self, names: tuple[str, str], x: Any, y: Any) -> Asked:
        stored = torch.cat([conform(torch.from_numpy(self._unit(item)), self.model.shape) for item in (x, y)])
        prepared, neutral = self.model.prepare(stored), torch.tensor(0.0)
        if isinstance(self.model.prepare, Prepare) and not self.model.prepare.standardise and self.model.shape.mean:
            neutral = torch.tensor(self.model.shape.mean)[:, None, None]
        batch = {"x": prepared}
        return Asked(self._encoder, batch, names, stored=stored, neutral=neutral, notes=tuple(self.notes))

    def _vectors(self, names: tuple[str, str], x: Any, y: Any) -> Asked:
        stored = torch.from_numpy(np.concatenate([self._unit(item) for item in (x, y)]))
        batch = {"x": self.model.prepare(stored)}
        neutral = torch.tensor(0.0)
        if not (isinstance(self.model.prepare, Prepare) and self.model.prepare.standardise) and self.model.shape.mean:
            neutral = torch.tensor(self.model.shape.mean)[None]
        return Asked(self._encoder, batch, names, stored=stored, neutral=neutral, notes=tuple(self.notes))

    def _texts(self, x: Any, y: Any) -> Asked:
        """Texts of the space, of files, or words of one's own."""
        texts = [self._text(item) for item in (x, y)]
        names = (shortened(str(x)), shortened(str(y)))
        dataset = self.model.read(texts)
        assert self.model.pieces is not None
        if len(dataset) != 2:
            raise SemblanceError("one of the texts is empty: give words to explain")
        (batch,) = self.model.batches(dataset)
        spans = [self.model.pieces.spans(text) for text in texts]
        notes = (*self.notes, *dataset.notes[1:])
        return Asked(
            self._encoder,
            batch,
            names,
            stored=list(zip(texts, spans, strict=True)),
            known={"tokens": spans},
            notes=notes,
        )

    def _text(self, item: Any) -> str:
        """An id's text as the space keeps it, that of a file, or several words as they are."""
        name = str(item)
        if self.space is not None:
            with suppress(SemblanceError):  # no item of this id: then it is a file, or words
                row = self.space.store.view.row_of(name)
                return str(self.space.store.view.attributes(["text"], rows=np.array([row])).column("text")[0])
        if Path(name).is_file():
            dataset = self.model.read(Path(name))
            if len(dataset) != 1 or not isinstance(dataset, ArrayDataset):
                raise SemblanceError(f"{name} holds {len(dataset)} texts: explain one at a time")
            return str(dataset.attributes.column("text")[0])
        if len(name.split()) > 1 or self.space is None:
            return name
        raise SemblanceError(_gone(self.space, name))

    def _related(self, names: tuple[str, str], x: Any, y: Any) -> Asked:
        """Two nodes of the graph that the space was made of."""
        dataset = self._source()
        if not isinstance(dataset, RelationalDataset):
            raise SemblanceError(f"{self.model.shape.domain} is explained within a space, by ids of its items")
        place = {name: i for i, name in enumerate(dataset.ids)}
        for name in names:
            self._is_item(name)
            if name not in place:
                raise unknown("node", name, place)
        (batch,) = self.model.batches(dataset, np.array([place[name] for name in names]))
        known = {"ids": list(dataset.ids)}
        return Asked(self._encoder, batch, names, known=known, notes=tuple(self.notes))

    @property
    def _encoder(self) -> Any:
        return self.model.network.eval().encoder

    def _unit(self, item: Any) -> np.ndarray:
        """[1, ...] as stored."""
        if isinstance(item, torch.Tensor):
            item = item.numpy()
        if isinstance(item, np.ndarray):
            return self._array(item)
        if self.space is not None:
            with suppress(SemblanceError):  # no item of this id: then it is a file, or a mistake
                self.space.store.view.row_of(str(item))
                return self._item(str(item))
        if not Path(item).is_file():
            if self.space is None:
                raise SemblanceError(f"there is no file {str(item)!r}: give a path, or a space and an id of it")
            raise SemblanceError(f"{_gone(self.space, str(item))}")
        dataset = self.model.read(Path(item))
        if len(dataset) != 1 or not isinstance(dataset, ArrayDataset):
            raise SemblanceError(f"{item} holds {len(dataset)} items: explain one at a time, or give an array")
        return np.asarray(dataset.x)

    def _array(self, item: np.ndarray) -> np.ndarray:
        if self.model.shape.domain == "images":
            return as_pictures(item if item.ndim == 4 else item[None], "the picture")
        flat = np.asarray(item, np.float32).reshape(1, -1)
        if flat.shape[1] != self.model.shape.item[0]:
            raise SemblanceError(
                f"the vector has {flat.shape[1]} numbers, and the model takes {self.model.shape.item[0]}"
            )
        return flat

    def _item(self, name: str) -> np.ndarray:
        """An item of the space, from the data of its fit or, failing that, from what the space itself holds."""
        dataset = self._source()
        if isinstance(dataset, ArrayDataset) and name in dataset.ids:
            return np.array(dataset.x[[dataset.ids.index(name)]])
        assert self.space is not None
        if self.model.shape.domain == "images":
            png = self.space.store.thumbnail(name)
            if png is not None:
                self.notes.append(f"{name} is explained by its thumbnail, since its file is not in the data of the fit")
                return _decoded(png)
        elif self.space.recipe == "as-is":
            return np.array(self.space.store.view.vectors([self.space.store.view.row_of(name)]))
        raise SemblanceError(f"the data that {name!r} came from is gone: give the item itself (a file or an array)")

    def _source(self) -> Any:
        if self.space is None:
            return None
        if not hasattr(self, "_read"):
            self._read, why = self.space._source()
            if why is not None and self.model.shape.domain not in ("images", "vectors"):
                raise SemblanceError(
                    f"{why.removeprefix('no baseline: ')}, and a graph is explained as a whole: bring it back"
                )
        return self._read

    def _is_item(self, name: str) -> None:
        if self.space is not None:
            try:
                self.space.store.view.row_of(name)
            except SemblanceError:
                raise SemblanceError(_gone(self.space, name)) from None


def shortened(text: str, most: int = 48) -> str:
    """A text as a name of itself."""
    words = " ".join(text.split())
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def _gone(space: Space, name: str) -> str:
    """What is wrong with an id or path that is neither."""
    near = str(unknown("item", name, space.ids)).partition(": ")[2]
    return f"{name!r} is neither an item of this space (it may have been removed) nor a file: {near}"


def _decoded(png: bytes) -> np.ndarray:
    from PIL import Image

    picture = np.asarray(Image.open(io.BytesIO(png)))
    return as_pictures(picture[None], "the thumbnail")
