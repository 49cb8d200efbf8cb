"""Labelling: labels given and taken away, durably, each with a token that undoes it once.

Undoing puts back what was there, if it is still what we wrote: who changed a label since is not overruled. A class that
came with the change goes with it, unless another item has it by now.
"""

from __future__ import annotations

import secrets
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from fastapi import APIRouter
from pydantic import BaseModel, Field, model_validator
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from semblance.app.server.answers import answer
from semblance.app.server.held import Held
from semblance.app.server.items import place_of
from semblance.app.server.problems import Problem
from semblance.app.server.state import WRITES, Here
from semblance.space.label import LABEL, check_labels, checked_label, forget_class

router = APIRouter(tags=["labels"])
MOST, KEPT, TOLD = 100_000, 200, 1_000
"""Items of one change, changes that can be undone, labels of before that are told."""


class Label(BaseModel):
    """A label for one item or several; null takes it away."""

    id: str | None = Field(None, examples=["17"])
    ids: list[str] | None = Field(None, max_length=MOST)
    label: str | None = Field(examples=["seven"], max_length=1_000)

    @model_validator(mode="after")
    def one(self) -> Label:
        if (self.id is None) == (self.ids is None):
            raise ValueError("give one of id and ids")
        return self


class Undo(BaseModel):
    """The token of a change of labels."""

    undo: str = Field(max_length=100)


class Labelled(BaseModel):
    """What a change of labels did, and the token that takes it back."""

    undo: str
    changed: int
    version: int
    classes: list[str]
    before: dict[str, str | None]


class Undone(BaseModel):
    """What taking a change back did."""

    changed: int
    version: int
    classes: list[str]


class Change(NamedTuple):
    """What was written over what; `new`: the label was no class before."""

    before: dict[str, str | None]
    label: str | None
    new: bool


@router.post("/api/spaces/{space}/labels", response_model=Labelled, responses=WRITES)
async def label(here: Here, asked: Label) -> Response:
    """Give items a label; the next answer uses it."""

    def work() -> Response:
        here.check_writable()
        ids = list(dict.fromkeys(asked.ids if asked.ids is not None else [str(asked.id)]))
        name = None if asked.label is None else checked_label(asked.label)
        held = here.held(now=True)
        check_labels(held.view)
        before = labels_of(held, ids)
        new = name is not None and name not in held.manifest.get("classes", ())
        if name is not None:
            here.space.relabel(ids, [name] * len(ids))
        elif any(old is not None for old in before.values()):
            here.space.update(ids, pa.table({LABEL: pa.nulls(len(ids), pa.string())}))
        token = secrets.token_urlsafe(16)
        with here.noting:
            here.changes[token] = Change(before, name, new)
            while len(here.changes) > KEPT:
                here.changes.popitem(last=False)
        now = here.held(now=True)
        said = {"undo": token, "changed": sum(old != name for old in before.values())}
        return answer({**said, **state(now), "before": dict(list(before.items())[:TOLD])}, now.headers)

    return await run_in_threadpool(work)


@router.post("/api/spaces/{space}/labels/undo", response_model=Undone, responses=WRITES)
async def undo(here: Here, asked: Undo) -> Response:
    """Put back what one change wrote over."""

    def work() -> Response:
        here.check_writable()
        with here.noting:
            change: Change | None = here.changes.get(asked.undo)
        if change is None:
            raise Problem("not-found", "there is no such change to undo", "a change is undone once, by its own token")
        held = here.held(now=True)
        now = labels_of(held, list(change.before))
        others = [id for id, found in now.items() if found != change.label]
        if others:
            told = f"{len(others)} of {len(now)} items (first {others[0]!r}) have another label by now"
            raise Problem("conflict", told, "label them again instead")
        back = {id: old for id, old in change.before.items() if old != change.label}
        if back:
            here.space.update(list(back), pa.table({LABEL: pa.array(list(back.values()), pa.string())}))
        if change.new and change.label is not None:
            forget_class(here.space, change.label)  # unless somebody gave it to another item since
        with here.noting:
            here.changes.pop(asked.undo, None)
        newest = here.held(now=True)
        return answer({"changed": len(back), **state(newest)}, newest.headers)

    return await run_in_threadpool(work)


def labels_of(held: Held, ids: list[str]) -> dict[str, str | None]:
    """Id -> its label; an unknown id is named, and nothing has changed."""
    places = [place_of(held, id) for id in ids]
    if LABEL not in held.arrays:
        return dict.fromkeys(ids)
    return dict(zip(ids, held.arrays[LABEL].take(pa.array(np.array(places, np.int64))).to_pylist(), strict=True))


def state(held: Held) -> dict[str, object]:
    return {"version": held.version, "classes": list(held.manifest.get("classes", ()))}
